"""Distributions in a few numbers, for boxes and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from legseg_bids.group.statistics import Floats
from legseg_bids.group.study import Study

MIN_REACH = 20.0
WHISKER = 1.5
"""Whiskers end at the last value within this many interquartile ranges of the box (Tukey)."""


@dataclass(frozen=True)
class Box:
    """Box and whiskers.

    Attributes
    ----------
    n : int
        Values.
    low, first, median, third, high : float
        Lower whisker, quartiles, upper whisker.
    usable : bool
        Whether these are the values that statistics use; otherwise there are none such, and
        cut or poor ones are shown.
    """

    n: int
    low: float
    first: float
    median: float
    third: float
    high: float
    usable: bool = True

    def numbers(self) -> list[float]:
        """All fields as numbers of four digits."""
        return [short(float(value)) for value in astuple(self)]


def box(values: Floats, *, usable: bool = True) -> Box | None:
    """Summarise values, NaN left out; None without any.

    Examples
    --------
    >>> import numpy as np
    >>> box(np.array([1.0, 2, 3, 4, 5, 100]))
    Box(n=6, low=1.0, first=2.25, median=3.5, third=4.75, high=5.0, usable=True)
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    first, median, third = (float(q) for q in np.quantile(known, (0.25, 0.5, 0.75)))
    reach = WHISKER * (third - first)
    inside = known[(known >= first - reach) & (known <= third + reach)]
    low, high = float(inside.min()), float(inside.max())
    return Box(len(known), low, first, median, third, high, usable)


def boxes(study: Study, measure: str, records: Sequence[int]) -> list[Box | None]:
    """A box for each structure: of usable values, else of all there are."""
    usable, every = study.usable(measure)[records], study.values[measure][records]
    return [
        box(usable[:, column]) or box(every[:, column], usable=False)
        for column in range(len(study.structures))
    ]


def asymmetry_reach(summaries: Iterable[Box | None]) -> float:
    """Percent up to which asymmetry is drawn, so that a few outliers do not squeeze the rest."""
    ends = [max(abs(b.low), abs(b.high)) for b in summaries if b]
    return max(MIN_REACH, 1.5 * max(ends, default=0.0))


def thinned(values: Floats, most: int) -> Floats:
    """At most so many values, evenly chosen, the first and the last among them.

    Examples
    --------
    >>> import numpy as np
    >>> thinned(np.arange(10.0), 4).tolist()
    [0.0, 3.0, 6.0, 9.0]
    """
    if len(values) <= most:
        return values
    chosen: Floats = values[np.linspace(0, len(values) - 1, most).round().astype(int)]
    return chosen


def short(value: float) -> float:
    """Round to four significant digits.

    Examples
    --------
    >>> short(1234.56)
    1235.0
    """
    return float(f"{value:.4g}")
