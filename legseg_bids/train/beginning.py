"""Weights that a training begins with: another run's, or a model's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from legseg_bids.errors import ModelError
from legseg_bids.segment.models import TORCH, load_model
from legseg_bids.train.heads import inherited_rows
from legseg_bids.train.recipe import Recipe

CHECKPOINT = "checkpoint.pt"
WANTED = f"expected a run's folder or its {CHECKPOINT}, or a model's, of the same architecture"


def weights_to_begin_with(path: Path, recipe: Recipe, network: nn.Module) -> dict[str, Any]:
    """``average``, ``step`` and ``seconds`` to begin with.

    Parameters
    ----------
    path : Path
        A run's folder, or its checkpoint, or the folder of a model, which may know other
        structures: those that both know keep their weights.
    recipe : Recipe
    network : Module
        New, as the recipe says.

    Returns
    -------
    dict
        Weights on the CPU; steps and seconds are 0 for a network of other structures.

    Raises
    ------
    ModelError
        If there is neither, or it is of another architecture.
    """
    try:
        if (path / CHECKPOINT).is_file():
            path = path / CHECKPOINT
        if path.is_dir():
            content = _of_model(path, recipe, network)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
        _require_same(content["average"], network)
    except Exception as error:  # what is no checkpoint raises errors of many kinds
        raise _unusable(path, error) from error
    return dict(content)


def _unusable(path: Path, why: object) -> ModelError:
    text = (str(why).splitlines() or [type(why).__name__])[0]
    return ModelError(f"{path} cannot be begun with: {text}; {WANTED}; check --from")


def _require_same(weights: Mapping[str, Tensor], network: nn.Module) -> None:
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        if name not in own or name not in weights or own[name].shape != weights[name].shape:
            msg = f"its architecture is another ({name})"
            raise ValueError(msg)


def _of_model(folder: Path, recipe: Recipe, network: nn.Module) -> dict[str, Any]:
    """A model's weights as a checkpoint; steps and minutes count for the same network only."""
    from safetensors.torch import load

    place = folder.resolve()
    model = load_model(place.parent, place.name, verify=False)
    known = model.segmentation.channels if recipe.kind == "segmentation" else ()
    halves = load(model.weights(TORCH))
    weights = {k: v.float() if v.is_floating_point() else v for k, v in halves.items()}
    if known == recipe.channels:
        seconds = 60.0 * model.trained["minutes"]
        return {"average": weights, "step": model.trained["steps"], "seconds": seconds}
    sources = [known.index(label) if label in known else None for label in recipe.channels]
    fresh = network.state_dict()
    for name in (k for k in weights if k.startswith("head.")):
        weights[name] = inherited_rows(weights[name], fresh[name].detach().cpu(), sources)
    return {"average": weights, "step": 0, "seconds": 0.0}
