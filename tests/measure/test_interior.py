from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from legseg_bids.measure.interior import interior

LABELS = arrays(np.uint8, (7, 6, 2), elements=st.integers(0, 2))


def pixel(dx: float, dy: float) -> np.ndarray:
    return np.array([[dx, 0.0, 0.0], [0.0, dy, 0.0]])


@given(LABELS, st.sampled_from([(1.0, 1.0), (0.7, 1.5), (3.0, 3.0)]), st.sampled_from([0.5, 2.0]))
def test_it_is_the_erosion_of_each_label_by_a_disc(
    labels: np.ndarray, size: tuple[float, float], reach: float
) -> None:
    reach = max(reach, *size)
    x, y = np.ogrid[-7:8, -7:8]
    disc = (np.hypot(x * size[0], y * size[1]) <= reach * (1 + 1e-6))[:, :, None]
    expected = np.zeros(labels.shape, bool)
    for label in (1, 2):
        expected |= ndimage.binary_erosion(labels == label, disc)
    np.testing.assert_array_equal(interior(labels, pixel(*size), reach), expected)


def test_slices_do_not_erode_each_other() -> None:
    labels = np.zeros((9, 9, 3), np.uint8)
    labels[2:7, 2:7, 1] = 5
    assert interior(labels, pixel(1.5, 1.5))[:, :, 1].sum() == 9


@pytest.mark.parametrize(("size", "left"), [(1.5, 9), (1.0, 1), (3.0, 9), (2.5, 9)])
def test_two_millimetres_or_one_pixel_are_taken_off(size: float, left: int) -> None:
    labels = np.zeros((9, 9, 1), np.uint8)
    labels[2:7, 2:7] = 5
    assert interior(labels, pixel(size, size)).sum() == left


def test_the_steps_of_a_sheared_pixel_are_measured_as_they_are() -> None:
    """Along one diagonal the neighbours are nearer than along the edges."""
    labels = np.ones((9, 9, 1), np.uint8)
    labels[4, 4] = 2
    sheared = np.array([[1.5, 0.0, 0.0], [-1.2, 0.6, 0.0]])
    left = interior(labels, sheared, 1.0)
    assert not left[3, 3, 0]
    assert not left[5, 5, 0]
    assert left[3, 5, 0]
