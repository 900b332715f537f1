"""How well two ways of measuring agree: intraclass correlation, limits of agreement.

Pure functions of arrays. Correlation is not agreement: a model that finds every muscle a third
too large correlates perfectly, which is why bias and limits stand beside the coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from legseg_bids.group.statistics import CONFIDENCE, Floats, Interval, around

MIN_PARTICIPANTS = 5
"""Fewer give intervals that say nothing."""
LIMIT = 1.96
"""Standard deviations from the bias to a limit of agreement: 95 % of normal differences."""


@dataclass(frozen=True)
class Coefficients:
    """Intraclass correlation of single measurements, two-way models.

    Attributes
    ----------
    agreement : Interval
        ICC(2,1) of Shrout & Fleiss, ICC(A,1) of McGraw & Wong: a constant difference lowers it.
    consistency : Interval
        ICC(3,1), ICC(C,1): a constant difference does not count.
    """

    agreement: Interval
    consistency: Interval


@dataclass(frozen=True)
class Limits:
    """Agreement after Bland & Altman: differences, measured less reference.

    Attributes
    ----------
    n : int
        Participants.
    mean : float
        Of the reference.
    bias, lower, upper : Interval
        Mean difference, and limits within which 95 % of the differences are expected.
    sd : float
        Standard deviation of the differences.
    slope : Interval
        Change of the difference for one unit of the mean of both; not 0 where the error grows
        with the size (proportional bias).
    p_slope : float
        Two-sided, of a slope of 0.
    """

    n: int
    mean: float
    bias: Interval
    sd: float
    lower: Interval
    upper: Interval
    slope: Interval
    p_slope: float


def icc(values: Floats) -> Coefficients | None:
    """Intraclass correlation with 95 % intervals.

    From the mean squares of a two-way analysis of variance without replication: R of rows, C of
    columns, E of the rest (Shrout & Fleiss, 1979). Intervals as in McGraw & Wong (1996), table
    7: by F for consistency, with Satterthwaite's degrees of freedom for agreement.

    Parameters
    ----------
    values : ndarray of float, shape (participants, raters)
        Without NaN.

    Returns
    -------
    Coefficients or None
        None with fewer than :data:`MIN_PARTICIPANTS` participants or two raters, or if values
        leave nothing to compare.

    Examples
    --------
    Six targets, four judges (Shrout & Fleiss, 1979, table 2):

    >>> import numpy as np
    >>> found = icc(np.array([[9., 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8],
    ...                       [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]))
    >>> round(found.agreement.value, 2), round(found.consistency.value, 2)
    (0.29, 0.71)
    """
    n, k = values.shape
    if n < MIN_PARTICIPANTS or k < 2:
        return None
    grand = values.mean()
    rows, columns = values.mean(axis=1) - grand, values.mean(axis=0) - grand
    rest = values - grand - rows[:, None] - columns
    r = k * float((rows**2).sum()) / (n - 1)
    c = n * float((columns**2).sum()) / (k - 1)
    # Rounding leaves a little where two columns differ by a constant.
    e = float((rest**2).sum()) / ((n - 1) * (k - 1))
    if r <= 1e-20 * float((values**2).sum()):
        return None
    e = max(e, 1e-20 * r)
    return Coefficients(_agreement(n, k, r, c, e), _consistency(n, k, r, e))


def bland_altman(measured: Floats, reference: Floats) -> Limits | None:
    """Bias and limits of agreement (Bland & Altman, 1986), with 95 % intervals (1999).

    Standard error of a limit: s √(1/n + 1.96² / (2 (n − 1))); intervals by Student's t.

    Parameters
    ----------
    measured, reference : ndarray of float, shape (participants,)
        Without NaN, in the same order.

    Returns
    -------
    Limits or None
        None with fewer than :data:`MIN_PARTICIPANTS` participants, or if the mean of both does
        not vary.

    Examples
    --------
    >>> import numpy as np
    >>> found = bland_altman(np.array([2., 4, 6, 8, 11]), np.array([1., 4, 5, 8, 10]))
    >>> round(found.bias.value, 3), round(found.lower.value, 3), round(found.upper.value, 3)
    (0.6, -0.474, 1.674)
    """
    n = len(measured)
    differences, means = measured - reference, (measured + reference) / 2
    if n < MIN_PARTICIPANTS or not np.ptp(means):
        return None
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    error = sd * math.sqrt(1 / n + LIMIT**2 / (2 * (n - 1)))
    slope, p = _slope(means, differences)
    return Limits(
        n,
        float(reference.mean()),
        around(bias, sd / math.sqrt(n), n - 1),
        sd,
        around(bias - LIMIT * sd, error, n - 1),
        around(bias + LIMIT * sd, error, n - 1),
        slope,
        p,
    )


def _consistency(n: int, k: int, r: float, e: float) -> Interval:
    freedom = (n - 1) * (k - 1)
    low, high = r / e / _f(n - 1, freedom), r / e * _f(freedom, n - 1)
    return Interval(*((ratio - 1) / (ratio + k - 1) for ratio in (r / e, low, high)))


def _agreement(n: int, k: int, r: float, c: float, e: float) -> Interval:
    value = (r - e) / (r + (k - 1) * e + k / n * (c - e))
    if value >= 1 - 1e-12:
        return Interval(1.0, 1.0, 1.0)
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * c + b * e) ** 2 / ((a * c) ** 2 / (k - 1) + (b * e) ** 2 / ((n - 1) * (k - 1)))
    error = k * c + (k * n - k - n) * e
    f_low, f_high = _f(n - 1, freedom), _f(freedom, n - 1)
    low = n * (r - f_low * e) / (f_low * error + n * r)
    high = n * (f_high * r - e) / (error + n * f_high * r)
    return Interval(value, low, high)


def _f(first: float, second: float) -> float:
    """Upper quantile of F for a two-sided interval."""
    return float(special.fdtri(first, second, (1 + CONFIDENCE) / 2))


def _slope(x: Floats, y: Floats) -> tuple[Interval, float]:
    """Least squares, with its interval and p-value."""
    n, centred = len(x), x - x.mean()
    square = float(centred @ centred)
    slope = float(centred @ y) / square
    rest = y - y.mean() - slope * centred
    error = math.sqrt(float(rest @ rest) / (n - 2) / square)
    t = abs(slope) / max(error, 1e-300)
    p = float(2 * special.stdtr(n - 2, -t)) if slope else 1.0
    return around(slope, error, n - 2), p
