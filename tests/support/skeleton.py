"""Small BIDS datasets made from a table of file names, and phantoms to fill them with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

DESCRIPTION = {"Name": "Skeleton", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
SPACING = (3.0, 3.0, 10.0)


@dataclass(frozen=True)
class Image:
    """One image file and its sidecar: array (x, y, z), affine (4, 4), metadata."""

    data: NDArray
    affine: NDArray | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def legs(
    shape: tuple[int, int, int] = (96, 56, 8), limbs: int = 2, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Water and fat images (x, y, z) of one or two cylinders: muscle in a sleeve of fat.

    Examples
    --------
    >>> water, fat = legs(limbs=1)
    >>> water.shape, bool(water[54, 28, 0] > fat[54, 28, 0])
    ((96, 56, 8), True)
    """
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*(np.arange(n, dtype=float) for n in shape[:2]), indexing="ij")
    centres = [shape[0] / 2] if limbs == 1 else [shape[0] * 0.25, shape[0] * 0.75]
    water, fat = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for z in range(shape[2]):
        outer = 0.36 * shape[1] * (0.8 + 0.2 * z / shape[2])
        for centre in centres:
            radius = np.hypot(x - centre, y - shape[1] / 2)
            fat[..., z] += np.where(radius < outer, 900.0, 0.0) * (radius >= 0.75 * outer)
            water[..., z] += 600.0 * (radius < 0.75 * outer) * (radius >= 0.12 * outer)
            fat[..., z] += 800.0 * (radius < 0.12 * outer) + 60.0 * (radius < 0.75 * outer)
    noise = rng.normal(0, 6, (2, *shape)).astype(np.float32)
    return np.abs(water + noise[0]), np.abs(fat + noise[1])


def opposed(limbs: int = 2, seed: int = 0, **metadata: Any) -> Image:
    """An acquired opposed-phase image of the phantom."""
    water, fat = legs(limbs=limbs, seed=seed)
    return Image(np.abs(water - fat), metadata=metadata)


def write_dataset(root: Path, images: Mapping[str, Image]) -> Path:
    """Write a raw dataset; keys are paths without extension, like ``sub-01/anat/sub-01_T1w``."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps(DESCRIPTION))
    (root / "README").write_text("A skeleton for tests: nobody was scanned for it.\n" * 4)
    for stem, image in images.items():
        write_image(root / stem, image)
    return root


def write_image(stem: Path, image: Image) -> Path:
    """Write ``stem.nii.gz`` and ``stem.json``; return the former."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*SPACING, 1.0]) if image.affine is None else image.affine
    nifti = nib.Nifti1Image(np.asarray(image.data), affine)
    nifti.header.set_xyzt_units("mm", "sec")
    path = stem.with_name(stem.name + ".nii.gz")
    nib.save(nifti, path)
    stem.with_name(stem.name + ".json").write_text(json.dumps(dict(image.metadata)))
    return path


def outphase_dataset(root: Path, participants: int = 1) -> Path:
    """Participants 01, 02, ... with one acquired opposed-phase image each."""
    return write_dataset(
        root,
        {
            f"sub-{n:02d}/anat/sub-{n:02d}_acq-outphase_T1w": opposed(seed=n)
            for n in range(1, participants + 1)
        },
    )


def tree(root: Path) -> list[str]:
    """All files below a folder, relative, sorted: the manifest."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
