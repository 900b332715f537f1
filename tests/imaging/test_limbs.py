from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from legseg_bids.imaging.limbs import split_limbs

SPACING = (3.0, 3.0, 6.0)
Disc = tuple[float, float, float]


def stack(slices: list[list[Disc]], size: tuple[int, int] = (120, 60)) -> np.ndarray:
    """Mask of discs (x, y, radius, all in voxels) in each slice."""
    x, y = np.arange(size[0])[:, None], np.arange(size[1])[None]
    planes = [
        np.any([np.hypot(x - cx, y - cy) < r for cx, cy, r in discs], axis=0) for discs in slices
    ]
    return np.stack(planes, axis=2)


APART = [[(30, 30, 20), (80, 30, 20)]] * 6
TOUCHING_ABOVE = [[(40 - z, 30, 14 + 2 * z), (80 + z, 30, 14 + 2 * z)] for z in range(8)]
TOUCHING = [[(38, 30, 22), (78, 30, 22)]] * 5
OFF_CENTRE = [[(75, 30, 16), (102, 30, 16)]] * 5


@pytest.mark.parametrize(
    ("slices", "middle"),
    [(APART, 55), (TOUCHING_ABOVE, 60), (TOUCHING, 58), (OFF_CENTRE, 88.5)],
    ids=["apart", "touching above", "touching everywhere", "off the image's centre"],
)
def test_two_limbs_are_told_apart(slices: list[list[Disc]], middle: float) -> None:
    mask = stack(slices)
    limbs = split_limbs(mask, SPACING)
    assert len(limbs) == 2
    low, high = limbs
    np.testing.assert_array_equal(low.mask | high.mask, mask)
    assert not (low.mask & high.mask).any()
    x = np.arange(mask.shape[0])
    assert not low.mask[x > middle + 2].any()
    assert not high.mask[x < middle - 2].any()


@pytest.mark.parametrize("slices", [APART, TOUCHING_ABOVE, TOUCHING])
def test_boxes_reach_across_the_cut_only(slices: list[list[Disc]]) -> None:
    mask = stack(slices)
    low, high = split_limbs(mask, SPACING, overlap_mm=15.0)
    low_x, high_x = (np.flatnonzero(limb.mask.any(axis=(1, 2))) for limb in (low, high))
    assert low.box[0] == slice(low_x[0], low_x[-1] + 1 + 5)
    assert high.box[0] == slice(high_x[0] - 5, high_x[-1] + 1)
    for limb in (low, high):
        assert limb.mask[limb.box].sum() == limb.mask.sum()


def test_box_is_clipped_to_the_image() -> None:
    mask = stack(APART)
    low, high = split_limbs(mask, SPACING, overlap_mm=1000.0)
    assert (low.box[0].stop, high.box[0].start) == (120, 0)


@pytest.mark.parametrize(
    "slices",
    [
        [[(60, 30, 25)]] * 6,
        [[(5, 30, 25)]] * 6,
        [[(115, 30, 25)]] * 6,
        [[(60, 30, 25)]] * 3 + [[(30, 30, 25)]],
        [[(60, 30, 12 + 2 * z)] for z in range(6)],
        # A foot: toes side by side in the lowest slice, then one limb.
        [[(45, 30, 6), (60, 30, 6), (75, 30, 6)]] + [[(60, 30, 22)]] * 9,
    ],
    ids=["middle", "cut at low x", "cut at high x", "shifted", "cone", "toes"],
)
def test_one_limb_stays_one(slices: list[list[Disc]]) -> None:
    mask = stack(slices)
    (limb,) = split_limbs(mask, SPACING)
    np.testing.assert_array_equal(limb.mask, mask)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        assert limb.box[axis] == slice(inside[0], inside[-1] + 1)


@pytest.mark.parametrize("x", [120, 0], ids=["at high x", "at low x"])
def test_piece_of_the_other_leg_at_the_edge_is_ignored(x: int) -> None:
    mask = stack([[(60, 30, 25), (x, 30, 8)]] * 6)
    (limb,) = split_limbs(mask, SPACING)
    np.testing.assert_array_equal(limb.mask, stack([[(60, 30, 25)]] * 6))


def test_piece_that_touches_in_one_slice_is_cut_off() -> None:
    mask = stack([[(60, 30, 22), (119, 30, 8)]] * 8)
    mask[80:115, 28:32, 7] = True
    (limb,) = split_limbs(mask, SPACING)
    assert not limb.mask[100:].any()
    np.testing.assert_array_equal(limb.mask[:80], mask[:80])


def test_finger_beside_the_limb_is_left_out() -> None:
    mask = stack([[(60, 30, 25), (100, 30, 4)]] + [[(60, 30, 25)]] * 5)
    (limb,) = split_limbs(mask, SPACING)
    np.testing.assert_array_equal(limb.mask, stack([[(60, 30, 25)]] * 6))


def test_heel_and_forefoot_are_one_limb() -> None:
    mask = stack([[(60, 12, 10), (60, 46, 10)]] * 3 + [[(60, 30, 29)]] * 3)
    (limb,) = split_limbs(mask, SPACING)
    np.testing.assert_array_equal(limb.mask, mask)


def test_one_slice_below_the_pelvis_shows_where_to_cut() -> None:
    pelvis = [(x, 30.0, 25.0) for x in range(35, 90, 4)]
    mask = stack([[(35, 30, 20), (79, 30, 20)]] + [pelvis] * 9)
    low, high = split_limbs(mask, SPACING)
    assert np.flatnonzero(low.mask.any(axis=(1, 2)))[-1] == pytest.approx(57, abs=2)
    np.testing.assert_array_equal(low.mask | high.mask, mask)


def test_limb_in_two_pieces_along_z_stays_one() -> None:
    mask = stack([[(60, 30, 20)]] * 8)
    mask[:, :, 4] = False
    (limb,) = split_limbs(mask, SPACING)
    np.testing.assert_array_equal(limb.mask, mask)


def test_loose_piece_goes_to_the_nearer_limb() -> None:
    mask = stack([[(30, 30, 18), (90, 30, 18)]] * 5 + [[(90, 30, 18)]])
    mask[50:54, 20:40, 2] = True
    low, high = split_limbs(mask, SPACING)
    assert low.mask[50:54, 20:40, 2].all()
    assert high.mask[:, :, 5].sum() == mask[:, :, 5].sum()


def test_wide_pelvis_without_any_valley_is_cut_in_its_own_middle() -> None:
    mask = np.zeros((120, 60, 3), dtype=bool)
    x, y = np.arange(120)[:, None], np.arange(60)[None]
    mask[((x - 70) / 45) ** 2 + ((y - 30) / 25) ** 2 < 1] = True
    low, _ = split_limbs(mask, SPACING)
    assert np.flatnonzero(low.mask.any(axis=(1, 2)))[-1] == pytest.approx(70, abs=3)


@pytest.mark.parametrize("fine", [1, 2, 4])
def test_resolution_does_not_matter(fine: int) -> None:
    mask = stack(TOUCHING_ABOVE).repeat(fine, axis=0).repeat(fine, axis=1)
    spacing = (3.0 / fine, 3.0 / fine, 6.0)
    low, _ = split_limbs(mask, spacing)
    expected, _ = split_limbs(stack(TOUCHING_ABOVE), SPACING)
    np.testing.assert_array_equal(low.mask[::fine, ::fine], expected.mask)


@pytest.mark.parametrize("change", [np.flip, np.asarray], ids=["mirrored", "as it is"])
def test_order_is_by_rising_x(change: Callable[..., np.ndarray]) -> None:
    mask = stack([[(30, 30, 20), (85, 30, 14)]] * 4)
    turned = np.flip(mask, 0) if change is np.flip else mask
    low, high = split_limbs(turned, SPACING)
    assert low.box[0].start < high.box[0].start
    assert low.mask[:60].sum() == low.mask.sum()


def test_empty_mask_has_no_limb() -> None:
    assert split_limbs(np.zeros((20, 20, 3), dtype=bool), SPACING) == ()
