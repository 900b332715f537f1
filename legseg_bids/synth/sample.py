"""Stacks of one limb: an image as the application hands it to a network, and its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.synth.atlas import Anatomy, Landmarks
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.physics import acquire, draw_body, dress, scan, water_and_fat
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.shape import Grid, Mapping, limb_mapping, look_up

#: Image pixels are computed from this many x this many finer ones.
FINE = 2
#: Label of subcutaneous fat in the scheme.
SUBCUTANEOUS = 151
#: A region's stack may begin and end this far beyond its joints, mm.
REGION_REACH = {"upper": (-45.0, 5.0), "lower": (-30.0, 60.0)}
#: (slices, pixels) of training stacks of each region, about equal in voxels: small ones to see
#: many people, large ones to see a whole limb at once. Multiples of the networks' steps (4, 16).
STACKS = {
    "upper": {
        "small": ((12, 96), (12, 96), (8, 112), (8, 112), (8, 128), (16, 80)),
        "large": ((28, 96), (20, 112), (20, 112), (16, 128), (16, 128), (12, 144), (8, 176)),
    },
    "lower": {
        "small": ((16, 80), (16, 80), (20, 64), (12, 96), (8, 96), (8, 112)),
        "large": ((32, 80), (24, 96), (20, 96), (16, 112), (16, 112), (12, 128), (8, 128)),
    },
}


@dataclass(frozen=True)
class Sample:
    """One simulated stack.

    ``image`` is float32 (1, z, y, x), normalised; ``target`` int64 (z, y, x), channel numbers.
    """

    image: Tensor
    target: Tensor


def channel_table(channels: Sequence[int], side: str) -> Tensor:
    """Look-up from codes to a network's channels for one limb, int64 (256,).

    Parameters
    ----------
    channels : sequence of int
        Left label of each channel; 0 background, -1 whatever is known but not reported.
    side : str
        The limb that is segmented; structures of the other one are background.
    """
    known = list(channels)
    other = known.index(-1) if -1 in known else 0
    table = torch.zeros(256, dtype=torch.long)
    for label in load_labels():
        if label.side not in (side, "n/a") or label.tissue == "fat":
            continue
        left = label.index - 1 if label.side == "right" else label.index
        table[label.index] = known.index(left) if left in known else other
    return table


def _stack(
    marks: Landmarks, region: str, size: tuple[int, int], draw: Draw, r: Ranges
) -> tuple[Grid, float]:
    """Draw the distance of the slices, and the height of the middle one."""
    slices, pixels = size
    thick = draw.chance(r.thick_probability)
    low, high = REGION_REACH[region]
    low += marks.knee if region == "upper" else marks.ankle
    high += marks.hip if region == "upper" else marks.knee
    dz = draw.log_uniform(*(r.thick_slices if thick else r.thin_slices))
    dz = max(min(dz, (high - low + 80.0) / slices), r.thin_slices[0])
    half = 0.35 * slices * dz
    height = draw.uniform(low + half, max(high - half, low + half + 1))
    return Grid((slices, pixels, pixels), (dz, r.pixel, r.pixel)), height


def region_sample(
    anatomy: Anatomy,
    side: str,
    region: str,
    channels: Sequence[int],
    size: tuple[int, int],
    seed: int,
    r: Ranges,
) -> Sample:
    """Simulate one limb of one region, mirrored so that lateral is at low x.

    Parameters
    ----------
    anatomy : Anatomy
    side, region : str
        ``left``/``right``; ``upper``/``lower``.
    channels : sequence of int
        See :func:`channel_table`; :data:`SUBCUTANEOUS` there marks subcutaneous fat.
    size : tuple of int
        Slices and pixels of the stack, as in :data:`STACKS`.
    seed : int
        The sample is a pure function of it.
    """
    draw = Draw(seed)
    marks = anatomy.landmarks[side]
    grid, height = _stack(marks, region, size, draw, r)
    reach = grid.shape[1] * r.pixel
    jitter = (draw.normal(0.06) * reach, draw.normal(0.06) * reach)
    mapping = limb_mapping(anatomy, side, height, jitter, draw, r)
    lowest = 0.0 if anatomy.has_lower_leg else marks.knee + 40.0
    return render(anatomy, mapping, grid, channel_table(channels, side), channels, draw, r, lowest)


def render(
    anatomy: Anatomy,
    mapping: Mapping,
    grid: Grid,
    table: Tensor,
    channels: Sequence[int],
    draw: Draw,
    r: Ranges,
    lowest: float,
) -> Sample:
    """Image and truth of a deformed anatomy on a grid."""
    fine = grid.finer(FINE)
    body = draw_body(draw, r, anatomy.has_skin)
    z, y, x = mapping(fine)
    fields = look_up(anatomy, z, y, x, z >= lowest)
    label, depth = dress(fields, body)
    water, fat = water_and_fat(label, fields, depth, draw, r)
    signal = acquire(water, fat, FINE, draw, r)

    z, y, x = mapping(grid)
    fields = look_up(anatomy, z, y, x, z >= lowest)
    label, depth = dress(fields, body)
    image = scan(signal, depth > 0, draw, r)
    target = table[label]
    if SUBCUTANEOUS in channels:
        bare = (label == 0) & (depth > 0) & (fields.compartment > 0)
        target = target.masked_fill(bare, list(channels).index(SUBCUTANEOUS))
    return Sample(image[None], target)


def muscle_share(target: Tensor) -> float:
    """Share of voxels that are not background; samples with next to none teach nothing."""
    return float((target > 0).float().mean())
