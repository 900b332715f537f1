"""Ranks within participants: against published tables and examples, and against brute force."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from legseg_bids.evaluate.paired_statistics import (
    CHI2,
    EXACT,
    NORMAL,
    friedman,
    hodges_lehmann,
    least_friedman,
    least_rank_sum,
    least_signed_rank,
    mean_interval,
    signed_rank,
)

#: Hollander & Wolfe, Nonparametric Statistical Methods: rounding first base, 22 players, 3 ways.
BASES = np.array([
    5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70,
    5.45, 5.55, 5.60, 5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70,
    5.25, 5.20, 5.10, 5.65, 5.55, 5.45, 5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40,
    5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55, 5.50, 5.45, 5.25, 5.65, 5.60, 5.40,
    5.70, 5.65, 5.55, 6.30, 6.30, 6.25,
]).reshape(22, 3)  # fmt: skip
#: The same book: depression scale of nine patients before and after a tranquilizer.
BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
FEW = st.lists(st.integers(-4, 4), min_size=6, max_size=9)


def test_friedman_is_that_of_the_book() -> None:
    found = friedman(BASES)
    assert found is not None
    assert found.statistic == pytest.approx(11.1429, abs=1e-4)
    assert found.w == pytest.approx(found.statistic / (22 * 2))
    # The chi-squared distribution gives 0.0038; the exact one of this size is a little below.
    assert found.method == EXACT
    assert found.p == pytest.approx(0.0038, rel=0.25)


@pytest.mark.parametrize(
    ("n", "k", "statistic", "p"),
    [(3, 3, 6.0, 0.028), (4, 3, 6.5, 0.042), (4, 3, 8.0, 0.0046), (3, 4, 7.4, 0.033)],
)
def test_exact_friedman_is_that_of_published_tables(
    n: int, k: int, statistic: float, p: float
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5000):
        found = friedman(np.argsort(rng.random((n, k)), axis=1).astype(float))
        if found and abs(found.statistic - statistic) < 1e-9:
            assert found.method == EXACT
            assert found.p == pytest.approx(p, abs=5e-4)
            return
    pytest.fail(f"no ranks with a statistic of {statistic}")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=3, max_size=4))
def test_exact_friedman_counts_all_orders_also_with_ties(rows: list[tuple[int, ...]]) -> None:
    values = np.array(rows, float)
    found = friedman(values)
    ranks = stats.rankdata(values, axis=1)
    spread = ((ranks - 2) ** 2).sum()
    if not spread:
        assert found is None
        return
    observed = (ranks.sum(axis=0) ** 2).sum()
    ways = [
        (np.sum(orders, axis=0) ** 2).sum() >= observed - 1e-9
        for orders in product(*(list(permutations(row)) for row in ranks))
    ]
    assert found is not None
    assert found.p == pytest.approx(np.mean(ways))
    assert found.statistic == pytest.approx(stats.friedmanchisquare(*values.T).statistic)


def test_friedman_of_many_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).normal(size=(60, 5))
    found, theirs = friedman(values), stats.friedmanchisquare(*values.T)
    assert found is not None
    assert found.method == CHI2
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))


@pytest.mark.parametrize(
    "values",
    [np.ones((5, 3)), np.zeros((1, 3)), np.zeros((0, 3)), np.arange(10.0).reshape(5, 2)],
)
def test_friedman_of_nothing(values: np.ndarray) -> None:
    assert friedman(values) is None


def test_so_few_participants_have_no_p() -> None:
    two = friedman(np.array([[1.0, 2, 3], [1, 2, 3]]))
    assert two is not None
    assert (two.p, two.method, two.w) == (None, "", 1.0)
    five = signed_rank(np.arange(1.0, 6))
    assert five is not None
    assert (five.p, five.difference, five.effect) == (None, None, 1.0)


def test_the_least_p_is_reached_and_not_undercut() -> None:
    assert friedman(np.tile(np.arange(3.0), (4, 1))).p == pytest.approx(least_friedman(4, 3))  # type: ignore[union-attr]
    assert signed_rank(np.arange(1.0, 8)).p == pytest.approx(least_signed_rank(7))  # type: ignore[union-attr]
    far = stats.mannwhitneyu(np.arange(4.0), np.arange(10.0, 15))
    assert far.pvalue == pytest.approx(least_rank_sum(4, 5))


def test_signed_rank_is_that_of_the_book() -> None:
    found = signed_rank(BEFORE - AFTER)
    assert found is not None
    assert (found.statistic, found.n, found.method) == (40.0, 9, EXACT)
    assert found.p == pytest.approx(2 * 0.01953, abs=1e-4)
    assert found.effect == pytest.approx((40 - 5) / 45)
    assert found.difference is not None
    assert (found.difference.value, found.difference.low, found.difference.high) == pytest.approx(
        (0.46, 0.010, 0.786), abs=1e-9
    )


@settings(max_examples=40, deadline=None)
@given(FEW)
def test_exact_signed_rank_counts_all_signs_also_with_ties_and_zeros(values: list[int]) -> None:
    differences = np.array(values, float)
    found = signed_rank(differences)
    assert found is not None
    moved = differences[differences != 0]
    ranks = stats.rankdata(np.abs(moved))
    middle = ranks.sum() / 2
    observed = abs(ranks[moved > 0].sum() - middle)
    ways = [
        abs(ranks[np.array(signs, bool)].sum() - middle) >= observed - 1e-9
        for signs in product((False, True), repeat=len(moved))
    ]
    assert found.p == pytest.approx(np.mean(ways) if len(moved) else 1.0)
    assert found.unequal == len(moved)


@pytest.mark.parametrize("n", [20, 80])
def test_signed_rank_is_that_of_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.2, 1, n)
    found = signed_rank(differences)
    method = "exact" if n <= 50 else "approx"
    theirs = stats.wilcoxon(differences, method=method, correction=False)
    assert found is not None
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.method == (EXACT if n <= 50 else NORMAL)


@given(st.lists(st.floats(-100, 100, allow_nan=False), min_size=6, max_size=30))
@settings(deadline=None, max_examples=40)
def test_exchanging_both_changes_signs_only(values: list[float]) -> None:
    there, back = signed_rank(np.array(values)), signed_rank(-np.array(values))
    assert there is not None
    assert back is not None
    assert there.p == pytest.approx(back.p)
    assert there.effect == pytest.approx(-back.effect)
    assert there.difference.value == pytest.approx(-back.difference.value)  # type: ignore[union-attr]
    assert there.difference.low == pytest.approx(-back.difference.high)  # type: ignore[union-attr]


@pytest.mark.parametrize("n", [10, 60])
def test_the_interval_covers_the_truth_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(2)
    found = [hodges_lehmann(rng.standard_t(3, n) + 1.0) for _ in range(400)]
    share = np.mean([one.low <= 1 <= one.high for one in found if one])
    # 95 %, three standard errors of 400 trials either way.
    assert 0.917 <= share <= 0.99


def test_the_interval_and_the_test_agree() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        found = signed_rank(rng.normal(0.6, 1, 12))
        assert found is not None
        assert found.difference is not None
        outside = not found.difference.low <= 0 <= found.difference.high
        assert outside == (found.p < 0.05)


def test_mean_interval_is_that_of_student() -> None:
    values = np.array([4.0, 5, 7, 9])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    found = mean_interval(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high))
    assert mean_interval(values[:2]) is None
