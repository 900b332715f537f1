"""Checkpoints: written in one piece, read only if they belong to the recipe."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from legseg_bids.bids.write import cannot_write, replacing
from legseg_bids.errors import ModelError, OutputError, UsageError
from legseg_bids.train.own.building import another_architecture
from legseg_bids.train.own.recipe import Optimiser
from legseg_bids.train.own.schedules import Progress

LAST, BEST = "last.pt", "best.pt"
#: A network, Adam's two or three moments of it, the best weights, and the file being written.
COPIES = 7
#: What a resumed training may have changed in its recipe.
FREE = frozenset({"schedule", "workers", "name", "tune"})


@dataclass
class State:
    """Everything that a resumed training needs.

    Attributes
    ----------
    network, optimiser
        As they are.
    step, epoch, seconds
        What has passed.
    progress : Progress
        What the validations have shown.
    best : dict of str to Tensor
        The weights of the best validation.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    epoch: int = 0
    seconds: float = 0.0
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)


def new_optimiser(network: nn.Module, options: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of a recipe."""
    common: dict[str, Any] = {
        "lr": options.learning_rate,
        "weight_decay": options.weight_decay,
    }
    if options.name == "sgd":
        nesterov = options.momentum > 0
        return torch.optim.SGD(
            network.parameters(), momentum=options.momentum, nesterov=nesterov, **common
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.name]
    return kind(network.parameters(), amsgrad=options.amsgrad, **common)


def make_folder(folder: Path) -> Path:
    """Make a folder if it is missing.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def require_space(folder: Path, network: nn.Module) -> None:
    """Make sure that the checkpoints will fit, before hours are spent.

    Raises
    ------
    OutputError
        If they will not.
    """
    needed = COPIES * sum(t.numel() * t.element_size() for t in network.state_dict().values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has {free / 2**20:.0f} MiB left; expected {needed / 2**20:.0f} MiB for the "
            "checkpoints of this network; free space, or choose another --run"
        )


def save(state: State, folder: Path, recipe: dict[str, Any]) -> None:
    """Write the checkpoint in one piece; a failure leaves the last one as it is.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    content = {
        "network": state.network.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "epoch": state.epoch,
        "seconds": state.seconds,
        "progress": asdict(state.progress),
        "recipe": recipe,
    }
    _write(content, folder / LAST)


def save_best(state: State, folder: Path) -> None:
    """Keep the present weights as the best ones, in memory and on the disk."""
    state.best = {k: v.detach().cpu().clone() for k, v in state.network.state_dict().items()}
    _write({"network": state.best, "step": state.step, "epoch": state.epoch}, folder / BEST)


def _write(content: dict[str, Any], path: Path) -> None:
    with replacing(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # PyTorch's writer hides the reason of a failed write in an error of its own.
            raise OSError(str(error).partition("\n")[0]) from error


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    ModelError
        If it is damaged or something else.
    """
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if isinstance(content, dict) and "network" in content:
            return content
    except Exception as error:
        raise ModelError(f"{path} cannot be read: {error}; remove it to begin anew") from error
    raise ModelError(f"{path} is no checkpoint of a training; remove it to begin anew")


def restore(state: State, folder: Path, recipe: dict[str, Any]) -> None:
    """Go on from a checkpoint.

    Raises
    ------
    ModelError
        If it is of another architecture, or damaged.
    UsageError
        If it was begun with another recipe.
    """
    path = folder / LAST
    content = read(path)
    load_weights(state.network, content["network"], path)
    for key in sorted({*recipe, *content["recipe"]} - FREE):
        if recipe.get(key) != content["recipe"].get(key):
            raise UsageError(
                f"{path} was begun with another {key!r} than the recipe has; expected the same; "
                "choose another --run, or remove the folder to begin anew"
            )
    state.optimiser.load_state_dict(content["optimiser"])
    state.step, state.epoch = content["step"], content["epoch"]
    state.seconds, state.progress = content["seconds"], Progress(**content["progress"])
    if (folder / BEST).exists():
        state.best = read(folder / BEST)["network"]


def load_weights(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Give a network its weights, or say that they are of another one.

    Raises
    ------
    ModelError
        If names or shapes differ.
    """
    own = network.state_dict()
    odd = [k for k in {*own, *weights} if k not in own or k not in weights]
    odd = odd or [k for k in own if own[k].shape != weights[k].shape]
    if odd:
        raise another_architecture(str(path), network, sorted(odd))
    network.load_state_dict(weights)
