"""A finished derivative of two stations, and label images that somebody edited."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from running import run_legseg
from stations import two_stations

FIRST = "sub-01/anat/sub-01_acq-outphase_chunk-1_seg-muscles_dseg"
SECOND = "sub-01/anat/sub-01_acq-outphase_chunk-2_seg-muscles_dseg"
MERGED = "sub-01/anat/sub-01_acq-outphase_seg-muscles_desc-merged_dseg"
FIRST_MANUAL = FIRST.replace("_dseg", "_desc-manual_dseg")
MERGED_MANUAL = MERGED.replace("desc-merged", "desc-mergedmanual")
#: Slices of the first station that the second one shows, too.
SHARED = slice(10, 14)
Drawing = Callable[[NDArray[np.uint8]], None]


def segment(root: Path, models: Path, *options: object) -> Path:
    """Segment two stations below `root`, unless that was done; the output folder."""
    bids = root / "bids"
    if not bids.is_dir():
        two_stations(bids)
    words = ["participant", "--models", models, "--skip-bids-validation", "--device", "cpu"]
    ended = run_legseg(bids, root / "out", *words, "--nprocs", "1", *options)
    assert ended.code == 0, ended.progress
    return root / "out"


def read(path: Path) -> NDArray[np.uint8]:
    """Voxels of a label image as they are stored."""
    return np.asarray(nib.load(path).dataobj).astype(np.uint8)


def edit(output: Path, stem: str, target: Path, draw: Drawing) -> Path:
    """Copy a label image of the derivative to `target`, with something drawn on it."""
    image = nib.load(output / f"{stem}.nii.gz")
    labels = np.asarray(image.dataobj).astype(np.uint8)
    draw(labels)
    target.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, image.affine), target)
    return target


def grow(labels: NDArray[np.uint8]) -> None:
    """Give a box of the first muscle to the second one, in two of the slices that are shared."""
    box = labels[:, :, SHARED][..., 1:3]
    box[box == 31] = 33


def rows(path: Path) -> dict[str, dict[str, str]]:
    """A table of labels by abbreviation."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    parsed = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    return {row["abbreviation"]: row for row in parsed}


def told(output: Path, stem: str) -> dict:
    """What a sidecar says of a correction."""
    return json.loads((output / f"{stem}.json").read_text(encoding="utf-8"))["Legseg"][
        "Correction"
    ]


def contents(output: Path) -> dict[str, bytes]:
    """Every file but logs and temporary ones."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and "logs" not in path.relative_to(output).parts
    }
