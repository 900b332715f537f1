"""Two label images on one grid: axes turned alike, places compared, slices that count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.bids.reading import Image, corner_distance
from legseg_bids.errors import ImageError
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.volume import Volume

#: Corners of two grids may lie this part of the smallest voxel edge apart: tools store affines in
#: single precision, and as quaternions.
TOLERANCE = 0.1
#: Slices that are compared: those that the reference covers, or all.
COVERAGES = ("reference", "all")


def canonical(image: Image) -> Volume:
    """A label image with axes (left→right, posterior→anterior, inferior→superior)."""
    return to_canonical(Volume(image.data, image.affine))[0]


def on_one_grid(
    reference: Image, prediction: Image, *, resample: bool = False
) -> tuple[Volume, Volume, str]:
    """Both images on the reference's grid, however their files order the axes.

    Parameters
    ----------
    reference, prediction : Image
        Label images.
    resample : bool
        Whether a prediction on another grid may be resampled (nearest neighbour).

    Returns
    -------
    reference, prediction : Volume
        Canonical axes, the same shape.
    why : str
        Why the prediction was resampled; empty if it was not.

    Raises
    ------
    ImageError
        If the grids differ and may not.
    """
    first, second = canonical(reference), canonical(prediction)
    why = difference(first, second)
    if not why:
        return first, second, ""
    if not resample:
        raise ImageError(
            f"{prediction.path} is not on the grid of {reference.path}: {why}; expected the same "
            "grid; save the prediction on the grid of its image, or add --resample"
        )
    return first, Volume(resampled(second, first), first.affine), why


def difference(first: Volume, second: Volume) -> str:
    """Say how two grids differ; nothing if they do not.

    Examples
    --------
    >>> a = Volume(np.zeros((4, 4, 2)), np.diag([1.5, 1.5, 6.0, 1.0]))
    >>> difference(a, a), difference(a, Volume(np.zeros((4, 4, 3)), a.affine))
    ('', '4 × 4 × 2 and 4 × 4 × 3 voxels')
    """
    if first.shape != second.shape:
        told = (" × ".join(map(str, v.shape)) for v in (first, second))
        return f"{' and '.join(told)} voxels"
    apart = corner_distance(first.shape, first.affine, second.affine)
    allowed = TOLERANCE * min(first.spacing)
    return f"they lie up to {apart:.2g} mm apart" if apart > allowed else ""


def resampled(labels: Volume, grid: Volume) -> NDArray[Any]:
    """Labels at the voxel centres of another grid, by nearest neighbour; 0 outside.

    Examples
    --------
    >>> fine = Volume(np.arange(4).reshape(4, 1, 1), np.diag([1.0, 1.0, 1.0, 1.0]))
    >>> coarse = Volume(np.zeros((2, 1, 1)), np.diag([2.0, 1.0, 1.0, 1.0]))
    >>> resampled(fine, coarse).ravel().tolist()
    [0, 2]
    """
    matrix = np.linalg.inv(labels.affine) @ grid.affine
    out: NDArray[Any] = ndimage.affine_transform(
        labels.data,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=grid.shape,
        order=0,
        mode="grid-constant",  # half a voxel beyond the outer centres still belongs to them
        cval=0,
        prefilter=False,
    )
    return out


def covered_slices(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Which slices (last axis) hold any label.

    Examples
    --------
    >>> covered_slices(np.array([[[0, 3, 0]]])).tolist()
    [False, True, False]
    """
    return np.asarray(labels.any(axis=(0, 1)), bool)
