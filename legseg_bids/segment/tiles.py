"""Patches of one fixed size, for networks that take no other.

Such a network was trained on patches of this size, or holds it in its graph. Patches overlap by
half and count most in their middle, as nnU-Net lays them (Isensee et al., Nature Methods 18:203,
2021): what a network says at the border of a patch, where it sees the least, hardly counts.
"""

from __future__ import annotations

from itertools import product
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from legseg_bids.segment.patches import Patch, Triple, require_memory

SHIFT = 0.5
"""Distance of neighbouring patches, as a share of their length."""
WIDTH = 0.125
"""Standard deviation of a patch's weights, as a share of its length."""


def fixed_patches(
    shape: Triple,
    patch: Triple,
    memory_bytes: int | None = None,
    bytes_per_voxel: float = 0.0,
    reserved: int = 0,
) -> tuple[Patch, ...]:
    """Patches of exactly one size that cover an image.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the padded image along z, y, x; nowhere less than `patch`.
    patch : tuple of int
        Voxels of every patch along z, y, x.
    memory_bytes : int or None
        Ceiling for the process, if there is one.
    bytes_per_voxel : float
        Peak memory of the network per voxel of a patch.
    reserved : int
        What the process needs besides the network, bytes.

    Returns
    -------
    tuple of Patch
        Their weights sum to one in every voxel.

    Raises
    ------
    UsageError
        If a patch does not fit into the memory.
    ValueError
        If the image is smaller than a patch.

    Examples
    --------
    >>> [patch.tile[2].start for patch in fixed_patches((8, 8, 20), (8, 8, 8))]
    [0, 4, 8, 12]
    """
    if any(n < p for n, p in zip(shape, patch, strict=True)):
        raise ValueError(f"image shape {shape} is smaller than the network's patch {patch}")
    require_memory(memory_bytes, reserved + prod(patch) * bytes_per_voxel)
    sides = [_pieces(n, p) for n, p in zip(shape, patch, strict=True)]
    return tuple(
        Patch(tile=(z[0], y[0], x[0]), ramps=(z[1], y[1], x[1])) for z, y, x in product(*sides)
    )


def _pieces(length: int, size: int) -> list[tuple[slice, NDArray[np.float32]]]:
    """Tiles of one axis, evenly spread, with weights that sum to one."""
    count = 1 + ceil((length - size) / max(1, int(size * SHIFT)))
    starts = np.round(np.linspace(0, length - size, count)).astype(int)
    centred = (np.arange(size) - (size - 1) / 2) / (WIDTH * size)
    weight = np.maximum(np.exp(-0.5 * centred**2), 1e-3)
    total = np.zeros(length)
    for start in starts:
        total[start : start + size] += weight
    return [
        (slice(int(s), int(s) + size), (weight / total[s : s + size]).astype(np.float32))
        for s in starts
    ]
