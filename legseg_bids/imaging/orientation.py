"""Closest canonical axes and back, by permuting and flipping only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.imaging.volume import Volume


@dataclass(frozen=True)
class Orientation:
    """How the axes of a source image lie in the canonical one.

    Attributes
    ----------
    axes : tuple of int
        Source axis that became canonical x, y, z.
    flips : tuple of bool
        Whether canonical x, y, z run against their source axis.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]


def to_canonical(volume: Volume) -> tuple[Volume, Orientation]:
    """Turn a volume so that its axes are as near as possible to RAS+.

    No value is changed or interpolated. An oblique volume stays oblique: its axes are
    called after the nearest direction of the body.

    Parameters
    ----------
    volume : Volume
        Any axes.

    Returns
    -------
    canonical : Volume
        Axes (x, y, z) = (left to right, posterior to anterior, inferior to superior).
    orientation : Orientation
        What `from_canonical` needs to go back.

    Examples
    --------
    >>> lps = Volume(np.arange(2.0).reshape(2, 1, 1), np.diag([-1.0, -1.0, 1.0, 1.0]))
    >>> canonical, orientation = to_canonical(lps)
    >>> canonical.data.ravel(), orientation.flips
    (array([1., 0.]), (True, True, False))
    """
    orientation = _nearest_axes(volume.affine)
    turned = volume.data.transpose(orientation.axes)
    data = np.ascontiguousarray(np.flip(turned, _flipped_axes(orientation)))
    return Volume(data, volume.affine @ _to_source(orientation, data.shape)), orientation


def from_canonical(data: NDArray[Any], orientation: Orientation) -> NDArray[Any]:
    """Turn an array from canonical axes back to those of its source image.

    Parameters
    ----------
    data : ndarray, shape (nx, ny, nz, ...)
        Canonical axes; further axes stay last.
    orientation : Orientation
        From `to_canonical`.

    Returns
    -------
    ndarray
        The same values, in the axes of the source image.

    Raises
    ------
    ValueError
        If the array has fewer than three axes.
    """
    if data.ndim < 3:
        raise ValueError(f"array has shape {data.shape}; expected at least (x, y, z)")
    back = [int(axis) for axis in np.argsort(orientation.axes)]
    turned = np.flip(data, _flipped_axes(orientation))
    return np.ascontiguousarray(turned.transpose(*back, *range(3, data.ndim)))


def _nearest_axes(affine: NDArray[np.float64]) -> Orientation:
    """Pair the source axes with x, y, z so that the cosines between them are largest."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    x, y, z = max(
        permutations(range(3)),
        key=lambda axes: sum(abs(cosines[world, axis]) for world, axis in enumerate(axes)),
    )
    flips = (bool(cosines[0, x] < 0), bool(cosines[1, y] < 0), bool(cosines[2, z] < 0))
    return Orientation((x, y, z), flips)


def _to_source(orientation: Orientation, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Matrix from canonical voxel indices to those of the source (`shape` is canonical)."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for canonical, (source, flip) in enumerate(
        zip(orientation.axes, orientation.flips, strict=True)
    ):
        matrix[source, canonical] = -1.0 if flip else 1.0
        matrix[source, 3] = shape[canonical] - 1.0 if flip else 0.0
    return matrix


def _flipped_axes(orientation: Orientation) -> tuple[int, ...]:
    return tuple(axis for axis, flip in enumerate(orientation.flips) if flip)
