"""Small derivatives to be compared: boxes of four muscles, and what models make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (24, 16, 6)
AFFINE = np.array([[2.0, 0, 0, -24], [0, 2.0, 0, -16], [0, 0, 5.0, 7], [0, 0, 0, 1]])
#: Index → name in the label scheme.
NAMES = {
    61: "Rectus femoris left",
    62: "Rectus femoris right",
    55: "Vastus lateralis left",
    56: "Vastus lateralis right",
}
#: The same as another group would have it: sides pooled, numbers of their own.
POOLED = {1: "rectus_femoris", 2: "vastus_lateralis"}


@dataclass(frozen=True)
class Study:
    """Folders of a reference and of models."""

    root: Path
    reference: Path
    models: tuple[Path, ...]

    @property
    def out(self) -> Path:
        """Where an evaluation may write."""
        return self.root / "evaluation"


def boxes(
    numbers: Sequence[int] = tuple(NAMES), move: int = 0, slices: slice = slice(1, 5)
) -> NDArray[np.int16]:
    """Label image (x, y, z): muscles 6 × 8 voxels wide; ``move`` shifts them along y.

    Examples
    --------
    >>> int((boxes() == 61).sum())
    192
    """
    out = np.zeros(SHAPE, np.int16)
    for place, number in enumerate(numbers):
        x = 6 * place
        out[x : x + 6, 4 + move : 12 + move, slices] = number
    return out


def write_labels(
    path: Path,
    data: NDArray,
    names: Mapping[int, str] | None = NAMES,
    *,
    affine: NDArray = AFFINE,
    sources: Sequence[str] = (),
) -> Path:
    """Write a label image, its table (unless ``names`` is None) and, with sources, its sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)
    stem = path.with_name(path.name.partition(".nii")[0])
    if names is not None:
        write_table(stem.with_name(f"{stem.name}.tsv"), names)
    if sources:
        told = {"Sources": [f"bids:raw:{source}" for source in sources]}
        stem.with_name(f"{stem.name}.json").write_text(json.dumps(told))
    return path


def write_table(path: Path, names: Mapping[int, str]) -> Path:
    """Write a table of labels as BIDS has it."""
    rows = "".join(f"{index}\t{name}\n" for index, name in names.items())
    path.write_text(f"index\tname\n{rows}")
    return path


def label_name(participant: str, more: str = "acq-opp_seg-hand") -> str:
    """Path of a label image within a derivative."""
    return f"sub-{participant}/anat/sub-{participant}_{more}_dseg.nii.gz"


def write_study(
    root: Path, participants: Sequence[str] = ("01", "02"), moves: Sequence[int] = (1,)
) -> Study:
    """A reference, and one model for each move: its boxes lie so many voxels beside.

    The reference is drawn by hand in the label scheme; models name their images as this
    application does.
    """
    reference = root / "reference"
    models = tuple(root / f"model{number}" for number in range(1, len(moves) + 1))
    for participant in participants:
        write_labels(reference / label_name(participant), boxes())
        for folder, move in zip(models, moves, strict=True):
            name = label_name(participant, "acq-opp_seg-muscles")
            write_labels(folder / name, boxes(move=move))
    return Study(root, reference, models)
