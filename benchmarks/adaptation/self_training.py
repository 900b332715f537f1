"""Refine the thigh network on what it is sure of in real images, beside simulated ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.adaptation.real import Real, runs
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import Model
from legseg_bids.segment.region import LimbRun
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.composite import Composite
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.train import loop
from legseg_bids.train.losses.overlap import dice as dice_loss
from legseg_bids.train.losses.truth import IGNORE, Truth
from legseg_bids.train.losses.voxelwise import cross_entropy
from legseg_bids.train.recipe import Recipe

#: A voxel of a real image teaches from this probability on.
SURE = 0.9
#: One step in so many is of real stacks.
EVERY = 4
#: Slices and pixels of a real stack.
SIZE = (8, 112)


@dataclass(frozen=True, eq=False)
class Sure:
    """A limb with the channels that the network was sure of; (z, y, x)."""

    image: Tensor
    target: Tensor


def pseudo_labelled(real: Sequence[Real], model: Model) -> list[Sure]:
    """Every limb's images with what the network is sure of, from all images together."""
    engine, channels = load_engine(model), model.segmentation.channels
    return [
        Sure(torch.from_numpy(run.image.data), _targets(run, model, channels))
        for one in real
        for run in runs(one, model, engine, in_phase=True)
    ]


def _targets(run: LimbRun, model: Model, channels: Sequence[int]) -> Tensor:
    """Channel of every sure voxel; 0 stands for background and "other" alike, so it is left out.

    But for what lies outside the body, where the image is zero.
    """
    labels = model.segmentation.labels
    best = run.probabilities.argmax(0)
    sure = run.probabilities.max(0) >= SURE
    number = np.array([channels.index(label) for label in labels])
    target = np.where(sure & (best > 0), number[best], IGNORE)
    z, y, x = run.image.grid
    full = np.full(run.image.data.shape, IGNORE)
    full[:z, :y, :x] = target
    full[run.image.data == 0] = 0
    return torch.from_numpy(full)


def real_batch(limbs: Sequence[Sure], seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Random cuts with another gamma, shading and noise; (n, 1, z, y, x) and (n, z, y, x)."""
    draw, images, targets = Draw(seed), [], []
    for _ in range(count):
        one = limbs[draw.integer(0, len(limbs))]
        at = [
            draw.integer(0, max(n - m, 0) + 1)
            for n, m in zip(one.image.shape, _size(), strict=True)
        ]
        cut = tuple(slice(a, a + m) for a, m in zip(at, _size(), strict=True))
        image, target = (_filled(v[cut], value) for v, value in ((one.image, 0), (one.target, 0)))
        shade = torch.exp(draw.uniform(0.0, 0.3) * draw.field(_size(), (2, 3, 3)))
        noise = draw.uniform(0.0, 0.05) * draw.normals(*_size())
        spoilt = (image * shade + noise * (image > 0)).clamp(0.0, 2.0)
        images.append((spoilt ** np.exp(draw.normal(0.15)))[None])
        targets.append(target)
    return torch.stack(images).float(), torch.stack(targets)


def _size() -> tuple[int, int, int]:
    return SIZE[0], SIZE[1], SIZE[1]


def _filled(values: Tensor, value: int) -> Tensor:
    out = values.new_full(_size(), value)
    out[tuple(slice(0, n) for n in values.shape)] = values
    return out


def refine(
    recipe: Recipe,
    anatomies: Sequence[Anatomy],
    composites: Sequence[Composite],
    limbs: Sequence[Sure],
    begin: Path,
    folder: Path,
    minutes: float,
    say: Callable[[str], object] = print,
) -> None:
    """Train on simulated stacks and, every so many steps, on real ones; without ``limbs`` not.

    The last: the same schedule without real images, to compare with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = loop.new_state(recipe, "cpu")
    loop.start_from(state, begin, recipe)
    anatomies = [a.of_people(recipe.held_out) for a in anatomies]
    started, already = time.monotonic(), state.seconds
    while (share := state.share(minutes)) < 1.0:
        seed = recipe.seed * 10_000_000 + 5_000_000 + state.step
        if limbs and state.step % EVERY == 0:
            _real_step(recipe, state, real_batch(limbs, seed, recipe.batch), share)
        else:
            batch = loop.make_batch(recipe, anatomies, seed, Ranges(), 0.0, composites)
            loop.train_step(recipe, state, batch, max(share, loop.FREEZE_AT), "cpu")
        state.seconds = already + time.monotonic() - started
        if state.step % 50 == 0:
            say(f"step {state.step}, {(state.seconds - already) / 60:.1f} min")
    loop.save_state(state, folder / "checkpoint.pt")


def _real_step(
    recipe: Recipe, state: loop.State, batch: tuple[Tensor, Tensor], share: float
) -> None:
    state.network.train()
    loop.freeze_statistics(state.network)
    for group in state.optimiser.param_groups:
        group["lr"] = loop.learning_rate(share, recipe.learning_rate)
    state.optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = state.network(batch[0])
    truth = Truth(batch[1])
    loss = cross_entropy(logits.float(), truth) + dice_loss(logits.float(), truth)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.step += 1
    if bool(torch.isfinite(norm)):
        state.optimiser.step()
        loop.update_average(state)
