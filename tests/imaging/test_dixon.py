from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.imaging.dixon import (
    choose_in_phase_echoes,
    choose_opposed_echo,
    echo_phase,
    fat_fraction,
    in_phase,
    opposed_phase,
    opposedness,
    two_point_fraction,
)


@pytest.mark.parametrize(
    ("echo_ms", "tesla", "phase"),
    [
        (1.15, 3.0, 0.5),
        (2.30, 3.0, 1.0),
        (3.45, 3.0, 0.5),
        (4.60, 3.0, 1.0),
        (2.30, 1.5, 0.5),
        (4.60, 1.5, 1.0),
        (2.87, 3.0, 0.25),
    ],
)
def test_phase_of_common_echoes(echo_ms: float, tesla: float, phase: float) -> None:
    turns = echo_phase(echo_ms / 1000, tesla)
    assert math.cos(2 * math.pi * (turns - phase)) > 0.99


@given(st.floats(1e-4, 0.05), st.sampled_from([0.55, 1.5, 3.0, 7.0]))
def test_phase_and_opposedness_ranges(echo_time: float, tesla: float) -> None:
    assert 0 <= echo_phase(echo_time, tesla) < 1
    assert 0 <= opposedness(echo_time, tesla) <= 0.5


@pytest.mark.parametrize(
    ("echoes_ms", "tesla", "chosen"),
    [
        ([3.45, 4.60, 5.75], 3.0, 0),  # both ends are opposed: the shorter
        ([5.75, 4.60, 3.45], 3.0, 2),
        ([1.15, 2.30], 3.0, 0),
        ([2.30, 1.25], 3.0, 1),
        ([2.30, 4.60], 1.5, 0),
        ([1.50, 3.45], 3.0, 1),  # a little off against opposed
        ([1.38, 2.46, 3.58, 4.62], 3.0, 2),
    ],
)
def test_choice_of_echo(echoes_ms: list[float], tesla: float, chosen: int) -> None:
    assert choose_opposed_echo([echo / 1000 for echo in echoes_ms], tesla) == chosen


@pytest.mark.parametrize(
    ("echoes", "message"),
    [
        ([0.0023, 0.0046], r"TE = 2\.3, 4\.6 ms at 3 T"),
        ([], "none"),
    ],
)
def test_no_opposed_echo(echoes: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_opposed_echo(echoes, 3.0)


def test_tolerance_is_what_decides() -> None:
    with pytest.raises(ValueError, match=r"within 0\.01 turns"):
        choose_opposed_echo([0.0012], 3.0, tolerance=0.01)
    assert choose_opposed_echo([0.0012], 3.0) == 0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_impossible_numbers_are_refused(bad: float) -> None:
    for call in (
        lambda: echo_phase(bad, 3.0),
        lambda: echo_phase(0.003, bad),
    ):
        with pytest.raises(ValueError, match="expected a positive number"):
            call()


def test_images_from_water_and_fat() -> None:
    water = np.array([900, 100, 0, 500], dtype=np.int16)
    fat = np.array([100, 900, 0, 500], dtype=np.uint16)
    assert opposed_phase(water, fat).tolist() == [800, 800, 0, 0]
    assert in_phase(water, fat).tolist() == [1000, 1000, 0, 1000]
    np.testing.assert_allclose(fat_fraction(water, fat), [0.1, 0.9, 0.0, 0.5], rtol=1e-6)


def test_large_integers_do_not_overflow() -> None:
    water = np.array([30000], dtype=np.int16)
    assert in_phase(water, water).tolist() == [60000]
    assert opposed_phase(np.array([1], np.uint8), np.array([2], np.uint8)).tolist() == [1]


def test_negative_and_non_finite_values_count_as_no_signal() -> None:
    water = np.array([-5.0, np.nan, 3.0, np.inf])
    fat = np.array([1.0, 1.0, -2.0, 1.0])
    assert fat_fraction(water, fat).tolist() == [1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("function", [opposed_phase, in_phase, fat_fraction])
def test_grids_must_agree(function: object) -> None:
    with pytest.raises(ValueError, match="same grid"):
        function(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("echoes_ms", "opposed", "chosen"),
    [
        ([3.45, 4.60, 5.75], 0, (1, 2)),
        ([5.75, 4.60, 3.45], 2, (1, 0)),
        ([1.15, 2.30], 0, (1, None)),
        ([3.45, 2.30], 0, (1, None)),
        ([3.45, 4.60, 8.05], 0, (1, None)),  # opposed, too, but not as far beyond
        ([3.45, 2.30, 4.60, 5.75], 0, (2, 3)),  # two as near: the one with another beyond
        ([3.45, 5.75], 0, None),
    ],
)
def test_echoes_that_go_with_an_opposed_one(
    echoes_ms: list[float], opposed: int, chosen: tuple[int, int | None] | None
) -> None:
    times = [echo / 1000 for echo in echoes_ms]
    assert choose_in_phase_echoes(times, 3.0, opposed) == chosen


@given(st.floats(0, 1))
def test_two_points_give_the_fraction_or_its_complement(fraction: float) -> None:
    found = two_point_fraction(np.array([500.0]), np.array([500.0 * abs(1 - 2 * fraction)]))
    assert found[0] == pytest.approx(min(fraction, 1 - fraction), abs=1e-5)


def test_an_opposed_signal_above_the_in_phase_one_is_no_fat() -> None:
    found = two_point_fraction(np.array([100, 0, 100]), np.array([120, 5, -3]))
    assert found.tolist() == [0.0, 0.0, 0.5]
