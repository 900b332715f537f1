from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from legseg_bids import __version__
from legseg_bids.cli.export import main
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import TORCH, load_model
from legseg_bids.train import export as export_module
from legseg_bids.train.export import changelog, export, mixed, rounded
from legseg_bids.train.loop import train
from legseg_bids.train.recipe import Recipe

pytest.importorskip("onnx")
pytest.importorskip("monai")


@pytest.fixture
def thigh_bundle(anatomy, thigh: Recipe, run_dir: Path, tmp_path: Path) -> Path:
    train(thigh, [anatomy], run_dir, 0.005, validation_batches=1, say=lambda _: None)
    return export(thigh, run_dir, tmp_path / "models", note="Trained for a test.")


def test_bundle_is_what_the_application_reads(thigh_bundle: Path, thigh: Recipe) -> None:
    model = load_model(thigh_bundle.parent, "thigh")
    spec = model.segmentation
    assert spec.channels == thigh.channels
    assert spec.step == (2, 4, 4)
    assert spec.bytes_per_voxel > 0
    for name in ("configs/metadata.json", "docs/README.md", "LICENSE"):
        assert (thigh_bundle / name).stat().st_size > 100
    card = (thigh_bundle / "docs/README.md").read_text()
    assert "Andreassen" in card
    assert "CC BY 4.0" in card
    assert "Trained for a test." in card
    assert "$" not in card


def test_a_model_is_mixed_in_from_its_folder(
    thigh_bundle: Path, thigh: Recipe, run_dir: Path, tmp_path: Path
) -> None:
    checkpoint = torch.load(run_dir / "checkpoint.pt", weights_only=True)
    end = {k: v + 1 if v.is_floating_point() else v for k, v in checkpoint["average"].items()}
    torch.save({**checkpoint, "average": end}, run_dir / "checkpoint.pt")
    half = export(thigh, run_dir, tmp_path / "half", mix=(thigh_bundle, 0.5))
    before, after = (load((b / TORCH).read_bytes()) for b in (thigh_bundle, half))
    for name, value in before.items():
        if value.is_floating_point():
            torch.testing.assert_close(after[name], value + 0.5, atol=2e-3, rtol=2e-3)


def test_engines_agree(thigh_bundle: Path) -> None:
    model = load_model(thigh_bundle.parent, "thigh")
    image = np.random.default_rng(0).random((1, 1, 4, 32, 32), np.float32)
    ours = [load_engine(model, name, "cpu", 1)(image)[0] for name in ("openvino", "torch")]
    np.testing.assert_allclose(*ours, atol=2e-3)
    assert (ours[0].argmax(1) == ours[1].argmax(1)).mean() >= 0.999


def test_locator_bundle(anatomy, locator: Recipe, run_dir: Path, tmp_path: Path) -> None:
    train(locator, [anatomy], run_dir, 0.005, validation_batches=1, say=lambda _: None)
    export(locator, run_dir, tmp_path / "models")
    model = load_model(tmp_path / "models", "locator")
    assert model.locator.size == 32
    side, part = load_engine(model, "openvino", "cpu", 1)(np.zeros((3, 1, 32, 32), np.float32))
    assert side.shape == (3, 3)
    assert part.shape == (3, 5)


def test_a_new_version_keeps_what_older_ones_brought(tmp_path: Path) -> None:
    place = tmp_path / "metadata.json"
    assert changelog(place) == {__version__: "first release"}
    place.write_text(json.dumps({"changelog": {__version__: "a try", "0.0.1": "first release"}}))
    assert list(changelog(place, "more people").items()) == [
        (__version__, "more people"),
        ("0.0.1", "first release"),
    ]
    assert changelog(place)[__version__] == "trained on"


def test_rounded_weights_fit_half_precision() -> None:
    out = rounded({"w": torch.tensor([0.1]), "n": torch.tensor(3)})
    assert out["w"].dtype == torch.float16
    assert out["n"].dtype == torch.int64


def test_too_large_a_network_is_refused(
    anatomy, thigh: Recipe, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(thigh, [anatomy], run_dir, 0.005, validation_batches=1, say=lambda _: None)
    monkeypatch.setattr(export_module, "LARGEST", 1000)
    with pytest.raises(ValueError, match="use fewer features"):
        export(replace(thigh), run_dir, tmp_path / "models")


def test_command_without_a_run(tmp_path: Path, capsys) -> None:
    code = main(["thigh", "--run", str(tmp_path), "--models", str(tmp_path)])
    assert code == 1
    assert "train one with legseg-train" in capsys.readouterr().err


def test_weights_are_mixed_by_their_share() -> None:
    first = {"a": torch.tensor([0.0, 4.0]), "n": torch.tensor(3)}
    second = {"a": torch.tensor([1.0, 0.0]), "n": torch.tensor(9)}
    found = mixed(first, second, 0.25)
    assert found["a"].tolist() == [0.25, 3.0]
    assert int(found["n"]) == 3
