"""The tree that a run writes, seen by the validator and by pybids."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.bids.derivative import StationResult, write_station
from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.measures import MeasureTables
from legseg_bids.bids.names import MEASURES
from legseg_bids.bids.reading import read_image
from legseg_bids.bids.runlog import run_id, write_run_log
from legseg_bids.bids.validate import find_command
from legseg_bids.measure import Scene, measure_image

TIMES = {"MagneticFieldStrength": 3, "TablePosition": [0, 0, -412.5], "BodyPart": "LEG"}
IMAGES = {
    "sub-01/anat/sub-01_acq-outphase_chunk-1_T1w": {"BodyPart": "LEG"},
    "sub-01/anat/sub-01_acq-outphase_chunk-2_T1w": {"BodyPart": "LEG"},
    "sub-02/ses-a/anat/sub-02_ses-a_acq-d_echo-1_part-mag_MEGRE": {"EchoTime": 0.00115, **TIMES},
    "sub-02/ses-a/anat/sub-02_ses-a_acq-d_echo-2_part-mag_MEGRE": {"EchoTime": 0.0023, **TIMES},
    "sub-03/anat/sub-03_acq-dixonwater_run-1_T1w": {"ImageType": ["DERIVED", "WATER"]},
    "sub-03/anat/sub-03_acq-dixonfat_run-1_T1w": {"ImageType": ["DERIVED", "FAT"]},
}
STEMS = [
    "sub-01/anat/sub-01_acq-outphase_chunk-1",
    "sub-01/anat/sub-01_acq-outphase_chunk-2",
    "sub-02/ses-a/anat/sub-02_ses-a_acq-d_echo-1_part-mag",
    "sub-03/anat/sub-03_acq-dixonwater_run-1",
]
ENDINGS = [
    "label-leg_mask.json",
    "label-leg_mask.nii.gz",
    "seg-muscles_desc-confidence_probseg.json",
    "seg-muscles_desc-confidence_probseg.nii.gz",
    *(
        f"seg-muscles_desc-{table}_dseg.{extension}"
        for table in ("compartments", "profiles", "limbs")
        for extension in ("json", "tsv")
    ),
    "seg-muscles_dseg.json",
    "seg-muscles_dseg.nii.gz",
    "seg-muscles_dseg.tsv",
    "seg-muscles_probseg.json",
    "seg-muscles_probseg.nii.gz",
]


def rows() -> list[dict[str, object]]:
    fields = ("index", "name", "abbreviation", "side", "region", "tissue", "color")
    return [
        {**{name: getattr(label, name) for name in fields}, "voxels": 3, "volume": 0.1}
        for label in load_labels()
    ]


def tables(shape: tuple[int, ...], kind: str) -> MeasureTables:
    """Tables as they are measured on two legs; a map where there is water and fat."""
    labels = np.zeros((20, 12, 4), np.uint8)
    labels[2:8, 3:9, 1:3], labels[12:18, 3:9] = 61, 62
    fat = np.full(labels.shape, 0.5)
    measured = measure_image(
        Scene(labels, np.diag([3.0, 3.0, 9.0, 1.0]), np.ones(labels.shape, bool), fat)
    )
    assert all(getattr(measured, table) for table in MEASURES)
    return MeasureTables(
        measured.compartments,
        measured.profiles,
        measured.limbs,
        fat_fraction=np.full(shape, 0.5) if kind == "water_fat" else None,
        fat_facts={"HighestFraction": 1.0},
    )


@pytest.fixture
def out(build, nearest_odd) -> Path:
    raw = build(IMAGES)
    out = raw / "derivatives" / "legseg-bids"
    write_dataset_files(out, raw, {})
    run = run_id()
    for station in discover(index(raw), nearest_odd).stations:
        image = read_image(station.source)
        shape = image.data.shape
        result = StationResult(
            labels=np.full(shape, 61, np.uint8),
            rows=rows(),
            mask=np.ones(shape, bool),
            confidence=np.ones(shape, np.float32),
            probabilities=np.ones((*shape, 2), np.float32) / 2,
            probability_names=["RF_L", "RF_R"],
            measures=tables(shape, station.kind),
            details={"Engine": "openvino", "Warnings": []},
        )
        write_station(out, station, image.header, result, "abc")
        write_run_log(out, station.subject, run, {"run": {"device": "cpu"}})
    return out


def test_the_manifest(out: Path) -> None:
    found = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    expected = {f"{stem}_{ending}" for stem in STEMS for ending in ENDINGS}
    expected |= {f"{STEMS[-1]}_label-fat_desc-fatfraction_probseg.{e}" for e in ("json", "nii.gz")}
    top = {"dataset_description.json", "README.md", ".bidsignore"}
    assert {name for name in found if not name.startswith("logs/")} == expected | top


@pytest.mark.skipif(find_command() is None, reason="no bids-validator-deno")
def test_the_tree_is_valid_bids(out: Path) -> None:
    command = [str(find_command()), "--format", "json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}
    assert done.returncode == 0


def test_sources_exist_and_lie_on_the_same_grid(out: Path) -> None:
    raw = out.parent.parent
    link = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]["raw"]
    assert (out / link).resolve() == raw.resolve()
    for sidecar in out.glob("sub-*/**/*.json"):
        content = json.loads(sidecar.read_text())
        sources = [raw / uri.removeprefix("bids:raw:") for uri in content["Sources"]]
        assert all(source.is_file() for source in sources)
        assert content["SpatialReference"] == content["Sources"][0]
        if sidecar.with_suffix(".tsv").exists() and "_desc-" in sidecar.name:
            continue
        image = nib.load(sidecar.with_suffix(".nii.gz"))
        np.testing.assert_array_equal(image.affine, nib.load(sources[0]).affine)


def test_pybids_finds_every_label_image_with_its_metadata(out: Path) -> None:
    from bids import BIDSLayout

    layout = BIDSLayout(out, validate=False, config=["bids", "derivatives"], is_derivative=True)
    found = layout.get(suffix="dseg", extension=".nii.gz")
    assert len(found) == len(STEMS)
    assert {file.get_metadata()["Legseg"]["ConfigHash"] for file in found} == {"abc"}
