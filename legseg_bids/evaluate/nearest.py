"""How far the elements of one surface are from another surface.

Two drawings of one structure coincide or pass each other by a voxel or two nearly everywhere.
So every element looks around itself, at the nearest places first, until it meets the other
surface; the few that have met nothing within some voxels ask a tree. Both are exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Triple = tuple[int, int, int]
Spacing3 = tuple[float, float, float]

#: Voxels that are looked at in each direction, and places in all, before the tree is asked.
REACH = 4
PLACES = 140
#: Elements in a leaf of the tree: more than usual, since few questions are asked of it.
LEAF = 32


@dataclass(frozen=True)
class Grid:
    """A box of voxels with a margin; its places are numbered in C order.

    Attributes
    ----------
    shape : tuple of int
        With the margin; the first axis is that of the slices.
    spacing : tuple of float
        Along the same axes, mm.
    in_plane : bool
        Whether distances are taken within each slice only.
    """

    shape: Triple
    spacing: Spacing3
    in_plane: bool

    @property
    def strides(self) -> Triple:
        """Places from one voxel to the next along each axis."""
        _, ny, nx = self.shape
        return ny * nx, nx, 1

    def slice_of(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Row of a histogram for each place: its slice, or 0 if slices do not count."""
        return places // self.strides[0] if self.in_plane else np.zeros_like(places)

    @property
    def rows(self) -> int:
        """Rows of a histogram."""
        return self.shape[0] if self.in_plane else 1

    def positions(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Where places lie, mm, (n, 3); in-plane, slices lie too far apart to be neighbours."""
        spacing: NDArray[np.float64] = np.array(self.spacing)
        if self.in_plane:
            spacing[0] = 1.0 + np.hypot(*(spacing * self.shape)[1:])
        return np.multiply(np.stack(np.unravel_index(places, self.shape), axis=1), spacing)


@dataclass(frozen=True)
class Elements:
    """Elements of one surface on a grid.

    Attributes
    ----------
    present : ndarray of bool, shape (places,)
        Where there is one.
    places : ndarray of int, shape (n,)
    weights : ndarray of float, shape (n,)
        Area, length, or 1.
    """

    present: NDArray[np.bool_]
    places: NDArray[np.intp]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class Distances:
    """How much of a surface is how far from the other one.

    Attributes
    ----------
    values : ndarray, shape (n,)
        mm, rising.
    weights : ndarray, shape (rows, n)
        Of the elements at that distance; rows are slices, or there is one.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]


@lru_cache(maxsize=64)
def neighbourhood(
    spacing: Spacing3, in_plane: bool
) -> tuple[tuple[float, tuple[Triple, ...]], ...]:
    """Places around a voxel, the nearest first, in groups of one distance.

    Parameters
    ----------
    spacing : tuple of float
        mm.
    in_plane : bool
        Whether to stay in the slice (the first axis).

    Returns
    -------
    tuple of (float, tuple of offset)
        Complete up to the last distance: no place that is nearer is missing.

    Examples
    --------
    >>> [(d, len(places)) for d, places in neighbourhood((6.0, 1.0, 1.0), True)[:3]]
    [(0.0, 1), (1.0, 4), (1.4142135623730951, 4)]
    """
    deep = range(1) if in_plane else range(-REACH, REACH + 1)
    across = range(-REACH, REACH + 1)
    sizes = spacing[1:] if in_plane else spacing
    beyond = (REACH + 1) * min(sizes)
    groups: dict[float, list[Triple]] = {}
    for offset in itertools.product(deep, across, across):
        distance = math.hypot(*(n * mm for n, mm in zip(offset, spacing, strict=True)))
        if distance < beyond:
            groups.setdefault(distance, []).append(offset)
    return tuple(_nearest(groups))


def _nearest(groups: dict[float, list[Triple]]) -> Iterator[tuple[float, tuple[Triple, ...]]]:
    places = 0
    for distance in sorted(groups):
        yield distance, tuple(groups[distance])
        places += len(groups[distance])
        if places >= PLACES:
            return


def margins(spacing: Spacing3, in_plane: bool) -> Triple:
    """Width of the margin along each axis, so that nobody looks out of the box.

    One more than the reach, since pieces of surface lie between a voxel and the one before.
    """
    offsets = [o for _, group in neighbourhood(spacing, in_plane) for o in group]
    deep, high, wide = (1 + max(abs(o[axis]) for o in offsets) for axis in range(3))
    return (0 if in_plane else deep, high, wide)


def distances(elements: Elements, others: Elements, grid: Grid) -> Distances:
    """From each element of a surface to the nearest element of another.

    Parameters
    ----------
    elements, others : Elements
        Those of ``elements`` lie in rows (slices) in which there are ``others``.
    grid : Grid

    Returns
    -------
    Distances
    """
    values: list[float] = []
    sums: list[NDArray[np.float64]] = []
    places, weights = elements.places, elements.weights
    for distance, offsets in neighbourhood(grid.spacing, grid.in_plane):
        if not places.size:
            break
        met = _met(places, offsets, others.present, grid.strides)
        if met.any():
            values.append(distance)
            sums.append(_by_row(grid.slice_of(places[met]), weights[met], grid.rows))
            places, weights = places[~met], weights[~met]
    near = np.array(values), np.array(sums).reshape(-1, grid.rows).T
    far = _far(places, weights, others, grid)
    return Distances(np.concatenate([near[0], far[0]]), np.concatenate([near[1], far[1]], axis=1))


def _met(
    places: NDArray[np.intp],
    offsets: tuple[Triple, ...],
    present: NDArray[np.bool_],
    strides: Triple,
) -> NDArray[np.bool_]:
    """Which of the places see a surface at one of the offsets."""
    out = np.zeros(places.size, bool)
    for offset in offsets:
        out |= present[places + sum(n * s for n, s in zip(offset, strides, strict=True))]
    return out


def _far(
    places: NDArray[np.intp], weights: NDArray[np.float64], others: Elements, grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances, rising, and weights by row and distance, of what a tree has to tell."""
    if not places.size:
        return np.empty(0), np.empty((grid.rows, 0))
    from scipy.spatial import KDTree

    tree = KDTree(grid.positions(others.places), leafsize=LEAF, balanced_tree=False)
    away, _ = tree.query(grid.positions(places))
    values, order = np.unique(away, return_inverse=True)
    cells = grid.slice_of(places) * values.size + order
    sums = _by_row(cells, weights, grid.rows * values.size)
    return values, sums.reshape(grid.rows, values.size)


def _by_row(
    rows: NDArray[np.intp], weights: NDArray[np.float64], number: int
) -> NDArray[np.float64]:
    """Sums of weights by row."""
    return np.bincount(rows, weights, number).astype(np.float64, copy=False)
