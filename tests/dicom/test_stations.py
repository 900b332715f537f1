"""Stations, repeats and acquisitions, from grids alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.dicom.found import Facts, Found, Grid
from legseg_bids.dicom.stations import arrange


def image(
    name: str,
    z: float = 0.0,
    *,
    x: float = 0.0,
    spacing: float = 2.0,
    shows: str = "opposed",
    **facts: object,
) -> Found:
    """An image of 40 × 40 × 10 voxels whose lowest slice is at height z."""
    affine = np.diag([spacing, spacing, 5.0, 1.0])
    affine[:3, 3] = x, 0, z
    size = round(80 / spacing)
    grid = Grid((size, size, 10), tuple(map(tuple, affine.tolist())))
    told = Facts(**{"shows": shows, "when": name, "frame_of_reference": "f", **facts})  # type: ignore[arg-type]
    return Found(name, told, grid, ())


def roles(images: list[Found]) -> dict[str, str]:
    return {i.id: i.facts.shows for i in images}


def test_stations_are_counted_from_the_head_end() -> None:
    images = [image("low", -100), image("high", 100), image("middle", 55)]
    places = arrange(images, roles(images))
    assert {key: place.station for key, place in places.items()} == {
        "high": 1,
        "middle": 2,
        "low": 3,
    }


def test_stacks_of_one_leg_each_are_two_stations() -> None:
    images = [image("left", x=-100), image("right", x=100)]
    places = arrange(images, roles(images))
    assert {key: place.station for key, place in places.items()} == {"right": 1, "left": 2}


def test_contrasts_of_one_grid_are_one_run_and_repeats_are_others() -> None:
    images = [
        image(
            f"{shows}{turn}", shows=shows, when=f"20200101-10{turn}000", number=10 * turn + order
        )
        for turn in (1, 2)
        for order, shows in enumerate(("water", "fat", "opposed"))
    ]
    places = arrange(images, roles(images))
    assert {key: place.run for key, place in places.items()} == {
        key.id: int(key.id[-1]) for key in images
    }


def test_another_grid_at_the_same_place_is_another_acquisition() -> None:
    images = [image("fine", 3, spacing=1.0, when="2"), image("coarse", spacing=2.0, when="1")]
    places = arrange(images, roles(images))
    assert {p.station for p in places.values()} == {1}
    assert {key: place.acquisition for key, place in places.items()} == {"coarse": 1, "fine": 2}


def test_one_place_in_two_frames_of_reference_is_a_question() -> None:
    images = [image("a", when="1"), image("b", when="2", frame_of_reference="g", number=7)]
    places = arrange(images, roles(images))
    assert places["a"].question == ""
    assert "lies at the same place as series 0" in places["b"].question


def test_echoes_differ_in_time_not_in_run() -> None:
    images = [
        image(f"{part}{echo}", shows="echo", part=part, echo_time=echo / 1000, when="1")
        for echo in (1, 2)
        for part in ("magnitude", "phase")
    ]
    assert {place.run for place in arrange(images, roles(images)).values()} == {1}


heights = st.lists(st.integers(-5, 5).map(lambda n: 100.0 * n), min_size=1, max_size=6)


@given(heights, st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(places: list[float], rng) -> None:
    images = [image(f"i{n}", z, when=f"{n}") for n, z in enumerate(places)]
    shuffled = list(images)
    rng.shuffle(shuffled)
    assert arrange(images, roles(images)) == arrange(shuffled, roles(images))


@given(heights, st.floats(-30, 30))
def test_moving_everything_changes_nothing(places: list[float], by: float) -> None:
    images = [image(f"i{n}", z, when=f"{n}") for n, z in enumerate(places)]
    moved = [replace(i, grid=image("", z + by).grid) for i, z in zip(images, places, strict=True)]
    assert arrange(images, roles(images)) == arrange(moved, roles(images))


@given(heights)
def test_no_two_images_of_a_role_share_their_place(places: list[float]) -> None:
    images = [image(f"i{n}", z, when=f"{n}") for n, z in enumerate(places)]
    found = arrange(images, roles(images))
    keys = [(p.station, p.acquisition, p.run) for p in found.values()]
    assert len(set(keys)) == len(keys)
    assert {p.station for p in found.values()} == set(range(1, len(set(places)) + 1))
