"""Parts of several stations, decided together."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legseg_bids.anatomy.regions import Part, Side
from legseg_bids.imaging.stacks import Grid, moved
from legseg_bids.segment.classify import Classification
from legseg_bids.segment.locate import decide, parts_alone
from legseg_bids.segment.neighbours import locate_among, parts_together

LETTERS = "FLKUH"


def seen(
    parts: str,
    low: float = 0.0,
    distance: float = 10.0,
    limbs: int = 2,
    sides: tuple[float, float, float] = (0.02, 0.02, 0.96),
    sure: float = 0.96,
    x: float = 0.0,
) -> Classification:
    """A station at a height whose slices look like these parts, one letter each."""
    table = np.full((len(parts), 5), (1 - sure) / 4)
    for row, letter in enumerate(parts):
        table[row, LETTERS.index(letter)] = sure
    affine = np.diag([4.0, 4.0, distance, 1.0])
    affine[:3, 3] = x, 0.0, low
    grid = Grid((40, 30, len(parts)), affine)
    occupied = np.ones(len(parts), bool)
    return Classification(np.tile(sides, (len(parts), 1)), table, occupied, limbs, grid)


def spelt(parts: tuple[Part, ...]) -> str:
    return "".join(LETTERS[part] for part in parts)


def decoded(**stations: Classification) -> dict[str, str]:
    return {name: spelt(locate_among(name, stations).parts) for name in stations}


def test_a_station_that_is_alone_is_as_before() -> None:
    one = seen("LLLKUUU")
    assert locate_among("a", {"a": one}) == decide(one, parts_alone(one))


def test_a_doubtful_station_is_put_right_by_its_neighbours() -> None:
    """Its own slices look a little like hip; between calf and thigh it is the knee."""
    calf, middle, thigh = seen("LLLLLL"), seen("HHHHHH", 60, sure=0.3), seen("UUUUUU", 120)
    assert decoded(middle=middle) == {"middle": "HHHHHH"}
    together = decoded(calf=calf, middle=middle, thigh=thigh)
    assert together["calf"] == "LLLLLL"
    assert together["thigh"] == "UUUUUU"
    assert set(together["middle"]) <= set("LKU")


def test_overlapping_slices_of_two_stations_agree() -> None:
    one, other = seen("LLLLLLKKK"), seen("KKKKUUUUU", 60.0)
    found = decoded(a=one, b=other)
    assert found == {"a": "LLLLLLKKK", "b": "KKKKUUUUU"}


def test_the_names_do_not_decide_who_lies_above() -> None:
    thigh, calf = seen("UUUUU", 100.0), seen("LLLLL")
    assert decoded(a=thigh, b=calf) == {"a": "UUUUU", "b": "LLLLL"}


def test_the_knee_may_lie_in_a_gap() -> None:
    assert decoded(a=seen("LLLL"), b=seen("UUUU", 140.0)) == {"a": "LLLL", "b": "UUUU"}


def test_no_knee_fits_into_a_narrow_gap() -> None:
    found = decoded(a=seen("LLLL"), b=seen("UUUU", 45.0))
    assert "K" in found["a"] + found["b"]


def test_all_stations_may_run_against_their_affines() -> None:
    stations = {"a": seen("UUUUKKKK"), "b": seen("LLLLLLL", 80.0)}
    for name in stations:
        found = locate_among(name, stations)
        assert found.direction == -1
        assert any("although the affine" in text for text in found.warnings)


def test_thin_slices_have_no_more_say_than_thick_ones() -> None:
    """80 mm of a mistaken thin stack against 120 mm of a thick one, at the same place."""
    thick = seen("LLLLLLLLLLLL", distance=10.0)
    thin = seen("U" * 80, low=-20.0, distance=1.0, x=200.0)
    assert set(decoded(thick=thick, thin=thin)["thick"]) == {"L"}


def test_stations_on_top_of_each_other_are_decoded_alone_and_say_so() -> None:
    stations = {"a": seen("LLLLL"), "b": seen("UUUUU"), "c": seen("UUUUU", 150.0)}
    for name, parts in (("a", "LLLLL"), ("b", "UUUUU")):
        found = locate_among(name, stations)
        assert spelt(found.parts) == parts
        (warning,) = found.warnings
        assert warning.startswith("a and b lie on top of each other (50 of 50 mm")
    assert locate_among("c", stations).warnings == ()


def test_the_side_of_a_single_limb_is_that_of_all_its_stations() -> None:
    left = (0.9, 0.05, 0.05)
    unsure = (0.4, 0.5, 0.1)
    stations = {
        "a": seen("LLLLLL", limbs=1, sides=left),
        "b": seen("KKKK", 60.0, limbs=1, sides=unsure),
        "c": seen("UUUUUU", 100.0, limbs=1, sides=left),
    }
    assert decide(stations["b"], parts_alone(stations["b"])).sides == (Side.RIGHT,)
    assert {locate_among(name, stations).sides for name in stations} == {(Side.LEFT,)}


def test_the_other_leg_has_a_side_of_its_own() -> None:
    stations = {
        "a": seen("LLLLLL", limbs=1, sides=(0.9, 0.05, 0.05)),
        "b": seen("LLLLLL", limbs=1, sides=(0.05, 0.9, 0.05), x=170.0),
    }
    found = [locate_among(name, stations) for name in stations]
    assert [location.sides for location in found] == [(Side.LEFT,), (Side.RIGHT,)]
    assert all(location.warnings == () for location in found)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.text(LETTERS, min_size=1, max_size=9), st.floats(0, 400), st.floats(1, 25)),
        min_size=1,
        max_size=4,
    )
)
def test_the_order_of_the_stations_does_not_matter(given_stations) -> None:
    named = {f"s{i}": seen(*values) for i, values in enumerate(given_stations)}
    results = {
        str([locate_among(name, dict(order)) for name in named])
        for order in permutations(named.items())
    }
    assert len(results) == 1


@given(
    st.text(LETTERS, min_size=2, max_size=30),
    st.integers(1, 29),
    st.sampled_from([3.0, 5.0, 6.0, 10.0]),
)
def test_a_stack_cut_in_two_is_decoded_as_a_whole(parts: str, cut: int, distance: float) -> None:
    cut = min(cut, len(parts) - 1)
    whole = seen(parts, distance=distance)
    halves = [
        seen(parts[:cut], distance=distance),
        seen(parts[cut:], cut * distance, distance),
    ]
    found = parts_together(halves)
    assert found[0].parts + found[1].parts == parts_alone(whole).parts


def test_a_tower_of_repeats_is_kept_apart_throughout() -> None:
    stations = {f"s{n}": seen("LLLL") for n in range(3)}
    assert len(locate_among("s0", stations).warnings) == 2


@pytest.mark.parametrize("up", [0.0, 7.0, 500.0])
def test_where_the_leg_lies_in_the_scanner_does_not_matter(up: float) -> None:
    stations = {"a": seen("LLLLKK"), "b": seen("KKUUUU", 55.0)}
    raised = {
        name: Classification(s.sides, s.parts, s.occupied, s.limbs, moved(s.grid, z=up))
        for name, s in stations.items()
    }
    assert decoded(**raised) == decoded(**stations)
