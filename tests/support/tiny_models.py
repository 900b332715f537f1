"""Model bundles small enough for tests: ONNX networks whose weights are chosen, not trained.

A tiny segmentation network labels by brightness alone: bright tissue becomes one label, the
medium grey another. A tiny locator says the same for every slice. So tests know the answer,
and nothing of it depends on PyTorch.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDES = ("left", "right", "both")
PARTS = ("foot", "lower", "knee", "upper", "hip")
MEDIUM = {"thigh": 31, "lower_leg": 1}
BRIGHT = {"thigh": 33, "lower_leg": 3}
THRESHOLDS = (0.05, 0.85)


def write_models(folder: Path, part: str = "upper", side: str = "both") -> Path:
    """Write the bundles locator, thigh and lower_leg; return the folder.

    Parameters
    ----------
    folder : Path
        Where the bundles go.
    part, side : str
        What the locator says of every slice.
    """
    _write(folder / "locator", _locator(part, side), _locator_facts())
    for name, region in (("thigh", "upper"), ("lower_leg", "lower")):
        _write(folder / name, _by_brightness(), _segmentation_facts(name, region))
    return folder


def damage(bundle: Path) -> None:
    """Change one byte of a bundle's network, as a broken download does."""
    path = bundle / "models" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(bytes(content))


def _write(bundle: Path, network: bytes, facts: dict) -> None:
    (bundle / "configs").mkdir(parents=True)
    (bundle / "models").mkdir()
    (bundle / "models" / "model.onnx").write_bytes(network)
    facts["sha256"] = {"models/model.onnx": hashlib.sha256(network).hexdigest()}
    metadata = {"version": "0.0.1", "task": "a stand-in for tests", "legseg": facts}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))


def _segmentation_facts(name: str, region: str) -> dict:
    return {
        "kind": "segmentation",
        "region": region,
        "spacing": [3.0, 3.0, 10.0],
        "native_z_above": 5.0,
        "channels": [0, MEDIUM[name], BRIGHT[name]],
        "step": [1, 8, 8],
        "halo": [0, 0, 0],
        "patch": [8, 32, 32],
        "bytes_per_voxel": 64,
        "network": {"name": "ResidualUNet3d"},
    }


def _locator_facts() -> dict:
    return {
        "kind": "locator",
        "size": 128,
        "pixel_mm": 4.0,
        "sides": list(SIDES),
        "parts": list(PARTS),
        "network": {"name": "LocatorNet"},
    }


def _by_brightness() -> bytes:
    """Logits of three channels that cross at the two thresholds."""
    low, high = THRESHOLDS
    slopes = np.array([0.0, 40.0, 80.0], np.float32).reshape(3, 1, 1, 1, 1)
    offsets = np.array([0.0, -40.0 * low, -40.0 * (low + high)], np.float32)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "z", "y", "x"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3, "z", "y", "x"])
    node = helper.make_node("Conv", ["image", "slopes", "offsets"], ["logits"])
    constants = [
        numpy_helper.from_array(slopes, "slopes"),
        numpy_helper.from_array(offsets, "offsets"),
    ]
    return _serialise(helper.make_graph([node], "brightness", [image], [logits], constants))


def _locator(part: str, side: str) -> bytes:
    """Two heads that look at nothing: their offsets are the answer."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 128, 128])
    nodes, outputs, constants = [], [], []
    nodes.append(helper.make_node("GlobalAveragePool", ["image"], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["mean"]))
    for head, classes, answer in (("side", SIDES, side), ("part", PARTS, part)):
        offsets = np.array([8.0 * (name == answer) for name in classes], np.float32)
        slopes = np.zeros((1, len(classes)), np.float32)
        constants += [
            numpy_helper.from_array(slopes, f"{head}_slopes"),
            numpy_helper.from_array(offsets, f"{head}_offsets"),
        ]
        inputs = ["mean", f"{head}_slopes", f"{head}_offsets"]
        nodes.append(helper.make_node("Gemm", inputs, [head]))
        shape = ["n", len(classes)]
        outputs.append(helper.make_tensor_value_info(head, TensorProto.FLOAT, shape))
    return _serialise(helper.make_graph(nodes, "locator", [image], outputs, constants))


def _serialise(graph: onnx.GraphProto) -> bytes:
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
