"""Simulated limbs with known labels, as the application would get them: to measure with.

Unlike the stacks of a training, a trial is a pair of water and fat images on a scanner's grid,
not masked, not scaled, with noise of its own. Every contrast of the same leg comes from it, and
one factor at a time can be made harder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.anatomy.labels import NOT_APPLICABLE, load_labels
from legseg_bids.imaging.volume import Volume
from legseg_bids.synth import faults
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
from legseg_bids.synth.sample import draw_view, region_bounds
from legseg_bids.synth.shape import Grid, limb_mapping, look_up

#: Seeds from here on are used by no training and no validation.
FIRST_SEED = 1_500_000_000
#: Images are computed from pixels of about this size and averaged, mm.
FINE_MM = 0.75
#: Signal of healthy muscle in the images.
MUSCLE_GREY = 200.0
#: Axis of arrays (z, y, x) along which images fold over and ghosts lie.
AXIS_Y = 1
#: Distance of ghosts, of the image.
GHOSTS_APART = 0.25
#: Share of the signal that is left in a slice that was lost.
LEFT_OF_LOST = 0.2


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
    wrapped : float
        Share of the image's depth that is folded over its other edge.
    ghosts : float
        Strength of a copy on either side, of the signal.
    resolved : float
        Share of the frequencies along y that was measured; below 1, edges ring.
    lost : float
        Share of the slices that lost most of their signal.
    """

    pixel: float = 1.25
    slice_distance: float = 6.0
    coverage: float = 150.0
    width: float = 240.0
    noise: float = 0.02
    shading: float = 0.2
    wrapped: float = 0.0
    ghosts: float = 0.0
    resolved: float = 1.0
    lost: float = 0.0

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
        ``left``/``right``; a key of :data:`.sample.REGION_REACH`.
    setting : Setting
    seed : int
        The same seed gives the same person at the same height, whatever noise and shading.
    r : Ranges
        Of the person; what concerns the scanner is the setting's.
    """
    draw, grid = Draw(seed), setting.grid
    low, high = region_bounds(anatomy, side, region)
    half = min(0.4 * setting.coverage, 0.5 * (high - low))
    height = draw.uniform(low + half, high - half + 1e-3)
    mapping = limb_mapping(anatomy, side, height, (draw.normal(8.0), draw.normal(8.0)), draw, r)
    body = draw_body(draw, r, anatomy.has_skin)
    view = draw_view(anatomy, side, region, height, draw, r)

    factor = max(1, round(setting.pixel / FINE_MM))
    # Metal is drawn in fine pixels, of which a training has two in each of the image's.
    r = replace(r, pixel=2 * setting.pixel / factor)
    z, y, x = mapping(grid.finer(factor))
    fields = look_up(anatomy, z, y, x, view.shows(z, x))
    label, depth = dress(fields, body)
    water, fat = water_and_fat(label, fields, depth, body.diseased, draw, r)
    muscle = tissue_table("muscle")[label]
    share = float((fat[muscle] / (water + fat)[muscle].clamp_min(1e-6)).mean())
    sigma = draw.uniform(*r.point_spread) * FINE_MM / setting.pixel * factor
    coarse = [_averaged(blur(v, sigma), factor) for v in (water, fat)]
    images = _scanned(coarse, setting, draw, r)

    z, y, x = mapping(grid)
    truth = dress(look_up(anatomy, z, y, x, view.shows(z, x)), body)[0].numpy()
    labels = left_labels(side)[truth].transpose(2, 1, 0)
    water_image, fat_image = (_volume(image, grid) for image in images)
    return Trial(water_image, fat_image, labels, share)


def left_labels(side: str) -> NDArray[np.uint8]:
    """Look-up from codes of one limb to labels of a left one, and of bones without side, (256,).

    All else is 0.
    """
    table = np.zeros(256, np.uint8)
    for label in load_labels():
        if label.side == side:
            table[label.index] = label.index - (side == "right")
        elif label.side == NOT_APPLICABLE and label.tissue == "bone":
            table[label.index] = label.index
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
        seen = _spoilt(image * gain, setting)
        out.append(MUSCLE_GREY * torch.sqrt((seen + real) ** 2 + imaginary**2))
    return out


def _spoilt(image: Tensor, setting: Setting) -> Tensor:
    """What goes wrong in a scan, at the same places in water and in fat, along y or z."""
    if setting.wrapped:
        image = faults.wrap(image, setting.wrapped, 1.0, AXIS_Y)
    if setting.ghosts:
        image = faults.ghosts(image, GHOSTS_APART, setting.ghosts, AXIS_Y)
    if setting.resolved < 1:
        image = faults.ringing(image, setting.resolved, AXIS_Y)
    if setting.lost:
        count = round(setting.lost * image.shape[0])
        places = ((torch.arange(count) + 0.5) * image.shape[0] / max(count, 1)).long()
        lost = torch.zeros(image.shape[0], dtype=torch.bool)
        lost[places] = True
        image = faults.lost_slices(image, lost, LEFT_OF_LOST)
    return image


def _volume(image: Tensor, grid: Grid) -> Volume:
    spacing = grid.spacing[::-1]
    return Volume(image.numpy().transpose(2, 1, 0), np.diag([*spacing, 1.0]))
