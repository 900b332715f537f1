"""The same image in files of other axes, read and labelled as the application would.

The way back to the trial's axes is written here once more, and not that of
``legseg_bids.imaging.orientation``, which it is to measure.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.reading import read_image
from legseg_bids.evaluate.trials import Trial
from legseg_bids.imaging.orientation import from_canonical, to_canonical
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.merge import Labels


@dataclass(frozen=True)
class Way:
    """How a file stores an image.

    Attributes
    ----------
    axes : tuple of int
        Axis of the image that the file's first, second and third are.
    flipped : tuple of int
        Axes of the file that run backwards.
    turn : float
        Angle between the body and the scanner's axes, about an oblique axis, degrees.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[int, ...] = ()
    turn: float = 0.0

    def store(self, volume: Volume) -> Volume:
        """Turn an image into the file's axes; every voxel stays where it is in the body."""
        data = np.flip(volume.data.transpose(self.axes), self.flipped)
        back = np.zeros((4, 4))
        back[3, 3] = 1.0
        for stored, original in enumerate(self.axes):
            runs_back = stored in self.flipped
            back[original, stored] = -1.0 if runs_back else 1.0
            back[original, 3] = data.shape[stored] - 1.0 if runs_back else 0.0
        return Volume(np.ascontiguousarray(data), _turned(self.turn) @ volume.affine @ back)

    def undo(self, data: NDArray[Any]) -> NDArray[Any]:
        """Turn an array from the file's axes into those of the image."""
        return np.ascontiguousarray(
            np.flip(data, self.flipped).transpose(tuple(np.argsort(self.axes)))
        )


#: What files of scanners and of converters look like; the header tells the truth in all.
WAYS: Mapping[str, Way] = {
    "mirrored": Way(flipped=(0,)),
    "head first": Way(flipped=(2,)),
    "permuted": Way(axes=(2, 0, 1), flipped=(1, 2)),
    "oblique": Way(turn=20.0),
}


def _turned(degrees: float) -> NDArray[np.float64]:
    """Rotation about the diagonal (1, 1, 1), as a 4 × 4 matrix."""
    angle, out = np.deg2rad(degrees), np.eye(4)
    k = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / np.sqrt(3.0)
    out[:3, :3] += np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)
    return out


def as_file(trial: Trial, way: Way) -> Trial:
    """Water and fat of a trial after a NIfTI file has held them in other axes.

    The labels stay in the trial's axes.
    """
    with tempfile.TemporaryDirectory(prefix="legseg-") as folder:
        water, fat = (
            _through(way.store(image), Path(folder, f"{name}.nii"))
            for name, image in (("water", trial.water), ("fat", trial.fat))
        )
    return replace(trial, water=water, fat=fat)


def _through(volume: Volume, path: Path) -> Volume:
    file: Any = nib.nifti1.Nifti1Image
    nib.save(file(volume.data, volume.affine), path)
    image = read_image(path)
    return Volume(np.array(image.data), image.affine)


def from_file(labels: Labels, stored: Volume, way: Way) -> Labels:
    """Canonical labels → those of the file, as they are written → the trial's axes."""
    orientation = to_canonical(stored)[1]
    return Labels(
        way.undo(from_canonical(labels.labels, orientation)),
        way.undo(from_canonical(labels.probability, orientation)),
    )
