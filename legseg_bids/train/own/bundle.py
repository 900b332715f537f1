"""From the best checkpoint to a bundle, in a folder of models that the application can use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from safetensors.torch import save
from torch import nn

from legseg_bids.anatomy.regions import Region
from legseg_bids.bids.write import write_json, write_text
from legseg_bids.segment.models import METADATA, ONNX, TORCH
from legseg_bids.train.export import metadata, rounded
from legseg_bids.train.importing.bundle import bundle_name, new_bundle
from legseg_bids.train.onnx_file import bytes_per_voxel, onnx_bytes
from legseg_bids.train.own import checkpoints
from legseg_bids.train.own.building import receptive_radius, step_of
from legseg_bids.train.own.checkpoints import BEST
from legseg_bids.train.own.fitting import Fit, Fitted
from legseg_bids.train.own.journal import Journal
from legseg_bids.train.own.structures import class_name
from legseg_bids.train.recipe import Recipe as ShippedRecipe


@dataclass(frozen=True)
class Reach:
    """How far a network looks, voxels along z, y, x, and whether that is all there is."""

    halo: tuple[int, int, int]
    exact: bool


def reach_of(network: nn.Module, patch: tuple[int, ...]) -> Reach:
    """Radius of the receptive field, measured; half a patch where there is no end to it."""
    radii = [receptive_radius(network, axis) for axis in range(3)]
    z, y, x = (p // 2 if r is None else r for r, p in zip(radii, patch, strict=True))
    return Reach((z, y, x), None not in radii)


def write_bundle(task: Fit, fitted: Fitted, models: Path) -> Path:
    """Write the bundle of a training, and complete the folder with the shipped ones.

    The network takes the place of that of its region; an earlier one of this name is replaced.

    Parameters
    ----------
    task : Fit
    fitted : Fitted
    models : Path
        Folder for ``--models``.

    Returns
    -------
    Path
        The bundle.

    Raises
    ------
    OutputError
        If it cannot be written.
    UsageError
        If ``models`` is the folder of the shipped models, or the network would never be used.
    """
    name = bundle_name(Region(task.recipe.region))
    weights = rounded(checkpoints.read(task.folder / BEST)["network"])
    network = task.design.build().eval()
    network.load_state_dict(weights)
    files = {ONNX: onnx_bytes(network, "segmentation", 0), TORCH: save(weights)}
    with new_bundle(models, name, overwrite=True) as bundle:
        for path, content in files.items():
            (bundle / path).write_bytes(content)
        facts = _facts(task, network, bundle)
        facts["sha256"] = {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}
        told = _metadata(task, fitted, network, facts)
        write_text(bundle / "docs" / "README.md", _card(task, fitted, told))
        write_json(bundle / METADATA, told)
    return models / name


def _facts(task: Fit, network: nn.Module, bundle: Path) -> dict[str, Any]:
    """What the application must know of the network."""
    grid, step = task.recipe.grid, step_of(network)
    classes = len(task.design.channels)
    return {
        "kind": "segmentation",
        "region": task.recipe.region,
        "spacing": list(grid.spacing),
        "native_z_above": grid.native_z_above,
        "channels": list(task.design.channels),
        "step": list(step),
        "halo": list(reach_of(network, grid.patch).halo),
        "patch": list(grid.patch),
        "bytes_per_voxel": round(bytes_per_voxel(bundle / ONNX, step, classes)),
    }


def _metadata(
    task: Fit, fitted: Fitted, network: nn.Module, facts: Mapping[str, Any]
) -> dict[str, Any]:
    recipe = task.recipe
    options = dict(task.design.options)
    like = ShippedRecipe(
        name=recipe.name,
        kind="segmentation",
        anatomies=(),
        network=options,
        batch=recipe.batch,
        learning_rate=recipe.optimiser.learning_rate,
        weight_decay=recipe.optimiser.weight_decay,
        channels=task.design.channels,
        region=recipe.region,
    )
    trained = {
        "steps": fitted.steps,
        "minutes": round(fitted.minutes, 1),
        "stacks": fitted.steps * recipe.batch,
        "parameters": sum(p.numel() for p in network.parameters()),
        "validation": {"dice": round(fitted.dice, 4), "epoch": fitted.epoch},
        "participants": {k: len(v) for k, v in vars(task.groups).items()},
    }
    content = metadata(like, facts, trained)
    step = [f"{s}*n" for s in facts["step"]]
    content["network_data_format"]["inputs"]["image"]["spatial_shape"] = step
    content["network_data_format"]["outputs"]["pred"]["spatial_shape"] = step
    return {
        **content,
        "name": recipe.name,
        "changelog": {content["version"]: "trained"},
        "description": "Trained with legseg-train own on label images of a laboratory.",
        "authors": "Whoever trained it",
        "copyright": "Whoever trained it",
        "data_source": ", ".join(Path(d.raw).name for d in recipe.data),
        "data_type": "NIfTI",
    }


def _card(task: Fit, fitted: Fitted, content: Mapping[str, Any]) -> str:
    """The model card."""
    best = Journal(task.folder, task.design.channels).rows()[fitted.epoch - 1]
    names = [class_name(c) for c in task.design.channels if c > 0]
    facts, start = content["legseg"], task.recipe.start.bundle
    known = [limb for limb in task.limbs if limb.participant in task.groups.train]
    values = {
        "name": task.recipe.name,
        "task": content["task"],
        "architecture": task.design.options["name"],
        "parameters": f"{facts['trained']['parameters'] / 1e6:.2f} million",
        "limbs": len(known),
        "participants": len(task.groups.train),
        "datasets": ", ".join(Path(d.raw).name for d in task.recipe.data),
        "epochs": fitted.epochs,
        "epoch": fitted.epoch,
        "steps": fitted.steps,
        "minutes": f"{fitted.minutes:.1f}",
        "start": f"It began with the weights of {Path(start).name}." if start else "",
        "validation": ", ".join(task.groups.validation),
        "dice": f"{fitted.dice:.3f}",
        "test": _test_text(task),
        "classes": "\n".join(f"| {name} | {best.get(name, 'n/a')} |" for name in names),
        "reach": _reach_text(task),
        "sha256": "\n".join(f"| {k} | `{v}` |" for k, v in facts["sha256"].items()),
    }
    folder = resources.files("legseg_bids.train.own") / "data"
    template = Template((folder / "model_card.md").read_text(encoding="utf-8"))
    return template.substitute(values)


def _test_text(task: Fit) -> str:
    path = task.folder / "test.csv"
    if not task.groups.test or not path.exists():
        return ""
    mean = path.read_text("utf-8").splitlines()[-1].partition(",")[2]
    return f"Of {len(task.groups.test)} participants who had no part in the choice: {mean}."


def _reach_text(task: Fit) -> str:
    if reach_of(task.design.build(), task.recipe.grid.patch).exact:
        return ""
    return (
        " The network looks at all of a patch at once, so that labels may change with the size of "
        "the patches, which follows the memory."
    )
