"""One comparison and its result, whatever was compared with what."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from legseg_bids.evaluate.observations import ALL
from legseg_bids.evaluate.paired_statistics import (
    ALPHA,
    EXACT,
    NORMAL,
    least_rank_sum,
    signed_rank,
)
from legseg_bids.group.statistics import Floats, Interval, compare, holm

MODELS, PAIR, OPERATORS, GROUPS = "models", "pair", "operators", "groups"
"""What is compared: all models, two of them, a model with the raters, groups of participants."""
FRIEDMAN, WILCOXON, MANN_WHITNEY = "friedman", "wilcoxon", "mann-whitney"
KENDALL_W, RANK_BISERIAL, CLIFFS_DELTA = "kendall_w", "rank_biserial", "cliffs_delta"
MAX_EXACT_RANK_SUM = 8
"""Values of the smaller group up to which the Mann-Whitney test is exact (without ties)."""


@dataclass(frozen=True)
class Outcome:
    """One comparison.

    Attributes
    ----------
    kind : str
        :data:`MODELS`, :data:`PAIR`, :data:`OPERATORS` or :data:`GROUPS`.
    metric, structure : str
        Of what; ``all`` is the mean over each participant's structures.
    model : str
        Whose result is compared; of several models the names, or the first of a pair.
    first, second : str
        What is compared with what: two models, a model and ``operators``, two groups.
    by : str
        Covariate by which groups were made.
    test : str
        Name of the test.
    n : tuple of int
        Participants of the first and of the second; equal where they are the same people.
    medians, means : tuple of float
        Of the first and of the second.
    difference : Interval or None
        First less second: Hodges-Lehmann estimate (paired), difference of means (groups).
    effect : float
        Kendall's W, rank-biserial correlation or Cliff's delta, see ``effect_name``.
    g : Interval or None
        Hedges' g of two groups.
    statistic : float
        χ², sum of positive ranks, or U.
    p, p_holm : float or None
        None where so few participants cannot give a p-value below the level.
    method : str
        How p was computed.
    family : int
        Number of tests that p_holm accounts for.
    within : bool or None
        Against the raters: whether the model's median is at least as good as theirs.
    """

    kind: str
    metric: str
    structure: str
    model: str
    first: str
    second: str
    test: str
    n: tuple[int, int]
    medians: tuple[float, float]
    means: tuple[float, float]
    difference: Interval | None
    effect: float
    effect_name: str
    statistic: float
    p: float | None
    method: str
    by: str = ""
    g: Interval | None = None
    p_holm: float | None = None
    family: int = 0
    within: bool | None = None

    @property
    def significant(self) -> bool:
        """Below the level after correction."""
        return self.p_holm is not None and self.p_holm < ALPHA


@dataclass(frozen=True)
class Asked:
    """What a comparison is about; see :class:`Outcome`."""

    kind: str
    metric: str
    structure: str
    model: str
    first: str
    second: str
    by: str = ""


def paired_test(asked: Asked, first: Floats, second: Floats) -> Outcome | None:
    """Compare values of the same participants; complete cases only, None without any.

    Parameters
    ----------
    asked : Asked
    first, second : ndarray of float, shape (participants,)
        NaN where there is no value.
    """
    there = np.isfinite(first) & np.isfinite(second)
    first, second = first[there], second[there]
    result = signed_rank(first - second)
    if result is None:
        return None
    return Outcome(
        **vars(asked),
        test=WILCOXON,
        n=(result.n, result.n),
        medians=_both(np.median, first, second),
        means=_both(np.mean, first, second),
        difference=result.difference,
        effect=result.effect,
        effect_name=RANK_BISERIAL,
        statistic=result.statistic,
        p=result.p,
        method=result.method,
    )


def independent_test(asked: Asked, first: Floats, second: Floats) -> Outcome | None:
    """Compare values of different participants; None with fewer than three in a group.

    Parameters
    ----------
    asked : Asked
    first, second : ndarray of float
        NaN where there is no value.
    """
    first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    result = compare(first, second)
    if result is None:
        return None
    n1, n2 = result.n
    enough = least_rank_sum(n1, n2) < ALPHA
    ties = len(np.unique(np.concatenate([first, second]))) < n1 + n2
    exact = min(n1, n2) <= MAX_EXACT_RANK_SUM and not ties
    return Outcome(
        **vars(asked),
        test=MANN_WHITNEY,
        n=result.n,
        medians=_both(np.median, first, second),
        means=_both(np.mean, first, second),
        difference=result.difference,
        effect=result.delta,
        effect_name=CLIFFS_DELTA,
        statistic=(result.delta + 1) * n1 * n2 / 2,
        p=result.p_rank if enough else None,
        method=(EXACT if exact else NORMAL) if enough else "",
        g=result.g,
    )


def family_of(outcome: Outcome) -> Hashable:
    """Tests that are corrected together.

    All structures (and pairs) of one metric are one family; results over all structures are
    another one, as they answer a question of their own. Models are corrected for each other
    where they are compared with each other, not where each is looked at by itself.
    """
    by_itself = outcome.model if outcome.kind in (OPERATORS, GROUPS) else ""
    return outcome.kind, outcome.metric, outcome.structure == ALL, outcome.by, by_itself


def adjusted(
    tests: Iterable[Outcome], family: Callable[[Outcome], Hashable] = family_of
) -> list[Outcome]:
    """Correct for the number of tests, family by family (Holm, 1979); the order stays.

    Tests without a p-value do not count: nothing was tested.
    """
    listed = list(tests)
    families: dict[Hashable, list[int]] = {}
    for at, outcome in enumerate(listed):
        if outcome.p is not None:
            families.setdefault(family(outcome), []).append(at)
    for places in families.values():
        corrected = holm([listed[at].p or 0.0 for at in places])
        for at, p in zip(places, corrected.tolist(), strict=True):
            listed[at] = replace(listed[at], p_holm=p, family=len(places))
    return listed


def _both(middle: Callable[[Floats], Any], first: Floats, second: Floats) -> tuple[float, float]:
    return float(middle(first)), float(middle(second))
