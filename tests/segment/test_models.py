"""Bundles are found, read, and refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from legseg_bids.anatomy.regions import Region
from legseg_bids.errors import ModelError
from legseg_bids.segment.models import ONNX, TORCH, find_models_dir, load_model


@pytest.fixture
def bundles(models_dir: Path, tmp_path: Path) -> Path:
    """A copy of the bundles that a test may damage."""
    return Path(shutil.copytree(models_dir, tmp_path / "models"))


def edit(bundles: Path, change: Callable[[dict[str, Any]], object], name: str = "thigh") -> None:
    path = bundles / name / "configs/metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


def test_reads_a_segmentation_bundle(models_dir: Path) -> None:
    model = load_model(models_dir, "thigh")
    assert (model.name, model.version) == ("thigh", "0.0.1")
    spec = model.segmentation
    assert spec.region is Region.UPPER
    assert spec.step == (2, 4, 4)
    assert spec.labels == (0, 31, 61, 151)
    assert len(model.weights(ONNX)) > 0
    with pytest.raises(ModelError, match="expected a locator"):
        _ = model.locator


def test_reads_the_locator(models_dir: Path) -> None:
    model = load_model(models_dir, "locator")
    assert (model.locator.size, model.locator.pixel_mm) == (128, 4.0)
    with pytest.raises(ModelError, match="expected a segmentation network"):
        _ = model.segmentation


@pytest.mark.parametrize("file", [ONNX, TORCH, "configs/metadata.json"])
def test_missing_file(bundles: Path, file: str) -> None:
    (bundles / "thigh" / file).unlink()
    with pytest.raises(ModelError, match=f"{Path(file).name} does not exist"):
        load_model(bundles, "thigh")


def test_missing_bundle(bundles: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_model(bundles, "arm")


def test_wrong_checksum(bundles: Path) -> None:
    with (bundles / "thigh" / ONNX).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="the file is damaged"):
        load_model(bundles, "thigh")
    unverified = load_model(bundles, "thigh", verify=False)
    with pytest.raises(ModelError, match="the file is damaged"):
        unverified.weights(ONNX)


@pytest.mark.parametrize(
    "key",
    ["kind", "region", "spacing", "native_z_above", "channels", "step", "halo", "patch",
     "bytes_per_voxel", "network", "sha256"],
)  # fmt: skip
def test_metadata_lack_a_key(bundles: Path, key: str) -> None:
    edit(bundles, lambda metadata: metadata["legseg"].pop(key))
    with pytest.raises(ModelError, match=f"lacks the key '{key}'"):
        load_model(bundles, "thigh")


@pytest.mark.parametrize("key", ["version", "legseg"])
def test_metadata_lack_a_top_key(bundles: Path, key: str) -> None:
    edit(bundles, lambda metadata: metadata.pop(key))
    with pytest.raises(ModelError, match=f"lacks the key '{key}'"):
        load_model(bundles, "thigh")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kind", "toaster", "toaster"),
        ("region", "arm", "arm"),
        ("spacing", [1.5, 1.5], "three numbers"),
        ("spacing", [1.5, 0, 6], "above zero"),
        ("step", [0, 4, 4], "above zero"),
        ("patch", "a lot", "legseg.patch"),
        ("channels", [0, 32], "left or unpaired"),
        ("channels", [31, 33], "left or unpaired"),
        ("channels", 7, "cannot be used"),
        ("native_z_above", None, "cannot be used"),
        ("sha256", [], "cannot be used"),
    ],
)
def test_metadata_make_no_sense(bundles: Path, key: str, value: object, message: str) -> None:
    edit(bundles, lambda metadata: metadata["legseg"].update({key: value}))
    with pytest.raises(ModelError, match=message):
        load_model(bundles, "thigh")


def test_locator_heads_must_be_known(bundles: Path) -> None:
    edit(bundles, lambda metadata: metadata["legseg"].update(sides=["right", "left"]), "locator")
    with pytest.raises(ModelError, match="sides"):
        load_model(bundles, "locator")


@pytest.mark.parametrize(
    ("content", "message"), [("{", "cannot be read"), ("[1]", "expected a JSON object")]
)
def test_metadata_not_json(bundles: Path, content: str, message: str) -> None:
    (bundles / "thigh/configs/metadata.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load_model(bundles, "thigh")


def test_weights_not_listed(bundles: Path) -> None:
    edit(bundles, lambda metadata: metadata["legseg"]["sha256"].pop(TORCH))
    model = load_model(bundles, "thigh")
    with pytest.raises(ModelError, match="no SHA-256 for"):
        model.weights(TORCH)


@pytest.mark.parametrize(
    "file", ["models/model.pt", "models/model.pkl", "../thigh/models/model.onnx", "/etc/passwd"]
)
def test_pickles_and_foreign_paths_are_refused_unread(bundles: Path, file: str) -> None:
    """Although the check sum is right: a pickle runs code as soon as it is opened."""
    edit(bundles, lambda metadata: metadata["legseg"]["sha256"].update({file: "0" * 64}))
    with pytest.raises(ModelError, match="can hold no code"):
        load_model(bundles, "thigh")
    with pytest.raises(ModelError, match="can hold no code"):
        load_model(bundles, "lower_leg").weights(file)


def test_file_vanishes_after_loading(bundles: Path) -> None:
    model = load_model(bundles, "thigh")
    (bundles / "thigh" / ONNX).unlink()
    with pytest.raises(ModelError, match="does not exist"):
        model.weights(ONNX)


def test_models_dir_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEGSEG_MODELS", "/nowhere")
    assert find_models_dir(tmp_path) == tmp_path
    monkeypatch.setenv("LEGSEG_MODELS", str(tmp_path))
    assert find_models_dir() == tmp_path


def test_models_dir_asked_for_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"no folder of models at .*missing"):
        find_models_dir(tmp_path / "missing")
    monkeypatch.setenv("LEGSEG_MODELS", str(tmp_path / "absent"))
    with pytest.raises(ModelError, match="absent"):
        find_models_dir()


@pytest.mark.parametrize("name", ["locator", "thigh", "lower_leg"])
def test_shipped_bundles_hold_what_they_list_readable_by_everybody(name: str) -> None:
    model = load_model(find_models_dir(), name)
    files = sorted((model.path / "models").iterdir())
    assert [f"models/{file.name}" for file in files] == sorted(model.sha256) == [ONNX, TORCH]
    assert all(file.stat().st_mode & 0o004 for file in files)
    assert max(file.stat().st_size for file in files) < 16 * 1024**2


def test_models_dir_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEGSEG_MODELS", raising=False)
    assert find_models_dir().name in ("models", "_models")
