"""The five studies on simulated people: which cases, and the rows of one person in one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.accuracy.bench import Bench
from benchmarks.accuracy.cases import BANDS, Case, mixed
from benchmarks.accuracy.factors import FACTORS
from benchmarks.accuracy.tables import Row, Task
from legseg_bids.anatomy.labels import load_labels
from legseg_bids.evaluate.answers import Hit, mean_dice
from legseg_bids.evaluate.trials import FIRST_SEED

#: What the network is fed, by the column that tells how right it was.
WAYS_TO_FEED: Mapping[str, tuple[str, str | None]] = {
    "opposed": ("opposed", None),
    "in_phase": ("in_phase", None),
    "water": ("water", None),
    "applied": ("opposed", "in_phase"),
}
#: Of probability, 0 to 1.
BINS = 20
OF_A_TASK = ("factor", "value", "person", "rows", "fat")
OF_A_MUSCLE = (*OF_A_TASK, *Hit.__dataclass_fields__)


@dataclass(frozen=True)
class Study:
    """A question that simulated people answer.

    Attributes
    ----------
    name : str
    columns : tuple of str
        Of its table.
    cases : tuple of Case
        Fixed ones; or one that only names those that are drawn for each person.
    rows : callable
        From a bench, a case, a person and the contrast that is fed as well (None: none) to rows.
    """

    name: str
    columns: tuple[str, ...]
    cases: tuple[Case, ...]
    rows: Callable[[Bench, Case, int, str | None], list[Row]]

    def tasks(self, people: int) -> list[Task]:
        """Everybody in every case."""
        return [Task(c.factor, c.value, number) for c in self.cases for number in range(people)]

    def case(self, task: Task) -> Case:
        """The case of a task."""
        return next(c for c in self.cases if (c.factor, c.value) == (task.factor, task.value))

    def same(self, task: Task) -> tuple[Case, int]:
        """What is equal for tasks with the same trial under different names."""
        return replace(self.case(task), factor="", value=""), task.person

    def digests(self) -> dict[str, str]:
        """A check sum of all that defines a case, by its name."""
        return {c.name: hashlib.sha256(repr(c).encode()).hexdigest()[:12] for c in self.cases}


def _plain_rows(bench: Bench, case: Case, number: int, also: str | None) -> list[Row]:
    return bench.rows(case, number, also)


def _contrast_rows(bench: Bench, _: Case, number: int, __: str | None) -> list[Row]:
    """Dice of one person with each contrast fed, and as the application feeds them."""
    trial = bench.trial(mixed(FIRST_SEED + 5000 + number), number)
    row: dict[str, Any] = {"fat": trial.fat_fraction}
    for name, way in WAYS_TO_FEED.items():
        row[name] = mean_dice(bench.judged(trial, bench.labels(trial, *way)))
    return [row]


def _trust_rows(bench: Bench, _: Case, number: int, __: str | None) -> list[Row]:
    """Muscles of a mixed person; half of the people are fed as the application does."""
    case = mixed(FIRST_SEED + 9000 + number)
    return bench.rows(case, number, "in_phase" if number % 2 else None)


def _calibration_rows(bench: Bench, _: Case, number: int, __: str | None) -> list[Row]:
    """Voxels of a mixed person that were called muscle, by their probability: how many are right.

    What the mean probability of every bin is, and how much of it is that muscle.
    """
    trial = bench.trial(mixed(FIRST_SEED + 9000 + number), number)
    found = bench.labels(trial, also="in_phase" if number % 2 else None)
    muscle = np.isin(found.labels, _MUSCLES)
    sure, right = found.probability[muscle], (found.labels == trial.labels)[muscle]
    bins = np.clip((sure * BINS).astype(int), 0, BINS - 1)
    rows: list[Row] = []
    for k in np.unique(bins):
        mine = bins == k
        told = {"voxels": int(mine.sum()), "right": int(right[mine].sum())}
        rows.append({"fat": trial.fat_fraction, "probability": float(sure[mine].mean()), **told})
    return rows


_MUSCLES = [label.index for label in load_labels() if label.tissue == "muscle"]
_MIXED = (Case("mixed", "drawn for each person"),)
STUDIES = {
    study.name: study
    for study in (
        Study("bands", OF_A_MUSCLE, BANDS, _plain_rows),
        Study(
            "curves",
            (*OF_A_MUSCLE, "differing"),
            tuple(case for factor in FACTORS for case in factor.cases()),
            _plain_rows,
        ),
        Study("contrasts", (*OF_A_TASK, *WAYS_TO_FEED), _MIXED, _contrast_rows),
        Study("trust", OF_A_MUSCLE, _MIXED, _trust_rows),
        Study(
            "calibration",
            (*OF_A_TASK, "probability", "voxels", "right"),
            _MIXED,
            _calibration_rows,
        ),
    )
}
