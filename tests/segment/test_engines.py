"""Both engines give the same numbers, and say what is wrong."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legseg_bids.errors import ModelError, UsageError
from legseg_bids.segment import engines
from legseg_bids.segment.engines import choose, load_engine
from legseg_bids.segment.models import ONNX, TORCH, load_model


def batch(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random(shape)
    return (0.8 + 0.2 * np.sin(np.arange(shape[-1]) / 6) + 0.1 * noise).astype(np.float32)


@pytest.mark.parametrize("name", ["thigh", "lower_leg"])
def test_engines_agree(models_dir: Path, name: str) -> None:
    model = load_model(models_dir, name)
    image = batch((1, 1, 8, 64, 48))
    (one,) = load_engine(model, "openvino", "cpu")(image)
    (two,) = load_engine(model, "torch", "cpu")(image)
    assert one.dtype == two.dtype == np.float32
    assert one.shape == two.shape == (1, len(model.segmentation.channels), 8, 64, 48)
    np.testing.assert_allclose(one, two, atol=1e-3)
    same = one.argmax(axis=1) == two.argmax(axis=1)
    assert same.mean() >= 0.999
    assert len(np.unique(one.argmax(axis=1))) > 2  # or the test could not fail


def test_engines_agree_on_the_locator(models_dir: Path) -> None:
    model = load_model(models_dir, "locator")
    pictures = batch((8, 1, 128, 128))
    one, two = (load_engine(model, name, "cpu")(pictures) for name in ("openvino", "torch"))
    assert [output.shape for output in one] == [(8, 3), (8, 5)]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_shapes_may_change_from_call_to_call(models_dir: Path) -> None:
    engine = load_engine(load_model(models_dir, "thigh"), "openvino", "cpu")
    first = engine(batch((1, 1, 4, 16, 16)))[0].copy()
    assert engine(batch((1, 1, 8, 32, 16)))[0].shape[2:] == (8, 32, 16)
    np.testing.assert_array_equal(engine(batch((1, 1, 4, 16, 16)))[0], first)


def test_earlier_results_stay(models_dir: Path) -> None:
    """An engine must not hand out a buffer that its next call overwrites."""
    engine = load_engine(load_model(models_dir, "thigh"), "openvino", "cpu")
    first = engine(batch((1, 1, 4, 16, 16), seed=1))[0]
    kept = first.copy()
    engine(batch((1, 1, 4, 16, 16), seed=2))
    np.testing.assert_array_equal(first, kept)


def test_threads_do_not_change_the_result(models_dir: Path) -> None:
    model = load_model(models_dir, "thigh")
    image = batch((1, 1, 8, 64, 64))
    one, two = (load_engine(model, "openvino", "cpu", threads)(image)[0] for threads in (1, 2))
    np.testing.assert_array_equal(one.argmax(axis=1), two.argmax(axis=1))
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_cpu_path_never_imports_torch(models_dir: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "import legseg_bids.segment.pipeline\n"
        "from legseg_bids.segment.engines import load_engine\n"
        "from legseg_bids.segment.models import load_model\n"
        f"engine = load_engine(load_model(Path({str(models_dir)!r}), 'thigh'), 'auto', 'cpu')\n"
        "engine(np.zeros((1, 1, 4, 16, 16), np.float32))\n"
        "print(sorted({'torch', 'monai', 'nipype', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("engine", "device", "expected"),
    [
        ("auto", "auto", ("openvino", "cpu")),
        ("auto", "cpu", ("openvino", "cpu")),
        ("torch", "auto", ("torch", "cpu")),
        ("openvino", "auto", ("openvino", "cpu")),
        ("auto", "cuda", ("torch", "cuda")),
        ("torch", "cuda:1", ("torch", "cuda:1")),
    ],
)
def test_choice_without_a_gpu(
    engine: str, device: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_cuda_is_likely", lambda: False)
    assert choose(engine, device) == expected


@pytest.mark.parametrize(
    ("engine", "expected"),
    [("auto", ("torch", "cuda")), ("torch", ("torch", "cuda")), ("openvino", ("openvino", "cpu"))],
)
def test_choice_with_a_gpu(
    engine: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_cuda_is_likely", lambda: True)
    assert choose(engine, "auto") == expected


@pytest.mark.parametrize(
    ("engine", "device", "message"),
    [
        ("abacus", "cpu", "engine is 'abacus'"),
        ("auto", "tpu", "device is 'tpu'"),
        ("openvino", "cuda", "OpenVINO runs on the CPU"),
    ],
)
def test_impossible_choices(engine: str, device: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(engine, device)


def test_no_threads(models_dir: Path) -> None:
    with pytest.raises(UsageError, match="0 threads"):
        load_engine(load_model(models_dir, "thigh"), "openvino", "cpu", 0)


def test_cuda_asked_for_in_vain(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="finds no CUDA device"):
        load_engine(load_model(models_dir, "thigh"), "torch", "cuda")


def test_engine_not_installed(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match="engine openvino cannot be imported"):
        load_engine(load_model(models_dir, "thigh"), "openvino", "cpu")


@pytest.mark.parametrize(("file", "engine"), [(ONNX, "openvino"), (TORCH, "torch")])
def test_weights_that_are_no_network(
    models_dir: Path, tmp_path: Path, file: str, engine: str
) -> None:
    """The check sum is right, but the file is not what its name says."""
    bundle = Path(shutil.copytree(models_dir / "thigh", tmp_path / "thigh"))
    (bundle / file).write_bytes(b"not a network")
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    metadata["legseg"]["sha256"][file] = hashlib.sha256(b"not a network").hexdigest()
    (bundle / "configs/metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ModelError, match=Path(file).name):
        load_engine(load_model(tmp_path, "thigh"), engine, "cpu")


def test_a_pickle_under_the_name_of_safetensors_runs_nothing(
    models_dir: Path, tmp_path: Path
) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "was-run",)

    content = pickle.dumps(Hostile())
    bundle = Path(shutil.copytree(models_dir / "thigh", tmp_path / "thigh"))
    (bundle / TORCH).write_bytes(content)
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    metadata["legseg"]["sha256"][TORCH] = hashlib.sha256(content).hexdigest()
    (bundle / "configs/metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ModelError, match="expected its weights as safetensors"):
        load_engine(load_model(tmp_path, "thigh"), "torch", "cpu")
    assert not (tmp_path / "was-run").exists()
    pickle.loads(content)
    assert (tmp_path / "was-run").exists()  # or the test could not fail


def test_weights_are_verified_before_anything_looks_into_them(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino
    import safetensors.torch

    shutil.copytree(models_dir / "thigh", tmp_path / "thigh")
    model = load_model(tmp_path, "thigh")
    opened: list[object] = []
    monkeypatch.setattr(safetensors.torch, "load", opened.append)
    monkeypatch.setattr(openvino.Core, "read_model", lambda _, content: opened.append(content))
    for file, engine in ((ONNX, "openvino"), (TORCH, "torch")):
        with (tmp_path / "thigh" / file).open("ab") as changed:
            changed.write(b"!")
        with pytest.raises(ModelError, match="SHA-256"):
            load_engine(model, engine, "cpu")
    assert opened == []


def test_weights_of_another_network(models_dir: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(models_dir / "thigh", tmp_path / "thigh"))
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    metadata["legseg"]["network"]["features"] = [5, 6, 8]
    (bundle / "configs/metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ModelError, match="does not fit its network"):
        load_engine(load_model(tmp_path, "thigh"), "torch", "cpu")
