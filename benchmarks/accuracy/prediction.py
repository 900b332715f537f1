"""The table that predicts a Dice coefficient from a mean probability, of all trust tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.tables import Row, read_table
from legseg_bids.errors import NoInput

#: Mean probabilities that the table has a row for.
LEVELS = np.round(np.arange(0.35, 1.001, 0.05), 2)
#: Half the width of the window that a row is the mean of.
NEAR = 0.025


def trusted(tables: Path) -> list[Row]:
    """Muscles of all networks' trust tables that have a mean probability.

    Raises
    ------
    NoInput
        If there is no table.
    """
    files = sorted(tables.glob("trust-*.tsv"))
    if not files:
        raise NoInput(f"no trust-*.tsv in {tables}; expected tables; run the command trust first")
    return answered([row for file in files for row in read_table(file)])


def answered(rows: Sequence[Row]) -> list[Row]:
    """Muscles that have a mean probability: those that were found at all."""
    return [row for row in rows if np.isfinite(row.get("confidence", np.nan))]


def fitted_near(rows: Sequence[Row]) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Dice coefficients by rising mean probability, never falling: isotonic regression.

    Returns
    -------
    fitted : ndarray
        One of each row.
    near : list of ndarray
        Those around each of :data:`LEVELS`.
    """
    from scipy.optimize import isotonic_regression

    sure, dice = (np.array([row[key] for row in rows], float) for key in ("confidence", "dice"))
    order = np.argsort(sure, kind="stable")
    fitted = np.asarray(isotonic_regression(dice[order]).x)
    return fitted, [fitted[np.abs(sure[order] - level) <= NEAR] for level in LEVELS]


def predicted(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Dice coefficient at each of :data:`LEVELS`, never falling: isotonic regression, smoothed.

    Where nobody is near a level, it lies on the line between those beside it; beyond the least
    and the surest muscle it is theirs.
    """
    fitted, near = fitted_near(rows)
    known = np.array([mine.size > 0 for mine in near])
    means = [mine.mean() for mine in near if mine.size]
    told = np.interp(LEVELS, LEVELS[known], means, left=fitted[0], right=fitted[-1])
    return np.maximum.accumulate(told)


def write_prediction(rows: Sequence[Row], path: Path) -> None:
    """Write the table as the package reads it (``legseg_bids/measure/data``)."""
    lines = ["confidence\tdice"]
    lines += [f"{k:.2f}\t{v:.2f}" for k, v in zip(LEVELS, predicted(rows), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
