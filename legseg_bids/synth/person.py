"""Whole simulated scans: both legs, water and fat, opposed phase, and the true labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.imaging.volume import Volume
from legseg_bids.synth.atlas import CARTILAGE, Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.physics import Body, blur, draw_body, dress, water_and_fat
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import FINE, SUBCUTANEOUS
from legseg_bids.synth.shape import Grid, look_up
from legseg_bids.synth.slices import Legs, draw_legs

#: Grey value of healthy muscle in the images that are written.
MUSCLE_GREY = 80.0
#: Each leg is moved outwards by at least this, so that skin does not cross the middle, mm.
LEAST_SHIFT = 8.0
#: Relative length, along z, of one limb that a station of each region covers.
MIDDLE = {"thigh": 0.5, "calf": 0.55}


@dataclass(frozen=True)
class Scan:
    """One simulated station, axes (x, y, z), all on the same grid.

    ``water``, ``fat`` and ``opposed`` are magnitude images (int16), ``labels`` the truth in the
    label scheme (uint8).
    """

    water: Volume
    fat: Volume
    opposed: Volume
    labels: Volume


def healthy(r: Ranges) -> Ranges:
    """Ranges of a person without disease, scanned well; for sample data and tests."""
    return replace(
        r,
        disease_probability=0.0,
        atrophy_probability=0.0,
        own_skin_probability=0.0,
        skin_depth=(8.0, 16.0),
        growth=(6.0, 9.0),
        coarse_displacement=(0.0, 3.0),
        fine_displacement=(0.0, 1.0),
        shading=(0.05, 0.2),
        fat_signal=(0.6, 0.75),
    )


def station_height(anatomy: Anatomy, region: str) -> float:
    """Height of the middle of a ``thigh`` or ``calf`` station, mm above the map's lowest slice.

    Raises
    ------
    ValueError
        If the map does not hold that part of the leg.
    """
    marks = anatomy.landmarks["left"]
    if region == "thigh":
        return marks.knee + MIDDLE[region] * (marks.ischium - marks.knee)
    if not anatomy.has_lower_leg:
        msg = f"{anatomy.name} ends above the calf; expected vhm or vhf"
        raise ValueError(msg)
    return marks.ankle + MIDDLE[region] * (marks.knee - marks.ankle)


def simulate_scan(
    anatomy: Anatomy,
    region: str,
    grid: Grid,
    seed: int,
    r: Ranges,
    noise: float = 0.015,
    device: str | torch.device = "cpu",
) -> Scan:
    """Simulate one station of both legs.

    Parameters
    ----------
    anatomy : Anatomy
    region : str
        ``thigh`` or ``calf``.
    grid : Grid
        Slices and pixels of the image.
    seed : int
        The same seed gives the same person, in every region.
    r : Ranges
    noise : float
        Standard deviation of the Rician noise, relative to healthy muscle.
    device : str or torch.device
        Where the scan is computed; the same seed gives another person there than on a CPU.
    """
    draw = Draw(seed, device)
    legs = draw_legs(anatomy, station_height(anatomy, region), draw, r)
    legs = replace(legs, side="both", start=0.0, offset=0.0, shift=max(legs.shift, LEAST_SHIFT))
    body = draw_body(draw, r, anatomy.has_skin)
    fine = grid.finer(FINE)
    z, y, x = legs.coordinates(fine)
    fields = look_up(anatomy, z, y, x, legs.shown(fine, x))
    label, depth = dress(fields, body)
    water, fat = (_coarse(v) for v in water_and_fat(label, fields, depth, body.diseased, draw, r))
    shade = torch.exp(draw.uniform(*r.shading) * draw.field(grid.shape, (2, 3, 3)))
    images = [_magnitude(v * shade, noise, draw) for v in (water, fat, (water - fat).abs())]
    grey = [i.mul(MUSCLE_GREY).round().cpu().numpy().astype(np.int16) for i in images]
    volumes = [_volume(g, grid) for g in grey]
    return Scan(*volumes, labels=_volume(_truth(legs, body, grid), grid))


def _truth(legs: Legs, body: Body, grid: Grid) -> NDArray[np.uint8]:
    z, y, x = legs.coordinates(grid)
    fields = look_up(legs.anatomy, z, y, x, legs.shown(grid, x))
    label, depth = dress(fields, body)
    label = torch.where(label >= CARTILAGE, 0, label)
    bare = (label == 0) & (depth > 0) & (fields.compartment > 0)
    return label.masked_fill(bare, SUBCUTANEOUS).cpu().numpy().astype(np.uint8)


def _coarse(values: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(blur(values, 1.0)[:, None], FINE)[:, 0]


def _magnitude(values: Tensor, noise: float, draw: Draw) -> Tensor:
    shape = tuple(values.shape)
    real, imaginary = noise * draw.normals(*shape), noise * draw.normals(*shape)
    return torch.sqrt((values + real) ** 2 + imaginary**2)


def _volume(data: NDArray[np.generic], grid: Grid) -> Volume:
    """(z, y, x) → (x, y, z) with the scanner's origin in the middle of the image."""
    spacing = np.array(grid.spacing[::-1])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(grid.shape[::-1]) - 1) / 2
    return Volume(data.transpose(2, 1, 0), affine)
