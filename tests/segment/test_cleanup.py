"""Islands go, oblique and twice-cut muscles stay, pinholes close."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legseg_bids.segment.cleanup import FAT, clean_labels

SPACING = (1.5, 1.5, 6.0)


def empty(shape: tuple[int, int, int] = (60, 60, 8)) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def test_far_island_goes() -> None:
    labels = empty()
    labels[10:30, 10:30] = 5
    labels[50:56, 50:56, 2:5] = 5
    cleaned = clean_labels(labels, SPACING)
    assert not cleaned[50:56, 50:56].any()
    np.testing.assert_array_equal(cleaned[:40, :40], labels[:40, :40])


@pytest.mark.parametrize("distance", [6.0, 24.0])
def test_oblique_muscle_stays(distance: float) -> None:
    """It shifts by more than its width from slice to slice."""
    labels = empty()
    shift = 7 if distance == 24.0 else 3
    for z in range(8):
        labels[shift * z : shift * z + 2, 20:24, z] = 63
    np.testing.assert_array_equal(clean_labels(labels, (1.5, 1.5, distance)), labels)


def test_gap_in_plane_beyond_the_reach_is_no_connection() -> None:
    labels = empty((60, 20, 2))
    labels[0:20, 5:15, 0] = 5
    labels[50:53, 5:15, 1] = 5  # 45 mm away
    assert not clean_labels(labels, (1.5, 1.5, 24.0))[50:53].any()


@pytest.mark.parametrize(("slices", "kept"), [((6, 7), True), ((2, 4), False)])
def test_second_piece_only_above_or_below(slices: tuple[int, int], kept: bool) -> None:
    """As large as a third of the first, it stays if the two share no slice."""
    labels = empty()
    labels[10:20, 10:20, 0:5] = 5
    low, high = slices
    labels[40:52, 40:53, low : high + 1] = 5
    if kept:
        assert (clean_labels(labels, SPACING) == labels).all()
    else:
        assert len(np.unique(np.nonzero(clean_labels(labels, SPACING))[0] >= 40)) == 1


def test_small_second_piece_goes() -> None:
    labels = empty()
    labels[10:30, 10:30, 0:5] = 5
    labels[45:50, 45:50, 6:8] = 5
    assert not clean_labels(labels, SPACING)[45:50].any()


@pytest.mark.parametrize(("label", "stays"), [(121, True), (101, False)])
def test_halves_of_the_sacrum_may_lie_beside_each_other(label: int, stays: bool) -> None:
    """Each limb's network found its own; what has a side is in one piece."""
    labels = empty()
    labels[10:24, 20:30] = label
    labels[32:44, 20:30] = label  # 12 mm apart
    labels[55:57, 20:22] = label  # a speck is a speck
    cleaned = clean_labels(labels, SPACING)
    assert (cleaned[10:24, 20:30] == label).all()
    assert (cleaned[32:44, 20:30] == label).all() == stays
    assert cleaned[32:44].any() == stays
    assert not cleaned[55:].any()


def test_speck_beside_the_muscle_goes() -> None:
    """Near enough to count as connected to its neighbours, but tiny in its slice."""
    labels = empty()
    labels[10:30, 10:30] = 5
    labels[32:34, 15:17, 3] = 5
    assert not clean_labels(labels, SPACING)[32:34].any()


def test_two_heads_in_one_slice_stay() -> None:
    """A muscle that forks has two pieces where its heads are."""
    labels = empty()
    labels[10:40, 10:20, 0:4] = 5
    labels[10:20, 10:20, 4:] = 5
    labels[30:40, 10:20, 4:] = 5
    np.testing.assert_array_equal(clean_labels(labels, SPACING), labels)


def test_subcutaneous_fat_may_be_in_pieces() -> None:
    labels = empty()
    labels[5:8, 5:50] = FAT
    labels[50:52, 50:52, 3] = FAT
    np.testing.assert_array_equal(clean_labels(labels, SPACING), labels)


def test_subcutaneous_fat_within_a_muscle_is_the_muscle() -> None:
    labels = empty()
    labels[5:45, 5:45] = FAT
    labels[10:40, 10:40] = 5
    expected = labels.copy()
    labels[20:24, 20:30, 3] = FAT
    np.testing.assert_array_equal(clean_labels(labels, SPACING), expected)


def test_subcutaneous_fat_between_muscles_is_background() -> None:
    labels = empty()
    labels[5:45, 5:45] = FAT
    labels[10:25, 10:40] = 5
    labels[25:40, 10:40] = 1
    labels[23:27, 20:30, 3] = FAT
    cleaned = clean_labels(labels, SPACING)
    assert not cleaned[23:27, 20:30, 3].any()
    assert (cleaned[labels != FAT] == labels[labels != FAT]).all()
    assert (cleaned[:10] == labels[:10]).all()


def test_enclosed_island_becomes_the_muscle_around_it() -> None:
    labels = empty()
    labels[10:40, 10:40] = 5
    labels[22:30, 22:30, 3] = 1
    labels[50:58, 10:50] = 1
    cleaned = clean_labels(labels, SPACING)
    assert (cleaned[10:40, 10:40] == 5).all()


def test_island_between_two_muscles_becomes_background() -> None:
    labels = empty()
    labels[10:25, 10:40] = 5
    labels[25:40, 10:40] = 3
    labels[22:28, 22:28, 3] = 1
    labels[50:58, 10:50] = 1
    assert not clean_labels(labels, SPACING)[22:28, 22:28, 3].any()


@pytest.mark.parametrize(("side", "filled"), [(2, True), (8, False)])
def test_only_pinholes_are_filled(side: int, filled: bool) -> None:
    """Bone and vessels are holes too."""
    labels = empty()
    labels[10:40, 10:40] = 57
    labels[20 : 20 + side, 20 : 20 + side] = 0
    cleaned = clean_labels(labels, SPACING)
    assert bool(cleaned[20, 20, 3]) is filled


def test_notch_at_the_border_is_not_enclosed() -> None:
    labels = np.full((10, 10, 2), 5, np.uint8)
    labels[0, 4] = 0
    assert not clean_labels(labels, SPACING)[0, 4].any()


def test_empty_and_single_slice() -> None:
    assert not clean_labels(empty(), SPACING).any()
    labels = empty((30, 30, 1))
    labels[5:20, 5:20] = 5
    np.testing.assert_array_equal(clean_labels(labels, SPACING), labels)


@settings(max_examples=40, deadline=None)
@given(
    labels=arrays(np.uint8, (9, 8, 3), elements=st.sampled_from([0, 0, 1, 3, FAT])),
    distance=st.sampled_from([1.0, 6.0, 24.0]),
)
def test_invariants(labels: np.ndarray, distance: float) -> None:
    before = labels.copy()
    cleaned = clean_labels(labels, (1.5, 1.5, distance))
    np.testing.assert_array_equal(labels, before)  # the input is left alone
    assert set(np.unique(cleaned)) <= set(np.unique(labels)) | {0}
    rim = np.ones(labels.shape, bool)
    rim[1:-1, 1:-1] = False
    assert (cleaned[rim & (labels == FAT)] == FAT).all()
    assert np.isin(cleaned[labels == FAT], (FAT, 0, 1, 3)).all()
    for label in (1, 3):  # no label that was there vanishes altogether
        assert (label in cleaned) == (label in labels)
    added = cleaned[(labels == 0) & (cleaned > 0)]
    assert len(added) == 0 or added.min() > 0
