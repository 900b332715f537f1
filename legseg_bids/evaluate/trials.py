"""Simulated limbs with known labels, as the application would get them: to measure with.

Unlike the stacks of a training, a trial is a pair of water and fat images on a scanner's grid,
not masked, not scaled, with noise of its own. Every contrast of the same leg comes from it, and
one factor at a time can be made harder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.imaging.volume import Volume
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.physics import (
    blur,
    draw_body,
    dress,
    drop_off,
    tissue_table,
    water_and_fat,
)
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import REGION_REACH
from legseg_bids.synth.shape import Grid, limb_mapping, look_up

#: Seeds from here on are used by no training and no validation.
FIRST_SEED = 1_500_000_000
#: Images are computed from pixels of about this size and averaged, mm.
FINE_MM = 0.75
#: Signal of healthy muscle in the images.
MUSCLE_GREY = 200.0


@dataclass(frozen=True)
class Setting:
    """How a trial is scanned.

    Attributes
    ----------
    pixel, slice_distance, coverage, width : float
        Voxel size, and how much of the limb along and across it is in view, mm.
    noise : float
        Of the muscle signal.
    shading : float
        Sigma of the logarithm of the coil's sensitivity.
    """

    pixel: float = 1.25
    slice_distance: float = 6.0
    coverage: float = 150.0
    width: float = 240.0
    noise: float = 0.02
    shading: float = 0.2

    @property
    def grid(self) -> Grid:
        """The image's voxels."""
        slices = max(1, round(self.coverage / self.slice_distance))
        pixels = round(self.width / self.pixel)
        return Grid((slices, pixels, pixels), (self.slice_distance, self.pixel, self.pixel))


@dataclass(frozen=True, eq=False)
class Trial:
    """One limb, mirrored into a left one; axes (x, y, z), canonical.

    Attributes
    ----------
    water, fat : Volume
        Magnitudes, float32.
    labels : ndarray of uint8
        The truth in the label scheme.
    fat_fraction : float
        Mean over all muscle voxels, before noise.
    """

    water: Volume
    fat: Volume
    labels: NDArray[np.uint8]
    fat_fraction: float


def simulate_trial(
    anatomy: Anatomy, side: str, region: str, setting: Setting, seed: int, r: Ranges
) -> Trial:
    """Simulate one limb of one region.

    Parameters
    ----------
    anatomy : Anatomy
        With the people whose shapes it may be given.
    side, region : str
        ``left``/``right``; ``upper``/``lower``.
    setting : Setting
    seed : int
        The same seed gives the same person at the same height, whatever noise and shading.
    r : Ranges
        Of the person; what concerns the scanner is the setting's.
    """
    draw, marks, grid = Draw(seed), anatomy.landmarks[side], setting.grid
    low, high = REGION_REACH[region]
    low += marks.knee if region == "upper" else marks.ankle
    high += marks.hip if region == "upper" else marks.knee
    half = min(0.4 * setting.coverage, 0.5 * (high - low))
    height = draw.uniform(low + half, high - half + 1e-3)
    mapping = limb_mapping(anatomy, side, height, (draw.normal(8.0), draw.normal(8.0)), draw, r)
    body = draw_body(draw, r, anatomy.has_skin)
    lowest = 0.0 if anatomy.has_lower_leg else marks.knee + 40.0

    factor = max(1, round(setting.pixel / FINE_MM))
    z, y, x = mapping(grid.finer(factor))
    fields = look_up(anatomy, z, y, x, z >= lowest)
    label, depth = dress(fields, body)
    water, fat = water_and_fat(label, fields, depth, draw, r)
    muscle = tissue_table("muscle")[label]
    share = float((fat[muscle] / (water + fat)[muscle].clamp_min(1e-6)).mean())
    sigma = draw.uniform(*r.point_spread) * FINE_MM / setting.pixel * factor
    coarse = [_averaged(blur(v, sigma), factor) for v in (water, fat)]
    images = _scanned(coarse, setting, draw, r)

    z, y, x = mapping(grid)
    truth = dress(look_up(anatomy, z, y, x, z >= lowest), body)[0].numpy()
    labels = left_labels(side)[truth].transpose(2, 1, 0)
    water_image, fat_image = (_volume(image, grid) for image in images)
    return Trial(water_image, fat_image, labels, share)


def left_labels(side: str) -> NDArray[np.uint8]:
    """Look-up from codes of one limb to the labels of a left one; all else is 0. Shape (256,)."""
    table = np.zeros(256, np.uint8)
    for label in load_labels():
        if label.side == side:
            table[label.index] = label.index - (side == "right")
    return table


def _averaged(values: Tensor, factor: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(values[:, None], factor)[:, 0]


def _scanned(images: list[Tensor], setting: Setting, draw: Draw, r: Ranges) -> list[Tensor]:
    """Water and fat through the same coil, each with noise of its own."""
    shape = tuple(images[0].shape)
    gain = torch.exp(setting.shading * draw.field(shape, (2, 3, 3))) * drop_off(shape[0], draw, r)
    out = []
    for image in images:
        real, imaginary = (setting.noise * draw.normals(*shape) for _ in range(2))
        out.append(MUSCLE_GREY * torch.sqrt((image * gain + real) ** 2 + imaginary**2))
    return out


def _volume(image: Tensor, grid: Grid) -> Volume:
    spacing = grid.spacing[::-1]
    return Volume(image.numpy().transpose(2, 1, 0), np.diag([*spacing, 1.0]))
