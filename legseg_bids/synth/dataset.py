"""A BIDS dataset of simulated people: sample data, demonstrations, tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import nibabel as nib
import numpy as np

from legseg_bids import __version__
from legseg_bids.anatomy.labels import load_labels
from legseg_bids.imaging.volume import Volume
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.person import Scan, simulate_scan
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.shape import Grid

#: Stations of every simulated participant, in the order of their ``chunk`` entity, and how far
#: the table moved for each, mm: the middle of a thigh lies that far above the middle of a calf.
STATIONS = {"thigh": 390.0, "calf": 0.0}
#: Folder of the true labels inside the dataset.
TRUTH = "derivatives/truth"
#: Field strength that the sidecars claim; opposed phase at 1.15 ms.
FIELD_STRENGTH, ECHO_TIME = 3, 0.00115


@dataclass(frozen=True)
class Plan:
    """How to simulate a dataset: the grid, the people, the kinds of image.

    ``kinds`` are ``opposed`` or ``water_fat``, one a participant, repeated as needed.
    """

    grid: Grid
    participants: int = 2
    kinds: tuple[str, ...] = ("opposed", "water_fat")
    seed: int = 0


def write_dataset(
    folder: Path, plan: Plan, anatomies: Sequence[Anatomy], ranges: Sequence[Ranges]
) -> list[Path]:
    """Simulate and write; returns the images.

    Parameters
    ----------
    folder : Path
        Receives the dataset; made if missing.
    plan : Plan
    anatomies, ranges : sequence
        Used in turn, one a participant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, "raw")
    _describe(folder / TRUTH, "derivative")
    written: list[Path] = []
    labels = [f"{n + 1:02d}" for n in range(plan.participants)]
    for n, label in enumerate(labels):
        for chunk, (region, height) in enumerate(STATIONS.items(), start=1):
            scan = simulate_scan(
                anatomies[n % len(anatomies)],
                region,
                plan.grid,
                plan.seed + n,
                ranges[n % len(ranges)],
            )
            kind = plan.kinds[n % len(plan.kinds)]
            written += _write_scan(folder, label, chunk, kind, _raised(scan, height))
    rows = "".join(f"sub-{label}\n" for label in labels)
    (folder / "participants.tsv").write_text("participant_id\n" + rows, encoding="utf-8")
    return written


def _raised(scan: Scan, height: float) -> Scan:
    """The same scan, with the participant moved along the scanner."""

    def raised(volume: Volume) -> Volume:
        affine = volume.affine.copy()
        affine[2, 3] += height
        return Volume(volume.data, affine)

    return Scan(**{field.name: raised(getattr(scan, field.name)) for field in fields(scan)})


def _write_scan(folder: Path, label: str, chunk: int, kind: str, scan: Scan) -> list[Path]:
    anat = folder / f"sub-{label}" / "anat"
    names = (
        {"opposed": scan.opposed} if kind == "opposed" else {"water": scan.water, "fat": scan.fat}
    )
    acq = {"opposed": "outphase", "water": "dixonwater", "fat": "dixonfat"}
    written = []
    for role, volume in names.items():
        stem = f"sub-{label}_acq-{acq[role]}_chunk-{chunk}_T1w"
        written.append(_save(volume, anat / f"{stem}.nii.gz"))
        _write_json(anat / f"{stem}.json", _sidecar(role))
    source = next(iter(names))
    stem = f"sub-{label}_acq-{acq[source]}_chunk-{chunk}"
    truth = folder / TRUTH / f"sub-{label}" / "anat"
    path = _save(scan.labels, truth / f"{stem}_seg-muscles_dseg.nii.gz")
    target = f"bids:raw:sub-{label}/anat/{stem}_T1w.nii.gz"
    _write_json(
        path.with_name(f"{stem}_seg-muscles_dseg.json"),
        {
            "Description": "True labels of the simulation",
            "Manual": False,
            "Sources": [target],
            "SpatialReference": target,
        },
    )
    _write_table(path.with_name(f"{stem}_seg-muscles_dseg.tsv"), scan.labels)
    return written


def _sidecar(role: str) -> dict[str, object]:
    image_type = {"opposed": "OUT_PHASE", "water": "WATER", "fat": "FAT"}[role]
    return {
        "MagneticFieldStrength": FIELD_STRENGTH,
        "EchoTime": ECHO_TIME,
        "ImageType": ["DERIVED", "SECONDARY", image_type],
        "BodyPart": "LEG",
        "Manufacturer": "simulated",
    }


def _save(volume: Volume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.nifti1.Nifti1Image(np.asarray(volume.data), volume.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(volume.affine, 1)
    image.set_sform(volume.affine, 1)
    nib.save(image, path)
    return path


def _write_table(path: Path, labels: Volume) -> None:
    there = set(np.unique(labels.data).tolist())
    rows = [f"{e.index}\t{e.name}\t{e.abbreviation}" for e in load_labels() if e.index in there]
    path.write_text("index\tname\tabbreviation\n" + "\n".join(rows) + "\n", encoding="utf-8")


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _describe(folder: Path, kind: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, object] = {
        "Name": "Simulated legs" if kind == "raw" else "truth of the simulated legs",
        "BIDSVersion": "1.10.0",
        "DatasetType": kind,
        "License": "CC-BY-4.0",
        "Authors": ["The legseg-bids authors"],
        "ReferencesAndLinks": ["Andreassen et al., Scientific Data 10:34 (2023)"],
        "GeneratedBy": [{"Name": "legseg-synth", "Version": __version__}],
    }
    if kind == "derivative":
        content["DatasetLinks"] = {"raw": "../.."}
        content["GeneratedBy"] = [{"Name": "truth", "Version": __version__}]
    _write_json(folder / "dataset_description.json", content)
    if kind == "raw":
        text = (
            "# Simulated legs\n\nMade by `legseg-synth` from label maps of the Visible Human"
            " (Andreassen et al. 2023, CC BY 4.0). No living person.\n"
        )
        (folder / "README.md").write_text(text, encoding="utf-8")
