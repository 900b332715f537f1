from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legseg_bids.evaluate.overlap import agreement, dice, distance95, foreign_labels, mean_dice

masks = arrays(bool, (3, 4, 2), elements=st.booleans())


@given(masks, masks)
def test_dice_is_symmetric_and_bounded(a, b) -> None:
    value = dice(a, b)
    if not a.any() and not b.any():
        assert math.isnan(value)
    else:
        assert 0 <= value <= 1
        assert value == dice(b, a)
        assert (value == 1) == bool((a == b).all())


@pytest.mark.parametrize(("theirs", "ours"), [(1, (63, 64)), (11, (33, 34)), (4, (57, 58))])
def test_foreign_labels_pool_the_sides(theirs: int, ours: tuple[int, ...]) -> None:
    assert foreign_labels("thigh_partial")[theirs] == ours


def test_agreement_pools_and_ignores_slices_without_reference() -> None:
    predicted, reference = np.zeros((4, 4, 3), int), np.zeros((4, 4, 3), int)
    predicted[0, :, :] = 61  # also where the reference has no slice
    predicted[3, :, 1] = 62
    reference[0, :, 1] = 2
    reference[3, :, 1] = 2
    result = agreement(predicted, reference, {"rectus": ((61, 62), (2,)), "none": ((1,), (9,))})
    assert result[0].dice == 1.0
    assert math.isnan(result[1].dice)
    assert mean_dice(result) == 1.0


def test_different_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="grids differ"):
        agreement(np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), {})


@pytest.mark.parametrize(
    ("shift", "distance"), [((3, 0, 0), 4.5), ((0, 0, 1), 6.0), ((0, 0, 0), 0.0)]
)
def test_distance_is_in_space(shift: tuple[int, int, int], distance: float) -> None:
    a = np.zeros((20, 20, 6), bool)
    a[5:9, 5:9, 2] = True
    b = np.roll(a, shift, axis=(0, 1, 2))
    assert distance95(a, b, (1.5, 1.5, 6.0)) == pytest.approx(distance)
    assert distance95(b, a, (1.5, 1.5, 6.0)) == pytest.approx(distance)


def test_distance_to_nothing_is_unknown() -> None:
    a = np.zeros((3, 3, 1), bool)
    assert math.isnan(distance95(a, ~a, (1.0, 1.0, 1.0)))
