#!/usr/bin/env python3
"""Whether losses on the coarser levels make a training better, step for step.

    python benchmarks/deep_supervision.py hip --from models/thigh --atlas ATLAS --cache CACHE

The same training twice, without and with deep supervision: the same first weights, stacks and
learning rates. Then the Dice coefficient on simulated stacks that no training sees, and the time
of a step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.ranges import Ranges
from legseg_bids.train import loop
from legseg_bids.train.batches import VALIDATION_SEED, segmentation_batch
from legseg_bids.train.recipe import Recipe, load_recipe, shipped_recipes
from legseg_bids.train.subjects import anatomies_of

WAYS: dict[str, tuple[float, ...]] = {"without": (), "with": (0.5, 0.25)}
#: Seeds of these stacks begin here.
FIRST_SEED = 1_710_000_000


def trained(
    recipe: Recipe, anatomies: Sequence[Anatomy], begin: Path | None, steps: int
) -> tuple[dict[str, Tensor], float]:
    """Averaged weights after so many steps, and the mean time of a step's learning in seconds."""
    state = loop.new_state(recipe, "cpu")
    if begin is not None:
        loop.start_from(state, begin, recipe)
    spent = 0.0
    for step in range(steps):
        batch = segmentation_batch(recipe, anatomies, FIRST_SEED + step, Ranges(), "small")
        started = time.perf_counter()
        loop.train_step(recipe, state, batch, step / steps, "cpu")
        spent += time.perf_counter() - started
    return state.average, spent / steps


def main() -> int:
    """Train in both ways and print what came of it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    recipes = [name for name in shipped_recipes() if name != "locator"]
    options.add_argument("recipe", choices=recipes)
    options.add_argument("--atlas", type=Path, required=True)
    options.add_argument("--cache", type=Path, required=True)
    options.add_argument("--from", type=Path, dest="begin", help="weights; default: random ones")
    options.add_argument("--steps", type=int, default=150)
    options.add_argument("--batches", type=int, default=12, help="for the Dice coefficients")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    recipe = replace(load_recipe(chosen.recipe), batch=2)
    maps = anatomies_of(recipe, chosen.atlas, chosen.cache)
    known = [a.of_people(recipe.held_out) for a in maps]
    strangers = [a.of_people(recipe.held_out, only=True) for a in maps]
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + chosen.batches)
    judged = [segmentation_batch(recipe, strangers, seed, Ranges(), "small") for seed in seeds]
    reported = torch.tensor([label > 0 for label in recipe.channels])
    print(f"{'deep supervision':18} {'dice':>6} {'s/step':>7}")
    for way, weights in WAYS.items():
        own = replace(recipe, deep_supervision=weights)
        average, seconds = trained(own, known, chosen.begin, chosen.steps)
        network = loop.new_state(recipe, "cpu").network.eval()
        network.load_state_dict(average)
        dice = loop.dice_per_channel(network, judged, "cpu")
        print(f"{way:18} {float(dice[reported].nanmean()):6.3f} {seconds:7.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
