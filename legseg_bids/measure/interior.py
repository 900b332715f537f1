"""The inside of each label: what is left where partial volume with a neighbour is shaved off.

A voxel at the edge of a muscle holds some of what lies beside it, and that is often fat. Such
voxels count for the volume, but not for the fat fraction. Edges are taken off within the slice
only: slices lie so far apart that another slice of a thin muscle would leave nothing of it.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

EROSION_MM = 2.0
"""Voxels whose centre is at most this far from that of a voxel with another label are left out.

At least the four neighbours in the slice are looked at, whatever their distance.
"""


def interior(
    labels: NDArray[np.integer[Any]], pixel: NDArray[np.float64], reach: float = EROSION_MM
) -> NDArray[np.bool_]:
    """Find the voxels that have no other label near them in their slice.

    All labels are eroded at once: a voxel stays if every voxel within reach has its label.
    What lies beyond the border of the image counts as another label.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Label image; background has no inside.
    pixel : ndarray, shape (2, 3)
        Edges of a voxel along x and y, mm (:attr:`legseg_bids.measure.scene.Scene.pixel`).
    reach : float
        mm.

    Returns
    -------
    ndarray of bool, same shape

    Examples
    --------
    >>> labels = np.zeros((5, 5, 1), np.uint8)
    >>> labels[:, 1:4] = 61
    >>> interior(labels, np.eye(3)[:2], 1.0)[..., 0].astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 0, 1, 0, 0],
           [0, 0, 1, 0, 0],
           [0, 0, 1, 0, 0],
           [0, 0, 0, 0, 0]])
    """
    inside: NDArray[np.bool_] = np.asarray(labels > 0)
    for step in _steps(pixel, reach):
        here, there = _shifted(step)
        same = labels[here] == labels[there]
        inside[here] &= same
        inside[there] &= same
        for border in _borders(step):
            inside[border] = False
    return inside


def _steps(pixel: NDArray[np.float64], reach: float) -> list[tuple[int, int]]:
    """Half of all steps to voxels within reach: the other half are the same backwards."""
    lengths = np.linalg.norm(pixel, axis=1)
    reach = max(reach, float(lengths.max())) * (1 + 1e-6)
    # Of a sheared pixel the heights count: they are shorter than its edges.
    area = float(np.linalg.norm(np.cross(*pixel)))
    far_x, far_y = (int(reach * length / area) for length in lengths[::-1])
    steps = product(range(far_x + 1), range(-far_y, far_y + 1))
    return [
        (i, j)
        for i, j in steps
        if (i, j) > (0, 0) and float(np.linalg.norm(i * pixel[0] + j * pixel[1])) <= reach
    ]


def _shifted(step: tuple[int, int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of an image that has a neighbour at this step, and the neighbours."""
    here = tuple(slice(max(-n, 0), -n if n > 0 else None) for n in step)
    there = tuple(slice(max(n, 0), n if n < 0 else None) for n in step)
    return here, there


def _borders(step: tuple[int, int]) -> list[tuple[slice, ...]]:
    """The parts of an image that have no neighbour at this step, or at the same backwards."""
    found: list[tuple[slice, ...]] = []
    for axis, far in enumerate(map(abs, step)):
        if far:
            before = (slice(None),) * axis
            found += [(*before, slice(None, far)), (*before, slice(-far, None))]
    return found
