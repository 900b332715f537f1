"""Patches cover the image exactly, fit the memory, and are as few as possible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legseg_bids.errors import UsageError
from legseg_bids.segment.patches import GIB, Patch, plan

triples = st.tuples(*[st.integers(1, 6)] * 3)


def weight_sum(patches: tuple[Patch, ...], shape: tuple[int, int, int]) -> np.ndarray:
    total = np.zeros(shape)
    for patch in patches:
        z, y, x = patch.ramps
        total[patch.tile] += z[:, None, None] * y[:, None] * x
    return total


def tile_volume(patches: tuple[Patch, ...]) -> int:
    return sum(int(np.prod(patch.shape)) for patch in patches)


@settings(max_examples=150, deadline=None)
@given(
    units=triples,
    step=triples,
    halo=st.tuples(*[st.integers(0, 9)] * 3),
    share=st.floats(0.0, 1.0),
)
def test_weights_sum_to_one_and_stay_in_the_exact_zone(
    units: tuple[int, int, int],
    step: tuple[int, int, int],
    halo: tuple[int, int, int],
    share: float,
) -> None:
    shape = tuple(u * s for u, s in zip(units, step, strict=True))
    memory = int(share * np.prod(shape))
    try:
        patches = plan(shape, step, halo, memory, 1, (1, 1, 1))  # type: ignore[arg-type]
    except UsageError:
        return
    np.testing.assert_allclose(weight_sum(patches, shape), 1, atol=1e-6)  # type: ignore[arg-type]
    for patch in patches:
        assert np.prod(patch.shape) <= memory
        for axis, tile in enumerate(patch.tile):
            assert tile.start % step[axis] == 0
            assert tile.stop % step[axis] == 0
            used = patch.used[axis]
            assert tile.start == 0 or used.start >= halo[axis]
            length = tile.stop - tile.start
            assert tile.stop == shape[axis] or used.stop <= length - halo[axis]


def test_whole_image_is_one_patch_if_it_fits() -> None:
    (patch,) = plan((32, 128, 144), (4, 16, 16), (14, 60, 60), 2 * GIB, 1000, (32, 112, 112))
    assert patch.shape == (32, 128, 144)
    assert all((ramp == 1).all() for ramp in patch.ramps)


def test_less_memory_never_means_less_computation() -> None:
    shape = (32, 128, 144)
    volumes = [
        tile_volume(plan(shape, (4, 16, 16), (4, 20, 20), memory, 1000, (32, 112, 112)))
        for memory in np.linspace(80e6, 700e6, 23).astype(int).tolist()
    ]
    assert volumes == sorted(volumes, reverse=True)
    assert volumes[-1] == np.prod(shape)
    assert volumes[0] > volumes[-1]


def test_cuts_where_it_costs_least() -> None:
    patches = plan((64, 32, 32), (1, 16, 16), (1, 30, 30), 40 * 32 * 32, 1, (1, 1, 1))
    assert [patch.shape for patch in patches] == [(33, 32, 32), (33, 32, 32)]


def test_without_a_limit_the_default_patch_bounds_the_size() -> None:
    patches = plan((64, 224, 112), (4, 16, 16), (4, 8, 8), None, 1000, (32, 112, 112))
    assert max(np.prod(patch.shape) for patch in patches) <= 32 * 112 * 112
    assert len(patches) > 1


def test_overlapping_exact_zones_are_blended() -> None:
    """A halo of 1 rounded up to a step of 8 leaves 7 exact voxels on both sides."""
    left, right = plan((1, 1, 32), (1, 1, 8), (0, 0, 1), 24, 1, (1, 1, 1))
    assert ((left.ramps[2] > 0) & (left.ramps[2] < 1)).sum() > 4
    assert ((right.ramps[2] > 0) & (right.ramps[2] < 1)).sum() > 4


def test_too_little_memory_says_how_much_is_needed() -> None:
    with pytest.raises(UsageError, match=r"needs 1\.\d\d GiB in all; raise --mem to 1\.\dG"):
        plan((32, 64, 64), (4, 16, 16), (99, 99, 99), GIB, 8000, (1, 1, 1), reserved=GIB // 2)


@pytest.mark.parametrize("shape", [(32, 65, 64), (0, 64, 64)])
def test_shape_must_be_a_multiple_of_the_step(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="multiple"):
        plan(shape, (4, 16, 16), (1, 1, 1), GIB, 1, (1, 1, 1))
