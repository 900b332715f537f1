from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.errors import ImageError
from legseg_bids.imaging.intensity import NoSignalError, clean, normalise, reference_intensity

SHAPE = (4, 3, 2)


def image(dtype: type = np.float64) -> np.ndarray:
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) + 1).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.uint16, np.float32, np.float64])
def test_a_clean_image_only_changes_its_type(dtype: type) -> None:
    cleaned, warnings = clean(image(dtype))
    assert warnings == ()
    assert cleaned.dtype == np.float32
    np.testing.assert_array_equal(cleaned, image())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.nan, "2 of 24 voxels were not finite"),
        (np.inf, "2 of 24 voxels were not finite"),
        (-np.inf, "2 of 24 voxels were not finite"),
        (1e300, "2 of 24 voxels were not finite"),
        (-3.0, "2 of 24 voxels were negative"),
    ],
)
def test_bad_values_become_zero_and_are_counted(bad: float, message: str) -> None:
    data = image()
    data[0, 0, :] = bad
    before = data.copy()
    cleaned, warnings = clean(data)
    np.testing.assert_array_equal(data, before)
    assert len(warnings) == 1
    assert message in warnings[0]
    assert (cleaned[0, 0] == 0).all()
    np.testing.assert_array_equal(cleaned[1:], before[1:])


def test_a_clean_float32_image_is_copied() -> None:
    data = image(np.float32)
    clean(data)[0][:] = 0
    assert data.min() == 1


def test_complex_values_become_magnitudes() -> None:
    cleaned, warnings = clean(image() * (0.6 + 0.8j))
    np.testing.assert_allclose(cleaned, image(), rtol=1e-6)
    assert warnings == ("complex values became their magnitude",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(SHAPE), "all 24 voxels are 0"),
        (np.full(SHAPE, 7), "all 24 voxels are 7"),
        (np.full(SHAPE, np.nan), "all 24 voxels are 0"),
        (-image(), "all 24 voxels are 0"),
        (np.zeros((0, 3, 2)), "holds no voxel"),
    ],
)
def test_images_without_contrast_are_refused(data: np.ndarray, message: str) -> None:
    with pytest.raises(NoSignalError, match=message):
        clean(data)


def test_the_error_is_both_the_packages_own_and_a_value_error() -> None:
    assert issubclass(NoSignalError, ImageError)
    assert issubclass(NoSignalError, ValueError)


def test_reference_looks_at_positive_values_in_the_mask() -> None:
    data = np.concatenate([np.zeros(500), np.arange(1, 102), np.full(50, 9999.0)])
    mask = np.arange(data.size) < 601
    assert reference_intensity(data, mask) == pytest.approx(99.0)


def test_reference_of_an_empty_mask_is_refused() -> None:
    with pytest.raises(NoSignalError, match="no voxel of the 0"):
        reference_intensity(image(), np.zeros(SHAPE, dtype=bool))


@pytest.mark.parametrize("unit", [1e-8, 1.0, 4095.0, 1e9])
def test_normalised_image_has_no_unit(unit: float) -> None:
    mask = np.ones(SHAPE, dtype=bool)
    mask[0] = False
    expected = normalise(image(np.float32), mask)
    scaled = normalise((image() * unit).astype(np.float32), mask)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, rtol=1e-5)
    assert (scaled[0] == 0).all()
    assert 0.9 < scaled.max() < 1.1


def test_bright_spots_are_clipped() -> None:
    data = image(np.float32)
    data = np.tile(data, (4, 4, 4))
    data[0, 0, 0] = 1e6
    scaled = normalise(data, np.ones(data.shape, dtype=bool))
    assert scaled[0, 0, 0] == 2.0
