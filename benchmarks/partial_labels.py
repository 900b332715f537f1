#!/usr/bin/env python3
"""What a training on partly labelled images does to the structures that nobody labelled.

    python benchmarks/partial_labels.py --atlas ATLAS --cache CACHE --steps 120

From the shipped thigh weights, the same training in several ways. Every second stack has all of
its labels, the others those of the eleven muscles of the partial maps only; the stacks are the
same in every way, and what differs is what the loss makes of the voxels without a label:

``background``   they are background
``fn`` … ``fn_plus_fp``  masked cross-entropy of Wong et al. (arXiv 2008.07030) with the log-Dice
                 of the classes that were drawn
``merged``       they are one class of all that was not drawn (the shipped networks)
``complete``     all labels of every stack: what could be reached

Then the Dice coefficient on simulated people that are held out, of the structures that are
labelled in every stack and of the others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from legseg_bids.segment.models import find_models_dir
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.composite import forget
from legseg_bids.synth.ranges import Ranges
from legseg_bids.train import loop
from legseg_bids.train.batches import VALIDATION_SEED, segmentation_batch
from legseg_bids.train.losses import partial_loss, segmentation_loss
from legseg_bids.train.losses.overlap import log_dice
from legseg_bids.train.losses.truth import Truth
from legseg_bids.train.losses.voxelwise import MASKS, masked_cross_entropy
from legseg_bids.train.recipe import Recipe, load_recipe
from legseg_bids.train.subjects import anatomies_of

WAYS = ("background", *MASKS, "merged", "complete")
#: Seeds of these stacks begin here.
FIRST_SEED = 1_700_000_000


def loss_of(way: str, logits: Tensor, target: Tensor, recipe: Recipe, partial: Tensor) -> Tensor:
    """Loss of a batch of which some stacks (bool (n,)) have lost their other labels."""
    if way == "complete":
        return segmentation_loss(logits, target)
    forgotten = torch.stack(
        [forget(t, recipe.channels) if p else t for t, p in zip(target, partial, strict=True)]
    )
    named = loop.named_channels(recipe)
    if way == "merged":
        return partial_loss(logits, forgotten, named)
    drawn = forgotten.clamp_min(0)
    if way == "background":
        return segmentation_loss(logits, drawn)
    known = named | ~partial[:, None]
    truth = Truth(drawn, known)
    return masked_cross_entropy(logits.float(), truth, mask=way) + log_dice(logits.float(), truth)


def trained(
    way: str, recipe: Recipe, anatomies: Sequence[Anatomy], begin: Path, steps: int
) -> torch.nn.Module:
    """The network after so many steps of one way."""
    state = loop.new_state(recipe, "cpu")
    loop.start_from(state, begin, recipe)
    network = state.network
    network.train()
    loop.freeze_statistics(network)
    for step in range(steps):
        for group in state.optimiser.param_groups:
            group["lr"] = loop.learning_rate(step / steps, recipe.learning_rate)
        image, target = segmentation_batch(recipe, anatomies, FIRST_SEED + step, Ranges(), "small")
        partial = (torch.arange(len(image)) + step) % 2 == 0
        state.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(image)
        loss_of(way, logits, target, recipe, partial).backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if bool(torch.isfinite(norm)):
            state.optimiser.step()
    return network.eval()


def main() -> int:
    """Train in each way and print what became of the labelled and of the other structures."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--atlas", type=Path, required=True)
    options.add_argument("--cache", type=Path, required=True)
    options.add_argument("--models", type=Path)
    options.add_argument("--steps", type=int, default=120)
    options.add_argument("--learning-rate", type=float, default=5e-4)
    options.add_argument("--batches", type=int, default=12, help="for the Dice coefficients")
    options.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    recipe = replace(load_recipe("thigh"), learning_rate=chosen.learning_rate, batch=2)
    maps = anatomies_of(recipe, chosen.atlas, chosen.cache)
    strangers = [a.of_people(recipe.held_out, only=True) for a in maps]
    known = [a.of_people(recipe.held_out) for a in maps]
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + chosen.batches)
    judged = [segmentation_batch(recipe, strangers, seed, Ranges(), "large") for seed in seeds]
    named = loop.named_channels(recipe)
    others = ~named & torch.tensor([label > 0 for label in recipe.channels])
    print(f"{'way':12} {'labelled':>9} {'others':>7}")
    begin = find_models_dir(chosen.models) / recipe.name
    for way in chosen.ways:
        network = trained(way, recipe, known, begin, chosen.steps)
        dice = loop.dice_per_channel(network, judged, "cpu")
        print(
            f"{way:12} {float(dice[named].nanmean()):9.3f} {float(dice[others].nanmean()):7.3f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
