"""Networks of other tools, from their files through ``legseg-import`` to labels."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from foreign_models import (
    Rims,
    TwoSides,
    export,
    rims_of,
    write_nnunet_folder,
    write_snap_labels,
)
from running import run_legseg
from skeleton import Image, write_dataset
from tiny_models import write_models

from legseg_bids.cli.import_model import main
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.pipeline import segment_station
from legseg_bids.settings import Settings

SPACING = (3.0, 3.0, 10.0)
SHAPE = (96, 56, 8)
CENTRES, RADIUS = (24.0, 72.0), 17.0
NAMES = ("Vastus intermedius", "Vastus lateralis", "Vastus medialis", "Semitendinosus",
         "Rectus femoris")  # fmt: skip
LEFT = (0, 57, 55, 59, 37, 61)
IMAGE = "sub-01/anat/sub-01_acq-outphase_T1w"


def body() -> np.ndarray:
    """Two discs (x, y, z); the limb at low x is the left one."""
    x, y, _ = np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij")
    return np.minimum(*(np.hypot(x - c, y - SHAPE[1] / 2) for c in CENTRES)) < RADIUS


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    noise = np.random.default_rng(2).normal(0, 20, SHAPE)
    inner = 300 * (np.abs(np.arange(SHAPE[1]) - 28) < 8)[None, :, None]
    data = np.where(body(), 500 + inner + noise, np.abs(noise) / 10)
    image = Image(data.astype(np.float32), np.diag([*SPACING, 1.0]))
    return write_dataset(tmp_path_factory.mktemp("foreign") / "bids", {IMAGE: image})


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("shipped"))


@pytest.fixture(autouse=True)
def _shipped_models(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEGSEG_MODELS", str(shipped))


def labels_of(bids: Path, models: Path, out: Path, *options: str) -> np.ndarray:
    words = ["--models", models, "--device", "cpu", "--skip-bids-validation", "--no-reports"]
    ended = run_legseg(bids, out, "participant", *words, "--nprocs", "1", *options)
    assert ended.code == 0, (ended.lines, ended.progress)
    path = out / f"{IMAGE.removesuffix('_T1w')}_seg-muscles_dseg.nii.gz"
    return np.asarray(nib.load(path).dataobj)


def expected_rims() -> np.ndarray:
    """Labels on the patient's own side, right limb 1 more than the left."""
    left = np.array(LEFT)[rims_of(body())]
    is_right = np.arange(SHAPE[0])[:, None, None] > SHAPE[0] / 2
    return np.where((left > 0) & is_right, left + 1, left)


@pytest.mark.parametrize(
    ("shape", "free", "batch"),
    [
        ((1, 1, 8, 48, 48), (0,), True),  # fixed patch, as Export["net.onnx"] writes it
        ((1, 8, 48, 48), (), False),  # without an axis for the batch
        ((1, 1, 8, 48, 48), (0, 2, 3, 4), True),  # any size
    ],
)
def test_qmritools_network_labels_the_right_side_and_direction(
    bids: Path, tmp_path: Path, shape: tuple, free: tuple, batch: bool, capsys
) -> None:
    network = export(Rims(batch), tmp_path / "N5_UpperLeg.onnx", shape, free)
    table = write_snap_labels(tmp_path / "N5_UpperLeg.txt", NAMES)
    words = [network, "--into", tmp_path / "m", "--region", "upper", "--like", "qmritools"]
    assert main([str(w) for w in (*words, "--labels", table)]) == 0
    assert "wrote" in capsys.readouterr().out
    found = labels_of(bids, tmp_path / "m", tmp_path / "out")
    expected = expected_rims()
    assert set(np.unique(found)) == set(np.unique(expected))
    assert (found == expected)[body()].mean() > 0.99
    assert (found == expected).mean() > 0.99


def test_network_of_both_sides_sees_whole_slices(bids: Path, tmp_path: Path) -> None:
    network = export(TwoSides(24), tmp_path / "both.onnx", (1, 1, 8, 28, 48), (2, 3, 4))
    table = tmp_path / "labels.tsv"
    table.write_text("channel\tname\n0\tbackground\n1\tSoleus left\n2\tSoleus right\n")
    words = [network, "--into", tmp_path / "m", "--region", "whole", "--labels", table]
    words += ["--spacing", 6, 6, 10, "--scaling", "range"]
    assert main([str(w) for w in words]) == 0
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["leg", "locator"]
    found = labels_of(bids, tmp_path / "m", tmp_path / "out")
    x = np.arange(SHAPE[0])[:, None, None]
    expected = np.where(body(), np.where(x < SHAPE[0] / 2, 5, 6), 0)
    assert (found == expected)[body()].mean() > 0.97
    assert not ((found > 0) & (found != expected) & body()).any()
    image = nib.load(bids / f"{IMAGE}.nii.gz")
    volume = Volume(np.asanyarray(image.dataobj), image.affine)
    settings = Settings(bids, tmp_path, models_dir=tmp_path / "m", device="cpu")
    np.testing.assert_array_equal(segment_station(volume, settings).source_labels, found)
    sidecar = tmp_path / "out" / f"{IMAGE.removesuffix('_T1w')}_seg-muscles_dseg.json"
    (told,) = json.loads(sidecar.read_text())["Legseg"]["Models"]
    assert told["Name"] == "leg"
    assert [limb["Side"] for limb in told["Limbs"]] == ["left", "right"]


def test_nnunet_folder_labels_what_is_bright(bids: Path, tmp_path: Path) -> None:
    pytest.importorskip("dynamic_network_architectures")
    folder = write_nnunet_folder(tmp_path)
    assert main([str(folder), "--into", str(tmp_path / "m"), "--region", "upper"]) == 0
    found = labels_of(bids, tmp_path / "m", tmp_path / "out")
    y = np.abs(np.arange(SHAPE[1]) - 28)[None, :, None]
    bright = body() & (y < 6) & np.ones(SHAPE, bool)
    dark = body() & (y > 10) & np.ones(SHAPE, bool)
    assert (found[bright] > 0).mean() > 0.95
    assert (found[dark] > 0).mean() < 0.05
    assert set(np.unique(found)) == {0, 55, 56}


def test_unknown_label_is_decided_in_the_mapping_file(bids: Path, tmp_path: Path, capsys) -> None:
    network = export(Rims(), tmp_path / "n.onnx", (1, 1, 8, 48, 48), (0,))
    names = ("Vastus intermedius", "Vastus laterals", "Vastus medialis", "left-overs", "RF")
    table = write_snap_labels(tmp_path / "n.txt", names)
    words = [network, "--into", tmp_path / "m", "--region", "upper", "--like", "qmritools"]
    command = [str(w) for w in (*words, "--labels", table)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "'Vastus laterals' (it looks like Vastus lateralis" in said
    mapping = tmp_path / "m" / "thigh_labels.tsv"
    assert str(mapping) in said
    draft = mapping.read_text()
    assert main(command) == 1
    assert "says '?' of channel 2 (Vastus laterals)" in capsys.readouterr().err
    rows = [line.split("\t") for line in draft.splitlines()]
    rows[3][2], rows[5][2] = "VL", "-"
    mapping.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    assert main(command) == 0
    legseg = json.loads((tmp_path / "m/thigh/configs/metadata.json").read_text())["legseg"]
    assert legseg["channels"] == [0, 57, 55, 59, -1, 61]
    assert main(command) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert main([*command[:4], "whole", *command[5:], "--mapping", str(mapping)]) == 0
    assert main([*command, "--overwrite"]) == 2
    assert "stands for the whole leg" in capsys.readouterr().err


def test_another_mapping_of_the_same_weights_is_another_result(bids: Path, tmp_path: Path) -> None:
    network = export(Rims(), tmp_path / "n.onnx", (1, 1, 8, 48, 48), (0,))
    for names in (NAMES, NAMES[::-1]):
        table = write_snap_labels(tmp_path / "n.txt", names)
        words = [network, "--into", tmp_path / "m", "--region", "upper", "--like", "qmritools"]
        assert main([str(w) for w in (*words, "--labels", table, "--overwrite")]) == 0
        labels_of(bids, tmp_path / "m", tmp_path / "out")
    found = labels_of(bids, tmp_path / "m", tmp_path / "out")
    inside = found[:48][rims_of(body())[:48] == 1]
    assert set(np.unique(inside)) - {0} == {61}
    assert (inside == 61).mean() > 0.99
