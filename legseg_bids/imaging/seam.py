"""The path from front to back of a slice that crosses the least tissue."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

DISTANCE_COST = 0.1
"""Cost of a row for each pixel of distance from the expected middle; tissue costs its length."""
STEPS = (-1, 1, -2, 2)
"""Pixels that the seam may move sideways from one row to the next, besides none."""


def cheapest_seam(mask: NDArray[np.bool_], middle: float) -> NDArray[np.intp]:
    """Cut a slice in two along the narrowest bridge (dynamic programming, as in seam carving).

    Parameters
    ----------
    mask : ndarray of bool, shape (x, y)
        Tissue.
    middle : float
        Column around which the seam is expected.

    Returns
    -------
    ndarray of int, shape (y,)
        Column of the seam in each row; the pixel itself belongs to the low side.

    Examples
    --------
    >>> two = np.ones((5, 3), bool)
    >>> two[2] = False
    >>> cheapest_seam(two, middle=2.0)
    array([2, 2, 2])
    """
    nx, ny = mask.shape
    tissue = mask.astype(np.float64)
    distance = DISTANCE_COST * np.abs(np.arange(nx) - middle)
    total = tissue[:, 0] + distance
    came_from = np.zeros((ny, nx), dtype=np.intp)
    for row in range(1, ny):
        total, came_from[row] = _step(total, tissue[:, row])
        total += distance
    seam = np.empty(ny, dtype=np.intp)
    seam[-1] = np.argmin(total)
    for row in range(ny - 1, 0, -1):
        seam[row - 1] = came_from[row, seam[row]]
    return seam


def _step(
    total: NDArray[np.float64], tissue: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Cheapest way to each column from the row before, and where it came from."""
    size = total.size
    best = total + tissue
    came_from = np.arange(size)
    columns = np.arange(size)
    for shift in STEPS:
        to, origin = slice(max(0, -shift), size - max(0, shift)), slice(max(0, shift), size)
        # A slanted step through tissue is longer than a straight one.
        way = total[origin][: to.stop - to.start] + math.hypot(1.0, shift) * tissue[to]
        better = way < best[to]
        best[to][better] = way[better]
        came_from[to][better] = columns[to][better] + shift
    return best, came_from
