"""Weights that a training begins with: another run's, or a model's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from legseg_bids.errors import ModelError
from legseg_bids.segment.models import METADATA, TORCH
from legseg_bids.train.recipe import Recipe

WANTED = "expected the checkpoint.pt of a run, or the folder of a model, of the same architecture"


def weights_to_begin_with(path: Path, recipe: Recipe, network: nn.Module) -> dict[str, Any]:
    """``average``, ``step`` and ``seconds`` to begin with.

    Parameters
    ----------
    path : Path
        A run's ``checkpoint.pt``, or the folder of a model, which may know other structures:
        those that both know keep their weights.
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

    legseg = json.loads((folder / METADATA).read_text(encoding="utf-8"))["legseg"]
    if legseg["kind"] != recipe.kind:
        msg = f"it is of the kind {legseg['kind']}, the recipe {recipe.name} of {recipe.kind}"
        raise ValueError(msg)
    halves = load((folder / TORCH).read_bytes())
    weights = {k: v.float() if v.is_floating_point() else v for k, v in halves.items()}
    known = tuple(legseg.get("channels", recipe.channels))
    if known == recipe.channels:
        trained = legseg["trained"]
        seconds = 60.0 * trained["minutes"]
        return {"average": weights, "step": trained["steps"], "seconds": seconds}
    return {"average": _with_head(weights, network, known, recipe), "step": 0, "seconds": 0.0}


def _with_head(
    weights: dict[str, Tensor], network: nn.Module, known: Sequence[int], recipe: Recipe
) -> dict[str, Tensor]:
    """The weights with a new last layer; rows of structures that both networks know are kept."""
    fresh = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
    for name in (k for k in weights if k.startswith("head.")):
        rows = fresh[name]
        for row, label in enumerate(recipe.channels):
            if label in known:
                rows[row] = weights[name][list(known).index(label)]
        weights[name] = rows
    return weights
