"""From the rows of a table to one number for each muscle and case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.tables import Row
from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.evaluate.answers import LEAST_VOLUME

Floats = NDArray[np.float64]
#: Of a muscle with less than this in the image, only an end is seen, ml.
WELL_IN_VIEW = 10.0
#: How the three measures are called, in tables and figures.
MEASURES = {"dice": "Dice", "distance": "HD95, mm", "error": "volume error, %"}


def present(rows: Iterable[Row]) -> list[Row]:
    """Rows of muscles of which there is enough in the image to be judged."""
    return [row for row in rows if row["volume"] >= LEAST_VOLUME]


def cases_of(rows: Iterable[Row], factor: str | None = None) -> list[tuple[str, str]]:
    """Factor and value of each case, in the order of the table."""
    pairs = dict.fromkeys((row["factor"], row["value"]) for row in rows)
    return [pair for pair in pairs if factor in (None, pair[0])]


def labels_of(rows: Iterable[Row]) -> list[int]:
    """Muscles, by their place in the label scheme."""
    return sorted({row["label"] for row in rows})


def muscle(label: int) -> str:
    """Name of a muscle without its side.

    Examples
    --------
    >>> muscle(55)
    'Vastus lateralis'
    """
    return label_by_index(label).name.removesuffix(" left")


def values_of(rows: Sequence[Row], measure: str) -> Floats:
    """One of :data:`MEASURES` of each row; the volume error is signed, in percent."""
    if measure == "error":
        return 100 * np.array([row["found"] / row["volume"] - 1 for row in rows], float)
    return np.array([row[measure] for row in rows], float)


def summary(rows: Sequence[Row], measure: str) -> float:
    """Mean of Dice; median of the distance and of the size of the volume error; NaN of none.

    A muscle that was missed has Dice 0 and an error of 100 %, but no distance.
    """
    values = values_of(rows, measure)
    if measure == "dice":
        return float(values.mean()) if values.size else float("nan")
    known = abs(values[np.isfinite(values)])
    return float(np.median(known)) if known.size else float("nan")


def grid(
    rows: Sequence[Row], measure: str, cases: Sequence[tuple[str, str]], labels: Sequence[int]
) -> Floats:
    """Summary of each muscle in each case, shape (muscles, cases); NaN where it is not."""
    found: dict[tuple[int, tuple[str, str]], list[Row]] = {}
    for row in rows:
        found.setdefault((row["label"], (row["factor"], row["value"])), []).append(row)
    return np.array(
        [[summary(found.get((k, case), []), measure) for case in cases] for k in labels]
    )


def person_means(rows: Sequence[Row], case: tuple[str, str]) -> Floats:
    """Mean Dice over the muscles of each person in a case."""
    mine: dict[int, list[float]] = {}
    for row in rows:
        if (row["factor"], row["value"]) == case:
            mine.setdefault(row["person"], []).append(row["dice"])
    return np.array([np.mean(values) for values in mine.values()])
