"""Who wins where regions and sides overlap."""

from __future__ import annotations

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
@given(labels=st.lists(st.sampled_from([0, 1, 5]), min_size=8, max_size=8), chances=probabilities)
def test_order_does_not_matter(labels: list[int], chances: list[float]) -> None:
    """Four regions and sides over two voxels, one owned by each side."""
    pairs = [(side, region) for side in Side for region in (Region.LOWER, Region.UPPER)]
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
    first = merge(candidates, SHAPE)
    for order in permutations(candidates):
        again = merge(order, SHAPE)
        np.testing.assert_array_equal(again.labels, first.labels)
        np.testing.assert_array_equal(again.probability, first.probability)
