"""Cells and tables of the page: what stands there, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.evaluate.observations import Metric


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    text : str
    by : float or None
        What it is sorted by; None sorts by the text.
    """

    text: str
    by: float | None = None


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes
    ----------
    name : str
        Letters and hyphens, for the page.
    columns : sequence of str
        Titles.
    numbers, stop : int
        Columns of numbers: from the first up to the other one.
    rows : sequence of sequence of Cell
    total : int
        Rows that there would be; more than are shown if there are too many.
    """

    name: str
    columns: Sequence[str]
    numbers: int
    rows: Sequence[Sequence[Cell]]
    total: int
    stop: int = 99


def number_cell(metric: Metric, value: float) -> Cell:
    """Value of a metric."""
    return Cell(metric.text(value), or_none(value))


def plain_cell(value: float) -> Cell:
    """Number with one decimal."""
    return Cell(f"{value:.1f}" if np.isfinite(value) else NOT_AVAILABLE, or_none(value))


def count_cell(n: int) -> Cell:
    """Whole number."""
    return Cell(str(n), float(n))


def or_none(value: float) -> float | None:
    """None for NaN, which sorts last."""
    return value if np.isfinite(value) else None
