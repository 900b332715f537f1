from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.anatomy.regions import Region, Side
from legseg_bids.segment.contrasts import MARGIN, confidence, is_used
from legseg_bids.segment.limb import RegionResult


def result(labels: list[int], probability: list[float], own: list[bool]) -> RegionResult:
    shape = (len(labels), 1, 1)
    return RegionResult(
        Side.LEFT,
        Region.UPPER,
        (slice(0, shape[0]), slice(0, 1), slice(0, 1)),
        np.array(labels, np.uint8).reshape(shape),
        np.array(probability, np.float32).reshape(shape),
        np.array(own).reshape(shape),
    )


def test_confidence_is_that_of_the_limbs_own_muscles() -> None:
    bone, fat = 103, 151
    seen = result([31, 33, bone, fat, 0, 31], [0.6, 0.8, 1, 1, 1, 0.1], [True] * 5 + [False])
    assert confidence(seen) == pytest.approx(0.7)


def test_confidence_without_muscle_is_none_at_all() -> None:
    assert confidence(result([0, 103], [1.0, 1.0], [True, True])) == 0.0


@pytest.mark.parametrize(
    ("opposed", "in_phase", "used"),
    [(0.8, 0.9, True), (0.8, 0.8 - 0.9 * MARGIN, True), (0.8, 0.8 - 1.1 * MARGIN, False)],
)
def test_a_less_sure_answer_is_not_averaged(opposed: float, in_phase: float, used: bool) -> None:
    assert is_used(opposed, in_phase) is used
