"""Several segmented stations on one grid: the label image of the whole leg.

Each station is copied voxel by voxel (nearest centre) onto a grid that holds them all. Where
stations overlap, the more probable label wins, background among them with its own probability;
so neither the order of the stations nor the scale of their intensities plays a part. Nothing is
smoothed: outside the overlaps a station's labels are found again as they were.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.imaging.stacks import Grid, Placement, place


@dataclass(frozen=True, eq=False)
class Piece:
    """One segmented station, canonical axes; all arrays have the shape of the grid.

    Attributes
    ----------
    grid : Grid
        Where it lies.
    labels : ndarray of uint8
        Label indices, 0 background.
    confidence : ndarray of uint8
        Probability of that label in steps of 1/255.
    mask : ndarray of bool
        Voxels of the limbs.
    grey : ndarray of uint8
        The image, scaled for this station alone; for pictures only.
    fat_fraction : ndarray of float32 or None
        In [0, 1].
    """

    grid: Grid
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    grey: NDArray[np.uint8]
    fat_fraction: NDArray[np.float32] | None = None


@dataclass(eq=False)
class WholeLeg:
    """The stations that were added so far, on one grid (x, y, z).

    Attributes
    ----------
    grid : Grid
        See :func:`legseg_bids.imaging.stacks.common_grid`.
    labels, confidence, mask, grey : ndarray
        As in :class:`Piece`.
    fat_fraction : ndarray of float32 or None
        NaN where it is not known; None if no station knows it.
    seen : ndarray of bool, shape (nz,)
        Slices that some station shows.
    """

    grid: Grid
    labels: NDArray[np.uint8] = field(init=False)
    confidence: NDArray[np.uint8] = field(init=False)
    mask: NDArray[np.bool_] = field(init=False)
    grey: NDArray[np.uint8] = field(init=False)
    fat_fraction: NDArray[np.float32] | None = field(init=False, default=None)
    seen: NDArray[np.bool_] = field(init=False)
    _depth: NDArray[np.uint16] = field(init=False)

    def __post_init__(self) -> None:
        shape = self.grid.shape
        self.labels = np.zeros(shape, np.uint8)
        self.confidence = np.zeros(shape, np.uint8)
        self.grey = np.zeros(shape, np.uint8)
        self.mask = np.zeros(shape, bool)
        self._depth = np.zeros(shape, np.uint16)
        self.seen = np.zeros(shape[2], bool)

    def add(self, piece: Piece) -> tuple[int, int]:
        """Add a station.

        Labels, mask and coverage do not depend on the order in which stations are added.

        Returns
        -------
        tuple of int
            First and last slice of the grid that the station covers; (0, -1) if none.

        Raises
        ------
        ValueError
            If an array does not have the shape of the station's grid.
        """
        _check(piece)
        placed = place(piece.grid, self.grid)
        self._add_labels(piece, placed)
        self.mask[placed.box] |= placed.take(piece.mask)
        self._add_grey(piece, placed)
        planes = np.flatnonzero(placed.inside.any(axis=(0, 1))) + placed.box[2].start
        self.seen[planes] = True
        return (int(planes[0]), int(planes[-1])) if planes.size else (0, -1)

    def _add_labels(self, piece: Piece, placed: Placement) -> None:
        labels, confidence = placed.take(piece.labels), placed.take(piece.confidence)
        old, known = self.labels[placed.box], self.confidence[placed.box]
        # Of two equally probable labels the higher number wins: a rule that knows no order.
        wins = (confidence > known) | ((confidence == known) & (labels > old))
        np.copyto(old, labels, where=wins)
        np.copyto(known, confidence, where=wins)
        if piece.fat_fraction is None and self.fat_fraction is None:
            return
        if self.fat_fraction is None:
            self.fat_fraction = np.full(self.grid.shape, np.nan, np.float32)
        own: NDArray[Any] = np.full(wins.shape, np.nan, np.float32)
        if piece.fat_fraction is not None:
            own = placed.take(piece.fat_fraction)
        np.copyto(self.fat_fraction[placed.box], own, where=wins)

    def _add_grey(self, piece: Piece, placed: Placement) -> None:
        """Of two stations that show a voxel, the one is shown that it lies deeper in."""
        count = placed.box[2].stop - placed.box[2].start
        steps = np.arange(1, count + 1, dtype=np.uint16)
        depth = np.minimum(steps, steps[::-1])
        old = self._depth[placed.box]
        deeper = placed.inside & (depth > old)
        np.copyto(old, np.broadcast_to(depth, old.shape), where=deeper)
        np.copyto(self.grey[placed.box], placed.take(piece.grey), where=deeper)


def _check(piece: Piece) -> None:
    arrays: list[NDArray[Any]] = [piece.labels, piece.confidence, piece.mask, piece.grey]
    arrays += [] if piece.fat_fraction is None else [piece.fat_fraction]
    for array in arrays:
        if array.shape != piece.grid.shape:
            raise ValueError(
                f"an array of a station has shape {array.shape}; expected that of its grid, "
                f"{piece.grid.shape}"
            )
