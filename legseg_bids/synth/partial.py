"""Limbs of real people of whom only some muscles are labelled, read for the registration.

The maps (output of another network, slices up to 26 mm apart) number the same muscle of either
side alike. Every limb becomes a small grid of its own, mirrored into the canonical one: lateral
at low x.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.errors import ImageError

#: Pixel of the reduced limbs, mm.
PIXEL = 4.0
#: Slices nearer than this are thinned out, mm.
SLICE_DISTANCE = 12.0
#: A limb with fewer labelled slices than this says too little about a shape.
FEWEST_SLICES = 6
#: Empty pixels put around a limb before it is reduced.
PADDING = 8


@dataclass(frozen=True)
class PartialLimb:
    """Share of every labelled muscle in the pixels of one limb.

    Attributes
    ----------
    name : str
        File and side, such as ``training_THIGH_014_0001-left``.
    shares : ndarray of float32, shape (muscles, z, y, x)
        0 … 1; muscles in the order of their ids.
    height : ndarray, shape (z,)
        Of the slices, mm above the lowest.
    """

    name: str
    shares: NDArray[np.float32]
    height: NDArray[np.float64]


def divide(muscle: NDArray[np.bool_]) -> int:
    """Column (x) between the two limbs: the least occupied one of the middle third.

    Examples
    --------
    >>> two = np.zeros((30, 4, 1), bool)
    >>> two[2:13] = two[17:28] = True
    >>> 13 <= divide(two) <= 17
    True
    """
    columns = np.flatnonzero(muscle.any(axis=(1, 2)))
    low, high = int(columns[0]), int(columns[-1]) + 1
    third = (high - low) // 3
    count = ndimage.uniform_filter1d(muscle.sum(axis=(1, 2)).astype(float), 5)
    middle = count[low + third : high - third]
    least = np.flatnonzero(middle <= middle.min() + 0.01 * count.max())
    return low + third + int(np.median(least))


def halves_of(path: Path) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """The limbs of one map of two thighs, by name: ids (x, y, z), lateral at low x, and spacing.

    Raises
    ------
    ImageError
        If the map is empty.
    """
    image = nib.funcs.as_closest_canonical(nib.nifti1.load(path))
    ids = np.asanyarray(image.dataobj).astype(np.uint8)
    spacing = np.array(image.header.get_zooms()[:3], float)
    if not ids.any():
        msg = f"{path.name} holds no label; expected the numbers of muscles"
        raise ImageError(msg)
    split = divide(ids > 0)
    halves = {"left": ids[:split], "right": ids[split:][::-1]}
    name = path.name.removesuffix(".nii.gz")
    return {f"{name}-{side}": (half, spacing) for side, half in halves.items() if half.any()}


def limbs_of(path: Path, muscles: int) -> list[PartialLimb]:
    """Read one map of two thighs, ids 1 … ``muscles``.

    Raises
    ------
    ImageError
        If the map is empty.
    """
    limbs = [_reduce(name, *half, muscles) for name, half in halves_of(path).items()]
    return [limb for limb in limbs if len(limb.height) >= FEWEST_SLICES]


def _reduce(
    name: str, ids: NDArray[np.uint8], spacing: NDArray[np.float64], muscles: int
) -> PartialLimb:
    """Thin out the slices, average over coarse pixels, cut to the muscles."""
    every = max(1, round(SLICE_DISTANCE / spacing[2]))
    z = np.flatnonzero((ids > 0).any(axis=(0, 1)))[::every]
    x, y = (extent_of(np.asarray((ids > 0).any(axis=(1 - a, 2)))) for a in (0, 1))
    cut = np.pad(ids[x, y][:, :, z], [(PADDING, PADDING), (PADDING, PADDING), (0, 0)])
    zoom = spacing[:2] / PIXEL
    shares = np.stack(
        [
            np.stack([_averaged(cut[:, :, k] == m, zoom) for k in range(z.size)])
            for m in range(1, muscles + 1)
        ]
    )
    return PartialLimb(name, shares, (z - z[0]) * spacing[2])


def extent_of(there: NDArray[np.bool_]) -> slice:
    """From the first to the last place of a line that holds something."""
    where = np.flatnonzero(there)
    return slice(int(where[0]), int(where[-1]) + 1)


def _averaged(mask: NDArray[np.bool_], zoom: NDArray[np.float64]) -> NDArray[np.float32]:
    """(x, y) → (y, x) on the coarser grid."""
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 0.4 / zoom)
    return np.asarray(
        ndimage.zoom(soft, zoom, order=1, grid_mode=True, mode="nearest").T, np.float32
    )
