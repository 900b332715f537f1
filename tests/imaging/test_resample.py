from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from legseg_bids.imaging.resample import linear_taps, resample_to_shape, resample_to_spacing

sizes = st.integers(1, 12)
shapes = st.tuples(sizes, sizes, sizes)


def random_image(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


@given(shapes, shapes)
def test_a_constant_stays_constant(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    resampled = resample_to_shape(np.full(before, 3.0), after)
    assert resampled.shape == after
    np.testing.assert_allclose(resampled, 3.0, rtol=1e-6)


@given(shapes, shapes)
def test_values_stay_in_range(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    data = random_image(before)
    resampled = resample_to_shape(data, after)
    assert data.min() - 1e-6 <= resampled.min() <= resampled.max() <= data.max() + 1e-6


@given(shapes, st.sampled_from([0, 1]))
def test_the_same_shape_gives_a_copy(shape: tuple[int, ...], order: int) -> None:
    data = random_image(shape)
    resampled = resample_to_shape(data, shape, order)
    np.testing.assert_array_equal(resampled, data)
    assert not np.shares_memory(resampled, data)


@given(shapes, shapes, st.sampled_from([0, 1]))
def test_mirroring_commutes(before: tuple[int, ...], after: tuple[int, ...], order: int) -> None:
    data = random_image(before)
    flipped = resample_to_shape(data[::-1, :, ::-1], after, order)
    if order == 1:
        expected = resample_to_shape(data, after, order)[::-1, :, ::-1]
        np.testing.assert_allclose(flipped, expected, atol=1e-5)
    else:
        assert set(np.unique(flipped)) <= set(np.unique(data))


@pytest.mark.parametrize("shape", [(20, 30, 9), (13, 17, 5), (11, 13, 4)])
def test_agrees_with_scipy_where_nothing_is_filtered(shape: tuple[int, int, int]) -> None:
    data = random_image((11, 13, 5))
    factors = [n / m for n, m in zip(shape, data.shape, strict=True)]
    expected = ndimage.zoom(data, factors, order=1, grid_mode=True, mode="nearest")
    np.testing.assert_allclose(resample_to_shape(data, shape), expected, atol=1e-5)


@pytest.mark.parametrize("size", [25, 40, 50, 75, 90, 100, 130, 250])
def test_a_ramp_keeps_its_place_in_the_world(size: int) -> None:
    centres = (np.arange(100) + 0.5) / 100
    resampled = resample_to_shape(centres.reshape(100, 1, 1), (size, 1, 1)).ravel()
    inner = slice(size // 10 + 1, -(size // 10) - 1)
    np.testing.assert_allclose(
        resampled[inner], ((np.arange(size) + 0.5) / size)[inner], atol=1e-3
    )


def test_fine_stripes_do_not_alias() -> None:
    stripes = (np.arange(300) % 2).astype(np.float32).reshape(300, 1, 1)
    resampled = resample_to_shape(stripes, (140, 1, 1))
    assert np.ptp(resampled[2:-2]) < 0.1


@pytest.mark.parametrize(("size_in", "size_out"), [(320, 213), (512, 253), (10, 7), (7, 31)])
def test_taps_are_weights(size_in: int, size_out: int) -> None:
    indices, weights = linear_taps(size_in, size_out)
    assert indices.shape == weights.shape
    assert indices.min() >= 0
    assert indices.max() < size_in
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, rtol=1e-6)


def test_labels_are_not_mixed_and_keep_their_type() -> None:
    labels = np.array([0, 61, 62, 151], dtype=np.uint8).reshape(4, 1, 1)
    fine = resample_to_shape(labels, (8, 1, 2), order=0)
    assert fine.dtype == np.uint8
    assert fine[:, 0, 1].tolist() == [0, 0, 61, 61, 62, 62, 151, 151]
    np.testing.assert_array_equal(resample_to_shape(fine, (4, 1, 1), order=0), labels)


@given(
    shapes,
    st.tuples(*[st.floats(0.5, 8.0)] * 3),
    st.tuples(*[st.floats(0.5, 8.0)] * 3),
)
def test_field_of_view_is_kept(
    shape: tuple[int, ...],
    spacing: tuple[float, float, float],
    wanted: tuple[float, float, float],
) -> None:
    resampled, exact = resample_to_spacing(np.zeros(shape), spacing, wanted)
    before = np.multiply(shape, spacing)
    np.testing.assert_allclose(np.multiply(resampled.shape, exact), before)
    # Whole voxels only: never more than half a voxel off over the whole axis.
    off = np.abs(np.divide(before, wanted) - resampled.shape)
    assert all((off <= 0.5 + 1e-9) | (np.array(resampled.shape) == 1))


@pytest.mark.parametrize(
    ("shape", "order", "message"),
    [
        ((2, 2, 2), 2, "order is 2"),
        ((2, 2), 1, "cannot resample"),
        ((2, 0, 2), 1, "cannot resample"),
    ],
)
def test_bad_input(shape: tuple[int, ...], order: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resample_to_shape(np.zeros((3, 3, 3)), shape, order)  # type: ignore[arg-type]


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan"))])
def test_bad_spacing(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="three positive numbers"):
        resample_to_spacing(np.zeros((3, 3, 3)), (1, 1, 1), spacing)
