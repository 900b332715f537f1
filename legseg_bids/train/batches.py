"""An endless, repeatable stream of simulated batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import STACKS, region_sample
from legseg_bids.synth.slices import locator_sample
from legseg_bids.train.recipe import Recipe

#: Validation batches use seeds that training never reaches.
VALIDATION_SEED = 900_000_000


def segmentation_batch(
    recipe: Recipe, anatomies: Sequence[Anatomy], seed: int, ranges: Ranges, extent: str
) -> tuple[Tensor, Tensor]:
    """Images (n, 1, z, y, x) and channels (n, z, y, x); a pure function of its arguments.

    ``extent`` is ``small`` or ``large``, a key of :data:`legseg_bids.synth.sample.STACKS`.
    """
    draw = Draw(seed)
    stacks = STACKS[recipe.region][extent]
    size = stacks[draw.integer(0, len(stacks))]
    samples = []
    for item in range(recipe.batch):
        anatomy = anatomies[draw.integer(0, len(anatomies))]
        side = ("left", "right")[draw.integer(0, 2)]
        own = seed * 16 + item
        samples.append(
            region_sample(anatomy, side, recipe.region, recipe.channels, size, own, ranges)
        )
    return torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples])


def locator_batch(
    recipe: Recipe, anatomies: Sequence[Anatomy], seed: int, ranges: Ranges
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
        )
        for item in range(recipe.batch)
    ]
    sides = [torch.full((s.image.shape[0],), s.side) for s in samples]
    return (
        torch.cat([s.image for s in samples]),
        torch.cat(sides),
        torch.cat([s.part for s in samples]),
    )
