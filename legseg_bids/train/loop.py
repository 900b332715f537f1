"""The training loop: resumable, on CPU or CUDA, with a schedule that fits the time given."""

from __future__ import annotations

import csv
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from legseg_bids.networks import create
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.composite import Composite
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.register import MUSCLES
from legseg_bids.train.ahead import Ahead, InTurn, Supply
from legseg_bids.train.batches import VALIDATION_SEED, make_batch
from legseg_bids.train.beginning import CHECKPOINT, weights_to_begin_with
from legseg_bids.train.deep import CoarseHeads
from legseg_bids.train.losses import locator_loss, partial_loss, segmentation_loss
from legseg_bids.train.recipe import Recipe, network_options

#: From this share of the time on, batch normalisation keeps its statistics: the network then
#: trains on exactly what it will compute later.
FREEZE_AT = 0.6
WARM_UP = 0.02
EMA_DECAY = 0.995


@dataclass
class State:
    """Everything that a resumed training needs.

    ``seconds`` are those of all training of these weights, ``since`` how many of them had passed
    when the present schedule began. ``coarse`` are the heads of deep supervision, if any.
    """

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    coarse: CoarseHeads | None = None
    step: int = 0
    seconds: float = 0.0
    since: float = 0.0

    def share(self, minutes: float) -> float:
        """How much of a schedule of so many minutes has passed, 0 … 1."""
        return min((self.seconds - self.since) / (60 * minutes), 1.0)


def learning_rate(share: float, peak: float) -> float:
    """Linear warm-up, then a half cosine down to a hundredth, over the share of the time.

    Examples
    --------
    >>> round(learning_rate(WARM_UP, 1.0), 3), round(learning_rate(1.0, 1.0), 3)
    (1.0, 0.01)
    """
    if share < WARM_UP:
        return peak * (0.05 + 0.95 * share / WARM_UP)
    angle = math.pi * min((share - WARM_UP) / (1 - WARM_UP), 1.0)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(angle)))


def new_state(recipe: Recipe, device: str) -> State:
    """A freshly initialised network and optimiser."""
    torch.manual_seed(recipe.seed)
    network = create(recipe.network["name"], **network_options(recipe)).to(device)
    if recipe.kind == "segmentation":
        # channels innermost: a step takes 13 % less time on a CPU
        network = network.to(memory_format=torch.channels_last_3d)
    coarse = None
    if recipe.deep_supervision:
        features = recipe.network["features"]
        coarse = CoarseHeads(network, features, recipe.deep_supervision).to(device)
    optimiser = torch.optim.AdamW(
        _parameters(network, coarse), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    return State(network, average, optimiser, coarse)


def _parameters(network: nn.Module, coarse: CoarseHeads | None) -> list[nn.Parameter]:
    return [*network.parameters(), *(coarse.parameters() if coarse else ())]


def save_state(state: State, path: Path) -> None:
    """Write a checkpoint in one piece, readable without the device."""
    partial = path.with_suffix(".tmp")
    content = {
        "network": state.network.state_dict(),
        "average": state.average,
        "optimiser": state.optimiser.state_dict(),
        "step": state.step,
        "seconds": state.seconds,
        "since": state.since,
        "coarse": state.coarse.state_dict() if state.coarse else {},
    }
    torch.save(_on_cpu(content), partial)
    partial.replace(path)


def _on_cpu(content: Any) -> Any:
    """The same with all its tensors on the CPU."""
    if isinstance(content, Mapping):
        return {k: _on_cpu(v) for k, v in content.items()}
    if isinstance(content, list):
        return [_on_cpu(v) for v in content]
    return content.cpu() if isinstance(content, Tensor) else content


def restore_state(state: State, path: Path) -> None:
    """Continue from a checkpoint, on the network's device."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    state.network.load_state_dict(content["network"])
    state.average = _beside(content["average"], state.network)
    state.optimiser.load_state_dict(content["optimiser"])
    state.step, state.seconds = content["step"], content["seconds"]
    state.since = content.get("since", 0.0)
    if state.coarse:
        state.coarse.load_state_dict(content["coarse"])


def _beside(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The weights on a network's device."""
    device = next(network.parameters()).device
    return {k: v.to(device) for k, v in weights.items()}


def start_from(state: State, path: Path, recipe: Recipe) -> None:
    """Begin a new schedule with the weights of another run, or of a model.

    Steps and seconds go on counting; the optimiser begins anew. What may be given, and what is
    raised: :func:`legseg_bids.train.beginning.weights_to_begin_with`.
    """
    content = weights_to_begin_with(path, recipe, state.network)
    state.network.load_state_dict(content["average"])
    state.average = _beside(content["average"], state.network)
    state.step, state.seconds = content["step"], content["seconds"]
    state.since = state.seconds


def update_average(state: State) -> None:
    """Exponential moving average of weights and statistics, faster at the beginning."""
    decay = min(EMA_DECAY, (1 + state.step) / (10 + state.step))
    for key, value in state.network.state_dict().items():
        mean = state.average[key]
        if mean.dtype.is_floating_point:
            mean.lerp_(value.detach(), 1 - decay)
        else:
            mean.copy_(value)


def freeze_statistics(network: nn.Module) -> None:
    """Put the batch normalisations into evaluation mode, their scales still learning."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.eval()


def _loss(recipe: Recipe, state: State, batch: Sequence[Tensor], device: str) -> Tensor:
    moved = [b.to(device) for b in batch]
    with torch.autocast(device.split(":")[0], torch.bfloat16):
        out = state.network(moved[0])
        levels = state.coarse() if state.coarse else []
    if recipe.kind == "locator":
        return locator_loss(out[0].float(), out[1].float(), moved[1], moved[2])
    loss = segmentation_loss
    if bool((batch[1] < 0).any()):
        loss = functools.partial(partial_loss, named=named_channels(recipe, device))
    if state.coarse:
        return state.coarse.joined(loss, out, levels, moved[1])
    return loss(out, moved[1])


def named_channels(recipe: Recipe, device: str = "cpu") -> Tensor:
    """Which channels are muscles that partial maps name, bool (channels,)."""
    named = [label in MUSCLES.values() for label in recipe.channels]
    return torch.tensor(named, device=device)


def train_step(
    recipe: Recipe, state: State, batch: Sequence[Tensor], share: float, device: str
) -> float:
    """One step of the optimiser; returns the loss."""
    state.network.train()
    if share >= FREEZE_AT:
        freeze_statistics(state.network)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(share, recipe.learning_rate)
    state.optimiser.zero_grad(set_to_none=True)
    loss = _loss(recipe, state, batch, device)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(_parameters(state.network, state.coarse), 1.0)
    state.step += 1
    if not bool(torch.isfinite(loss)):
        go_back(state)
        return float("nan")
    if not bool(torch.isfinite(norm)):
        # Seen on CPUs with bfloat16: the loss is right, and the gradient of one convolution,
        # now and then, is not. Nothing is spoilt yet: leave the step out.
        return float("nan")
    state.optimiser.step()
    update_average(state)
    return float(loss.detach())


def go_back(state: State) -> None:
    """Take the averaged weights after a step that ended in infinity.

    One batch of next to nothing can do that to batch normalisation, whose statistics it has then
    spoilt too; the average has not seen it.
    """
    state.network.load_state_dict(state.average)
    state.optimiser.state.clear()


def dice_per_channel(
    network: nn.Module, batches: Sequence[Sequence[Tensor]], device: str
) -> Tensor:
    """Dice coefficient of every channel over all batches; NaN where a channel never occurs."""
    if not batches:
        msg = "no validation batch; expected at least one"
        raise ValueError(msg)
    classes = int(network.head.out_channels)  # type: ignore[union-attr, arg-type]
    hit, size = torch.zeros(2, classes, device="cpu")
    for image, target in batches:
        truth = target.to(device)
        with torch.inference_mode():
            labels = network(image.to(device)).argmax(1)
        for total, found in ((hit, labels[labels == truth]), (size, labels), (size, truth)):
            total += torch.bincount(found[found >= 0], minlength=classes).cpu()
    return 2 * hit / size


def accuracy(
    network: nn.Module, batches: Sequence[Sequence[Tensor]], device: str
) -> tuple[float, float]:
    """Share of slices whose side and whose part are right."""
    right = torch.zeros(2, device="cpu")
    total = 0
    for image, sides, parts in batches:
        with torch.inference_mode():
            side, part = (o.argmax(1).cpu() for o in network(image.to(device)))
        known = parts.cpu() >= 0
        total += int(known.sum())
        pairs = ((side, sides.cpu()), (part, parts.cpu()))
        right += torch.stack([((a == b) & known).sum() for a, b in pairs])
    return float(right[0] / total), float(right[1] / total)


def evaluate_average(
    recipe: Recipe, state: State, batches: Sequence[Sequence[Tensor]], device: str
) -> dict[str, float]:
    """Validation figures of the averaged weights."""
    network = create(recipe.network["name"], **network_options(recipe)).to(device).eval()
    network.load_state_dict(state.average)
    if recipe.kind == "locator":
        side, part = accuracy(network, batches, device)
        return {"side_accuracy": side, "part_accuracy": part}
    dice = dice_per_channel(network, batches, device)
    reported = torch.tensor([c > 0 for c in recipe.channels])
    return {"dice": float(dice[reported].nanmean())}


def train(
    recipe: Recipe,
    anatomies: Sequence[Anatomy],
    folder: Path,
    minutes: float,
    device: str = "cpu",
    ranges: Ranges | None = None,
    report_every: float = 300.0,
    validation_batches: int = 6,
    say: Callable[[str], Any] = print,
    begin: Path | None = None,
    composites: Sequence[Composite] = (),
    workers: int = 0,
) -> dict[str, float]:
    """Train for a given time, or go on where an earlier run stopped.

    People that the recipe holds out are simulated for the validation only.

    Parameters
    ----------
    folder : Path
        Receives ``checkpoint.pt`` and ``log.csv``.
    minutes : float
        Length of the schedule; what an interrupted run in the same folder has used is counted in.
    report_every : float
        Seconds between validations and checkpoints.
    begin : Path, optional
        Checkpoint of another run, or a model's folder, whose weights are refined with a new
        schedule.
    composites : sequence of Composite
        Partially labelled people, of whom the recipe's share of the stacks is made.
    workers : int
        Processes that make the batches ahead, on the CPU; with none each is made on the device
        when it is needed. The training sees the same batches with any number of them.

    Returns
    -------
    dict
        The last validation figures.
    """
    ranges = ranges or Ranges()
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    state = new_state(recipe, device)
    if checkpoint.exists():
        restore_state(state, checkpoint)
        say(f"{recipe.name}: going on from step {state.step}, {state.seconds / 60:.1f} min")
    elif begin is not None:
        start_from(state, begin, recipe)
        say(f"{recipe.name}: a new schedule from step {state.step} of {begin}")
    strangers = [a.of_people(recipe.held_out, only=True) for a in anatomies]
    anatomies = [a.of_people(recipe.held_out) for a in anatomies]
    validation = [
        make_batch(recipe, strangers, VALIDATION_SEED + k, ranges, device=device)
        for k in range(validation_batches)
    ]
    supply = Supply(recipe, anatomies, ranges, composites)
    with closing(Ahead(supply, workers) if workers else InTurn(supply, device)) as source:
        return _until(minutes, recipe, state, source, validation, folder, report_every, say)


def _until(
    minutes: float,
    recipe: Recipe,
    state: State,
    source: Ahead | InTurn,
    validation: Sequence[Sequence[Tensor]],
    folder: Path,
    report_every: float,
    say: Callable[[str], Any],
) -> dict[str, float]:
    """Steps, validations and checkpoints until the schedule's minutes have passed."""
    device = str(next(state.network.parameters()).device)
    figures: dict[str, float] = {}
    losses: list[float] = []
    started, last, already = time.monotonic(), time.monotonic(), state.seconds
    while (share := state.share(minutes)) < 1.0 or not figures:
        batch = source.batch(recipe.seed * 10_000_000 + state.step, share)
        losses.append(train_step(recipe, state, batch, share, device))
        now = time.monotonic()
        state.seconds = already + now - started
        if now - last > report_every or state.share(minutes) >= 1.0:
            figures = evaluate_average(recipe, state, validation, device)
            sound = [x for x in losses if math.isfinite(x)]
            figures["loss"] = sum(sound) / max(len(sound), 1)
            figures["spoilt_steps"] = float(len(losses) - len(sound))
            _log(folder / "log.csv", state, figures)
            text = ", ".join(f"{k} {v:.4f}" for k, v in figures.items())
            say(f"{recipe.name}: step {state.step}, {state.seconds / 60:.1f} min, {text}")
            save_state(state, folder / CHECKPOINT)
            losses, last = [], time.monotonic()
    return figures


def _log(path: Path, state: State, figures: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "minutes", *figures])
        writer.writerow([state.step, round(state.seconds / 60, 2), *figures.values()])
