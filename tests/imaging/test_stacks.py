"""Geometry of stacks, by example and by property."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from legseg_bids.errors import ImageError
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.stacks import (
    Grid,
    beside_share,
    common_grid,
    contradictions,
    gaps,
    moved,
    place,
)
from legseg_bids.imaging.volume import Volume


def turn(degrees: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.deg2rad(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def grid(
    shape: tuple[int, int, int] = (6, 5, 8),
    spacing: tuple[float, float, float] = (2.0, 2.0, 6.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn(angles) * spacing, origin
    return Grid(shape, affine)


sizes = st.tuples(*[st.integers(2, 9)] * 3)
spacings = st.tuples(*[st.floats(0.7, 8.0)] * 3)
origins = st.tuples(*[st.floats(-300.0, 300.0)] * 3)
tilts = st.tuples(*[st.floats(-25.0, 25.0)] * 3)
grids = st.builds(grid, sizes, spacings, origins, tilts)
near = st.builds(grid, sizes, spacings, st.tuples(*[st.floats(-6.0, 6.0)] * 3), tilts)


@given(grids)
def test_heights_rise_and_lie_in_the_extent(one: Grid) -> None:
    heights = one.heights
    assert (np.diff(heights) > 0).all()
    low, high = one.extent
    assert low < heights[0]
    assert heights[-1] < high
    middle = one.affine @ np.array([*[(n - 1) / 2 for n in one.shape], 1.0])
    assert (low + high) / 2 == pytest.approx(middle[2], abs=1e-6)


@given(grids, st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_heights_do_not_depend_on_how_the_file_is_stored(one: Grid, axes, flips) -> None:
    """All 48 ways of storing the axes give the same canonical grid."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for stored, axis in enumerate(axes):
        matrix[axis, stored] = -1.0 if flips[axis] else 1.0
        matrix[axis, 3] = one.shape[axis] - 1.0 if flips[axis] else 0.0
    shape = tuple(one.shape[axis] for axis in axes)
    stored_volume = Volume(np.zeros(shape, np.uint8), one.affine @ matrix)
    found = Grid.of(to_canonical(stored_volume)[0])
    np.testing.assert_allclose(found.heights, one.heights, atol=1e-6)


@settings(max_examples=60)
@given(grids, grids, grids)
def test_the_common_grid_knows_no_order_and_holds_every_voxel_centre(a, b, c) -> None:
    found = [common_grid(order) for order in permutations((a, b, c))]
    assert len({(g.shape, g.affine.tobytes()) for g in found}) == 1
    inverse = np.linalg.inv(found[0].affine)
    for one in (a, b, c):
        corners = np.array([[i * (n - 1) for i, n in zip(bits, one.shape, strict=True)]
                            for bits in np.ndindex(2, 2, 2)])  # fmt: skip
        world = corners @ one.affine[:3, :3].T + one.affine[:3, 3]
        inside = world @ inverse[:3, :3].T + inverse[:3, 3]
        assert (inside > -1.01).all()
        assert (inside < np.array(found[0].shape) + 0.01).all()


@given(
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(-12, 12),
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    spacings,
    origins,
    tilts,
)
def test_stations_on_one_lattice_are_copied_voxel_by_voxel(n, m, up, beside, spacing, at, tilt):
    """Where the grids coincide nothing is resampled, however oblique they are."""
    one = grid((4, 5, n), spacing, at, tilt)
    affine = one.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (*beside, up)
    other = Grid((4, 5, m), affine)
    whole = common_grid([one, other])
    np.testing.assert_allclose(whole.spacing, spacing, rtol=1e-9)
    for source in (one, other):
        values = np.arange(1, 1 + np.prod(source.shape)).reshape(source.shape)
        placed = place(source, whole)
        taken = placed.take(values)
        assert sorted(taken[placed.inside].tolist()) == values.ravel().tolist()
        where = np.argwhere(placed.inside) + [part.start for part in placed.box]
        expected = where @ whole.affine[:3, :3].T + whole.affine[:3, 3]
        index = np.array(np.unravel_index(taken[placed.inside] - 1, source.shape)).T
        own = index @ source.affine[:3, :3].T + source.affine[:3, 3]
        np.testing.assert_allclose(own, expected, atol=1e-3)


@settings(max_examples=60)
@given(near, near)
def test_each_voxel_takes_the_nearest_centre(source: Grid, target: Grid) -> None:
    placed = place(source, target)
    index = placed.take(np.arange(1, 1 + np.prod(source.shape)).reshape(source.shape))
    where = np.argwhere(placed.inside) + [part.start for part in placed.box]
    assume(len(where))
    world = where @ target.affine[:3, :3].T + target.affine[:3, 3]
    inverse = np.linalg.inv(source.affine)
    voxel = world @ inverse[:3, :3].T + inverse[:3, 3]
    taken = np.array(np.unravel_index(index[placed.inside] - 1, source.shape)).T
    assert np.abs(voxel - taken).max() <= 0.53


@settings(max_examples=60)
@given(near, near)
def test_nothing_inside_is_missed(source: Grid, target: Grid) -> None:
    placed = place(source, target)
    centres = np.argwhere(np.ones(target.shape, bool))
    world = centres @ target.affine[:3, :3].T + target.affine[:3, 3]
    inverse = np.linalg.inv(source.affine)
    voxel = world @ inverse[:3, :3].T + inverse[:3, 3]
    surely = ((voxel > -0.45) & (voxel < np.array(source.shape) - 0.55)).all(axis=1)
    inside = np.zeros(target.shape, bool)
    inside[placed.box] = placed.inside
    assert inside[tuple(centres[surely].T)].all()


def test_finest_spacing_of_the_set_on_the_axes_of_the_longest() -> None:
    long = grid((6, 6, 20), (2.0, 2.0, 6.0), angles=(8.0, 0.0, 3.0))
    fine = grid((12, 12, 8), (1.0, 1.0, 9.0), origin=(0.0, 0.0, 118.0))
    found = common_grid([fine, long])
    assert found.spacing == pytest.approx((1.0, 1.0, 6.0))
    directions = found.affine[:3, :3] / np.array(found.spacing)
    np.testing.assert_allclose(directions, long.affine[:3, :3] / np.array(long.spacing))


def test_spacings_that_hardly_differ_are_the_same() -> None:
    one = grid(spacing=(2.0, 2.0, 6.0))
    other = moved(grid(spacing=(1.9999, 2.0, 6.0001)), z=48.0)
    assert common_grid([one, other]).spacing[0] in (2.0, 1.9999)
    assert common_grid([one, other]).shape == (6, 5, 16)


def test_a_box_that_is_no_leg_is_refused() -> None:
    with pytest.raises(ImageError, match="voxels together"):
        common_grid([grid((400, 400, 9)), grid((400, 400, 9), origin=(3e5, 0.0, 0.0))])


def test_a_very_fine_station_does_not_blow_up_the_grid() -> None:
    """Then the spacing of the longest station is taken."""
    long = grid((300, 300, 200), (1.5, 1.5, 5.0))
    fine = grid((900, 900, 3), (0.3, 0.3, 0.3), origin=(0.0, 0.0, 1000.0))
    assert common_grid([long, fine]).spacing == (1.5, 1.5, 5.0)


@pytest.mark.parametrize(
    ("up", "apart"), [(0.0, True), (20.0, True), (23.9, True), (24.1, False), (48.0, False),
                      (1040.0, False), (1060.0, True), (-30.0, False)]
)  # fmt: skip
def test_stacks_may_overlap_by_half_and_are_not_a_leg_apart(up: float, apart: bool) -> None:
    one = grid((20, 20, 8))
    assert bool(contradictions([one, moved(one, z=up)])) == apart


def test_the_shorter_stack_counts() -> None:
    long, short = grid((20, 20, 40)), grid((20, 20, 4), origin=(0.0, 0.0, 60.0))
    (found,) = contradictions([long, short])
    assert (found.shared, found.shorter) == (24.0, 24.0)
    assert "on top of each other (24 of 24 mm" in found.says("a", "b")


def test_stacks_beside_each_other_do_not_contradict() -> None:
    left = grid((20, 20, 8))
    assert contradictions([left, moved(left, x=38.0)]) == ()
    assert len(contradictions([left, moved(left, x=10.0)])) == 1


@given(grids, grids)
def test_contradictions_are_mutual(one: Grid, other: Grid) -> None:
    assert bool(contradictions([one, other])) == bool(contradictions([other, one]))
    assert beside_share(one, other) == pytest.approx(beside_share(other, one))
    assert contradictions([one, one])


def test_gaps_between_stations_in_any_order() -> None:
    stacks = [grid(), moved(grid(), z=48.0), moved(grid(), z=120.0), moved(grid(), z=50.0)]
    for order in permutations(stacks):
        assert gaps(order) == ((95.0, 117.0),)


def test_a_gap_of_less_than_half_a_slice_is_none() -> None:
    assert gaps([grid(), moved(grid(), z=50.9)]) == ()
    assert len(gaps([grid(), moved(grid(), z=51.1)])) == 1
