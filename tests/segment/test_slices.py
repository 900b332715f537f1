"""What the classifier sees: scale, centre, area averages."""

from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.errors import ImageError
from legseg_bids.segment.slices import locator_input


def test_axes_and_centre() -> None:
    """A block at high x, low y of a wide image lands in the middle of every picture."""
    data = np.zeros((40, 30, 3), np.float32)
    data[30:36, 2:12, 1] = 1.0
    pictures = locator_input(data, data > 0, (4.0, 4.0, 6.0), size=16)
    assert pictures.shape == (3, 1, 16, 16)
    expected = np.zeros((16, 16), np.float32)
    expected[3:13, 5:11] = 1.0  # rows are y, columns are x
    np.testing.assert_allclose(pictures[1, 0], expected)
    assert not pictures[[0, 2]].any()


def test_slices_share_one_frame() -> None:
    data = np.zeros((40, 20, 2), np.float32)
    data[0:10, 5:10, 0] = 1.0
    data[30:40, 5:10, 1] = 1.0
    pictures = locator_input(data, data > 0, (2.0, 2.0, 6.0), size=32)
    columns = [np.flatnonzero(picture[0].any(axis=0)) for picture in pictures]
    assert columns[0].max() < 16 <= columns[1].min()
    assert columns[0].min() == 31 - columns[1].max()


@pytest.mark.parametrize("spacing", [(0.7, 0.9, 5.0), (1.5, 1.5, 6.0), (3.0, 5.5, 24.0)])
def test_sum_is_kept(spacing: tuple[float, float, float]) -> None:
    """Area averages: signal times area is the same before and after."""
    random = np.random.default_rng(0)
    data = random.random((60, 40, 2)).astype(np.float32)
    pictures = locator_input(data, np.ones(data.shape, bool), spacing)
    before = data.sum(axis=(0, 1)) * spacing[0] * spacing[1]
    np.testing.assert_allclose(pictures.sum(axis=(1, 2, 3)) * 16.0, before, rtol=1e-4)


def test_resolution_does_not_matter() -> None:
    fine = np.zeros((64, 64, 1), np.float32)
    fine[8:40, 16:48] = 1.0
    coarse = fine.reshape(32, 2, 32, 2, 1).mean(axis=(1, 3))
    one = locator_input(fine, fine > 0, (2.0, 2.0, 6.0), size=32)
    two = locator_input(coarse, coarse > 0, (4.0, 4.0, 6.0), size=32)
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_large_body_is_cropped() -> None:
    data = np.ones((200, 20, 1), np.float32)
    pictures = locator_input(data, data > 0, (4.0, 4.0, 6.0), size=16)
    np.testing.assert_allclose(pictures, 1.0)


def test_empty_mask() -> None:
    data = np.ones((8, 8, 2), np.float32)
    with pytest.raises(ImageError, match="no body found"):
        locator_input(data, np.zeros(data.shape, bool), (1.0, 1.0, 1.0))
