"""The training itself: steps, epochs, validations, until time, patience or the plan is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from legseg_bids.errors import LegsegError, UsageError
from legseg_bids.train.losses import LossSum
from legseg_bids.train.own import checkpoints
from legseg_bids.train.own.building import (
    Design,
    check_network,
    start_from_bundle,
    start_from_imagenet,
    step_of,
)
from legseg_bids.train.own.checkpoints import (
    LAST,
    State,
    make_folder,
    new_optimiser,
    require_space,
)
from legseg_bids.train.own.journal import Journal, write_figures
from legseg_bids.train.own.limbs import Limb
from legseg_bids.train.own.loading import Batch, Patches, batches
from legseg_bids.train.own.recipe import Recipe
from legseg_bids.train.own.schedules import rate
from legseg_bids.train.own.splits import Groups
from legseg_bids.train.own.structures import class_name
from legseg_bids.train.own.validating import Figures, validate

#: So many steps in a row without a finite loss end the training.
MOST_SPOILT = 5


class TrainingFailed(LegsegError):
    """The training cannot go on."""


def _nobody(_epoch: int, _dice: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Fit:
    """What to fit to what.

    Attributes
    ----------
    recipe : Recipe
    design : Design
    limbs : tuple of Limb
    groups : Groups
    limbs_dir, folder : Path
        Where the limbs are; where checkpoints and the journal go.
    device : str
        ``cpu``, ``cuda`` or ``cuda:N``.
    say : callable
        Takes a line for people.
    watch : callable
        Takes epochs and validation Dice after each epoch; whatever it raises ends the training,
        whose checkpoint is written by then.
    """

    recipe: Recipe
    design: Design
    limbs: tuple[Limb, ...]
    groups: Groups
    limbs_dir: Path
    folder: Path
    device: str = "cpu"
    say: Callable[[str], Any] = print
    watch: Callable[[int, float], None] = _nobody

    def of(self, people: Sequence[str]) -> list[Limb]:
        """Limbs of some participants."""
        return [limb for limb in self.limbs if limb.participant in set(people)]


@dataclass(frozen=True)
class Fitted:
    """How a training ended.

    Attributes
    ----------
    dice : float
        Highest validation Dice.
    epoch, epochs : int
        When that was, counted from 1; how many there were.
    steps : int
    minutes : float
    why : str
        Why it ended.
    """

    dice: float
    epoch: int
    epochs: int
    steps: int
    minutes: float
    why: str


def fit(task: Fit) -> Fitted:
    """Train, or go on where an earlier run in the folder stopped.

    Raises
    ------
    ModelError
        If the checkpoint, or the bundle to begin with, is of another architecture.
    OutputError
        If checkpoints cannot be written.
    TrainingFailed
        If the loss is not a number any more.
    UsageError
        If the recipe does not fit the data.
    """
    require_classes(task)
    state = begin(task)
    schedule, journal = task.recipe.schedule, Journal(task.folder, task.design.channels)
    patches = Patches(
        task.recipe, task.of(task.groups.train), task.limbs_dir, task.design.channels
    )
    stream = batches(patches, state.step, task.recipe.workers)
    loss = LossSum(task.recipe.loss)
    while not (why := _why_over(task, state)):
        values = _epoch(task, state, stream, loss)
        figures = _validated(task, state)
        better = figures.mean > state.progress.best
        state.progress = state.progress.after(figures.mean, state.epoch, schedule)
        state.epoch += 1
        if better or not state.best:
            checkpoints.save_best(state, task.folder)
        values |= {"epoch": state.epoch, "step": state.step, "dice": figures.mean}
        values["minutes"] = state.seconds / 60
        journal.add(values, figures, state.epoch)
        checkpoints.save(state, task.folder, _facts(task))
        task.say(
            f"epoch {state.epoch}, {state.seconds / 60:.1f} min: loss {values['loss']:.3f}, "
            f"Dice {figures.mean:.3f}{' *' if better else ''}, waited {values['waited']:.0%}"
        )
        task.watch(state.epoch, figures.mean)
    _test(task, state)
    best = state.progress
    return Fitted(best.best, best.best_epoch + 1, state.epoch, state.step, state.seconds / 60, why)


def require_classes(task: Fit) -> None:
    """Make sure that there is something to learn and to look at.

    Raises
    ------
    UsageError
        If a class has no voxel in the training set, or the validation set has none of them.
    """
    for part in ("train", "validation"):
        if not task.of(getattr(task.groups, part)):
            people = ", ".join(getattr(task.groups, part))
            raise UsageError(
                f"no limb of the {part} set ({people}) shows the region; expected some; correct "
                "[split]"
            )
    seen = {int(c) for limb in task.of(task.groups.validation) for c in limb.voxels}
    if not seen & {c for c in task.design.channels if c > 0}:
        raise UsageError(
            f"no class occurs in the validation set ({', '.join(task.groups.validation)}); "
            "expected some, or no epoch could be the best; correct [split]"
        )
    there = {int(c) for limb in task.of(task.groups.train) for c in limb.voxels}
    missing = [c for c in task.design.channels if c > 0 and c not in there]
    if missing:
        names = ", ".join(class_name(c) for c in missing)
        raise UsageError(
            f"no voxel of {names} in the whole training set; expected some of each class; leave "
            "the class out, add images, or move participants from validation or test to training"
        )


def require_device(device: str) -> None:
    """Make sure that the device is there.

    Raises
    ------
    UsageError
        If it is not, or no device has such a name.
    """
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"device is {device!r}; expected cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"device {device} asked for, but PyTorch {torch.__version__} finds no CUDA device; "
            "use --device cpu, or install a CUDA build"
        )


def begin(task: Fit) -> State:
    """A network as the recipe wants it, or as the last run left it."""
    require_device(task.device)
    torch.manual_seed(task.recipe.seed)
    network = task.design.build()
    check_network(network, len(task.design.channels))
    require_space(make_folder(task.folder), network)
    step, patch = step_of(network), task.recipe.grid.patch
    if any(size % s for size, s in zip(patch, step, strict=True)):
        raise UsageError(
            f"[grid] has patch = {list(patch)}; expected multiples of {list(step)} (z, y, "
            "x), by which the network shrinks an image"
        )
    resumed = (task.folder / LAST).exists()
    if task.recipe.start.bundle and not resumed:
        inherited = start_from_bundle(network, task.recipe, task.design.channels)
        for row in inherited.rows():
            task.say(f"{row['class']} begins as {row['begins_as']}")
    if task.recipe.start.imagenet and not resumed:
        start_from_imagenet(network, task.recipe)
    network.to(task.device)
    state = State(network, new_optimiser(network, task.recipe.optimiser))
    if resumed:
        checkpoints.restore(state, task.folder, _facts(task))
        task.say(f"going on after epoch {state.epoch}, {state.seconds / 60:.1f} min")
    return state


def _facts(task: Fit) -> dict[str, Any]:
    """What a resumed training must not have changed, as plain values."""
    groups = {k: list(v) for k, v in vars(task.groups).items()}
    facts = {**task.recipe.plain(), "groups": groups, "channels": task.design.channels}
    if not facts["start"]["imagenet"]:
        del facts["start"]["imagenet"]  # older checkpoints do not know it
    return {key: _listed(value) for key, value in facts.items()}


def _listed(value: Any) -> Any:
    """Tuples as lists, all the way down: what comes back from a file is equal then."""
    if isinstance(value, dict):
        return {str(k): _listed(v) for k, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, list | tuple) else value


def _share(task: Fit, state: State) -> float:
    """How much of the plan has passed, by steps or by time, whichever is further."""
    plan = task.recipe.schedule
    shares = [state.step / (plan.epochs * plan.steps)]
    if plan.minutes:
        shares.append(state.seconds / (60 * plan.minutes))
    return min(max(shares), 1.0)


def _why_over(task: Fit, state: State) -> str:
    """Why it is time to end; empty as long as it is not."""
    if state.epoch and _share(task, state) >= 1:
        return "the schedule is over"
    if state.progress.is_over(task.recipe.schedule):
        return f"no better Dice for {state.progress.since_better} epochs"
    return ""


def _epoch(task: Fit, state: State, stream: Iterator[Batch], loss: nn.Module) -> dict[str, float]:
    """Steps up to the next validation; what the journal says of them."""
    began, already = time.monotonic(), state.seconds
    losses: list[float] = []
    waited, in_a_row = 0.0, 0
    for _ in range(task.recipe.schedule.steps):
        asked = time.monotonic()
        batch = _next(stream)
        waited += time.monotonic() - asked
        factor = rate(task.recipe.schedule, _share(task, state), state.progress)
        losses.append(step(task.recipe, state, batch, loss, factor, task.device))
        in_a_row = 0 if math.isfinite(losses[-1]) else in_a_row + 1
        if in_a_row >= MOST_SPOILT:
            raise _not_a_number(task, state)
        state.seconds = already + time.monotonic() - began
        if task.recipe.schedule.minutes and _share(task, state) >= 1:
            break
    sound = [x for x in losses if math.isfinite(x)]
    return {
        "epoch": 0,
        "step": 0,
        "minutes": 0.0,
        "learning_rate": task.recipe.optimiser.learning_rate * factor,
        "loss": sum(sound) / len(sound) if sound else float("nan"),
        "dice": 0.0,
        "spoilt_steps": len(losses) - len(sound),
        "waited": waited / max(state.seconds - already, 1e-9),
    }


def _next(stream: Iterator[Batch]) -> Batch:
    try:
        return next(stream)
    except RuntimeError as error:  # PyTorch's, for a process that was killed
        raise TrainingFailed(
            f"a process that loads images has died: {error}; expected it to live; give the "
            "training more memory, or fewer `workers`"
        ) from error


def _not_a_number(task: Fit, state: State) -> TrainingFailed:
    return TrainingFailed(
        f"the loss is NaN or infinite {MOST_SPOILT} steps in a row, at step {state.step} of "
        f"{task.folder}; expected a number; lower the learning rate (it is "
        f"{task.recipe.optimiser.learning_rate:g}), clip gradients, or set bf16 = false; the last "
        "checkpoint is as it was"
    )


def step(
    recipe: Recipe, state: State, batch: Batch, loss: nn.Module, factor: float, device: str
) -> float:
    """One step of the optimiser; returns the loss.

    A step whose loss or gradient is not finite changes no weight, and returns NaN.
    """
    state.network.train()
    for group in state.optimiser.param_groups:
        group["lr"] = recipe.optimiser.learning_rate * factor
    state.optimiser.zero_grad(set_to_none=True)
    image = batch.image.to(device)
    if recipe.input_dropout:
        image = nn.functional.dropout(image, recipe.input_dropout)
    with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=recipe.bf16):
        logits = state.network(image)
    value: Tensor = loss(
        logits.float(), batch.labels.to(device), batch.known.to(device), batch.spacing
    )
    state.step += 1
    if not bool(torch.isfinite(value)):
        return float("nan")
    value.backward()
    longest = recipe.optimiser.clip or math.inf
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), longest)
    if not bool(torch.isfinite(norm)):
        return float("nan")
    state.optimiser.step()
    return float(value.detach())


def _validated(task: Fit, state: State) -> Figures:
    limbs = task.of(task.groups.validation)
    return validate(state.network, limbs, task.limbs_dir, task.design.channels, task.device)


def _test(task: Fit, state: State) -> None:
    """The best weights on those who were kept for the end."""
    limbs = task.of(task.groups.test)
    if not limbs:
        return
    network = task.design.build().to(task.device)
    network.load_state_dict(state.best)
    figures = validate(network, limbs, task.limbs_dir, task.design.channels, task.device)
    write_figures(task.folder / "test.csv", figures)
    task.say(f"test participants: Dice {figures.mean:.3f}")
