"""A label image that a person edited in another program: read, and held against the original.

Viewers store axes in their own order and round positions; both is undone. What cannot be undone,
another grid or numbers that mean nothing, is refused with what was found and where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND, load_labels
from legseg_bids.bids.reading import read_image
from legseg_bids.errors import ImageError
from legseg_bids.imaging.orientation import Orientation, to_canonical
from legseg_bids.imaging.stacks import Grid
from legseg_bids.imaging.volume import Volume

ENDINGS = (".nii", ".nii.gz")
SHARE_OF_A_VOXEL = 0.1
"""How far corners of the two grids may lie apart, of the shortest edge of a voxel: programs store
directions as rounded quaternions, which moves the far corner of a leg by hundredths of it."""
ROUNDING = 1e-3
"""How far a number may lie from a whole one: files with a scale factor give 60.99999 for 61."""


@dataclass(frozen=True, eq=False)
class LabelImage:
    """A label image of the derivative.

    Attributes
    ----------
    path : Path
        Where it stands.
    labels : ndarray of uint8, shape (x, y, z)
        Canonical axes.
    affine : ndarray, shape (4, 4)
        Canonical voxel indices to RAS+ millimetres.
    orientation : Orientation
        The way back to the axes of the file.
    header : nibabel.Nifti1Header
        Of the file.
    """

    path: Path
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    orientation: Orientation
    header: Any

    @property
    def grid(self) -> Grid:
        """Where it lies, canonical axes."""
        x, y, z = self.labels.shape
        return Grid((x, y, z), self.affine)


def read_original(path: Path) -> LabelImage:
    """Read a label image of the derivative.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    try:
        image: Any = nib.load(path)
        data = np.asarray(image.dataobj.get_unscaled()).astype(np.uint8)
        volume, orientation = to_canonical(Volume(data, image.affine))
    except Exception as error:  # nibabel raises many kinds on a damaged file
        raise ImageError(
            f"{path} cannot be read ({error}); expected the label image that this program wrote; "
            "run the participant again with --overwrite"
        ) from error
    return LabelImage(path, volume.data, volume.affine, orientation, image.header)


def read_edited(path: Path, original: LabelImage) -> NDArray[np.uint8]:
    """Read what a person edited, onto the grid of the original.

    Parameters
    ----------
    path : Path
        NIfTI file; a fourth axis of length one is dropped, whole numbers may be stored as
        decimals, axes may be stored in any order.
    original : LabelImage
        What it was made from.

    Returns
    -------
    ndarray of uint8, shape (x, y, z)
        Canonical axes.

    Raises
    ------
    ImageError
        If it is no NIfTI file, lies on another grid, or holds numbers that are no labels.
    """
    volume = read_grid(path)
    problem = apart(Grid.of(volume), original.grid)
    if problem:
        raise ImageError(
            f"{path} {problem}; expected the grid of {original.path.name}: the labels are not "
            "resampled; edit that file itself (in 3D Slicer, export the segmentation with that "
            "image as reference volume), or name the image that was edited with --of"
        )
    rounded = np.rint(volume.data)
    if np.all(np.abs(volume.data - rounded) <= ROUNDING):
        volume = Volume(rounded, volume.affine)
    _check_numbers(path, volume)
    return volume.data.astype(np.uint8)


def read_grid(path: Path) -> Volume:
    """Read a NIfTI file in canonical axes, whatever numbers it holds.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if not path.name.lower().endswith(ENDINGS):
        raise ImageError(
            f"{path} is no NIfTI file; expected {' or '.join(ENDINGS)}; save the labels as NIfTI "
            "(3D Slicer: Segmentations module, Export to files, file format NIfTI)"
        )
    image = read_image(path)
    return to_canonical(Volume(image.data, image.affine))[0]


def apart(grid: Grid, original: Grid) -> str:
    """How a grid differs from that of the original; empty if it does not."""
    if grid.shape != original.shape:
        return (
            f"has {_spelt(grid.shape)} voxels (left-right × back-front × foot-head) where the "
            f"original has {_spelt(original.shape)}"
        )
    shift = _corner_distance(grid.affine, original.affine, grid.shape)
    if shift > SHARE_OF_A_VOXEL * min(original.spacing):
        return f"lies up to {shift:.2f} mm apart from the original"
    return ""


def _corner_distance(
    first: NDArray[np.float64], second: NDArray[np.float64], shape: Sequence[int]
) -> float:
    corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in shape))])
    apart = (first - second)[:3] @ corners.T
    return float(np.linalg.norm(apart, axis=0).max())


def _check_numbers(path: Path, volume: Volume) -> None:
    """Refuse numbers that are not whole, or that the scheme does not have.

    Raises
    ------
    ImageError
        Names the number, how many voxels have it, and where one of them lies.
    """
    known = [BACKGROUND, *(label.index for label in load_labels())]
    values, counts = np.unique(volume.data, return_counts=True)
    strange = ~np.isin(values, known)
    if not strange.any():
        return
    value, count = values[strange][0], int(counts[strange].sum())
    # NaN is equal to nothing, not even itself.
    wrong = np.isnan(volume.data) if np.isnan(value) else volume.data == value
    index = tuple(int(n) for n in np.argwhere(wrong)[0])
    x, y, z = (volume.affine @ (*index, 1.0))[:3]
    listed = ", ".join(f"{number:g}" for number in values[strange][:8])
    whole = not np.isnan(value) and float(value).is_integer()
    what = "is not in the label scheme" if whole else "is no whole number"
    raise ImageError(
        f"{path} holds {value:g}, which {what} ({count} voxels have such numbers: {listed}; one "
        f"lies at {x:.1f}, {y:.1f}, {z:.1f} mm to the right, front and head); expected 0 or a "
        "number of the scheme (legseg-labels itksnap writes names and numbers for your viewer); "
        "draw these voxels again"
    )


def _spelt(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
