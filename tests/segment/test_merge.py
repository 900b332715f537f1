"""Who wins where regions and sides overlap."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legseg_bids.anatomy.regions import Region, Side
from legseg_bids.segment.limb import RegionResult
from legseg_bids.segment.merge import merge

SHAPE = (4, 1, 1)


def result(
    side: Side,
    region: Region,
    labels: list[int],
    probability: list[float],
    own: list[int],
    start: int = 0,
) -> RegionResult:
    def column(values: list[float] | list[int], kind: type) -> np.ndarray:
        return np.array(values, kind).reshape(-1, 1, 1)

    box = (slice(start, start + len(labels)), slice(0, 1), slice(0, 1))
    return RegionResult(
        side,
        region,
        box,
        column(labels, np.uint8),
        column(probability, np.float32),
        column(own, bool),
    )


UPPER = result(Side.LEFT, Region.UPPER, [55, 55, 0, 0], [0.6, 0.4, 0.9, 0.5], [1, 1, 1, 1])
LOWER = result(Side.LEFT, Region.LOWER, [1, 0, 1, 0], [0.5, 0.9, 0.3, 0.7], [1, 1, 1, 1])


def test_regions() -> None:
    """More probable structure; structure over background; surer background."""
    merged = merge([UPPER, LOWER], SHAPE)
    assert merged.labels.ravel().tolist() == [55, 55, 1, 0]
    np.testing.assert_allclose(merged.probability.ravel(), [0.6, 0.4, 0.3, 0.7])


def test_sides_in_the_overlap() -> None:
    """Voxels 1 and 2 are seen by both limbs, which own 0-1 and 2-3."""
    left = result(Side.LEFT, Region.UPPER, [47, 47, 47], [0.8, 0.9, 0.6], [1, 1, 0])
    right = result(Side.RIGHT, Region.UPPER, [48, 0, 48], [0.7, 0.5, 0.8], [0, 1, 1], start=1)
    merged = merge([left, right], SHAPE)
    # Voxel 1: the left owner is surer. Voxel 2: the right owner says background, and the
    # left limb's muscle is more probable than that.
    assert merged.labels.ravel().tolist() == [47, 47, 47, 48]


def test_sure_background_of_the_owner_wins() -> None:
    left = result(Side.LEFT, Region.UPPER, [47, 47], [0.8, 0.6], [1, 0])
    right = result(Side.RIGHT, Region.UPPER, [0, 48], [0.9, 0.8], [1, 1], start=1)
    assert merge([left, right], SHAPE).labels.ravel().tolist() == [47, 0, 48, 0]


def test_fat_is_the_owners_to_tell() -> None:
    """Beyond the cut a network sees the other leg, and calls all of it fat or background."""
    left = result(Side.LEFT, Region.UPPER, [47, 151], [0.8, 0.9], [1, 0])
    right = result(Side.RIGHT, Region.UPPER, [0, 48], [0.5, 0.8], [1, 1], start=1)
    assert merge([left, right], SHAPE).labels.ravel().tolist() == [47, 0, 48, 0]


SACRUM = 121
ALL = [1, 1, 1, 1]
HIP = result(Side.LEFT, Region.HIP, [0, 71, 75, SACRUM], [0.9, 0.9, 0.3, 0.9], ALL)
THIGH = result(Side.LEFT, Region.UPPER, [71, 0, 0, 55], [0.6, 0.6, 0.8, 0.4], ALL)
THIGH = replace(THIGH, known=frozenset({55, 71}))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_the_thigh_knows_is_for_it_to_tell(order: tuple[int, ...]) -> None:
    """Its structure, its background, what it does not know, and what is more probable."""
    calf = result(Side.LEFT, Region.LOWER, [0, 0, 0, 1], [0.5, 0.5, 0.5, 0.3], ALL)
    candidates = [(HIP, THIGH, calf)[i] for i in order]
    merged = merge(candidates, SHAPE)
    assert merged.labels.ravel().tolist() == [71, 0, 75, SACRUM]
    np.testing.assert_allclose(merged.probability.ravel(), [0.6, 0.6, 0.3, 0.9])


def test_the_hip_tells_where_no_thigh_network_looked() -> None:
    assert merge([HIP], SHAPE).labels.ravel().tolist() == [0, 71, 75, SACRUM]
    other = replace(THIGH, side=Side.RIGHT)
    merged = merge([HIP, replace(other, own=np.zeros_like(other.own))], SHAPE)
    assert merged.labels.ravel().tolist() == [0, 71, 75, SACRUM]


def test_the_hip_tells_in_slices_that_the_thigh_did_not_see() -> None:
    """Three slices of one voxel: the thigh's network saw the lowest two."""
    shape = (1, 1, 3)
    whole = (slice(0, 1), slice(0, 1), slice(0, 3))
    low = (slice(0, 1), slice(0, 1), slice(0, 2))
    own = np.ones(shape, bool)
    found = np.full(shape, 71, np.uint8)
    sure = np.full(shape, 0.7, np.float32)
    hip = RegionResult(Side.LEFT, Region.HIP, whole, found, sure, own)
    nothing = np.zeros((1, 1, 2), np.uint8)
    thigh = RegionResult(
        Side.LEFT, Region.UPPER, low, nothing, sure[..., :2], own[..., :2], frozenset({71})
    )
    assert merge([thigh, hip], shape).labels.ravel().tolist() == [0, 0, 71]
    assert hip.labels.ravel().tolist() == [71, 71, 71], "inputs are left alone"


def test_each_limb_tells_its_half_of_the_sacrum() -> None:
    """Voxels 1 and 2 are seen by both limbs, which own 0-1 and 2-3."""
    left = result(Side.LEFT, Region.HIP, [0, SACRUM, SACRUM], [0.9, 0.6, 0.9], [1, 1, 0])
    right = result(Side.RIGHT, Region.HIP, [SACRUM, 0, SACRUM], [0.9, 0.6, 0.7], [0, 1, 1], 1)
    merged = merge([left, right], SHAPE)
    assert merged.labels.ravel().tolist() == [0, SACRUM, 0, SACRUM]


def test_nothing_where_nobody_owns() -> None:
    left = result(Side.LEFT, Region.UPPER, [47, 47], [0.8, 0.9], [1, 0])
    merged = merge([left], SHAPE)
    assert merged.labels.ravel().tolist() == [47, 0, 0, 0]
    assert merged.probability.ravel()[1:].tolist() == [0, 0, 0]


def test_no_candidates() -> None:
    assert not merge([], SHAPE).labels.any()


def test_box_outside_the_grid() -> None:
    with pytest.raises(ValueError, match="does not fit the grid"):
        merge([UPPER], (3, 1, 1))


probabilities = st.permutations([0.31, 0.42, 0.53, 0.64, 0.75, 0.86, 0.91, 0.97])


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.sampled_from([0, 1, 5, SACRUM]), min_size=8, max_size=8),
    chances=probabilities,
    regions=st.permutations([Region.LOWER, Region.UPPER, Region.HIP]),
)
def test_order_does_not_matter(
    labels: list[int], chances: list[float], regions: list[Region]
) -> None:
    """Two regions and both sides over two voxels, one owned by each side."""
    pairs = [(side, region) for side in Side for region in regions[:2]]
    candidates = [
        result(
            side,
            region,
            labels[2 * i : 2 * i + 2],
            chances[2 * i : 2 * i + 2],
            [int(side is Side.LEFT), int(side is Side.RIGHT)],
        )
        for i, (side, region) in enumerate(pairs)
    ]
    candidates = [
        replace(one, known=frozenset({5, SACRUM} if one.region is Region.UPPER else {}))
        for one in candidates
    ]
    first = merge(candidates, SHAPE)
    for order in permutations(candidates):
        again = merge(order, SHAPE)
        np.testing.assert_array_equal(again.labels, first.labels)
        np.testing.assert_array_equal(again.probability, first.probability)
