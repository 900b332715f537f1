"""An endless, repeatable stream of simulated batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.composite import Composite, composite_sample
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import STACKS, region_sample
from legseg_bids.synth.slices import locator_sample
from legseg_bids.train.recipe import Recipe

#: From this share of the time on, stacks are large; before, many small ones teach more per second.
GROW_AT = 0.75
#: Validation batches use seeds that training never reaches.
VALIDATION_SEED = 900_000_000


def segmentation_batch(
    recipe: Recipe,
    anatomies: Sequence[Anatomy],
    seed: int,
    ranges: Ranges,
    extent: str,
    composites: Sequence[Composite] = (),
    device: str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Images (n, 1, z, y, x) and channels (n, z, y, x); a pure function of its arguments.

    ``extent`` is ``small`` or ``large``, a key of :data:`legseg_bids.synth.sample.STACKS`. With
    ``composites``, the recipe's share of the stacks is of these people; channels are then
    negative where nothing is known. They are made on the device, where they stay.
    """
    draw = Draw(seed)
    stacks = STACKS[recipe.region][extent]
    size = stacks[draw.integer(0, len(stacks))]
    samples = []
    for item in range(recipe.batch):
        anatomy = anatomies[draw.integer(0, len(anatomies))]
        side = ("left", "right")[draw.integer(0, 2)]
        own = seed * 16 + item
        if composites and draw.chance(recipe.partial_share):
            one = composites[draw.integer(0, len(composites))]
            samples.append(composite_sample(one, recipe.channels, size, own, ranges, device))
            continue
        samples.append(
            region_sample(anatomy, side, recipe.region, recipe.channels, size, own, ranges, device)
        )
    return torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples])


def locator_batch(
    recipe: Recipe,
    anatomies: Sequence[Anatomy],
    seed: int,
    ranges: Ranges,
    device: str = "cpu",
) -> tuple[Tensor, Tensor, Tensor]:
    """Slices (n, 1, y, x), sides (n,) and parts (n,); -1 marks an empty slice."""
    draw = Draw(seed)
    samples = [
        locator_sample(
            anatomies[draw.integer(0, len(anatomies))],
            recipe.size,
            recipe.pixel_mm,
            seed * 16 + item,
            ranges,
            device,
        )
        for item in range(recipe.batch)
    ]
    sides = [torch.full((s.image.shape[0],), s.side, device=s.image.device) for s in samples]
    return (
        torch.cat([s.image for s in samples]),
        torch.cat(sides),
        torch.cat([s.part for s in samples]),
    )


def make_batch(
    recipe: Recipe,
    anatomies: Sequence[Anatomy],
    seed: int,
    ranges: Ranges,
    share: float = 1.0,
    composites: Sequence[Composite] = (),
    device: str = "cpu",
) -> tuple[Tensor, ...]:
    """One batch of the recipe's kind, for this share of the training time, on a device."""
    if recipe.kind == "locator":
        return locator_batch(recipe, anatomies, seed, ranges, device)
    extent = "small" if share < GROW_AT else "large"
    return segmentation_batch(recipe, anatomies, seed, ranges, extent, composites, device)
