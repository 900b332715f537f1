"""What is found out about a network, and what the bundle says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from foreign_models import Rims, export, write_snap_labels
from tiny_models import write_models
from torch import nn

from legseg_bids.cli.import_model import main
from legseg_bids.errors import ModelError
from legseg_bids.segment.adapter import adapt
from legseg_bids.segment.convention import Convention
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import find_models_dir, load_model
from legseg_bids.train.importing import onnx_file, probe
from legseg_bids.train.importing.onnx_file import read_onnx
from legseg_bids.train.importing.tables import read_label_table

NAMES = ("VI", "VL", "VM", "ST", "RF")


@pytest.fixture(autouse=True)
def _shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEGSEG_MODELS", str(write_models(tmp_path / "shipped")))


def wrapped(
    folder: Path, network: nn.Module, shape: tuple[int, ...], free: tuple[int, ...], *more: str
):
    """Import a network of six classes; the bundle's model."""
    path = export(network, folder / "n.onnx", shape, free)
    labels = write_snap_labels(folder / "n.txt", NAMES)
    words = [path, "--into", folder / "m", "--region", "upper", "--labels", labels]
    assert main([*map(str, words), *more]) == 0
    return load_model(folder / "m", "thigh")


def test_slices_are_fed_one_by_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1), nn.GELU(), nn.Upsample(scale_factor=2), nn.Conv2d(4, 6, 1)
    ).eval()
    model = wrapped(
        tmp_path, network, (1, 1, 16, 16), (0, 2, 3), "--spacing", "1.5", "1.5", "6",
        "--orientation", "SPL",
    )  # fmt: skip
    spec = model.segmentation
    assert (spec.step, spec.halo, spec.native_z_above) == ((1, 2, 2), (0, 3, 3), 0)
    assert (spec.convention.input_layout, spec.convention.output) == ("NCHW", "logits")
    image = np.random.default_rng(0).random((1, 1, 3, 8, 12)).astype(np.float32)
    (found,) = adapt(load_engine(model), spec.convention)(image)
    with torch.no_grad():
        fed = torch.from_numpy(np.ascontiguousarray(image[0, :, :, ::-1, ::-1])).transpose(0, 1)
        expected = network(fed).numpy().transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_a_network_that_normalises_by_its_patch_is_told(tmp_path: Path, capsys) -> None:
    network = nn.Sequential(nn.Conv3d(1, 6, 1), nn.InstanceNorm3d(6))
    spacing = ("--spacing", "native")
    wrapped(tmp_path, network, (1, 1, 8, 8, 8), (2, 3, 4), *spacing)
    assert "InstanceNormalization): labels may change with the memory" in capsys.readouterr().err
    fixed = ("--patch", "4", "8", "16", "--overwrite", "--orientation", "RSA")
    spec = wrapped(tmp_path, network, (1, 1, 8, 8, 8), (2, 3, 4), *spacing, *fixed).segmentation
    assert spec.convention.fixed
    assert spec.patch == (8, 16, 4)  # z, y, x
    assert capsys.readouterr().err == ""


def test_metadata_have_the_keys_of_shipped_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = wrapped(tmp_path, Rims(), (1, 1, 4, 16, 16), (0,), "--like", "qmritools")
    monkeypatch.delenv("LEGSEG_MODELS")
    ours, theirs = (
        json.loads((folder / "configs" / "metadata.json").read_text())
        for folder in (find_models_dir() / "thigh", model.path)
    )
    assert set(theirs) == set(ours)
    assert set(theirs["legseg"]) == set(ours["legseg"]) - {"trained"} | {"convention"}
    shapes = [told["network_data_format"] for told in (ours, theirs)]
    for part, key in (("inputs", "image"), ("outputs", "pred")):
        assert set(shapes[1][part][key]) == set(shapes[0][part][key])
    assert theirs["legseg"]["convention"] == {
        "mirror": False, "orientation": "SPL", "output_layout": "NDHWC", "fixed": True,
        "output": "probabilities", "native_spacing": True, "scaling": {"name": "equalised"},
    }  # fmt: skip
    card = (model.path / "docs" / "README.md").read_text()
    assert "n.onnx" in card
    assert "$" not in card
    table = (model.path / "docs" / "labels.tsv").read_text().splitlines()
    assert table[2].split("\t")[:3] == ["1", "VI", "VI_L"]


def test_our_own_network_goes_through_unchanged(tmp_path: Path, monkeypatch) -> None:
    """A shipped network, imported, is fed and read as before."""
    monkeypatch.delenv("LEGSEG_MODELS")
    shipped = load_model(find_models_dir(), "thigh", verify=False)
    rows = [
        f"{i}\t{c if c >= 0 else 'nothing'}" for i, c in enumerate(shipped.segmentation.channels)
    ]
    (tmp_path / "t.tsv").write_text("\n".join(["channel\tname", *rows]))
    path = shipped.path / "models" / "model.onnx"
    words = [path, "--into", tmp_path / "m", "--region", "upper", "--labels", tmp_path / "t.tsv"]
    words += ["--spacing", "1.5", "1.5", "6"]
    assert main([str(word) for word in words]) == 1
    mapping = tmp_path / "m" / "thigh_labels.tsv"
    mapping.write_text(mapping.read_text().replace("nothing\t?", "nothing\t-"))
    assert main([str(word) for word in words]) == 0
    model = load_model(tmp_path / "m", "thigh")
    assert model.segmentation.convention == Convention()
    assert model.segmentation.channels == shipped.segmentation.channels
    assert model.segmentation.step == shipped.segmentation.step


def test_a_network_that_cannot_be_run(tmp_path: Path, monkeypatch, capsys) -> None:
    broken = Rims(softmax=False)
    with torch.no_grad():
        broken.head.bias.fill_(float("nan"))
    for network, patience, message in (
        (broken, 900, "answer to an image of noise is not finite"),
        (nn.Sequential(nn.Unflatten(2, (2, 4)), nn.Flatten(2, 3)), 900, "OpenVINO cannot run"),
        (Rims(), 0.01, "took more than 0.01 s for an input of"),
    ):
        monkeypatch.setattr(probe, "PATIENCE", patience)
        path = export(network, tmp_path / "n.onnx", (1, 1, 8, 8, 8), (0, 2, 3, 4))
        labels = write_snap_labels(tmp_path / "n.txt", NAMES)
        words = [path, "--into", tmp_path / "m", "--region", "upper", "--labels", labels]
        command = [*map(str, words), "--spacing", "native", "--patch", "6", "8", "8"]
        assert main(command) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "value,name\n1,VI\n2,VL\n"),
        ("t.json", '{"VI": 1, "VL": 2}'),
        ("t.json", '{"labels": {"background": 0, "VL": 2, "VI": "1", "ignore": 3}}'),
        ("t.json", '{"1": "VI", "2": "VL", "0": "background"}'),
        ("t.tsv", "\ufeffname\tindex\nVL\t2\nVI\t1\n"),
    ],
)
def test_label_tables_of_all_kinds(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_label_table(tmp_path / name) == ("background", "VI", "VL")


def test_too_large_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export(Rims(), tmp_path / "n.onnx", (1, 1, 4, 16, 16))
    monkeypatch.setattr(onnx_file, "LARGEST", 100)
    with pytest.raises(ModelError, match="expected at most 100"):
        read_onnx(path)
