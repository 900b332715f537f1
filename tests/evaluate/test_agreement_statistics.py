"""Agreement of two ways of measuring: published examples, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from legseg_bids.evaluate.agreement_statistics import bland_altman, icc

#: Shrout & Fleiss (1979), table 2: six targets, four judges.
JUDGES = np.array([
    [9.0, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7],
])  # fmt: skip
#: Bland & Altman (1986), table 1: peak flow (l/min) by two meters, 17 people, first reading.
LARGE = np.array([494.0, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178,
                  423, 427])  # fmt: skip
SMALL = np.array([512.0, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259,
                  350, 451])  # fmt: skip
VOLUMES = st.lists(st.tuples(st.floats(10, 500), st.floats(-20, 20)), min_size=6, max_size=20)


def test_icc_is_that_of_shrout_and_fleiss() -> None:
    found = icc(JUDGES)
    assert found is not None
    assert found.agreement.value == pytest.approx(0.29, abs=0.005)
    assert found.consistency.value == pytest.approx(0.71, abs=0.005)


def test_intervals_are_those_that_are_published_for_the_same_table() -> None:
    """As the R package psych prints them for this table (ICC2, ICC3)."""
    found = icc(JUDGES)
    assert found is not None
    assert (found.agreement.low, found.agreement.high) == pytest.approx((0.019, 0.76), abs=0.002)
    assert (found.consistency.low, found.consistency.high) == pytest.approx(
        (0.342, 0.946), abs=0.001
    )


def test_a_constant_difference_lowers_agreement_only() -> None:
    reference = np.array([10.0, 20, 30, 40, 50, 60])
    noise = np.array([1.0, -1, 0.5, -0.5, 1, -1])
    same = icc(np.column_stack([reference + noise, reference]))
    apart = icc(np.column_stack([reference + noise + 20, reference]))
    assert same is not None
    assert apart is not None
    assert apart.consistency.value == pytest.approx(same.consistency.value)
    assert apart.agreement.value < same.agreement.value - 0.2


@settings(deadline=None, max_examples=60)
@given(VOLUMES)
def test_icc_lies_in_its_interval_and_knows_no_unit(pairs: list[tuple[float, float]]) -> None:
    values = np.array([(a, a + b) for a, b in pairs])
    assume(values.mean(axis=1).std() > 1 and np.diff(values, axis=1).std() > 0.1)
    found, scaled = icc(values), icc(values / 7)
    assert found is not None
    assert scaled is not None
    for one, other in (
        (found.agreement, scaled.agreement),
        (found.consistency, scaled.consistency),
    ):
        assert one.low <= one.value <= one.high <= 1
        assert one.value == pytest.approx(other.value)


def test_perfect_agreement() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6])
    found, limits = icc(np.column_stack([values, values])), bland_altman(values, values)
    assert found is not None
    assert found.agreement.value == pytest.approx(1)
    assert found.consistency.value == pytest.approx(1)
    assert limits is not None
    assert (limits.bias.value, limits.sd, limits.p_slope) == (0, 0, 1)


@pytest.mark.parametrize("values", [np.ones((6, 2)), np.arange(8.0).reshape(4, 2), JUDGES[:, :1]])
def test_too_little_has_no_icc(values: np.ndarray) -> None:
    assert icc(values) is None


def test_limits_are_those_of_bland_and_altman() -> None:
    found = bland_altman(LARGE, SMALL)
    assert found is not None
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.1)
    # They took 2 standard deviations: -79.7 and 75.5; and √(3 s²/n) for the error of a limit.
    assert (found.lower.value, found.upper.value) == pytest.approx((-78.1, 73.9), abs=0.1)
    assert found.lower.high - found.lower.low == pytest.approx(2 * 2.12 * 16.3, rel=0.02)


def test_proportional_bias_is_found() -> None:
    reference = np.linspace(50, 500, 20)
    noise = np.random.default_rng(0).normal(size=20)
    found = bland_altman(1.1 * reference + noise, reference)
    assert found is not None
    # The mean of both grows by 1.05 where the difference grows by 0.1.
    assert found.slope.value == pytest.approx(0.1 / 1.05, abs=0.003)
    assert found.p_slope < 1e-6


def test_the_slope_is_that_of_least_squares() -> None:
    found = bland_altman(LARGE, SMALL)
    theirs = stats.linregress((LARGE + SMALL) / 2, LARGE - SMALL)
    assert found is not None
    assert (found.slope.value, found.p_slope) == pytest.approx((theirs.slope, theirs.pvalue))


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_have_no_limits(n: int) -> None:
    values = np.arange(float(n))
    assert bland_altman(values, values + 1) is None
