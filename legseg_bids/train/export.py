"""From a training checkpoint to a MONAI Bundle that the application uses."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from legseg_bids import __version__
from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.networks import create
from legseg_bids.networks.residual_unet import receptive_radius, total_step
from legseg_bids.segment.models import METADATA, ONNX, TORCH
from legseg_bids.train.beginning import CHECKPOINT, weights_to_begin_with
from legseg_bids.train.onnx_file import bytes_per_voxel, onnx_bytes
from legseg_bids.train.recipe import Recipe, network_options

#: Slices farther apart than this stay where they are; the network was trained on such stacks.
NATIVE_Z_ABOVE = 5.0
SPACING = (1.5, 1.5, 6.0)
PATCH = (32, 112, 112)
#: Largest file that a bundle may hold.
LARGEST = 16 * 1024**2


def rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as half precision keeps them: both engines then start from the same numbers."""
    plain = torch.contiguous_format  # a training has them with the channels innermost
    return {
        k: (v.half() if v.dtype.is_floating_point else v).clone(memory_format=plain)
        for k, v in weights.items()
    }


def mixed(
    weights: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Mean of two sets of weights of which one was refined from the other.

    On the straight line between them a network often does better on images unlike those of the
    last training than at its end (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR
    2022).

    Parameters
    ----------
    share : float
        Of ``other``, 0 to 1.
    """
    return {
        k: torch.lerp(v, other[k].to(v.dtype), share) if v.dtype.is_floating_point else v
        for k, v in weights.items()
    }


def load_network(recipe: Recipe, weights: Mapping[str, Tensor]) -> nn.Module:
    """The recipe's architecture with these weights, in float32, ready to compute."""
    network = create(recipe.network["name"], **network_options(recipe)).eval()
    network.load_state_dict(weights)
    return network


def segmentation_facts(recipe: Recipe) -> dict[str, Any]:
    """What the application must know of a segmentation network."""
    strides, kernels = recipe.network["strides"], recipe.network["kernels"]
    return {
        "kind": "segmentation",
        "region": recipe.region,
        "spacing": list(SPACING),
        "native_z_above": NATIVE_Z_ABOVE,
        "channels": list(recipe.channels),
        "step": list(total_step(strides)),
        "halo": list(receptive_radius(strides, kernels)),
        "patch": list(PATCH),
    }


def locator_facts(recipe: Recipe) -> dict[str, Any]:
    """What the application must know of the locator."""
    return {
        "kind": "locator",
        "size": recipe.size,
        "pixel_mm": recipe.pixel_mm,
        "sides": list(recipe.sides),
        "parts": list(recipe.parts),
    }


def _data_format(recipe: Recipe) -> dict[str, Any]:
    """MONAI's description of what goes in and what comes out."""
    flat = recipe.kind == "locator"
    shape = [recipe.size, recipe.size] if flat else ["4*n", "16*n", "16*n"]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [0, 2],
        "is_patch_data": not flat,
        "channel_def": {"0": "gradient echo in opposed phase, or in phase"},
    }
    if flat:
        heads = {"side": recipe.sides, "part": recipe.parts}
        outputs = {k: _output({str(i): n for i, n in enumerate(v)}, []) for k, v in heads.items()}
    else:
        outputs = {"pred": _output(_channel_names(recipe), shape)}
    return {"inputs": {"image": image}, "outputs": outputs}


def _output(channels: Mapping[str, str], shape: list[Any]) -> dict[str, Any]:
    return {
        "type": "probabilities",
        "format": "logits",
        "num_channels": len(channels),
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": bool(shape),
        "channel_def": dict(channels),
    }


def _channel_names(recipe: Recipe) -> dict[str, str]:
    special = {0: "background", -1: "other structures"}
    return {
        str(i): special.get(c) or label_by_index(c).name for i, c in enumerate(recipe.channels)
    }


def metadata(
    recipe: Recipe, facts: Mapping[str, Any], trained: Mapping[str, Any]
) -> dict[str, Any]:
    """Content of ``configs/metadata.json``, MONAI's schema with our object ``legseg``."""
    import monai

    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
        "0.8.1/meta_schema_20240725.json",
        "version": __version__,
        "changelog": {__version__: "first release"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {},
        "name": f"legseg-bids {recipe.name}",
        "task": "Which sides and which part of the leg an axial slice shows"
        if recipe.kind == "locator"
        else f"Segmentation of the structures of the {recipe.region} leg",
        "description": "Trained only on images simulated from label maps of real anatomy.",
        "authors": "The legseg-bids authors",
        "copyright": "The legseg-bids authors; CC BY 4.0",
        "data_source": "Andreassen et al., Scientific Data 10:34 (2023), CC BY 4.0; "
        "HuBMAP reference organs, CC BY 4.0; BMFToolkit, zlib; MuscleMap, MIT",
        "data_type": "simulated",
        "intended_use": "Research; not for diagnosis.",
        "network_data_format": _data_format(recipe),
        "legseg": {
            **facts,
            "network": {"name": recipe.network["name"], **network_options(recipe)},
            "trained": dict(trained),
        },
    }


def changelog(old: Path, change: str = "") -> dict[str, str]:
    """What each version brought, newest first: this one before those of an older bundle.

    Parameters
    ----------
    old : Path
        ``metadata.json`` of the bundle that is replaced, if there is one.
    change : str
        What this version brought; by default that it is the first, or was trained on.
    """
    before: dict[str, str] = {}
    if old.exists():
        before = json.loads(old.read_text(encoding="utf-8"))["changelog"]
    told = change or ("trained on" if before else "first release")
    return {__version__: told} | {k: v for k, v in before.items() if k != __version__}


def read_log(path: Path) -> list[dict[str, str]]:
    """Rows of a training log; empty if there is none. Columns without a name are left out."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k} for row in csv.DictReader(file)]


def export(
    recipe: Recipe,
    run: Path,
    models: Path,
    note: str = "",
    mix: tuple[Path, float] | None = None,
    change: str = "",
) -> Path:
    """Write the bundle of a training run.

    Parameters
    ----------
    recipe : Recipe
    run : Path
        Folder with ``checkpoint.pt`` and ``log.csv``.
    models : Path
        Receives a folder named as the recipe.
    note : str
        What else the model card should say about the training.
    mix : tuple of Path and float, optional
        Another run, or a model's folder, whose weights are mixed in, and their share; see
        :func:`mixed`.
    change : str
        What the changelog says of this version; see :func:`changelog`.

    Returns
    -------
    Path
        The bundle.

    Raises
    ------
    ValueError
        If a file would be larger than :data:`LARGEST`.
    ModelError
        If the weights to mix in cannot be read, or are of another architecture.
    """
    checkpoint = torch.load(run / CHECKPOINT, weights_only=True, map_location="cpu")
    average = checkpoint["average"]
    if mix is not None:
        other = weights_to_begin_with(mix[0], recipe, load_network(recipe, average))
        average = mixed(average, other["average"], mix[1])
    weights = rounded(average)
    network = load_network(recipe, weights)
    bundle = models / recipe.name
    for folder in ("configs", "models", "docs"):
        (bundle / folder).mkdir(parents=True, exist_ok=True)
    (bundle / ONNX).write_bytes(onnx_bytes(network, recipe.kind, recipe.size))
    (bundle / TORCH).write_bytes(save(weights))
    for name in (ONNX, TORCH):
        size = (bundle / name).stat().st_size
        if size > LARGEST:
            msg = f"{name} has {size} bytes; expected at most {LARGEST}; use fewer features"
            raise ValueError(msg)
    facts = locator_facts(recipe) if recipe.kind == "locator" else segmentation_facts(recipe)
    if recipe.kind == "segmentation":
        step = total_step(recipe.network["strides"])
        measured = bytes_per_voxel(bundle / ONNX, step, len(recipe.channels))
        facts["bytes_per_voxel"] = round(measured)
    sums = {n: hashlib.sha256((bundle / n).read_bytes()).hexdigest() for n in (ONNX, TORCH)}
    facts["sha256"] = sums
    log = read_log(run / "log.csv")
    trained = {
        "steps": checkpoint["step"],
        "minutes": round(checkpoint["seconds"] / 60, 1),
        "stacks": checkpoint["step"] * recipe.batch,
        "parameters": sum(p.numel() for p in network.parameters()),
        "note": note,
        "validation": {k: round(float(v), 4) for k, v in log[-1].items()} if log else {},
    }
    place = bundle / METADATA
    content = metadata(recipe, facts, trained) | {"changelog": changelog(place, change)}
    place.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    write_card(recipe, content, bundle)
    return bundle


def write_card(recipe: Recipe, content: Mapping[str, Any], bundle: Path) -> None:
    """Write the model card (``docs/README.md``) and the licence note."""
    trained = content["legseg"]["trained"]
    figures = ", ".join(
        f"{k.replace('_', ' ')} {v}"
        for k, v in trained["validation"].items()
        if k in ("dice", "side_accuracy", "part_accuracy")
    )
    folder = resources.files("legseg_bids.train") / "data"
    values = {
        "name": recipe.name,
        "task": content["task"],
        "version": content["version"],
        "architecture": recipe.network["name"],
        "parameters": f"{trained['parameters'] / 1e6:.2f} million",
        "steps": trained["steps"],
        "stacks": trained["stacks"],
        "minutes": trained["minutes"],
        "figures": figures or "not measured",
        "note": trained["note"],
        "anatomies": ", ".join([*recipe.anatomies, *filter(None, [recipe.people])]),
        "channels": "\n".join(_channel_rows(recipe)),
        "sha256": "\n".join(f"| {k} | `{v}` |" for k, v in content["legseg"]["sha256"].items()),
    }
    card = Template((folder / "model_card.md").read_text(encoding="utf-8")).substitute(values)
    (bundle / "docs" / "README.md").write_text(card, encoding="utf-8")
    licence = (folder / "weights_licence.txt").read_text(encoding="utf-8")
    (bundle / "LICENSE").write_text(licence, encoding="utf-8")


def _channel_rows(recipe: Recipe) -> list[str]:
    if recipe.kind == "locator":
        return [f"- side: {', '.join(recipe.sides)}", f"- part: {', '.join(recipe.parts)}"]
    return [f"- {channel}: {name}" for channel, name in _channel_names(recipe).items()]
