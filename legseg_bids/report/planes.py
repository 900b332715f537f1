"""Which planes of a label image are worth showing: those that together show every structure.

A fixed number of evenly spread slices misses short muscles (popliteus) and shows long ones at
their thin ends. So planes are chosen by what they add: each next one is the plane that brings
the largest gain in how well the structures are shown; when all are shown well enough, the rest
of the planes fill the widest gaps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WELL_SHOWN = 0.6
"""Share of its largest area at which a structure counts as well shown."""
LEAST_GAIN = 0.3
"""Below this, in structures, a plane adds little, and the widest gap is filled instead. Half of
what a structure adds that is not shown at all: so each is shown, if the planes suffice."""


def choose_planes(labels: NDArray[np.integer[Any]], axis: int, count: int) -> tuple[int, ...]:
    """Planes across an axis that show all structures, highest first.

    Parameters
    ----------
    labels : (x, y, z) array of int
        Label image, canonical axes; 0 is background.
    axis : int
        Which axis the planes are counted along.
    count : int
        How many planes, if there are as many with labels.

    Returns
    -------
    tuple of int
        Falling; planes without a label are never among them. Without any label, planes evenly
        spread over the axis.

    Examples
    --------
    A structure in one plane alone is shown:

    >>> labels = np.zeros((2, 2, 40), np.uint8)
    >>> labels[0, :, :], labels[1, 0, 33] = 1, 2
    >>> choose_planes(labels, axis=2, count=3)
    (33, 16, 0)
    """
    areas = plane_areas(labels, axis)
    occupied = np.flatnonzero(areas.any(axis=0))
    if not occupied.size:
        return _evenly(labels.shape[axis], count)
    shares = areas / areas.max(axis=1, keepdims=True)
    chosen = _covering(shares, min(count, occupied.size))
    _fill_gaps(chosen, occupied, count)
    return tuple(sorted(chosen, reverse=True))


def plane_areas(labels: NDArray[np.integer[Any]], axis: int) -> NDArray[np.int64]:
    """Voxels of each structure that occurs (rows, by rising value) in each plane (columns).

    Examples
    --------
    >>> plane_areas(np.array([[[0, 7], [5, 5]]]), axis=2)
    array([[1, 1],
           [0, 1]])
    """
    planes = [labels.take(number, axis) for number in range(labels.shape[axis])]
    highest = int(labels.max(initial=0)) + 1
    counts = np.stack([np.bincount(plane.ravel(), minlength=highest) for plane in planes], axis=1)
    counts[0] = 0
    present: NDArray[np.int64] = counts[counts.any(axis=1)]
    return present


def best_planes(labels: NDArray[np.integer[Any]], axis: int) -> dict[int, int]:
    """For each structure the plane in which it is largest.

    Examples
    --------
    >>> best_planes(np.array([[[0, 7], [5, 5]]]), axis=2)
    {5: 0, 7: 1}
    """
    values = np.unique(labels[labels > 0])
    best = plane_areas(labels, axis).argmax(axis=1)
    return {int(value): int(plane) for value, plane in zip(values, best, strict=True)}


def _covering(shares: NDArray[np.float64], count: int) -> list[int]:
    """Planes by falling gain, as long as they add something."""
    shown = np.zeros(shares.shape[0])
    capped = np.minimum(shares, WELL_SHOWN)
    chosen: list[int] = []
    while len(chosen) < count:
        gains = np.maximum(capped - shown[:, None], 0).sum(axis=0)
        best = _middle_of_best(gains)
        if gains[best] < LEAST_GAIN:
            break
        chosen.append(best)
        shown = np.maximum(shown, capped[:, best])
    return chosen


def _middle_of_best(gains: NDArray[Any]) -> int:
    """Of equally good planes the one in the middle."""
    best = np.flatnonzero(gains >= gains.max() - 1e-9)
    return int(best[(best.size - 1) // 2])


def _fill_gaps(chosen: list[int], occupied: NDArray[np.intp], count: int) -> None:
    """Add the plane that is farthest from all others, until there are enough."""
    while len(chosen) < min(count, occupied.size):
        distances = np.abs(occupied[:, None] - np.array(chosen)[None]).min(axis=1)
        chosen.append(int(occupied[_middle_of_best(distances)]))


def _evenly(size: int, count: int) -> tuple[int, ...]:
    edges = np.linspace(0, size, min(count, size) + 1)
    return tuple(int(z) for z in ((edges[:-1] + edges[1:]) / 2).astype(int)[::-1])
