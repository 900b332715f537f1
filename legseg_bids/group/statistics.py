"""The statistics of a study, as pure functions of arrays.

Every function takes arrays without NaN (see :func:`finite`) and answers ``None`` where there are
too few values, or values that do not vary, instead of a number that means nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
MEAN_AD_TO_SD = 1.253314
"""The same, over its mean absolute deviation from the median."""
OUTLIER_Z = 3.5
"""Iglewicz & Hoaglin, How to Detect and Handle Outliers (ASQC, 1993)."""
MIN_FOR_OUTLIERS = 8
MIN_PER_GROUP = 3
MIN_PAIRS = 5
MIN_CHANGES = 3


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two groups, first minus second.

    Attributes
    ----------
    n : (int, int)
        Values in each group.
    means, sds : (float, float)
        Of each group.
    difference : Interval
        Of means, unequal variances (Welch).
    g : Interval
        Hedges' g: difference in pooled standard deviations, corrected for small samples.
    p : float
        Welch's t-test, two-sided.
    delta : float
        Cliff's delta: how often a value of the first group exceeds one of the second, less how
        often it is the other way round.
    p_rank : float
        Mann-Whitney U test, two-sided.
    """

    n: tuple[int, int]
    means: tuple[float, float]
    sds: tuple[float, float]
    difference: Interval
    g: Interval
    p: float
    delta: float
    p_rank: float


@dataclass(frozen=True)
class Correlation:
    """How two columns go together.

    Attributes
    ----------
    n : int
        Pairs.
    rho : Interval
        Spearman's rank correlation.
    p : float
        Of rho, two-sided.
    r : Interval
        Pearson's correlation.
    slope : float
        Least-squares change of the second column for one unit of the first.
    """

    n: int
    rho: Interval
    p: float
    r: Interval
    slope: float


@dataclass(frozen=True)
class Change:
    """Differences within persons, later minus earlier.

    Attributes
    ----------
    n : int
        Persons with both values.
    before, after : float
        Means.
    difference : Interval
        Mean difference.
    percent : Interval or None
        Mean of the differences in percent of the earlier value; None if one of these is not
        positive.
    p : float
        Paired t-test, two-sided.
    p_rank : float
        Wilcoxon signed-rank test, two-sided; 1 if nobody changed.
    """

    n: int
    before: float
    after: float
    difference: Interval
    percent: Interval | None
    p: float
    p_rank: float


def finite(*columns: Floats) -> tuple[Floats, ...]:
    """Leave out rows in which any column has no value.

    Examples
    --------
    >>> import numpy as np
    >>> finite(np.array([1.0, np.nan, 3.0]), np.array([4.0, 5.0, 6.0]))
    (array([1., 3.]), array([4., 6.]))
    """
    there = np.logical_and.reduce([np.isfinite(column) for column in columns])
    return tuple(column[there] for column in columns)


def robust_z(values: Floats) -> Floats:
    """How far each value lies from the median, in robust standard deviations.

    The deviation is 1.4826 times the median absolute deviation; where that is zero (more than
    half of the values are equal), 1.2533 times the mean absolute deviation.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        NaN where there is none.

    Returns
    -------
    ndarray of float, shape (n,)
        NaN throughout with fewer than :data:`MIN_FOR_OUTLIERS` values, or if all are equal.

    Examples
    --------
    >>> import numpy as np
    >>> float(robust_z(np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 100]))[-1].round(2))
    32.04
    """
    known = values[np.isfinite(values)]
    if len(known) < MIN_FOR_OUTLIERS:
        return np.full(values.shape, np.nan)
    away = np.abs(known - np.median(known))
    scale = MAD_TO_SD * float(np.median(away)) or MEAN_AD_TO_SD * float(away.mean())
    if not scale:
        return np.full(values.shape, np.nan)
    return np.asarray((values - np.median(known)) / scale)


def compare(first: Floats, second: Floats) -> Comparison | None:
    """Compare two independent groups; None with too few values or none that vary.

    The confidence interval of Hedges' g uses the large-sample variance (n₁ + n₂)/(n₁ n₂) +
    g²/(2 (n₁ + n₂)) (Hedges & Olkin, Statistical Methods for Meta-Analysis, 1985).

    Parameters
    ----------
    first, second : ndarray of float
        Without NaN.
    """
    n1, n2 = len(first), len(second)
    if min(n1, n2) < MIN_PER_GROUP or not (first.std() or second.std()):
        return None
    v1, v2 = float(first.var(ddof=1)), float(second.var(ddof=1))
    raw = float(first.mean() - second.mean())
    error2 = v1 / n1 + v2 / n2
    freedom = error2**2 / ((v1 / n1) ** 2 / (n1 - 1) + (v2 / n2) ** 2 / (n2 - 1))
    error = math.sqrt(error2)
    p = float(2 * special.stdtr(freedom, -abs(raw) / error))
    pooled = math.sqrt(((n1 - 1) * v1 + (n2 - 1) * v2) / (n1 + n2 - 2))
    g = small_sample_correction(n1 + n2 - 2) * raw / pooled
    g_error = math.sqrt((n1 + n2) / (n1 * n2) + g**2 / (2 * (n1 + n2)))
    ranked = stats.mannwhitneyu(first, second)
    return Comparison(
        (n1, n2),
        (float(first.mean()), float(second.mean())),
        (math.sqrt(v1), math.sqrt(v2)),
        around(raw, error, freedom),
        around(g, g_error),
        p,
        2 * float(ranked.statistic) / (n1 * n2) - 1,
        float(ranked.pvalue),
    )


def small_sample_correction(freedom: int) -> float:
    """Hedges' exact factor J, by which d becomes g: Γ(m/2) / (√(m/2) Γ((m − 1)/2)).

    Examples
    --------
    >>> round(small_sample_correction(10), 4)
    0.9227
    """
    return math.exp(
        math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2) - math.log(freedom / 2) / 2
    )


def correlate(first: Floats, second: Floats) -> Correlation | None:
    """Correlate two columns; None with fewer than five pairs, or if one does not vary.

    Confidence intervals by Fisher's z: standard error 1/√(n − 3) for Pearson's r, and
    √((1 + ρ²/2)/(n − 3)) for Spearman's ρ (Bonett & Wright, Psychometrika 65:23, 2000).

    Parameters
    ----------
    first, second : ndarray of float, shape (n,)
        Without NaN.
    """
    n = len(first)
    if n < MIN_PAIRS or not np.ptp(first) or not np.ptp(second):
        return None
    r = _pearson(first, second)
    rho = _pearson(stats.rankdata(first), stats.rankdata(second))
    t = abs(rho) * math.sqrt((n - 2) / max(1 - rho**2, 1e-300))
    return Correlation(
        n,
        _fisher(rho, math.sqrt((1 + rho**2 / 2) / (n - 3))),
        float(2 * special.stdtr(n - 2, -t)),
        _fisher(r, 1 / math.sqrt(n - 3)),
        r * float(second.std() / first.std()),
    )


def change(before: Floats, after: Floats) -> Change | None:
    """Compare values of the same persons; None with too few, or if all change alike.

    Parameters
    ----------
    before, after : ndarray of float, shape (n,)
        Without NaN, in the same order.
    """
    differences = after - before
    n = len(differences)
    if n < MIN_CHANGES or not np.ptp(differences):
        return None
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    mean = float(differences.mean())
    with warnings.catch_warnings():
        # Ties and zeros make it approximate, which the documentation of the columns says.
        warnings.simplefilter("ignore")
        rank = stats.wilcoxon(differences)
    return Change(
        n,
        float(before.mean()),
        float(after.mean()),
        around(mean, error, n - 1),
        _percent(before, differences),
        float(2 * special.stdtr(n - 1, -abs(mean) / error)),
        float(rank.pvalue),
    )


def around(value: float, error: float, freedom: float = math.inf) -> Interval:
    """95 % confidence interval by Student's t, or the normal distribution.

    Examples
    --------
    >>> interval = around(0.0, 1.0)
    >>> round(interval.low, 2), round(interval.high, 2)
    (-1.96, 1.96)
    """
    tail = (1 + CONFIDENCE) / 2
    wide = special.ndtri(tail) if math.isinf(freedom) else special.stdtrit(freedom, tail)
    return Interval(value, value - float(wide) * error, value + float(wide) * error)


def holm(p: Sequence[float]) -> Floats:
    """Adjust p-values so that the chance of any false finding stays at the level (Holm, 1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, float)
    order = np.argsort(values)
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> Floats:
    """Adjust p-values so that the share of false findings stays at the level (1995).

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    values = np.asarray(p, float)
    order = np.argsort(values)[::-1]
    n = len(values)
    scaled = values[order] * n / np.arange(n, 0, -1)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled), 1)
    return adjusted


def _pearson(first: Any, second: Any) -> float:
    one, two = first - first.mean(), second - second.mean()
    r = float((one @ two) / math.sqrt(float(one @ one) * float(two @ two)))
    return min(1.0, max(-1.0, r))


def _fisher(r: float, error: float) -> Interval:
    if abs(r) >= 1:
        return Interval(r, r, r)
    z = around(math.atanh(r), error)
    return Interval(r, math.tanh(z.low), math.tanh(z.high))


def _percent(before: Floats, differences: Floats) -> Interval | None:
    if before.min() <= 0:
        return None
    percent = 100 * differences / before
    n = len(percent)
    return around(float(percent.mean()), float(percent.std(ddof=1)) / math.sqrt(n), n - 1)
