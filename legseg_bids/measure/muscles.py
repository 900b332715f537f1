"""Size, extent and fat fraction of each labelled structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.anatomy import combined_with, label_by_index

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class MuscleMeasure:
    """What one label of an image amounts to.

    Attributes
    ----------
    index, name, abbreviation, side, region, tissue, color
        As in the label scheme.
    includes : str or None
        Abbreviations of structures that this label also covers.
    voxels : int
        Number of voxels.
    volume : float
        mL, of what is in view: see `truncated` and `cut_in_plane`.
    first_slice, last_slice : int
        Lowest and highest canonical slice (counted from 0, from the feet) that shows it.
    slices : int
        Number of slices that show it.
    touches_edge : bool
        It reaches the first or last slice that shows the body, or a gap between stations, so
        that its volume may be incomplete.
    truncated : str
        ``none``, ``proximal``, ``distal`` or ``both``: at which end; or
        ``gap``, if only a gap cuts it.
    cut_in_plane : bool
        It reaches the border of the image within a slice.
    mean_fat_fraction, median_fat_fraction : float or None
        In [0, 1]; None if unknown.
    """

    index: int
    name: str
    abbreviation: str
    side: str
    region: str
    tissue: str
    color: str
    includes: str | None
    voxels: int
    volume: float
    first_slice: int
    last_slice: int
    slices: int
    touches_edge: bool
    truncated: str
    cut_in_plane: bool
    mean_fat_fraction: float | None = None
    median_fat_fraction: float | None = None


def measure(
    labels: NDArray[np.integer[Any]],
    spacing: tuple[float, float, float],
    fat_fraction: NDArray[np.floating[Any]] | None = None,
    body: NDArray[np.bool_] | None = None,
    seen: NDArray[np.bool_] | None = None,
    voxel_volume: float | None = None,
) -> tuple[MuscleMeasure, ...]:
    """Measure each label that is present.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Label image, canonical axes; 0 is background.
    spacing : tuple of float
        Voxel size, mm.
    fat_fraction : ndarray, same shape, optional
        In [0, 1]; voxels that are not finite are left out.
    body : ndarray of bool, same shape, optional
        Body mask. Where given, the ends of the stack are the first and last slice that
        show the body, so that blank slices do not hide a truncation.
    seen : ndarray of bool, shape (z,), optional
        Slices that were imaged; those between two stations may not have been.
    voxel_volume : float, optional
        Of one voxel, mm³, where axes are not at right angles; else that of a box.

    Returns
    -------
    tuple of MuscleMeasure
        By rising index; empty if there is only background.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the labels are not integers in three dimensions.
    KeyError
        If a label is not in the scheme.

    Examples
    --------
    >>> labels = np.zeros((4, 4, 3), np.uint8)
    >>> labels[1:3, 1:3, :2] = 61
    >>> row = measure(labels, (1.0, 1.0, 5.0))[0]
    >>> row.abbreviation, row.volume, row.truncated
    ('RF_L', 0.04, 'distal')
    """
    _check(labels, fat_fraction, body)
    box_volume = float(np.prod(spacing))
    stack = _Stack(
        labels.shape,
        _ends(labels.shape[2], body),
        (box_volume if voxel_volume is None else voxel_volume) / MM3_PER_ML,
        _beside_gaps(seen),
    )
    rows = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            inside = labels[box] == index
            fat = None if fat_fraction is None else fat_fraction[box][inside]
            rows.append(_row(index, inside, box, stack, fat))
    return tuple(rows)


@dataclass(frozen=True)
class _Stack:
    """What all rows of one image share."""

    shape: tuple[int, ...]
    ends: tuple[int, int]
    voxel_ml: float
    beside_gaps: NDArray[np.intp]


def _row(
    index: int,
    inside: NDArray[np.bool_],
    box: tuple[slice, ...],
    stack: _Stack,
    fat: NDArray[np.floating[Any]] | None,
) -> MuscleMeasure:
    label = label_by_index(index)
    voxels = int(inside.sum())
    slices: NDArray[np.bool_] = np.asarray(inside.any(axis=(0, 1)))
    truncated = _truncated(box[2], stack.ends)
    if truncated == "none" and np.isin(stack.beside_gaps, _shown(slices, box[2])).any():
        truncated = "gap"
    mean, median = _centre(fat)
    return MuscleMeasure(
        index=index,
        name=label.name,
        abbreviation=label.abbreviation,
        side=label.side,
        region=label.region,
        tissue=label.tissue,
        color=label.color,
        includes=combined_with(index),
        voxels=voxels,
        volume=voxels * stack.voxel_ml,
        first_slice=int(box[2].start),
        last_slice=int(box[2].stop) - 1,
        slices=int(slices.sum()),
        touches_edge=truncated != "none",
        truncated=truncated,
        cut_in_plane=any(_reaches_border(box[axis], stack.shape[axis]) for axis in (0, 1)),
        mean_fat_fraction=mean,
        median_fat_fraction=median,
    )


def _truncated(extent: slice, ends: tuple[int, int]) -> str:
    """At which end of the limb an extent along z reaches the end of the stack."""
    distal, proximal = extent.start <= ends[0], extent.stop - 1 >= ends[1]
    if distal and proximal:
        return "both"
    if distal:
        return "distal"
    return "proximal" if proximal else "none"


def _reaches_border(extent: slice, size: int) -> bool:
    return bool(extent.start == 0 or extent.stop == size)


def _ends(slices: int, body: NDArray[np.bool_] | None) -> tuple[int, int]:
    """First and last slice that show the body; those of the stack if it is not known."""
    shown = np.arange(slices) if body is None else np.flatnonzero(body.any(axis=(0, 1)))
    return (int(shown[0]), int(shown[-1])) if shown.size else (0, slices - 1)


def _shown(slices: NDArray[np.bool_], extent: slice) -> NDArray[np.intp]:
    """Slices of the stack that show a label, from those of its own box."""
    return np.flatnonzero(slices) + int(extent.start)


def _beside_gaps(seen: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Slices that have an imaged slice at most on one side, but for the first and the last."""
    if seen is None:
        return np.zeros(0, np.intp)
    imaged = np.flatnonzero(seen)
    steps = np.flatnonzero(np.diff(imaged) > 1)
    return np.concatenate([imaged[steps], imaged[steps + 1]])


def _centre(fat: NDArray[np.floating[Any]] | None) -> tuple[float | None, float | None]:
    """Mean and median of what is finite."""
    if fat is None:
        return None, None
    finite = fat[np.isfinite(fat)].astype(np.float64)
    if finite.size == 0:
        return None, None
    return float(finite.mean()), float(np.median(finite))


def _check(labels: NDArray[Any], *others: NDArray[Any] | None) -> None:
    if labels.ndim != 3 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}; expected integers, (x, y, z)"
        )
    for other in others:
        if other is not None and other.shape != labels.shape:
            raise ValueError(
                f"labels have shape {labels.shape} and a map has {other.shape}; expected the "
                "same grid"
            )
