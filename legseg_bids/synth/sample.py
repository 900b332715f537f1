"""Stacks of one limb: an image as the application hands it to a network, and its truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.physics import acquire, draw_body, dress, scan, water_and_fat
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.shape import Grid, Mapping, limb_mapping, look_up

#: Image pixels are computed from this many x this many finer ones.
FINE = 2
#: Label of subcutaneous fat in the scheme.
SUBCUTANEOUS = 151
#: Landmarks between which a region's stacks lie, and how far beyond them they may reach, mm.
REGION_REACH = {
    "lower": (("ankle", -30.0), ("knee", 60.0)),
    "upper": (("knee", -45.0), ("hip", 5.0)),
    "hip": (("ischium", -90.0), ("hip", 110.0)),
}
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
    "hip": {
        "small": ((8, 112), (8, 128), (12, 96), (12, 112), (4, 144)),
        "large": ((20, 128), (16, 128), (16, 144), (12, 144), (8, 176)),
    },
}


@dataclass(frozen=True)
class Sample:
    """One simulated stack.

    ``image`` is float32 (1, z, y, x), normalised; ``target`` int64 (z, y, x), channel numbers.
    """

    image: Tensor
    target: Tensor


def channel_table(
    channels: Sequence[int], side: str, device: str | torch.device = "cpu"
) -> Tensor:
    """Look-up from codes to a network's channels for one limb, int64 (256,).

    Parameters
    ----------
    channels : sequence of int
        Left label of each channel; 0 background, -1 whatever is known but not reported.
    side : str
        The limb that is segmented; structures of the other one are background.
    device : str or torch.device
        Where the table is needed.
    """
    known = list(channels)
    other = known.index(-1) if -1 in known else 0
    table = [0] * 256
    for label in load_labels():
        if label.side not in (side, "n/a") or label.tissue == "fat":
            continue
        left = label.index - 1 if label.side == "right" else label.index
        table[label.index] = known.index(left) if left in known else other
    return torch.tensor(table, device=device)


def region_bounds(anatomy: Anatomy, side: str, region: str) -> tuple[float, float]:
    """Lowest and highest point of a region of one limb, mm above the map's lowest slice.

    Parameters
    ----------
    anatomy : Anatomy
    side : str
        ``left`` or ``right``.
    region : str
        A key of :data:`REGION_REACH`.
    """
    marks = vars(anatomy.landmarks[side])
    low, high = (marks[name] + beyond for name, beyond in REGION_REACH[region])
    return low, min(high, anatomy.packed.shape[0] * anatomy.spacing[2])


def _stack(
    bounds: tuple[float, float], size: tuple[int, int], draw: Draw, r: Ranges
) -> tuple[Grid, float]:
    """Draw the distance of the slices, and the height of the middle one."""
    slices, pixels = size
    thick = draw.chance(r.thick_probability)
    low, high = bounds
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
    device: str | torch.device = "cpu",
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
        The sample is a pure function of it and the device.
    device : str or torch.device
        Where it is made.
    """
    draw = Draw(seed, device)
    grid, height = _stack(region_bounds(anatomy, side, region), size, draw, r)
    reach = grid.shape[1] * r.pixel
    spread = 0.2 if draw.chance(r.off_centre_probability) else 0.06
    jitter = (draw.normal(spread) * reach, draw.normal(spread) * reach)
    mapping = limb_mapping(anatomy, side, height, jitter, draw, r)
    table = channel_table(channels, side, draw.device)
    view = draw_view(anatomy, side, region, height, draw, r)
    return render(anatomy, mapping, grid, table, channels, draw, r, view)


@dataclass(frozen=True)
class View:
    """What of a map is shown, in its coordinates (mm): from a height on, between two x."""

    lowest: float = -math.inf
    left: float = -math.inf
    right: float = math.inf

    def shows(self, z: Tensor, x: Tensor) -> Tensor:
        """Which places are in view."""
        return (z >= self.lowest) & (x > self.left) & (x < self.right)


def draw_view(
    anatomy: Anatomy, side: str, region: str, height: float, draw: Draw, r: Ranges
) -> View:
    """Draw where the field of view ends within the body, if it does.

    At the hip the application cuts between the limbs, near the body's middle; elsewhere either
    side of the limb may be cut.
    """
    lowest = -math.inf if anatomy.has_lower_leg else anatomy.landmarks[side].knee + 40.0
    at_hip = region == "hip"
    if not draw.chance(r.hip_edge_probability if at_hip else r.edge_probability):
        return View(lowest)
    row = min(max(round(height / anatomy.spacing[2]), 0), len(anatomy.centre["left"]) - 1)
    own, left, right = (float(anatomy.centre[s][row][0]) for s in (side, "left", "right"))
    medial = 1.0 if side == "left" else -1.0
    if at_hip:
        end, towards = (left + right) / 2 + medial * draw.uniform(*r.hip_edge), medial
    else:
        towards = medial if draw.chance(0.7) else -medial
        end = own + towards * draw.uniform(*r.edge)
    return View(lowest, right=end) if towards > 0 else View(lowest, left=end)


def render(
    anatomy: Anatomy,
    mapping: Mapping,
    grid: Grid,
    table: Tensor,
    channels: Sequence[int],
    draw: Draw,
    r: Ranges,
    view: View,
) -> Sample:
    """Image and truth of a deformed anatomy on a grid."""
    fine = grid.finer(FINE)
    body = draw_body(draw, r, anatomy.has_skin)
    z, y, x = mapping(fine)
    fields = look_up(anatomy, z, y, x, view.shows(z, x))
    label, depth = dress(fields, body)
    water, fat = water_and_fat(label, fields, depth, body.diseased, draw, r)
    signal = acquire(water, fat, FINE, draw, r)

    z, y, x = mapping(grid)
    fields = look_up(anatomy, z, y, x, view.shows(z, x))
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
