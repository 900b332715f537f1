"""Remove what cannot be anatomy from a label image: stray islands and pinholes.

The rule for pieces of one label
    Slices lie far apart, and an oblique muscle may shift by more than its width from one
    to the next. Two pieces in neighbouring slices therefore count as connected if they are
    less than a slice distance apart in plane (12 mm at most). Of the connected pieces the
    largest is kept, and any that has at least 20 % of its voxels **and** shares no slice
    with it: a muscle that leaves the field of view and comes back is truly in two pieces,
    one above the other. Pieces beside each other are not, unless the structure has no side
    (the sacrum): each limb's network finds its half, and there may be a gap between the two.

    What is kept is then looked at slice by slice: a piece of less than 30 mm² and less
    than a tenth of the label's largest piece in that slice is removed.

Subcutaneous fat (151) is a thin sheet that may well be interrupted. Of it, pieces are removed that
do not reach the outside of the body in their slice: they are fat within or between muscles.

Background of less than 15 mm² in a slice that is enclosed by a single label becomes that
label; so does what was removed, if the hole that it leaves is at most 500 mm².
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.anatomy.labels import NOT_APPLICABLE, load_labels
from legseg_bids.segment.boxes import Box, bounding_box

FAT = 151
REACH_MM = 12.0
"""Largest gap in plane that is bridged from slice to slice."""
SECOND_PIECE = 0.2
"""Least size of a further piece, relative to the largest."""
ISLAND_MM2 = 30.0
ISLAND_SHARE = 0.1
PINHOLE_MM2 = 15.0
REMOVED_MM2 = 500.0

IN_PLANE_8 = np.zeros((3, 3, 3), bool)
IN_PLANE_8[:, :, 1] = True
IN_PLANE_4 = np.zeros((3, 3, 3), bool)
IN_PLANE_4[:, 1, 1] = IN_PLANE_4[1, :, 1] = True
PLANE_8_AND_UP = IN_PLANE_8.copy()
PLANE_8_AND_UP[1, 1, :] = True


def clean_labels(
    labels: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Keep of every label what is one structure, and fill pinholes.

    The rules stand at the head of this module. Nothing is added outside the labels'
    own outline.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nx, ny, nz)
        Canonical axes; not changed.
    spacing : tuple of float
        Voxel size along (x, y, z), mm.

    Returns
    -------
    ndarray of uint8, same shape
    """
    box = bounding_box(labels > 0)
    cleaned = labels.copy()
    inner = np.asfortranarray(labels[box])  # whole slices lie together
    if inner.size:
        kept = inner.copy(order="F")
        for label, where in _boxes(inner):
            crop = kept[where]
            if label == FAT:
                crop[_inner_fat(inner)[where]] = 0
            else:
                crop[_stray(inner[where] == label, spacing, label in _without_side())] = 0
        _fill(kept, (kept == 0) & (inner > 0), spacing[0] * spacing[1])
        cleaned[box] = kept
    return cleaned


def _boxes(labels: NDArray[np.uint8]) -> Iterator[tuple[int, Box]]:
    """Bounding box of each label that is there."""
    for index, where in enumerate(ndimage.find_objects(labels), start=1):
        if where is not None:
            x, y, z = where
            yield index, (x, y, z)


@cache
def _without_side() -> frozenset[int]:
    return frozenset(one.index for one in load_labels() if one.side == NOT_APPLICABLE)


def _stray(
    mask: NDArray[np.bool_], spacing: tuple[float, float, float], halves: bool
) -> NDArray[np.bool_]:
    """Voxels of one label that are not part of it; `halves` may lie beside each other."""
    pieces, _ = ndimage.label(_widened(mask, spacing), PLANE_8_AND_UP)
    kept = mask & _large_pieces(np.where(mask, pieces, 0), halves)[pieces]
    return np.asarray((mask & ~kept) | _islands(kept, spacing[0] * spacing[1]))


def _inner_fat(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pieces of subcutaneous fat that touch neither the outside nor the border of the image."""
    fat = labels == FAT
    pieces, count = ndimage.label(fat, IN_PLANE_8)
    outside, _ = ndimage.label(labels == 0, IN_PLANE_4)
    is_open = np.zeros(int(outside.max()) + 1, bool)
    is_open[_at_border(outside)] = True
    is_open[0] = False
    beside = ndimage.maximum_filter(is_open[outside].astype(np.uint8), (3, 3, 1), mode="constant")
    keep = np.zeros(count + 1, bool)
    keep[np.unique(pieces[fat & (beside > 0)])] = True
    keep[_at_border(pieces)] = True
    return np.asarray(fat & ~keep[pieces])


def _widened(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The mask, grown in plane by half the gap that may lie between two slices.

    Grown by squares, for speed. Two pieces of one slice may fuse by this; the islands among
    them are removed later, slice by slice.
    """
    grown = mask.astype(np.uint8)
    for axis in (0, 1):
        reach = round(min(spacing[2], REACH_MM) / 2 / spacing[axis])
        if reach:
            grown = ndimage.maximum_filter1d(grown, 2 * reach + 1, axis, mode="constant")
    return grown.astype(bool)


def _large_pieces(pieces: NDArray[np.int32], halves: bool) -> NDArray[np.bool_]:
    """Whether to keep each numbered piece (0, the background, is never kept)."""
    sizes = np.bincount(pieces.ravel(order="K"))
    sizes[0] = 0
    keep = np.zeros(len(sizes), bool)
    largest = int(sizes.argmax())
    keep[largest] = sizes[largest] > 0
    candidates = np.flatnonzero(sizes >= max(1, SECOND_PIECE * sizes[largest]))
    if len(candidates) > 1:
        taken = (pieces == largest).any(axis=(0, 1))
        for piece in candidates[np.argsort(-sizes[candidates], kind="stable")]:
            slices = (pieces == piece).any(axis=(0, 1))
            if halves or not (taken & slices).any():
                keep[piece] = True
                taken |= slices
    return keep


def _islands(mask: NDArray[np.bool_], pixel_mm2: float) -> NDArray[np.bool_]:
    """Small pieces in a slice that has a much larger one."""
    pieces, count = ndimage.label(mask, IN_PLANE_8)
    if count == np.count_nonzero(mask.any(axis=(0, 1))):  # one piece a slice
        return np.zeros_like(mask)
    areas = np.bincount(pieces.ravel(order="K"), minlength=count + 1)
    areas[0] = 0
    where = np.nonzero(mask)
    slice_of = np.zeros(count + 1, np.intp)
    slice_of[pieces[where]] = where[2]
    largest = np.zeros(mask.shape[2], areas.dtype)
    np.maximum.at(largest, slice_of, areas)
    small = (areas * pixel_mm2 < ISLAND_MM2) & (areas < ISLAND_SHARE * largest[slice_of])
    return np.asarray(small[pieces] & mask)


def _fill(labels: NDArray[np.uint8], removed: NDArray[np.bool_], pixel_mm2: float) -> None:
    """Fill, in place, small background that a single label encloses in its slice."""
    holes, count = ndimage.label(labels == 0, IN_PLANE_4)
    if count == 0:
        return
    areas = np.bincount(holes.ravel(order="K"), minlength=count + 1) * pixel_mm2
    was_label = np.bincount(holes[removed], minlength=count + 1) * pixel_mm2
    small = (areas < PINHOLE_MM2) | ((was_label > areas / 2) & (areas <= REMOVED_MM2))
    small[0] = False
    small[_at_border(holes)] = False
    candidates = np.where(small[holes], holes, 0)
    around = _single_neighbour(candidates, labels, count)
    inside = np.nonzero(candidates)
    labels[inside] = around[candidates[inside]]


def _at_border(holes: NDArray[np.int32]) -> NDArray[np.intp]:
    """Holes that touch the border of the image are not enclosed."""
    sides = (holes[0], holes[-1], holes[:, 0], holes[:, -1])
    return np.unique(np.concatenate([side.ravel() for side in sides])).astype(np.intp)


def _single_neighbour(
    holes: NDArray[np.int32], labels: NDArray[np.uint8], count: int
) -> NDArray[np.uint8]:
    """For each hole the one label around it, or 0 if there are several."""
    least = np.full(count + 1, 255, np.uint8)
    most = np.zeros(count + 1, np.uint8)
    x, y, z = np.nonzero(holes)
    numbers = holes[x, y, z]
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        neighbour = labels[x + dx, y + dy, z]
        found = neighbour > 0
        np.minimum.at(least, numbers[found], neighbour[found])
        np.maximum.at(most, numbers[found], neighbour[found])
    return np.where(least == most, most, np.uint8(0))
