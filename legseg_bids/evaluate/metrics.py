"""How well two label images agree: overlap, volumes and surfaces of every structure of a case.

Volumes and overlaps of all structures come from one joint histogram of both images, slice by
slice; surfaces from the box around each structure. What the values are where one image lacks a
structure is a table, :data:`STATUSES`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.evaluate.surfaces import (
    DEFINITIONS,
    NO_SURFACES,
    Spacing,
    Surfaces,
    check,
    compare,
    surfaces,
)
from legseg_bids.evaluate.volumes import (
    MM3_PER_CM3,
    STATUSES,
    Overlap,
    overlap,
    overlap_of_counts,
    status_of,
)

__all__ = [
    "DEFINITIONS",
    "STATUSES",
    "Measured",
    "Overlap",
    "Spacing",
    "Surfaces",
    "joint_counts",
    "measure_pairs",
    "overlap",
    "status_of",
    "surfaces",
]

NAN = float("nan")


@dataclass(frozen=True)
class Measured:
    """One structure of one case, or one slice of it.

    Attributes
    ----------
    label : int
    slice : int or None
        Index along the last axis; None for the whole structure.
    position : float
        Where the slice lies in the extent of the reference, %: 0 its first, 100 its last slice
        (below and above beyond them); NaN for the whole, or without a reference. The only slice
        of a reference lies at 0.
    status : str
        Key of :data:`STATUSES`.
    overlap : Overlap
    surfaces : Surfaces
        Of a slice: of its outline, in the plane.
    """

    label: int
    slice: int | None
    position: float
    status: str
    overlap: Overlap
    surfaces: Surfaces


def joint_counts(
    predicted: NDArray[np.integer], reference: NDArray[np.integer], labels: Sequence[int]
) -> NDArray[np.int64]:
    """Count the voxels of each pair of labels, slice by slice.

    Parameters
    ----------
    predicted, reference : ndarray of int, shape (x, y, z)
        On the same grid.
    labels : sequence of int
        Those that are told apart, each once and above 0; all else counts as background.

    Returns
    -------
    ndarray of int64, shape (z, n + 1, n + 1)
        ``[slice, predicted, reference]``; 0 is background, i + 1 is ``labels[i]``.

    Raises
    ------
    ValueError
        If the grids differ, they have no three axes, or a label is not above 0 or comes twice.

    Examples
    --------
    >>> image = np.array([[[61], [61], [0]]])
    >>> joint_counts(image, np.array([[[61], [0], [63]]]), [61])[0]
    array([[1, 0],
           [1, 1]])
    """
    ranks = _ranks(labels)
    _check_images(predicted, reference)
    width = len(labels) + 1
    out = np.zeros((predicted.shape[-1], width, width), np.int64)
    for z in range(predicted.shape[-1]):
        one, two = (ranks.take(image[..., z].T, mode="clip") for image in (predicted, reference))
        pairs = np.bincount((one * width + two).ravel(), minlength=width * width)
        out[z] = pairs.reshape(width, width)
    return out


def measure_pairs(
    predicted: NDArray[np.integer],
    reference: NDArray[np.integer],
    labels: Sequence[int],
    spacing: Spacing,
    *,
    definition: str = "area",
    slices: bool = False,
    counts: NDArray[np.int64] | None = None,
) -> tuple[Measured, ...]:
    """Measure all structures of one case.

    Parameters
    ----------
    predicted, reference : ndarray of int, shape (x, y, z)
        Label images on the same grid, with the same numbers.
    labels : sequence of int
        Which to measure, each once and above 0.
    spacing : tuple of float
        Voxel size, mm.
    definition : str
        Of surfaces: key of :data:`DEFINITIONS`.
    slices : bool
        Whether to add a row for each slice in which either image has the structure.
    counts : ndarray of int64, optional
        From :func:`joint_counts`, if they are known already; others may follow these labels.

    Returns
    -------
    tuple of Measured
        By label in the order given: the whole structure, then its slices, rising.

    Raises
    ------
    ValueError
        See :func:`joint_counts` and :func:`legseg_bids.evaluate.surfaces.surfaces`.

    Examples
    --------
    >>> a = np.zeros((20, 20, 4), np.uint8)
    >>> a[5:15, 5:15, 1:3] = 61
    >>> row, *_ = measure_pairs(a, np.roll(a, 1, axis=0), [61, 62], (1.5, 1.5, 6.0))
    >>> row.label, row.status, row.overlap.dice, row.surfaces.hd
    (61, 'ok', 0.9, 1.5)
    """
    check(predicted, reference, spacing, definition)
    if counts is None:
        counts = joint_counts(predicted, reference, labels)
    how = _How(spacing, definition)
    boxes = [_boxes(image, labels) for image in (predicted, reference)]
    rows: list[Measured] = []
    for rank, label in enumerate(labels, 1):
        volumes = _Counts.of_label(counts, rank)
        masks = _cropped(predicted, reference, label, [box.get(label) for box in boxes])
        rows.append(_whole(label, volumes, masks, how))
        if slices and masks is not None:
            rows.extend(_slices(label, volumes, masks, how))
    return tuple(rows)


@dataclass(frozen=True)
class _How:
    """The way to measure."""

    spacing: Spacing
    definition: str

    @property
    def voxel_cm3(self) -> float:
        return math.prod(self.spacing) / MM3_PER_CM3


@dataclass(frozen=True)
class _Counts:
    """Voxels of one structure by slice: predicted, reference, and both; each of shape (z,)."""

    predicted: NDArray[np.int64]
    reference: NDArray[np.int64]
    both: NDArray[np.int64]

    @classmethod
    def of_label(cls, counts: NDArray[np.int64], rank: int) -> _Counts:
        one, two = counts[:, rank, :].sum(axis=1), counts[:, :, rank].sum(axis=1)
        return cls(one, two, counts[:, rank, rank])

    def at(self, index: int | None) -> tuple[int, int, int]:
        """Of one slice, or of all."""
        every = (self.predicted, self.reference, self.both)
        one, two, both = (int(n.sum() if index is None else n[index]) for n in every)
        return one, two, both


@dataclass(frozen=True)
class _Masks:
    """One structure of both images in the box that holds both; the box begins at ``first``."""

    predicted: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    first: int


def _whole(
    label: int,
    counts: _Counts,
    masks: _Masks | None,
    how: _How,
) -> Measured:
    """The row of the whole structure."""
    one, two, both = counts.at(None)
    apart = NO_SURFACES
    if one and two and masks is not None:
        (apart,) = compare(masks.predicted, masks.reference, how.spacing, how.definition)
    volumes = overlap_of_counts(one, two, both, how.voxel_cm3)
    return Measured(label, None, NAN, status_of(one, two), volumes, apart)


def _slices(
    label: int,
    counts: _Counts,
    masks: _Masks,
    how: _How,
) -> Iterator[Measured]:
    """The rows of the slices in which either image has the structure."""
    apart = compare(masks.predicted, masks.reference, how.spacing, how.definition, in_plane=True)
    drawn = np.flatnonzero(counts.reference)
    for z in np.flatnonzero(counts.predicted + counts.reference).tolist():
        one, two, both = counts.at(z)
        yield Measured(
            label,
            z,
            _position(z, drawn),
            status_of(one, two),
            overlap_of_counts(one, two, both, how.voxel_cm3),
            apart[z - masks.first],
        )


def _position(z: int, drawn: NDArray[np.intp]) -> float:
    """Where a slice lies between the first and the last slice of the reference, %."""
    if not drawn.size:
        return NAN
    return float(100 * (z - drawn[0]) / max(1, drawn[-1] - drawn[0]))


def _ranks(labels: Sequence[int]) -> NDArray[np.intp]:
    """Look-up from labels to their place in the sequence, from 1; anything else is 0."""
    if len(set(labels)) < len(labels) or any(label <= 0 for label in labels):
        raise ValueError(f"labels {list(labels)}; expected numbers above 0, each once")
    table = np.zeros(max(labels, default=0) + 2, np.intp)
    table[list(labels)] = np.arange(1, len(labels) + 1)
    return table


def _check_images(predicted: NDArray[Any], reference: NDArray[Any]) -> None:
    check(predicted, reference, (1.0,) * predicted.ndim)
    if predicted.ndim != 3 or any(i.dtype.kind not in "ui" for i in (predicted, reference)):
        raise ValueError(
            f"label images have {predicted.ndim} axes and hold {predicted.dtype} and "
            f"{reference.dtype}; expected three axes and integers"
        )


def _boxes(image: NDArray[np.integer], labels: Sequence[int]) -> dict[int, tuple[slice, ...]]:
    """Box around each label that is there."""
    found = ndimage.find_objects(image, max(labels, default=0))
    return {label: found[label - 1] for label in labels if found[label - 1] is not None}


def _cropped(
    predicted: NDArray[np.integer],
    reference: NDArray[np.integer],
    label: int,
    boxes: Sequence[tuple[slice, ...] | None],
) -> _Masks | None:
    """Masks in the box around both; None if neither image has the label."""
    there = [box for box in boxes if box is not None]
    if not there:
        return None
    box = tuple(
        slice(min(s.start for s in axis), max(s.stop for s in axis))
        for axis in zip(*there, strict=True)
    )
    return _Masks(predicted[box] == label, reference[box] == label, box[-1].start)
