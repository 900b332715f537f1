from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legseg_bids.imaging.mask import body_mask, otsu

ONE = [(120.0, 90.0, 60.0)]
TWO = [(65.0, 90.0, 50.0), (175.0, 90.0, 50.0)]
Spacing = tuple[float, float, float]
Phantom = Callable[..., tuple[np.ndarray, np.ndarray]]
Dice = Callable[[np.ndarray, np.ndarray], float]


@pytest.mark.parametrize(
    ("limbs", "look", "least"),
    [
        (TWO, {}, 0.96),
        (ONE, {}, 0.96),
        (TWO, {"noise": 0.0}, 0.96),
        (TWO, {"noise": 0.1}, 0.95),
        (TWO, {"fat": 0.08, "noise": 0.01}, 0.96),
        (TWO, {"muscle": 0.06, "noise": 0.02}, 0.96),
        (TWO, {"muscle": 0.0, "noise": 0.0}, 0.96),
        (TWO, {"shading": 2.0, "noise": 0.01}, 0.96),
        ([(120.0, 90.0, 22.0)], {}, 0.93),
        ([(30.0, 90.0, 50.0)], {}, 0.96),
        ([(65.0, 20.0, 50.0), (175.0, 170.0, 50.0)], {}, 0.96),
    ],
    ids=[
        "two limbs", "one limb", "air blanked", "noisy", "dark fat", "dark muscle",
        "no muscle signal", "coil shading", "ankle", "cut at the side", "cut front and back",
    ],
)  # fmt: skip
def test_mask_follows_the_skin(
    phantom: Phantom,
    dice: Dice,
    spacing: Spacing,
    limbs: Any,
    look: dict[str, float],
    least: float,
) -> None:
    image, body = phantom(limbs, **look)
    mask = body_mask(image, spacing)
    assert mask.dtype == bool
    assert mask.shape == image.shape
    assert dice(mask, body) > least


@pytest.mark.parametrize("unit", [1e-6, 4000.0])
def test_unit_does_not_matter(phantom: Phantom, spacing: Spacing, unit: float) -> None:
    image, _ = phantom(TWO)
    np.testing.assert_array_equal(
        body_mask(image * np.float32(unit), spacing), body_mask(image, spacing)
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64])
def test_any_real_type_will_do(
    phantom: Phantom, dice: Dice, spacing: Spacing, dtype: type
) -> None:
    image, body = phantom(TWO)
    assert dice(body_mask((image * 1000).astype(dtype), spacing), body) > 0.96


def test_bone_is_filled_in_each_slice(phantom: Phantom, spacing: Spacing) -> None:
    image, body = phantom(ONE)
    core = np.zeros_like(body)
    core[60:100, 40:80] = True
    assert body_mask(image, spacing)[core].all()


def test_air_between_limbs_stays_air(phantom: Phantom, spacing: Spacing) -> None:
    image, _ = phantom(TWO)
    assert not body_mask(image, spacing)[79:81].any()


def test_fold_over_strip_and_specks_are_left_out(phantom: Phantom, spacing: Spacing) -> None:
    image, body = phantom(ONE)
    image[:, -3:] = 1.0
    image[5:9, 5:9, 2] = 1.0
    mask = body_mask(image, spacing)
    assert not mask[:, -3:].any()
    assert not mask[:15, :15].any()
    assert mask[body].mean() > 0.96


def test_ghost_of_bright_fat_is_left_out(phantom: Phantom, dice: Dice, spacing: Spacing) -> None:
    image, body = phantom(TWO, noise=0.005)
    image[100:140, 95:115] += 0.035
    assert dice(body_mask(image, spacing), body) > 0.96


@pytest.mark.parametrize("size", [(160, 120, 1), (161, 119, 3)])
def test_odd_sizes_and_single_slices(
    phantom: Phantom, dice: Dice, spacing: Spacing, size: tuple[int, int, int]
) -> None:
    image, body = phantom(TWO, size=size)
    assert dice(body_mask(image, spacing), body) > 0.96


def test_blank_image_has_no_body(spacing: Spacing) -> None:
    assert not body_mask(np.zeros((40, 40, 3), dtype=np.float32), spacing).any()


def test_tiny_image_does_not_fail(spacing: Spacing) -> None:
    assert body_mask(np.ones((1, 1, 1), dtype=np.float32), spacing).shape == (1, 1, 1)


def test_otsu_puts_its_threshold_in_the_middle_of_the_gap() -> None:
    values = np.concatenate([np.linspace(0, 1, 300), np.linspace(9, 10, 100)])
    assert otsu(values) == pytest.approx(5.0, abs=0.3)
