"""What the slice classifier gets to see of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.errors import ImageError
from legseg_bids.segment.boxes import occupied, span


def locator_input(
    data: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    size: int = 128,
    pixel_mm: float = 4.0,
) -> NDArray[np.float32]:
    """Every slice as a small square picture in one common frame.

    The frame is centred on the bounding box of the body over all slices, so that all
    slices are shifted alike. Pixels are averages over their area; outside the image they
    are zero.

    Parameters
    ----------
    data : ndarray, shape (nx, ny, nz)
        Normalised image, canonical axes.
    mask : ndarray of bool, shape (nx, ny, nz)
        Body mask.
    spacing : tuple of float
        Voxel size along (x, y, z), mm.
    size : int
        Side of the picture, pixels.
    pixel_mm : float
        Size of a pixel, mm.

    Returns
    -------
    ndarray of float32, shape (nz, 1, size, size)
        Axes (z, channel, y, x).

    Raises
    ------
    ImageError
        If the mask is empty.

    Examples
    --------
    >>> image = np.ones((8, 8, 3), np.float32)
    >>> locator_input(image, image > 0, (4.0, 4.0, 6.0), size=16)[:, 0].sum(axis=(1, 2))
    array([64., 64., 64.], dtype=float32)
    """
    along_x, along_y, _ = occupied(mask)
    if not along_x.any():
        raise ImageError(
            f"no body found in an image of {mask.shape} voxels; expected one or two legs; "
            f"look at the image"
        )
    to_x = _area_weights(along_x, spacing[0], size, pixel_mm)
    to_y = _area_weights(along_y, spacing[1], size, pixel_mm)
    # The longer sum first: (x, y, z) -> (size, y, z) -> (z, size_y, size_x).
    narrow = np.tensordot(to_x, data.astype(np.float32, copy=False), axes=(1, 0))
    small = np.tensordot(narrow, to_y, axes=(1, 1))
    return np.ascontiguousarray(small.transpose(1, 2, 0))[:, None]


def _area_weights(
    line: NDArray[np.bool_], spacing: float, size: int, pixel_mm: float
) -> NDArray[np.float32]:
    """Share of each output pixel (row) that each input voxel (column) covers."""
    extent = span(line)
    centre = (extent.start + extent.stop) / 2 * spacing
    voxel = np.arange(len(line)) * spacing - centre
    pixel = ((np.arange(size) - size / 2) * pixel_mm)[:, None]
    overlap = np.minimum(voxel + spacing, pixel + pixel_mm) - np.maximum(voxel, pixel)
    weights: NDArray[np.float32] = (np.clip(overlap, 0, None) / pixel_mm).astype(np.float32)
    return weights
