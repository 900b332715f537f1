"""Small datasets with labels drawn on them: what a training of one's own begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from skeleton import SPACING, Image, legs, write_dataset

#: Front and back half of the muscle of each limb, left then right, in the label scheme.
SCHEME = {
    61: "Rectus femoris left",
    31: "Biceps femoris long head left",
    62: "Rectus femoris right",
    32: "Biceps femoris long head right",
}


def drawn(shape: tuple[int, int, int] = (96, 56, 8), numbers=(61, 31, 62, 32)) -> np.ndarray:
    """Labels of the phantom of two limbs, (x, y, z)."""
    x, y, _ = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
    out = np.zeros(shape, np.int16)
    for centre, (front, back) in zip((0.25, 0.75), (numbers[:2], numbers[2:]), strict=True):
        muscle = np.hypot(x - centre * shape[0], y - shape[1] / 2) < 0.2 * shape[1]
        out[muscle & (y >= shape[1] / 2)] = front
        out[muscle & (y < shape[1] / 2)] = back
    return out


def write_labelled(
    root: Path,
    participants: int = 3,
    names: Mapping[int, str] = SCHEME,
    labels: np.ndarray | None = None,
    first: int = 1,
) -> Path:
    """A dataset of the phantom, and the derivative ``drawn`` with labels; returns the root."""
    images = {}
    labels = drawn() if labels is None else labels
    for number in range(first, first + participants):
        water, fat = legs(seed=number)
        # the front half is brighter, so that there is something to learn
        shade = np.where(np.arange(56) >= 28, 1.0, 0.6)[None, :, None]
        images[f"sub-{number:02d}/anat/sub-{number:02d}_acq-outphase_T1w"] = Image(
            np.abs(water * shade - fat).astype(np.float32)
        )
        write_labels(root, f"{number:02d}", labels, names)
    return write_dataset(root, images)


def write_labels(
    root: Path,
    label: str,
    labels: np.ndarray,
    names: Mapping[int, str],
    affine: np.ndarray | None = None,
) -> Path:
    """One label image with its table."""
    stem = root / f"derivatives/drawn/sub-{label}/anat/sub-{label}_acq-outphase_seg-hand_dseg"
    stem.parent.mkdir(parents=True, exist_ok=True)
    grid = np.diag([*SPACING, 1.0]) if affine is None else affine
    nib.save(nib.Nifti1Image(labels, grid), f"{stem}.nii.gz")
    rows = "".join(f"{index}\t{name}\n" for index, name in names.items())
    stem.with_name(f"{stem.name}.tsv").write_text(f"index\tname\n{rows}")
    return stem


def recipe_text(*datasets: str, **tables: str) -> str:
    """A recipe for a tiny network; ``tables`` replace or add tables by name, ``top`` keys."""
    parts = {
        "network": 'name = "ResidualUNet3d"\nfeatures = [4, 6]\nstrides = [[1, 2, 2]]\n'
        "kernels = [[1, 3, 3], [3, 3, 3]]",
        "grid": "spacing = [6.0, 6.0, 10.0]\npatch = [4, 24, 24]",
        "schedule": "epochs = 2\nsteps = 2",
        "split": "folds = 3",
        "optimiser": "learning_rate = 0.01",
    }
    top = tables.pop("top", "")
    data = "".join(
        f'[[data]]\nraw = "{name}"\nlabels = "{name}/derivatives/drawn"\n' for name in datasets
    )
    parts |= tables
    text = "".join(f"[{name}]\n{body}\n" for name, body in parts.items() if body)
    workers = "" if "workers" in top else "workers = 0"
    return f'region = "upper"\n{workers}\n{top}\n{data}{text}'
