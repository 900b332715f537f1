"""Separable linear resampling that keeps the field of view.

Voxels are little boxes: the outer faces of the first and last voxel stay where they are,
so that voxel centres map as ``x_in = (x_out + 1/2) n_in / n_out - 1/2`` (the convention
of scipy's ``grid_mode=True`` and of torch's ``align_corners=False``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMOOTH_ABOVE = 1.3
"""Reduction factor from which an axis is low-pass filtered before it is sampled."""


def resample_to_spacing(
    data: NDArray[Any],
    spacing_in: tuple[float, float, float],
    spacing_out: tuple[float, float, float],
    order: int = 1,
) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """Resample to the whole number of voxels that comes nearest to a spacing.

    Parameters
    ----------
    data : ndarray, three axes
        Any axis order; the spacings are in the same order.
    spacing_in, spacing_out : tuple of float
        Present and wanted distance of the voxels, mm.
    order : {0, 1}
        0 nearest neighbour (labels), 1 linear (images).

    Returns
    -------
    resampled : ndarray
        float32 for order 1, the type of the input for order 0.
    spacing : tuple of float
        The spacing reached: the field of view is kept exactly, so that it may differ
        from the wanted one by up to half an output voxel over the whole axis.

    Raises
    ------
    ValueError
        If a spacing is not positive, or the order is not 0 or 1.

    Examples
    --------
    >>> image, spacing = resample_to_spacing(np.ones((10, 10, 4)), (1, 1, 6), (1.5, 1.5, 6))
    >>> image.shape, [round(s, 3) for s in spacing]
    ((7, 7, 4), [1.429, 1.429, 6.0])
    """
    for spacing in (spacing_in, spacing_out):
        if not all(length > 0 for length in spacing):
            raise ValueError(f"spacing is {spacing}; expected three positive numbers, mm")
    extent = [n * length for n, length in zip(data.shape, spacing_in, strict=True)]
    nx, ny, nz = (
        max(1, round(mm / length)) for mm, length in zip(extent, spacing_out, strict=True)
    )
    exact = (extent[0] / nx, extent[1] / ny, extent[2] / nz)
    return resample_to_shape(data, (nx, ny, nz), order), exact


def resample_to_shape(
    data: NDArray[Any], shape: tuple[int, int, int], order: int = 1
) -> NDArray[Any]:
    """Resample to a number of voxels, the field of view staying the same.

    Linear interpolation; axes that shrink by more than 1.3 are filtered by a triangle
    as wide as two output voxels, which averages what one output voxel covers.

    Parameters
    ----------
    data : ndarray, three axes
        Image or labels.
    shape : tuple of int
        Wanted number of voxels along each axis.
    order : {0, 1}
        0 nearest neighbour (labels), 1 linear (images).

    Returns
    -------
    ndarray
        float32 for order 1, the type of the input for order 0.

    Raises
    ------
    ValueError
        If the order is not 0 or 1, or if the shape is not three positive numbers.

    Examples
    --------
    >>> resample_to_shape(np.array([0.0, 2.0]).reshape(2, 1, 1), (4, 1, 1)).ravel()
    array([0. , 0.5, 1.5, 2. ], dtype=float32)
    """
    if order not in (0, 1):
        raise ValueError(f"order is {order}; expected 0 (labels) or 1 (images)")
    if data.ndim != 3 or len(shape) != 3 or min(*shape, *data.shape) < 1:
        raise ValueError(f"cannot resample shape {data.shape} to {shape}; expected (x, y, z)")
    if order == 0:
        return _nearest(data, shape)
    result = data.astype(np.float32, copy=False)
    # Shrinking axes first: the others then have less to do.
    for axis in sorted(range(3), key=lambda axis: shape[axis] / data.shape[axis]):
        if shape[axis] != data.shape[axis]:
            result = _linear_along(result, axis, shape[axis])
    return result.copy() if result is data else result


def _nearest(data: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    pairs = zip(data.shape, shape, strict=True)
    indices = [np.floor(_source_positions(n, m) + 0.5).astype(np.intp) for n, m in pairs]
    return np.ascontiguousarray(data[np.ix_(*indices)])


def _linear_along(data: NDArray[np.float32], axis: int, size: int) -> NDArray[np.float32]:
    """Weighted sum of a few shifted gathers along one axis."""
    indices, weights = linear_taps(data.shape[axis], size)
    column = [1, 1, 1]
    column[axis] = size
    result: NDArray[np.float32] = np.take(data, indices[0], axis=axis)
    result *= weights[0].reshape(column)
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        part = np.take(data, index, axis=axis)
        part *= weight.reshape(column)
        result += part
    return result


def linear_taps(size_in: int, size_out: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Which input samples make each output sample, and by how much.

    Parameters
    ----------
    size_in, size_out : int
        Number of samples along the axis.

    Returns
    -------
    indices : ndarray of int, shape (taps, size_out)
        Beyond the ends the outermost sample is repeated.
    weights : ndarray of float32, shape (taps, size_out)
        Sum to one for each output sample.

    Examples
    --------
    >>> linear_taps(4, 2)[1].sum(axis=0)
    array([1., 1.], dtype=float32)
    """
    ratio = size_in / size_out
    half_width = ratio if ratio > SMOOTH_ABOVE else 1.0
    centre = _source_positions(size_in, size_out)
    first = np.floor(centre - half_width).astype(np.intp) + 1
    taps = np.arange(int(np.ceil(2 * half_width)) + (half_width > 1.0))[:, None]
    samples = first[None] + taps
    weights = np.clip(1.0 - np.abs(samples - centre) / half_width, 0.0, None)
    weights /= weights.sum(axis=0)
    return np.clip(samples, 0, size_in - 1), weights.astype(np.float32)


def _source_positions(size_in: int, size_out: int) -> NDArray[np.float64]:
    """Position of each output voxel centre, in input voxels."""
    return (np.arange(size_out, dtype=np.float64) + 0.5) * (size_in / size_out) - 0.5
