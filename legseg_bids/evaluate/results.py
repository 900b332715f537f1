"""From the results that are kept of each case to the tables of an evaluation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.errors import OutputError
from legseg_bids.evaluate.cases import mean_dice
from legseg_bids.evaluate.pairs import Trouble
from legseg_bids.evaluate.parts import read_part
from legseg_bids.evaluate.plan import Job, Plan, facts
from legseg_bids.evaluate.table import (
    CONFUSION,
    EVALUATION,
    LEFT_OUT,
    SLICES,
    TROUBLES,
    Tables,
    remove_table,
    write_sidecars,
)


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation.

    Attributes
    ----------
    cases : int
        That were evaluated, now or earlier.
    computed : int
        Of these, now.
    errors, warnings : int
        Rows of ``troubles.tsv``.
    tables : tuple of Path
    dice : mapping of str to float
        Mean Dice by model: over the structures of an image first, then over images.
    not_compared : int
        Structures that references show and that some model's images do not tell apart.
    """

    cases: int
    computed: int
    errors: int
    warnings: int
    tables: tuple[Path, ...]
    dice: Mapping[str, float]
    not_compared: int = 0


def write_results(
    plan: Plan, jobs: Sequence[Job], troubles: list[Trouble], computed: int
) -> Evaluated:
    """Write all tables.

    Parameters
    ----------
    plan : Plan
    jobs : sequence of Job
        All, whether they failed or not.
    troubles : list of Trouble
        Of those that failed, or never began; warnings of the others are appended.
    computed : int
        How many were to do.

    Raises
    ------
    OutputError
        If a table cannot be written.
    """
    failed = {(t.key["model"], t.key["image"]) for t in troubles}
    good = [job for job in jobs if (job.case.model, job.case.reference.name) not in failed]
    names = [EVALUATION, CONFUSION, LEFT_OUT, TROUBLES]
    names += [SLICES] if plan.options.slices else []
    means: defaultdict[str, list[float]] = defaultdict(list)
    left_out: dict[tuple[str, ...], dict[str, Any]] = {}
    with Tables(plan.out, names) as tables:
        for job in good:
            kept = read_part(job.part.path)
            if kept is None:
                raise OutputError(
                    f"{job.part.path} is gone; expected what was kept of a case; leave the folder "
                    "alone while an evaluation runs, and run it again"
                )
            tables.add(EVALUATION, kept["rows"])
            tables.add(CONFUSION, kept["confusion"])
            if plan.options.slices:
                tables.add(SLICES, kept["slices"])
            troubles += [Trouble(job.case.key, "warning", w) for w in kept["warnings"]]
            _add_up(left_out, job.case.model, kept["left_out"])
            if not math.isnan(mean := mean_dice(kept["rows"])):
                means[job.case.model].append(mean)
        tables.add(LEFT_OUT, left_out.values())
        tables.add(TROUBLES, (trouble.row for trouble in troubles))
    if not plan.options.slices:
        remove_table(plan.out, SLICES)
    sidecars = write_sidecars(plan.out, names, facts(plan))
    return Evaluated(
        cases=len(good),
        computed=computed,
        errors=sum(trouble.kind == "error" for trouble in troubles),
        warnings=sum(trouble.kind == "warning" for trouble in troubles),
        tables=(*(tables.path(name) for name in names), *sidecars),
        dice={model: sum(values) / len(values) for model, values in means.items()},
        not_compared=sum(
            row["found_in"] == "reference" and row["images"] > 0 for row in left_out.values()
        ),
    )


def _add_up(
    total: dict[tuple[str, ...], dict[str, Any]], model: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Add the structures that one case left out to those of all."""
    for row in rows:
        key = (model, row["found_in"], row["structure"], row["side"], row["reason"])
        names = ("model", "found_in", "structure", "side", "reason")
        known = total.setdefault(
            key, {**dict(zip(names, key, strict=True)), "images": 0, "volume_cm3": 0.0}
        )
        known["images"] += row["images"]
        known["volume_cm3"] += row["volume_cm3"]
