"""The whole application with a network for the hip, which finds a bone without a side."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from running import Ended, run_legseg
from skeleton import Image, legs, write_dataset
from tiny_hip import GLUTEUS_MEDIUS, SACRUM, write_hip_models

from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.pipeline import segment_station
from legseg_bids.settings import Settings

pytest.importorskip("onnx")

IMAGE = "sub-01/anat/sub-01_acq-opp"
STEM = f"{IMAGE}_seg-muscles_dseg"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hip")


@pytest.fixture(scope="module")
def models(home: Path) -> Path:
    return write_hip_models(home / "models")


@pytest.fixture(scope="module")
def ended(home: Path, models: Path) -> Ended:
    """One run of both levels on one station of 60 mm, at which both networks look."""
    water, fat = legs((96, 56, 6))
    write_dataset(home / "bids", {f"{IMAGE}_T1w": Image(abs(water - fat))})
    words = ["--models", models, "--device", "cpu", "--skip-bids-validation", "--nprocs", "1"]
    ended = run_legseg(home / "bids", home / "out", "participant", *words)
    assert run_legseg(home / "bids", home / "out", "group", *words[-3:]).code == 0
    return ended


@pytest.fixture(scope="module")
def out(home: Path, ended: Ended) -> Path:
    assert ended.code == 0, ended.progress
    return home / "out"


def test_labels_are_those_of_the_pure_function(out: Path, home: Path, models: Path) -> None:
    source = nib.load(home / "bids" / f"{IMAGE}_T1w.nii.gz")
    volume = Volume(source.get_fdata(dtype=np.float32), source.affine)
    settings = Settings(home, home, models_dir=models, engine="openvino", device="cpu")
    expected = segment_station(volume, settings).source_labels
    found = np.asarray(nib.load(out / f"{STEM}.nii.gz").dataobj)
    np.testing.assert_array_equal(found, expected)
    assert {GLUTEUS_MEDIUS, GLUTEUS_MEDIUS + 1, SACRUM} <= set(np.unique(found))
    middle = found.shape[0] // 2
    assert (found[:middle] == SACRUM).any()
    assert (found[middle:] == SACRUM).any()


def test_sidecar_names_the_network_and_its_slices(out: Path) -> None:
    told = json.loads((out / f"{STEM}.json").read_text())["Legseg"]
    assert [model["Name"] for model in told["Models"]] == ["thigh", "hip"]
    assert told["Models"][1]["Labels"] == ["GMED", "SAC"]
    assert [(one["Name"], one["Side"]) for one in told["Regions"]] == [
        (region, side) for region in ("upper", "hip") for side in ("left", "right")
    ]


def test_sacrum_is_measured_once(out: Path) -> None:
    with (out / f"{STEM}.tsv").open(newline="") as file:
        rows = {row["abbreviation"]: row for row in csv.DictReader(file, delimiter="\t")}
    sacrum, gluteus = rows["SAC"], rows["GMED_L"]
    assert (sacrum["side"], sacrum["region"], sacrum["tissue"]) == ("n/a", "hip", "bone")
    assert float(sacrum["volume"]) > 0
    assert (sacrum["asymmetry"], sacrum["predicted_dice"]) == ("n/a", "n/a")
    assert sacrum["color"] != "n/a"
    assert 0 < float(gluteus["predicted_dice"]) <= 1
    assert gluteus["region"] == "hip"


def test_sacrum_is_shown(out: Path) -> None:
    assert (out / "sub-01/figures" / f"{Path(STEM).name}.png").stat().st_size > 1000
    page = (out / "sub-01.html").read_text()
    assert "Sacrum" in page
    assert "Gluteus medius left" in page
    assert "hip 0.0.1" in page  # the network, by name and version


def test_sacrum_reaches_the_group(out: Path) -> None:
    with (out / "group_volumes.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["abbreviation"] for row in rows} >= {"SAC", "GMED_L", "GMED_R"}
    assert "Sacrum" in (out / "group.html").read_text()
