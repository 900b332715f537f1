"""A coarse grid whose voxels are whole blocks of fine ones, for fast work in plane.

Body mask and limb split need no more than about 3 mm; on that grid they cost next to
nothing, and blocks map back without any question of alignment. Slices are never merged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.imaging.resample import resample_to_shape

COARSE_MM = 3.0


def block_size(spacing: tuple[float, float, float]) -> tuple[int, int]:
    """Count the voxels in x and y that make a block of at most about 3 mm.

    Examples
    --------
    >>> block_size((1.5, 0.75, 6.0)), block_size((4.0, 4.0, 6.0))
    ((2, 4), (1, 1))
    """
    bx, by = (max(1, int(1.1 * COARSE_MM / length)) for length in spacing[:2])
    return bx, by


def block_mean(data: NDArray[Any], block: tuple[int, int]) -> NDArray[np.float32]:
    """Average blocks in plane; the last block repeats the edge if it is not full.

    Parameters
    ----------
    data : ndarray, shape (nx, ny, nz)
    block : tuple of int
        Voxels of a block in x and y.

    Returns
    -------
    ndarray of float32, shape (ceil(nx / bx), ceil(ny / by), nz)

    Examples
    --------
    >>> block_mean(np.arange(4.0).reshape(4, 1, 1), (2, 1)).ravel()
    array([0.5, 2.5], dtype=float32)
    """
    (bx, by), (nx, ny, nz) = block, data.shape
    padded = np.pad(data, ((0, -nx % bx), (0, -ny % by), (0, 0)), mode="edge")
    values = padded.astype(np.float32, copy=False)
    # Two sums of contiguous slabs are several times faster than one mean over two axes.
    rows = values.reshape(-1, bx, values.shape[1], nz).sum(axis=1)
    blocks: NDArray[np.float32] = rows.reshape(rows.shape[0], -1, by, nz).sum(axis=2)
    return blocks / np.float32(bx * by)


def spread_blocks(
    data: NDArray[Any], block: tuple[int, int], shape: tuple[int, ...], order: int
) -> NDArray[Any]:
    """Give every fine voxel the value of the coarse grid at its place.

    Parameters
    ----------
    data : ndarray, shape as from `block_mean`
    block : tuple of int
        Voxels of a block in x and y.
    shape : tuple of int
        Fine grid.
    order : {0, 1}
        0 the value of the block, 1 linear between block centres.

    Returns
    -------
    ndarray, fine grid

    Examples
    --------
    >>> spread_blocks(np.array([[[1]], [[2]]]), (2, 1), (3, 1, 1), order=0).ravel()
    array([1, 1, 2])
    """
    nx, ny, nz = data.shape
    fine = resample_to_shape(data, (nx * block[0], ny * block[1], nz), order)
    return np.ascontiguousarray(fine[: shape[0], : shape[1]])
