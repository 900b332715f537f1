"""Tiny networks with random weights, as bundles on disk, and simulated limbs."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.models import ONNX, TORCH

STRIDES = ((1, 2, 2), (2, 2, 2))
KERNELS = ((1, 3, 3), (3, 3, 3), (3, 3, 3))
CHANNELS = {
    "thigh": [0, 31, 61, -1, 151, 0],
    "lower_leg": [0, 1, 5, 21, 151],
    "hip": [0, 61, 73, 101, 121, -1, 151],
}
REGIONS = {"thigh": "upper", "lower_leg": "lower", "hip": "hip"}


def spec_of(name: str, **changes: Any) -> dict[str, Any]:
    """The ``legseg`` object of a tiny segmentation bundle, without check sums."""
    from legseg_bids.networks.residual_unet import receptive_radius, total_step

    spec: dict[str, Any] = {
        "kind": "segmentation",
        "region": REGIONS[name],
        "spacing": [2.0, 2.0, 6.0],
        "native_z_above": 5.0,
        "channels": CHANNELS[name],
        "step": list(total_step(STRIDES)),
        "halo": list(receptive_radius(STRIDES, KERNELS)),
        "patch": [8, 32, 32],
        "bytes_per_voxel": 400,
        "network": {
            "name": "ResidualUNet3d",
            "classes": len(CHANNELS[name]),
            "features": [4, 6, 8],
            "strides": STRIDES,
            "kernels": KERNELS,
        },
    }
    return spec | changes


def locator_spec() -> dict[str, Any]:
    return {
        "kind": "locator",
        "size": 128,
        "pixel_mm": 4.0,
        "sides": ["left", "right", "both"],
        "parts": ["foot", "lower", "knee", "upper", "hip"],
        "network": {"name": "LocatorNet", "features": [4, 4, 4, 4, 4]},
    }


def write_bundle(directory: Path, name: str, spec: dict[str, Any], sample: Any) -> Path:
    """Random weights for `spec`, in both formats, with their check sums."""
    import torch
    from safetensors.torch import save

    from legseg_bids.networks import create

    path = directory / name
    (path / "configs").mkdir(parents=True)
    (path / "models").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(len(name))
        options = dict(spec["network"])
        network = create(options.pop("name"), **options)
        randomise(network)
    network.eval()
    (path / TORCH).write_bytes(save(network.state_dict()))
    outputs = ["logits"] if spec["kind"] == "segmentation" else ["side", "part"]
    free = {0: "n", 2: "a", 3: "b"} | ({4: "c"} if sample.ndim == 5 else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (sample,),
            str(path / ONNX),
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=outputs,
            dynamic_axes={"image": free} | {name: {0: "n"} for name in outputs},
        )
    sums = {file: hashlib.sha256((path / file).read_bytes()).hexdigest() for file in (ONNX, TORCH)}
    metadata = {"version": "0.0.1", "legseg": spec | {"sha256": sums}}
    (path / "configs/metadata.json").write_text(json.dumps(metadata))
    return path


def randomise(network: Any) -> None:
    """Weights at which a random network still gives all its classes."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.5)
    if hasattr(network, "head"):
        balance(network.eval())


def balance(network: Any) -> None:
    """Shift and scale the logits so that every class wins somewhere."""
    import torch

    with torch.no_grad():
        y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        waves = 0.8 + 0.2 * torch.sin(x / 6) * torch.cos(y / 7.5)
        logits = network(waves + 0.1 * torch.rand(1, 1, 8, 64, 64)).flatten(2)[0]
        network.head.bias -= logits.mean(dim=1)
        scale = 3 / logits.std(dim=1)
        network.head.weight *= scale[:, None, None, None, None]
        network.head.bias *= scale


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random thigh, lower-leg and locator bundle."""
    import torch

    directory = tmp_path_factory.mktemp("models")
    for name in ("thigh", "lower_leg"):
        write_bundle(directory, name, spec_of(name), torch.zeros(1, 1, 4, 16, 16))
    write_bundle(directory, "locator", locator_spec(), torch.zeros(2, 1, 128, 128))
    return directory


@pytest.fixture(scope="session")
def hip_models_dir(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundles, and a tiny random one for the hip."""
    import torch

    directory = tmp_path_factory.mktemp("with_hip") / "models"
    shutil.copytree(models_dir, directory)
    write_bundle(directory, "hip", spec_of("hip"), torch.zeros(1, 1, 4, 16, 16))
    return directory


@pytest.fixture
def legs() -> Volume:
    """Two simulated thighs: bright discs with texture, air between them."""
    return make_legs()


def make_legs(
    shape: tuple[int, int, int] = (120, 70, 8),
    spacing: tuple[float, float, float] = (3.0, 3.0, 6.0),
    centres: tuple[float, ...] = (0.27, 0.73),
) -> Volume:
    x, y, z = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    random = np.random.default_rng(3)
    data = np.abs(random.normal(0, 4, shape))
    for centre in centres:
        radius = 0.19 * shape[0] * (0.8 + 0.2 * z / shape[2])
        near = np.hypot(x - centre * shape[0], y - shape[1] / 2) < radius
        data[near] = 400 + 80 * np.sin(x / 4)[near] * np.cos(y / 5)[near]
    data += np.abs(random.normal(0, 4, shape))
    return Volume(data.astype(np.float32), np.diag([*spacing, 1.0]))


@pytest.fixture
def one_leg() -> Volume:
    """A single simulated thigh."""
    return make_legs((70, 70, 8), centres=(0.5,))


@pytest.fixture
def tall_legs() -> Volume:
    """Two simulated legs of 156 mm in slices of 6 mm."""
    return make_legs((90, 52, 26), (4.0, 4.0, 6.0))
