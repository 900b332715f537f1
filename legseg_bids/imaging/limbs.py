"""One limb or two, and which voxel belongs to which.

Limbs that never touch are two bodies of the mask. Limbs that touch are cut slice by slice
along the seam that crosses the least tissue: it runs free through the air between the
limbs and takes the narrowest bridge where there is one. Slices where the limbs are apart
say where to look in those where they are not. The image's own middle plays no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.imaging.blocks import block_mean, block_size, spread_blocks
from legseg_bids.imaging.seam import cheapest_seam

OVERLAP_MM = 15.0
SMALLEST_LIMB = 0.10
"""A smaller body, as a share of the larger one, is a piece of a limb out of view."""
SMALLEST_CM2 = 8.0
"""Smaller pieces of a slice (toes, fingers) are not taken for a limb."""
SIMILAR_AREA = 0.25
"""Two pieces of a slice are a pair of limbs if the smaller has this share of the larger.

A piece at the border of the image may be smaller: the rest of that limb is out of view.
"""
APART = 0.3
"""They may overlap along x by this share of the narrower."""
VALLEY = 0.8
"""Thickness between two limbs, as a share of that of the thinner limb, at most."""
WIDE = 1.45
"""Slices wider than this, as a multiple of their height, show two limbs."""
CENTRAL = 0.4
"""Limbs meet in this central share of the mask's width."""
OFF_CENTRE_COST = 0.1
"""Depth of the valley, as a share of the thickness, that outweighs half the width."""
SEPARATE_SHARE = 0.2
"""So many slices with two pieces prove two limbs, whatever the others look like."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class LimbBox:
    """One limb of an image.

    Attributes
    ----------
    mask : ndarray of bool, shape (x, y, z)
        The limb's own voxels, on the grid of the image; limbs share no voxel.
    box : tuple of slice
        Bounding box of these voxels, enlarged across the cut towards the other limb.
    """

    mask: NDArray[np.bool_]
    box: Box


def split_limbs(
    mask: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    overlap_mm: float = OVERLAP_MM,
) -> tuple[LimbBox, ...]:
    """Find the limbs in a body mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (x, y, z)
        Body mask, canonical axes.
    spacing : tuple of float
        Voxel size, mm.
    overlap_mm : float
        How far the box of a limb reaches beyond its own voxels towards the other limb.

    Returns
    -------
    tuple of LimbBox
        One or two, by rising x: the patient's left limb first. None for an empty mask.
        Bodies smaller than a tenth of a limb, beside it, belong to no limb.

    Examples
    --------
    >>> mask = np.zeros((60, 30, 4), bool)
    >>> mask[5:25, 5:25], mask[35:55, 5:25] = True, True
    >>> [limb.box[0] for limb in split_limbs(mask, (3.0, 3.0, 6.0))]
    [slice(5, 30, None), slice(30, 55, None)]
    """
    if not mask.any():
        return ()
    block = block_size(spacing)
    pixel = (spacing[0] * block[0], spacing[1] * block[1])
    coarse = block_mean(mask, block) >= 0.5
    right = _right_side(coarse, pixel)
    if right is None:
        main = _without_neighbours(coarse)
        own = mask & spread_blocks(main, block, mask.shape, order=0)
        return (LimbBox(own, _bounding_box(own)),)
    is_right = spread_blocks(right, block, mask.shape, order=0)
    return _two_limbs(mask & ~is_right, mask & is_right, int(np.ceil(overlap_mm / spacing[0])))


def _two_limbs(
    low: NDArray[np.bool_], high: NDArray[np.bool_], overlap: int
) -> tuple[LimbBox, ...]:
    """Boxes of both, or of the larger if the other one is a mere piece."""
    sizes = (int(low.sum()), int(high.sum()))
    if min(sizes) < SMALLEST_LIMB * max(sizes):
        main = low if sizes[0] > sizes[1] else high
        return (LimbBox(main, _bounding_box(main)),)
    (low_x, *low_yz), (high_x, *high_yz) = _bounding_box(low), _bounding_box(high)
    low_x = slice(low_x.start, min(low_x.stop + overlap, low.shape[0]))
    high_x = slice(max(high_x.start - overlap, 0), high_x.stop)
    return (
        LimbBox(low, (low_x, low_yz[0], low_yz[1])),
        LimbBox(high, (high_x, high_yz[0], high_yz[1])),
    )


def _right_side(coarse: NDArray[np.bool_], pixel: tuple[float, float]) -> NDArray[np.bool_] | None:
    """Voxels nearer to the limb at high x, or None if there is but one limb."""
    bodies = _two_bodies(coarse)
    if bodies is not None:
        return bodies
    apart = _separate_slices(coarse, pixel)
    if not apart:
        middle = _valley(coarse, pixel)
        if middle is None:
            return None
        apart = dict.fromkeys(range(coarse.shape[2]), middle)
    seams = _seams(coarse, apart)
    right = _beyond(seams, coarse.shape[0])
    if _is_own_piece(coarse, right) or not _is_pair(coarse, seams, len(apart), pixel):
        return None
    return right


def _two_bodies(coarse: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Voxels nearer to the body at high x, if two large bodies lie side by side."""
    labels, count = ndimage.label(coarse, np.ones((3, 3, 3), dtype=bool))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if count < 2 or np.sort(sizes)[-2] < SMALLEST_LIMB * sizes.max():
        return None
    boxes = ndimage.find_objects(labels)
    low, high = sorted(np.argsort(sizes)[-2:], key=lambda body: _middle(boxes[body][0]))
    if not _side_by_side(boxes[low][0], boxes[high][0]):
        return None
    numbers = np.where(labels == low + 1, 1, np.where(labels == high + 1, 2, 0))
    _, nearest = ndimage.distance_transform_edt(numbers == 0, return_indices=True)
    return np.asarray(numbers[tuple(nearest)] == 2)


def _separate_slices(coarse: NDArray[np.bool_], pixel: tuple[float, float]) -> dict[int, float]:
    """Slices that show two limbs side by side, and the middle of the gap in each."""
    found = {}
    smallest = SMALLEST_CM2 * 100.0 / (pixel[0] * pixel[1])
    for z in range(coarse.shape[2]):
        labels, count = ndimage.label(coarse[:, :, z], np.ones((3, 3), dtype=bool))
        if count < 2:
            continue
        sizes = np.bincount(labels.ravel())[1:]
        second, first = np.argsort(sizes)[-2:]
        boxes = ndimage.find_objects(labels)
        cut_off = boxes[second][0].start == 0 or boxes[second][0].stop == labels.shape[0]
        similar = 0.0 if cut_off else SIMILAR_AREA * sizes[first]
        if sizes[second] < max(smallest, similar):
            continue
        low, high = sorted((boxes[first][0], boxes[second][0]), key=_middle)
        if _side_by_side(low, high):
            found[z] = (low.stop - 1 + high.start) / 2
    return found


def _side_by_side(low: slice, high: slice) -> bool:
    """Whether two extents along x overlap little."""
    narrower = min(low.stop - low.start, high.stop - high.start)
    return bool(low.stop - high.start <= APART * narrower and _middle(low) < _middle(high))


def _middle(extent: slice) -> float:
    return float(extent.start + extent.stop - 1) / 2


def _valley(coarse: NDArray[np.bool_], pixel: tuple[float, float]) -> float | None:
    """Column where limbs that touch in all slices meet, or None if it is one limb."""
    profile = ndimage.gaussian_filter1d(coarse.sum(axis=(1, 2)).astype(np.float64), 1.5)
    inside = np.flatnonzero(coarse.any(axis=(1, 2)))
    profile = profile[inside[0] : inside[-1] + 1]
    rising = np.maximum.accumulate(profile)
    falling = np.maximum.accumulate(profile[::-1])[::-1]
    flanks = np.minimum(rising, falling)
    off_centre = np.abs(np.linspace(-1.0, 1.0, profile.size))
    # Where there is no valley at all, the middle of the mask is the best guess.
    depth = flanks - profile - OFF_CENTRE_COST * profile.max() * off_centre
    depth[off_centre > CENTRAL] = -np.inf
    best = int(np.argmax(depth))
    if profile[best] > VALLEY * flanks[best] and _aspect(coarse, pixel) < WIDE:
        return None
    return float(inside[0] + best)


def _aspect(coarse: NDArray[np.bool_], pixel: tuple[float, float]) -> float:
    """Width by height, the median over the slices."""
    width = coarse.any(axis=1).sum(axis=0) * pixel[0]
    height = coarse.any(axis=0).sum(axis=0) * pixel[1]
    shown = height > 0
    return float(np.median(width[shown] / height[shown]))


def _is_pair(
    coarse: NDArray[np.bool_],
    seams: NDArray[np.intp],
    separate: int,
    pixel: tuple[float, float],
) -> bool:
    """Tell two limbs that touch from one limb of which a slice shows two pieces."""
    if separate >= SEPARATE_SHARE * np.count_nonzero(coarse.any(axis=(0, 1))):
        return True
    if _aspect(coarse, pixel) >= WIDE:
        return True
    cut = np.take_along_axis(coarse, seams[None], axis=0)[0].sum(axis=0)
    thickness = coarse.sum(axis=1).max(axis=0)
    shown = thickness > 0
    return bool(np.median(cut[shown] / thickness[shown]) < VALLEY)


def _is_own_piece(coarse: NDArray[np.bool_], right: NDArray[np.bool_]) -> bool:
    """Tell a toe from the other leg: a leg that is hardly in view is cut by the border."""
    small, large = sorted((coarse & ~right, coarse & right), key=np.count_nonzero)
    at_border = small[0].any() or small[-1].any()
    mere_piece = np.count_nonzero(small) < SMALLEST_LIMB * np.count_nonzero(large)
    return bool(mere_piece and not at_border)


def _seams(coarse: NDArray[np.bool_], middles: dict[int, float]) -> NDArray[np.intp]:
    """Column of the cut, shape (y, z); slices without a middle take their neighbour's."""
    known = dict(middles)
    rows = _bounding_box(coarse)[1]
    body = coarse[:, rows]
    seams = np.zeros(body.shape[1:], dtype=np.intp)
    slices = range(body.shape[2])
    for z in sorted(slices, key=lambda z: min(abs(z - other) for other in middles)):
        nearest = min(known, key=lambda other: abs(z - other))
        seams[:, z] = cheapest_seam(body[:, :, z], known[nearest])
        if z not in middles:
            known[z] = _followed(body[:, :, z], seams[:, z], known[nearest])
    # Rows without any body are all the same to the seam.
    return np.pad(seams, ((rows.start, coarse.shape[1] - rows.stop), (0, 0)), mode="edge")


def _followed(slice_mask: NDArray[np.bool_], seam: NDArray[np.intp], middle: float) -> float:
    """Mean column of the seam over the rows that have body on both sides of it."""
    left = np.maximum.accumulate(slice_mask, axis=0)
    right = np.maximum.accumulate(slice_mask[::-1], axis=0)[::-1]
    rows = np.arange(seam.size)
    between = left[seam, rows] & right[seam, rows]
    return float(seam[between].mean()) if between.any() else middle


def _beyond(seams: NDArray[np.intp], columns: int) -> NDArray[np.bool_]:
    """Voxels at higher x than the seam, shape (x, y, z)."""
    return np.arange(columns)[:, None, None] > seams[None]


def _without_neighbours(coarse: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Select the largest body, and those in line with it (not beside it)."""
    labels, count = ndimage.label(coarse, np.ones((3, 3, 3), dtype=bool))
    if count < 2:
        return np.ones_like(coarse)
    boxes = ndimage.find_objects(labels)
    main = boxes[int(np.argmax(np.bincount(labels.ravel())[1:]))][0]
    beside = [False] + [_share_inside(box[0], main) < 0.5 for box in boxes]
    return np.asarray(~np.array(beside)[labels])


def _share_inside(extent: slice, main: slice) -> float:
    shared: int = min(extent.stop, main.stop) - max(extent.start, main.start)
    width: int = extent.stop - extent.start
    return shared / width


def _bounding_box(mask: NDArray[np.bool_]) -> Box:
    """Smallest box around all True voxels (at least one)."""
    spans = []
    for others in ((1, 2), (0, 2), (0, 1)):
        inside = np.flatnonzero(mask.any(axis=others))
        spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return spans[0], spans[1], spans[2]
