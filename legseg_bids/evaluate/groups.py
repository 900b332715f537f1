"""Groups of participants, as ``participants.tsv`` tells of them: how good are models in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.finished import DamagedTable, read_table
from legseg_bids.bids.names import printable
from legseg_bids.errors import UsageError
from legseg_bids.evaluate.observations import ALL, Observations, load_metrics
from legseg_bids.evaluate.outcomes import GROUPS, Asked, Outcome, adjusted, independent_test
from legseg_bids.group.covariates import (
    Covariate,
    by_participant,
    classify,
    read_descriptions,
    told_columns,
)

MAX_GROUPINGS = 3
"""Columns that are compared if none is named."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """One way to divide the participants.

    Attributes
    ----------
    name, title : str
        Column of ``participants.tsv``, and what it is called.
    levels : tuple of str
        Groups, the largest first.
    member : ndarray of int, shape (participants,)
        Which group each participant belongs to; -1 for none.
    """

    name: str
    title: str
    levels: tuple[str, ...]
    member: NDArray[np.intp]


@dataclass(frozen=True)
class Groupings:
    """What ``participants.tsv`` gave, and what was left out of it."""

    used: tuple[Grouping, ...] = ()
    notes: tuple[str, ...] = ()


def read_groupings(
    path: Path | None, group_by: str | None, participants: Sequence[str]
) -> Groupings:
    """Divide participants by a column, or by the first few that make groups.

    Parameters
    ----------
    path : Path or None
        ``participants.tsv``.
    group_by : str or None
        Column; None takes the first three that make groups.
    participants : sequence of str
        Whom to divide, in this order.

    Raises
    ------
    UsageError
        If a column is asked for that the file does not have, or that makes no groups; or if the
        file cannot be read.
    """
    if path is None:
        if group_by is not None:
            raise UsageError(
                f"groups by {printable(group_by)} are wanted and there is no participants.tsv; "
                "expected the file that has this column; name it"
            )
        return Groupings()
    rows = _rows(path)
    columns = told_columns(rows)
    if group_by is not None and group_by not in columns:
        raise UsageError(
            f"{path} has no column {printable(group_by)}; expected one of "
            f"{', '.join(map(printable, columns)) or 'its columns'}; correct the name"
        )
    by_name = by_participant(rows)
    described = read_descriptions(path.with_suffix(".json"))
    used: list[Grouping] = []
    notes: list[str] = []
    for name in columns if group_by is None else [group_by]:
        of_all = [by_name.get(_prefixed(p), {}).get(name) for p in participants]
        covariate, note = classify(name, of_all, described.get(name))
        if covariate is not None and covariate.levels and len(used) < MAX_GROUPINGS:
            used.append(_grouping(covariate))
            notes += [note] if note else []
        elif group_by is not None:
            notes.append(note or f"{covariate.title if covariate else name}: numbers, no groups")
    return Groupings(tuple(used), tuple(notes))


def by_groups(seen: Observations, groupings: Sequence[Grouping]) -> list[Outcome]:
    """Compare each model's results between groups, two at a time (Mann-Whitney, Holm)."""
    found: list[Outcome] = []
    for metric in load_metrics().values():
        values = seen.single(metric)
        for grouping in groupings:
            for model, of_one in zip(seen.models, values, strict=True):
                for one, two in combinations(range(len(grouping.levels)), 2):
                    first, second = (of_one[grouping.member == level] for level in (one, two))
                    for column, structure in enumerate((*seen.structures, ALL)):
                        names = grouping.levels[one], grouping.levels[two]
                        asked = Asked(GROUPS, metric.name, structure, model, *names, grouping.name)
                        outcome = independent_test(asked, first[:, column], second[:, column])
                        found += [outcome] if outcome else []
    return adjusted(found)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return read_table(path, ["participant_id"])
    except DamagedTable as error:
        raise UsageError(
            f"{printable(str(error))}; expected a table with the column participant_id; correct "
            "the file, or evaluate without groups"
        ) from error


def _prefixed(participant: str) -> str:
    return f"sub-{participant.removeprefix('sub-')}"


def _grouping(covariate: Covariate) -> Grouping:
    member = np.where(np.isfinite(covariate.values), covariate.values, -1).astype(np.intp)
    return Grouping(covariate.name, covariate.title, covariate.levels, member)
