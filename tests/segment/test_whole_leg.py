"""Stations on one grid: who wins where, and what is known of each voxel."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.imaging.stacks import Grid, common_grid, moved
from legseg_bids.segment.whole_leg import Piece, WholeLeg

STACK = Grid((4, 3, 6), np.diag([2.0, 2.0, 5.0, 1.0]))


def piece(grid: Grid = STACK, label: int = 5, sure: int = 200, **changes: Any) -> Piece:
    arrays: dict[str, Any] = {
        "labels": np.full(grid.shape, label, np.uint8),
        "confidence": np.full(grid.shape, sure, np.uint8),
        "mask": np.ones(grid.shape, bool),
        "grey": np.full(grid.shape, label, np.uint8),
    }
    return Piece(grid, **{**arrays, **changes})


def merged(*pieces: Piece) -> WholeLeg:
    leg = WholeLeg(common_grid([p.grid for p in pieces]))
    for each in pieces:
        leg.add(each)
    return leg


def random_piece(seed: int, up: float) -> Piece:
    rng = np.random.default_rng(seed)
    grid = moved(STACK, z=up)
    return Piece(
        grid,
        rng.integers(0, 9, grid.shape).astype(np.uint8),
        rng.integers(0, 4, grid.shape).astype(np.uint8),
        rng.random(grid.shape) > 0.5,
        rng.integers(0, 255, grid.shape).astype(np.uint8),
    )


def test_the_more_probable_label_wins() -> None:
    leg = merged(piece(label=5, sure=200), piece(moved(STACK, z=20.0), label=7, sure=201))
    assert leg.labels[0, 0].tolist() == [5] * 4 + [7] * 6
    assert leg.confidence[0, 0].tolist() == [200] * 4 + [201] * 6


def test_background_counts_with_its_own_probability() -> None:
    above = moved(STACK, z=20.0)
    leg = merged(piece(label=5, sure=150), piece(above, label=0, sure=250))
    assert leg.labels[0, 0].tolist() == [5] * 4 + [0] * 6
    leg = merged(piece(label=5, sure=150), piece(above, label=0, sure=140))
    assert leg.labels[0, 0].tolist() == [5] * 6 + [0] * 4


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([0.0, 10.0, 15.0, 25.0])),
                min_size=2, max_size=4))  # fmt: skip
def test_the_order_of_the_stations_does_not_matter(given_pieces) -> None:
    pieces = [random_piece(*values) for values in given_pieces]
    results = {
        (leg.labels.tobytes(), leg.confidence.tobytes(), leg.mask.tobytes(), leg.seen.tobytes())
        for leg in (merged(*order) for order in permutations(pieces))
    }
    assert len(results) == 1


def test_where_one_station_alone_looks_its_labels_stay_as_they_are() -> None:
    one, other = random_piece(1, 0.0), random_piece(2, 20.0)
    leg = merged(one, other)
    np.testing.assert_array_equal(leg.labels[..., :4], one.labels[..., :4])
    np.testing.assert_array_equal(leg.labels[..., 6:], other.labels[..., 2:])


def test_a_gap_is_seen_by_nobody() -> None:
    leg = merged(piece(), piece(moved(STACK, z=45.0)))
    assert leg.seen.tolist() == [True] * 6 + [False] * 3 + [True] * 6
    assert not leg.labels[..., 6:9].any()


def test_spans_of_the_stations() -> None:
    above = piece(moved(STACK, z=20.0))
    leg = WholeLeg(common_grid([STACK, above.grid]))
    assert leg.add(above) == (4, 9)
    assert leg.add(piece()) == (0, 5)


def test_fat_fraction_is_that_of_the_station_that_wins() -> None:
    fat = np.full(STACK.shape, 0.25, np.float32)
    leg = merged(piece(sure=200, fat_fraction=fat), piece(moved(STACK, z=20.0), sure=100, label=7))
    assert leg.fat_fraction is not None
    line = leg.fat_fraction[0, 0]
    assert line[:6].tolist() == [0.25] * 6
    assert np.isnan(line[6:]).all()
    assert merged(piece()).fat_fraction is None


def test_the_picture_shows_each_station_where_it_is_deepest() -> None:
    leg = merged(piece(label=1), piece(moved(STACK, z=10.0), label=2))
    assert leg.grey[0, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_arrays_must_fit_their_grid() -> None:
    with pytest.raises(ValueError, match="expected that of its grid"):
        merged(piece(mask=np.ones((4, 3, 5), bool)))
