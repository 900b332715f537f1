"""Each statistic against scipy, against a formula written out, or against a published number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from legseg_bids.group import statistics

RANDOM = np.random.default_rng(5)
ONE, TWO = RANDOM.normal(10, 2, 23), RANDOM.normal(12, 4, 17)
#: Student's sleep data (1908): the standard paired example.
DRUG_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
DRUG_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


class TestCompare:
    def test_is_welch_and_mann_whitney(self) -> None:
        found = statistics.compare(ONE, TWO)
        assert found is not None
        welch = stats.ttest_ind(ONE, TWO, equal_var=False)
        interval = welch.confidence_interval()
        assert found.p == pytest.approx(welch.pvalue)
        assert (found.difference.low, found.difference.high) == pytest.approx(tuple(interval))
        assert found.p_rank == pytest.approx(stats.mannwhitneyu(ONE, TWO).pvalue)
        assert found.n == (23, 17)
        assert found.sds == pytest.approx((ONE.std(ddof=1), TWO.std(ddof=1)))

    def test_hedges_g_by_hand(self) -> None:
        """Means 4 and 2, both standard deviations 1.5811, J(8) = Γ(4) / 2 Γ(3.5)."""
        found = statistics.compare(np.arange(2.0, 7), np.arange(0.0, 5))
        assert found is not None
        g = 2 / math.sqrt(2.5) * 6 / (2 * 15 * math.sqrt(math.pi) / 8)
        error = math.sqrt(10 / 25 + g**2 / 20)
        assert found.g.value == pytest.approx(g, rel=1e-5)
        assert found.g.low == pytest.approx(g - 1.959964 * error, rel=1e-5)
        assert found.g.high == pytest.approx(g + 1.959964 * error, rel=1e-5)

    def test_cliffs_delta_counts_pairs(self) -> None:
        first, second = np.array([1.0, 2, 3, 3]), np.array([0.0, 3, 5])
        signs = np.sign(first[:, None] - second[None, :])
        found = statistics.compare(first, second)
        assert found is not None
        assert found.delta == pytest.approx(signs.mean())

    def test_changes_sign_with_the_order(self) -> None:
        one, two = statistics.compare(ONE, TWO), statistics.compare(TWO, ONE)
        assert one is not None
        assert two is not None
        assert (one.g.value, one.delta) == pytest.approx((-two.g.value, -two.delta))
        assert (one.g.low, one.difference.low) == pytest.approx(
            (-two.g.high, -two.difference.high)
        )

    @pytest.mark.parametrize(
        ("first", "second"),
        [([1, 2], [1, 2, 3]), ([], [1, 2, 3]), ([4, 4, 4], [4, 4, 4]), ([1, 1, 1], [2, 2, 2])],
    )
    def test_says_nothing_of_too_little(self, first: list[int], second: list[int]) -> None:
        assert statistics.compare(np.array(first, float), np.array(second, float)) is None

    def test_one_constant_group_is_enough(self) -> None:
        found = statistics.compare(np.array([1.0, 1, 1]), np.array([1.0, 2, 3]))
        assert found is not None
        assert math.isfinite(found.p)
        assert math.isfinite(found.g.low)


class TestCorrelate:
    def test_is_spearman_and_pearson(self) -> None:
        y = ONE**2 + RANDOM.normal(0, 9, len(ONE))
        found = statistics.correlate(ONE, y)
        assert found is not None
        rank, line = stats.spearmanr(ONE, y), stats.pearsonr(ONE, y)
        assert (found.rho.value, found.p) == pytest.approx((rank.statistic, rank.pvalue))
        assert found.r.value == pytest.approx(line.statistic)
        assert (found.r.low, found.r.high) == pytest.approx(tuple(line.confidence_interval()))
        assert found.slope == pytest.approx(stats.linregress(ONE, y).slope)

    def test_ties_are_ranked_as_by_scipy(self) -> None:
        x, y = np.array([1.0, 1, 2, 2, 3, 3, 3]), np.array([2.0, 1, 1, 4, 4, 5, 2])
        found = statistics.correlate(x, y)
        assert found is not None
        rank = stats.spearmanr(x, y)
        assert (found.rho.value, found.p) == pytest.approx((rank.statistic, rank.pvalue))

    def test_interval_of_bonett_and_wright_by_hand(self) -> None:
        """rho 0.6 of 20 pairs: tanh(0.6931 +- 1.96 sqrt(1.18 / 17))."""
        rng, rho = np.random.default_rng(1), 0.0
        while round(rho, 2) != 0.6:
            x, y = rng.normal(size=20), rng.normal(size=20)
            y += x
            rho = float(stats.spearmanr(x, y).statistic)
        found = statistics.correlate(x, y)
        assert found is not None
        error = 1.959964 * math.sqrt((1 + rho**2 / 2) / 17)
        assert found.rho.low == pytest.approx(math.tanh(math.atanh(rho) - error))
        assert found.rho.high == pytest.approx(math.tanh(math.atanh(rho) + error))

    def test_a_perfect_correlation(self) -> None:
        found = statistics.correlate(np.arange(6.0), np.arange(6.0) * 3)
        assert found is not None
        assert (found.rho.value, found.rho.low, found.p) == pytest.approx((1, 1, 0))
        assert found.slope == pytest.approx(3)

    @pytest.mark.parametrize("y", [[1, 2, 3, 4], [2, 2, 2, 2, 2, 2]])
    def test_says_nothing_of_too_little(self, y: list[int]) -> None:
        x = np.arange(float(len(y)))
        assert statistics.correlate(x, np.array(y, float)) is None
        assert statistics.correlate(np.array(y, float), x) is None


class TestChange:
    def test_students_sleep_data(self) -> None:
        """Mean 1.58, t = 4.0621, p = 0.002833, interval 0.70 to 2.46 (Student, 1908; R)."""
        found = statistics.change(DRUG_1, DRUG_2)
        assert found is not None
        assert found.difference.value == pytest.approx(1.58)
        assert found.p == pytest.approx(0.002833, rel=1e-3)
        assert (found.difference.low, found.difference.high) == pytest.approx(
            (0.7001142, 2.4598858), rel=1e-6
        )
        assert found.percent is None  # some of the earlier values are negative

    def test_percent_is_the_mean_of_each_persons_own(self) -> None:
        found = statistics.change(np.array([100.0, 10, 50]), np.array([110.0, 8, 50]))
        assert found is not None
        assert found.percent is not None
        assert found.percent.value == pytest.approx((10 - 20 + 0) / 3)
        interval = stats.ttest_1samp([10, -20, 0], 0).confidence_interval()
        assert (found.percent.low, found.percent.high) == pytest.approx(tuple(interval))

    def test_is_wilcoxon(self) -> None:
        found = statistics.change(ONE[:17], TWO)
        assert found is not None
        assert found.p_rank == pytest.approx(stats.wilcoxon(TWO - ONE[:17]).pvalue)

    @pytest.mark.parametrize("by", [0.0, 2.0])
    def test_says_nothing_where_all_change_alike(self, by: float) -> None:
        assert statistics.change(np.arange(5.0), np.arange(5.0) + by) is None

    def test_says_nothing_of_two_persons(self) -> None:
        assert statistics.change(np.array([1.0, 2]), np.array([2.0, 5])) is None


class TestRobustZ:
    def test_by_hand(self) -> None:
        """Median 5.5, deviations 0.5 to 4.5 and 994.5, their median 2.5."""
        values = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 1000])
        z = statistics.robust_z(values)
        assert z[-1] == pytest.approx(994.5 / (1.4826 * 2.5))
        assert (np.abs(z) > statistics.OUTLIER_Z).tolist() == [False] * 9 + [True]

    def test_where_half_of_the_values_are_equal(self) -> None:
        values = np.array([5.0] * 7 + [6, 25])
        assert statistics.robust_z(values)[-1] == pytest.approx(20 / (1.253314 * 21 / 9))

    def test_keeps_the_places_of_missing_values(self) -> None:
        values = np.array([np.nan, *range(9)])
        z = statistics.robust_z(values)
        assert np.isnan(z[0])
        assert z[5] == 0

    @pytest.mark.parametrize("values", [[1.0] * 20, list(range(7)), [], [np.nan] * 20])
    def test_says_nothing_of_too_little(self, values: list[float]) -> None:
        assert np.isnan(statistics.robust_z(np.array(values, float))).all()


class TestCorrections:
    P = (0.01, 0.02, 0.03, 0.04, 0.05, 0.9)

    def test_holm_by_hand(self) -> None:
        assert statistics.holm(self.P) == pytest.approx([0.06, 0.1, 0.12, 0.12, 0.12, 0.9])

    def test_benjamini_hochberg_is_scipys(self) -> None:
        p = RANDOM.uniform(size=50)
        assert statistics.benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))

    def test_of_nothing_is_nothing(self) -> None:
        assert len(statistics.holm([])) == len(statistics.benjamini_hochberg([])) == 0

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
    def test_never_smaller_and_never_above_one(self, p: list[float]) -> None:
        holm, fdr = statistics.holm(p), statistics.benjamini_hochberg(p)
        assert (holm >= np.array(p) - 1e-12).all()
        assert (fdr >= np.array(p) - 1e-12).all()
        assert (fdr <= holm + 1e-12).all()
        assert max(holm.max(), fdr.max()) <= 1


def test_the_small_sample_correction_is_that_of_hedges() -> None:
    """Table of Hedges (1981), to three digits."""
    published = {2: 0.564, 5: 0.841, 10: 0.923, 20: 0.962, 50: 0.985}
    assert {m: round(statistics.small_sample_correction(m), 3) for m in published} == published


def test_intervals_hold_what_they_promise() -> None:
    """Of 400 simulated comparisons, about 95 % of the intervals hold the true difference."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        found = statistics.compare(rng.normal(1, 1, 12), rng.normal(0, 3, 20))
        assert found is not None
        hits += found.difference.low <= 1 <= found.difference.high
    assert 0.92 <= hits / 400 <= 0.98
