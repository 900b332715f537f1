"""Statistics of repeated measurements on the same participants, as pure functions of arrays.

Ranks only: metrics of segmentations are bounded, skewed and have long tails. Where there are few
participants, p-values are exact (conditional on ties); where there are so few that no result
could have been significant, there is no p-value at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from legseg_bids.group.statistics import CONFIDENCE, Floats, Interval, around

ALPHA = 0.05
"""Level at which results are called significant, after correction."""
MAX_EXACT = 50
"""Unequal pairs up to which the signed-rank test is exact."""
MAX_CELLS = 30_000
"""Size of the exact distribution of rank sums up to which Friedman's test is exact."""
EXACT, NORMAL, CHI2 = "exact", "normal", "chi-squared"


@dataclass(frozen=True)
class Ranked:
    """Several treatments of the same participants (Friedman).

    Attributes
    ----------
    n : int
        Participants.
    statistic : float
        Friedman's χ², corrected for ties; n × (k − 1) × Kendall's W.
    w : float
        Kendall's W: 0, no agreement of the participants on an order; 1, all agree.
    p : float or None
        None if so few participants cannot give a p-value below :data:`ALPHA`.
    method : str
        ``exact`` or ``chi-squared``; empty without a p-value.
    """

    n: int
    statistic: float
    w: float
    p: float | None
    method: str


@dataclass(frozen=True)
class Paired:
    """Differences within participants, first less second (Wilcoxon).

    Attributes
    ----------
    n, unequal : int
        Participants, and those whose two values differ.
    statistic : float
        Sum of the ranks of positive differences.
    effect : float
        Matched rank-biserial correlation, −1 to 1: share of the ranks that speaks for the first
        less that for the second.
    difference : Interval or None
        Hodges-Lehmann estimate of the median difference; None if so few participants have no
        interval of 95 %.
    p : float or None
        Two-sided; None if so few participants cannot give one below :data:`ALPHA`.
    method : str
        ``exact`` or ``normal``; empty without a p-value.
    """

    n: int
    unequal: int
    statistic: float
    effect: float
    difference: Interval | None
    p: float | None
    method: str


def least_friedman(n: int, treatments: int) -> float:
    """Smallest p-value that Friedman's test can have: all participants agree.

    Examples
    --------
    >>> round(least_friedman(3, 3), 4)
    0.0278
    """
    return float(math.factorial(treatments) ** (1.0 - n))


def least_signed_rank(n: int) -> float:
    """Smallest two-sided p-value that the signed-rank test can have.

    Examples
    --------
    >>> least_signed_rank(5), least_signed_rank(6)
    (0.0625, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - n))


def least_rank_sum(n1: int, n2: int) -> float:
    """Smallest two-sided p-value that the Mann-Whitney test can have.

    Examples
    --------
    >>> round(least_rank_sum(3, 4), 4), round(least_rank_sum(4, 4), 4)
    (0.0571, 0.0286)
    """
    return min(1.0, 2.0 / math.comb(n1 + n2, n1))


def friedman(values: Floats) -> Ranked | None:
    """Compare three treatments or more by the ranks within each participant (Friedman, 1937).

    Parameters
    ----------
    values : ndarray of float, shape (participants, treatments)
        Without NaN: complete cases.

    Returns
    -------
    Ranked or None
        None with fewer than three treatments or two participants, or if nothing differs.

    Examples
    --------
    >>> import numpy as np
    >>> friedman(np.array([[1.0, 2, 3], [1, 2, 3], [1, 2, 3]]))
    Ranked(n=3, statistic=6.0, w=1.0, p=0.02777..., method='exact')
    """
    n, k = values.shape
    ranks = stats.rankdata(values, axis=1)
    # Twice the ranks from 0 on: whole numbers, ties or not.
    doubled = np.rint(2 * ranks - 2).astype(np.int64)
    spread = float(((ranks - (k + 1) / 2) ** 2).sum())
    if k < 3 or n < 2 or not spread:
        return None
    away = ranks.sum(axis=0) - n * (k + 1) / 2
    statistic = float((k - 1) * (away**2).sum() / spread)
    w = statistic / (n * (k - 1))
    if least_friedman(n, k) >= ALPHA:
        return Ranked(n, statistic, w, None, "")
    exact = _friedman_exact(doubled)
    if exact is not None:
        return Ranked(n, statistic, w, exact, EXACT)
    return Ranked(n, statistic, w, float(special.chdtrc(k - 1, statistic)), CHI2)


def signed_rank(differences: Floats) -> Paired | None:
    """Test whether differences lie around zero (Wilcoxon, 1945), and estimate how large they are.

    Differences of exactly zero are left out of the test (as Wilcoxon did), but count in the
    estimate. Effect size: matched rank-biserial correlation (Kerby, 2014).

    Parameters
    ----------
    differences : ndarray of float, shape (participants,)
        Without NaN.

    Returns
    -------
    Paired or None
        None without any participant.

    Examples
    --------
    >>> import numpy as np
    >>> found = signed_rank(np.array([1.0, 2, 3, 4, 5, -6]))
    >>> found.statistic, round(found.effect, 3), found.p
    (15.0, 0.429, 0.4375)
    """
    n = len(differences)
    if not n:
        return None
    moved = differences[differences != 0]
    ranks = stats.rankdata(np.abs(moved))
    total = float(ranks.sum())
    positive = float(ranks[moved > 0].sum())
    effect = 2 * positive / total - 1 if total else 0.0
    p, method = None, ""
    if least_signed_rank(n) < ALPHA:
        p, method = _signed_rank_p(ranks, positive)
    return Paired(n, len(moved), positive, effect, hodges_lehmann(differences), p, method)


def hodges_lehmann(differences: Floats) -> Interval | None:
    """Median of all means of two differences, with its 95 % interval (Hodges & Lehmann, 1963).

    The interval goes with the signed-rank test: exact up to :data:`MAX_EXACT` differences, by
    the normal distribution beyond.

    Parameters
    ----------
    differences : ndarray of float, shape (n,)
        Without NaN.

    Returns
    -------
    Interval or None
        None with fewer than six values, of which no interval reaches 95 %.

    Examples
    --------
    >>> import numpy as np
    >>> hodges_lehmann(np.array([1.0, 2, 3, 4, 5, 6]))
    Interval(value=3.5, low=1.0, high=6.0)
    """
    n = len(differences)
    if least_signed_rank(n) >= ALPHA:
        return None
    one, two = _pairs(n)
    means = (differences[one] + differences[two]) / 2
    place, half = _interval_place(n), (len(means) - 1) // 2
    means.partition([place - 1, half, len(means) // 2, len(means) - place])
    middle = (means[half] + means[len(means) // 2]) / 2
    low, high = float(means[place - 1]), float(means[len(means) - place])
    return Interval(float(middle), low, high)


@lru_cache(maxsize=2)
def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of n, each with itself, too."""
    return np.triu_indices(n)


def mean_interval(values: Floats) -> Interval | None:
    """Mean with its 95 % interval by Student's t; None of fewer than three values.

    Examples
    --------
    >>> import numpy as np
    >>> interval = mean_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(interval.low, 3), round(interval.high, 3)
    (-0.484, 4.484)
    """
    n = len(values)
    if n < 3:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n)
    return around(mean, error, n - 1)


def _signed_rank_p(ranks: Floats, positive: float) -> tuple[float, str]:
    if not len(ranks):
        return 1.0, EXACT
    if len(ranks) <= MAX_EXACT:
        doubled = np.rint(2 * ranks).astype(np.int64)
        chances = _sums(tuple(sorted(doubled.tolist())))
        at = round(2 * positive)
        at = min(at, len(chances) - 1 - at)
        return min(1.0, 2 * float(chances[: at + 1].sum())), EXACT
    deviation = math.sqrt(float((ranks**2).sum()) / 4)
    z = abs(positive - float(ranks.sum()) / 2) / deviation
    return float(2 * special.ndtr(-z)), NORMAL


@lru_cache(maxsize=256)
def _interval_place(n: int) -> int:
    """Which of the sorted means of two is the lower end, counted from 1."""
    tail = (1 - CONFIDENCE) / 2
    if n <= MAX_EXACT:
        below = np.cumsum(_sums(tuple(range(1, n + 1))))
        return max(1, int(np.searchsorted(below, tail)))
    middle, deviation = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return max(1, math.floor(middle + float(special.ndtri(tail)) * deviation))


@lru_cache(maxsize=256)
def _sums(weights: tuple[int, ...]) -> Floats:
    """Chance of each sum of weights if each counts or not by the toss of a coin."""
    chances = np.zeros(sum(weights) + 1)
    chances[0] = 1.0
    for weight in weights:
        moved = np.zeros_like(chances)
        moved[weight:] = chances[: len(chances) - weight]
        chances = (chances + moved) / 2
    return chances


def _friedman_exact(doubled: NDArray[np.int64]) -> float | None:
    """Chance of rank sums as far apart as these or further; None if that takes too long."""
    n, k = doubled.shape
    tied = not np.array_equal(np.sort(doubled, axis=1), np.tile(2 * np.arange(k), (n, 1)))
    rows = np.sort(doubled if tied else doubled // 2, axis=1)
    if (int(rows.max(axis=1).sum()) + 1) ** (k - 1) > MAX_CELLS:
        return None
    sums = doubled.sum(axis=0) if tied else doubled.sum(axis=0) // 2
    apart, chances = _rank_sums(tuple(sorted(map(tuple, rows.tolist()))))
    return min(1.0, float(chances[apart >= int((sums**2).sum())].sum()))


@lru_cache(maxsize=256)
def _rank_sums(rows: tuple[tuple[int, ...], ...]) -> tuple[NDArray[np.int64], Floats]:
    """Distribution of the squared rank sums (added up) if each participant's order is chance.

    Parameters
    ----------
    rows : tuple of tuple of int
        Ranks of each participant, from 0 on.

    Returns
    -------
    apart : ndarray of int
        Sum over treatments of the squared rank sums, of each state.
    chances : ndarray of float
        Of the same states.
    """
    k = len(rows[0])
    chances = np.ones((1,) * (k - 1))
    for row in rows:
        chances = _one_more(chances, row)
    # The last sum is what the others leave of the total.
    sums = np.indices(chances.shape).reshape(k - 1, -1)
    last = sum(map(sum, rows)) - sums.sum(axis=0)
    return (sums**2).sum(axis=0) + last**2, chances.ravel()


def _one_more(chances: Floats, row: Sequence[int]) -> Floats:
    """Add a participant to a distribution of rank sums (of all treatments but the last)."""
    reach, orders = max(row), set(permutations(row))
    wider = np.zeros([size + reach for size in chances.shape])
    for order in orders:
        place = tuple(
            slice(step, step + size) for step, size in zip(order, chances.shape, strict=False)
        )
        wider[place] += chances / len(orders)
    return wider
