"""A small finished derivative, written by hand as older runs left it: reports are made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SPACING = (2.0, 2.0, 8.0)
SHAPE = (60, 36, 9)
#: Value, centre (x, y), radius in voxels, and slices: two limbs, the patient's left at low x.
DISCS = (
    (61, (14, 24), 7, (0, 9)),  # rectus femoris left
    (62, (45, 24), 7, (0, 9)),
    (35, (14, 11), 5, (0, 9)),  # semimembranosus left
    (36, (45, 11), 5, (0, 9)),
    (9, (24, 14), 2, (7, 8)),  # popliteus left, in one slice alone
)
COLUMNS = (
    "index",
    "name",
    "abbreviation",
    "side",
    "tissue",
    "volume",
    "truncated",
    "cut_in_plane",
)
NAMES = {
    61: ("Rectus femoris left", "RF_L", "left"),
    62: ("Rectus femoris right", "RF_R", "right"),
    35: ("Semimembranosus left", "SM_L", "left"),
    36: ("Semimembranosus right", "SM_R", "right"),
    9: ("Popliteus left", "POP_L", "left"),
}


@dataclass(frozen=True)
class Study:
    """A dataset and its derivative, of one participant."""

    bids_dir: Path
    output_dir: Path
    subject: str = "01"


def label_image() -> NDArray[np.uint8]:
    """Discs of different labels in two limbs (x, y, z)."""
    x, y = np.meshgrid(*(np.arange(n) for n in SHAPE[:2]), indexing="ij")
    labels = np.zeros(SHAPE, np.uint8)
    for value, (cx, cy), radius, (first, last) in DISCS:
        disc = np.hypot(x - cx, y - cy) < radius
        labels[disc, first:last] = value
    return labels


def grey_image() -> NDArray[np.float32]:
    """Bright where there is a label, dimmer round it, dark outside; brighter in the left limb."""
    labels = label_image()
    x = np.arange(SHAPE[0])[:, None, None]
    body = ((x - 14) ** 2 + (np.arange(SHAPE[1])[None, :, None] - 18) ** 2 < 15**2) | (
        (x - 45) ** 2 + (np.arange(SHAPE[1])[None, :, None] - 18) ** 2 < 15**2
    )
    return np.where(labels > 0, np.where(x < 30, 900.0, 600.0), 300.0 * body).astype(np.float32)


def affine_of(chunk: int = 1) -> NDArray[np.float64]:
    """Stations lie on top of each other, one slice shared."""
    affine = np.diag([*SPACING, 1.0])
    affine[2, 3] = (chunk - 1) * (SHAPE[2] - 1) * SPACING[2]
    return affine


def write_study(root: Path, subject: str = "01", chunks: Sequence[int] = (1, 2)) -> Study:
    """Dataset and derivative: stations, and the leg that they were merged into if several."""
    study = Study(root / "bids", root / "out", subject)
    folder = f"sub-{subject}/anat"
    (study.output_dir / folder).mkdir(parents=True)
    (study.bids_dir / folder).mkdir(parents=True)
    stems = [f"{folder}/sub-{subject}_acq-opp_chunk-{chunk}" for chunk in chunks]
    for chunk, stem in zip(chunks, stems, strict=True):
        source = study.bids_dir / f"{stem}_T1w.nii.gz"
        nib.save(nib.Nifti1Image(grey_image(), affine_of(chunk)), source)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        told = {"SourceSHA256": {"opposed": digest}, "Parts": ["upper"] * SHAPE[2]}
        write_image(study.output_dir, f"{stem}_seg-muscles", affine_of(chunk), legseg=told)
        write_sidecar(study.output_dir, f"{stem}_seg-muscles", [f"bids:raw:{stem}_T1w.nii.gz"])
    if len(chunks) > 1:
        _write_merged(study.output_dir, folder, subject, stems)
    return study


def write_image(
    output: Path,
    stem: str,
    affine: NDArray[np.float64],
    labels: NDArray[np.uint8] | None = None,
    legseg: Mapping[str, Any] | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Label image, confidence, table (with `extra` columns) and sidecar of one image."""
    labels = label_image() if labels is None else labels
    image = nib.Nifti1Image(labels, affine)
    nib.save(image, output / f"{stem}_dseg.nii.gz")
    nib.save(image, output / f"{stem}_desc-confidence_probseg.nii.gz")
    more = dict(extra or {})
    lines = ["\t".join([*COLUMNS, *more])]
    for value, (name, abbreviation, side) in NAMES.items():
        volume = f"{(labels == value).sum() * 0.032:g}"
        cells = [str(value), name, abbreviation, side, "muscle", volume, "both", "false"]
        lines.append("\t".join([*cells, *more.values()]))
    (output / f"{stem}_dseg.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = {
        "Version": "0.1.0",
        "ConfigHash": "ab",
        "RunUUID": "20260101-000000_x",
        **(legseg or {}),
    }
    (output / f"{stem}_dseg.json").write_text(json.dumps({"Legseg": told}))


def write_sidecar(output: Path, stem: str, sources: Sequence[str], **more: Any) -> None:
    """Say what an image was made from; `more` goes into our own object."""
    path = output / f"{stem}_dseg.json"
    content = json.loads(path.read_text())
    content["Legseg"] |= more
    content |= {"Description": "Leg muscles, segmented on an opposed-phase image"}
    path.write_text(json.dumps({**content, "Sources": list(sources)}))


def _write_merged(output: Path, folder: str, subject: str, stems: Sequence[str]) -> None:
    names = [f"{stem}_seg-muscles_dseg.nii.gz" for stem in stems]
    labels = np.concatenate([label_image(), label_image()[..., 1:]], axis=2)
    told = {"StationSHA256": {name: _sums(output / name) for name in names}}
    stem = f"{folder}/sub-{subject}_acq-opp_seg-muscles_desc-merged"
    write_image(output, stem, affine_of(), labels, told)
    write_sidecar(output, stem, [f"bids::{name}" for name in names])


def _sums(labels: Path) -> dict[str, str]:
    stem = str(labels).removesuffix("_dseg.nii.gz")
    files = {
        "Labels": labels,
        "Confidence": Path(f"{stem}_desc-confidence_probseg.nii.gz"),
        "Table": Path(f"{stem}_dseg.tsv"),
    }
    return {role: hashlib.sha256(path.read_bytes()).hexdigest() for role, path in files.items()}
