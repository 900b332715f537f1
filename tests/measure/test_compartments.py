from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.measure import Scene, measure_image

AFFINE = np.diag([2.0, 2.0, 10.0, 1.0])
FRONT = (21, 23, 25)
"""Tibialis anterior, extensor digitorum longus, extensor hallucis longus, left."""


def columns(*labels: int, last: int = 10) -> np.ndarray:
    """One column for each label, beside each other."""
    image = np.zeros((80, 20, 12), np.uint8)
    for number, label in enumerate(labels):
        image[2 + 12 * number : 12 + 12 * number, 5:15, 1:last] = label
    return image


def look(image: np.ndarray, **known: object) -> dict[tuple[str, str], object]:
    found = measure_image(Scene(image, AFFINE, **known))  # type: ignore[arg-type]
    return {(row.compartment, row.side): row for row in found.compartments}


def test_all_muscles_in_view_make_a_compartment() -> None:
    row = look(columns(*FRONT))["anterior", "left"]
    assert row.complete
    assert row.includes == "TA_L, EDL_L, FT_L, EHL_L"
    assert row.volume == pytest.approx(3 * 100 * 9 * 0.04)
    assert row.max_csa == pytest.approx(3 * 100 * 4.0)
    assert row.length == pytest.approx(90.0)
    assert row.asymmetry is None


@pytest.mark.parametrize("image", [columns(*FRONT[:2]), columns(*FRONT, last=12)])
def test_a_missing_or_cut_muscle_makes_it_incomplete(image: np.ndarray) -> None:
    row = look(image)["anterior", "left"]
    assert not row.complete
    assert row.quality in {"check", "poor"}


def test_sides_are_compared_where_both_are_complete() -> None:
    both = columns(*FRONT, *(index + 1 for index in FRONT))
    both[:, :, 8:][both[:, :, 8:] % 2 == 0] = 0
    found = look(both)
    assert found["anterior", "left"].asymmetry == pytest.approx(100 * 2 / 8)
    assert found["anterior", "right"].asymmetry == found["anterior", "left"].asymmetry
    both[both == 26] = 0
    assert look(both)["anterior", "left"].asymmetry is None


def test_the_median_is_that_of_all_voxels() -> None:
    image = columns(*FRONT)
    fat = np.full(image.shape, 0.1)
    fat[image == 23] = 0.2
    fat[image == 25] = 0.9
    fat[2:12, 5:15, 1:10] = 0.3
    row = look(image, fat_fraction=fat)["anterior", "left"]
    assert row.median_fat_fraction == pytest.approx(0.3)
    assert row.mean_fat_fraction == pytest.approx((0.3 + 0.2 + 0.9) / 3)
    assert row.intramuscular_fat == pytest.approx(row.mean_fat_fraction * row.volume)
    assert row.fat_fraction_voxels == 3 * 64 * 9


@pytest.mark.parametrize(("width", "quality"), [(10, "poor"), (1, "good")])
def test_a_sliver_does_not_spoil_a_compartment(width: int, quality: str) -> None:
    image = columns(*FRONT)
    image[26 + width : 36] = 0
    sure = np.where(image == 25, 0.5, 0.9)
    assert look(image, confidence=sure)["anterior", "left"].quality == quality


def test_a_compartment_of_which_nothing_was_found_has_no_row() -> None:
    assert set(look(columns(*FRONT))) == {("anterior", "left")}
