"""From a deformed anatomy to an image: tissues, water and fat, the Dixon signal, the scanner."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.synth.atlas import CARTILAGE, LIGAMENT
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.faults import coarse, draw_image_faults, draw_tissue_faults
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.shape import Fields
from legseg_bids.synth.within import draw_within_muscle


def tissue_table(tissue: str, device: str | torch.device = "cpu") -> Tensor:
    """Which of the 256 codes are ``muscle`` or ``bone``, bool (256,)."""
    codes = {label.index for label in load_labels() if label.tissue == tissue}
    return torch.tensor([code in codes for code in range(256)], device=device)


#: What is nearer than this to a muscle is no organ, mm.
ORGANS_FROM_MM = 12.0
#: Across an image, for the outline of a body that is rounder than its muscles.
KNOTS = 12


@dataclass(frozen=True)
class Body:
    """How one person is built; drawn once, applied on any grid.

    ``growth`` and ``atrophy`` are mm per code (256,); ``skin`` is the depth of the skin over
    the compartment (mm) with relative variation ``skin_knots``, over the muscles' own relief or
    ``rounded``; ``own_skin`` keeps the outline that the map itself has. Muscles of the
    ``diseased`` are replaced by fat; they waste more often, and fill their compartments less.
    """

    growth: Tensor
    atrophy: Tensor
    skin: float
    skin_knots: Tensor
    own_skin: bool
    rounded: bool = False
    diseased: bool = False


def draw_body(draw: Draw, r: Ranges, has_skin: bool) -> Body:
    """Draw a person's build."""
    diseased = draw.chance(r.disease_probability)
    least, most = r.growth
    if not diseased:
        least += r.lean_fullness * (most - least)
    growth = draw.uniform(least, most) * (0.6 + 0.4 * draw.rand(256))
    atrophy = torch.zeros_like(growth)
    if draw.chance(r.atrophy_probability * (1.0 if diseased else r.lean_atrophy)):
        chosen = draw.rand(256) < draw.uniform(*r.atrophy_share)
        atrophy = draw.uniform(*r.atrophy) * draw.rand(256).sqrt() * chosen
        growth = torch.where(chosen, 0.0, growth)  # what wastes does not fill its compartment
    return Body(
        growth=growth,
        atrophy=atrophy,
        skin=draw.log_uniform(*r.skin_depth),
        skin_knots=draw.normals(1, 1, 3, 4, 4) * 0.25,
        own_skin=has_skin and draw.chance(r.own_skin_probability),
        rounded=draw.chance(r.rounded_probability),
        diseased=diseased,
    )


def dress(fields: Fields, body: Body) -> tuple[Tensor, Tensor]:
    """Grow or shrink the muscles and put the skin on.

    Returns
    -------
    label : Tensor of int64, shape (z, y, x)
        Codes after growth and atrophy.
    depth_under_skin : Tensor, shape (z, y, x)
        Distance under the skin's surface, mm; negative outside the body.
    """
    muscle = tissue_table("muscle", fields.label.device)
    near = (fields.gap < body.growth[fields.nearest]) & (fields.compartment < 1.0)
    label = torch.where((fields.label == 0) & near, fields.nearest, fields.label)
    wasted = muscle[fields.label] & (fields.depth < body.atrophy[fields.label])
    label = torch.where(wasted, 0, label)
    knots = torch.nn.functional.interpolate(
        body.skin_knots, fields.label.shape, mode="trilinear", align_corners=False
    )
    thickness = body.skin * (1 + knots[0, 0]).clamp(0.4, 2.0)
    depth = thickness - fields.compartment
    if body.rounded:
        depth = thickness - _rounded(fields.compartment)
        depth = torch.where(fields.compartment < 1.0, depth.clamp_min(2.0), depth)
    if body.own_skin:
        depth = torch.where(fields.body, depth.clamp_min(2.0), torch.full_like(depth, -1.0))
    return torch.where(depth > 0, label, 0), depth


def _rounded(compartment: Tensor) -> Tensor:
    """Distance from the compartment without the relief of single muscles.

    Means over a coarse grid, interpolated, and beyond the outermost means extrapolated: distance
    goes on growing towards the edge of the image.
    """
    shape = compartment.shape[1:]
    knots = torch.nn.functional.interpolate(compartment[:, None], (KNOTS, KNOTS), mode="area")
    for axis in (2, 3):
        first, second = knots.narrow(axis, 0, 1), knots.narrow(axis, 1, 1)
        last, before = knots.narrow(axis, KNOTS - 1, 1), knots.narrow(axis, KNOTS - 2, 1)
        knots = torch.cat([2 * first - second, knots, 2 * last - before], dim=axis)
    at = [
        (torch.arange(n, device=knots.device) + 0.5) * (KNOTS / n / (KNOTS + 1) * 2)
        + (0.5 / (KNOTS + 1) * 2 - 1)
        for n in shape
    ]
    y, x = torch.meshgrid(*at, indexing="ij")
    where = torch.stack([x, y], dim=-1).expand(len(knots), *shape, 2)
    return torch.nn.functional.grid_sample(knots, where, align_corners=True)[:, 0]


def water_and_fat(
    label: Tensor, fields: Fields, depth: Tensor, diseased: bool, draw: Draw, r: Ranges
) -> tuple[Tensor, Tensor]:
    """Proton densities of water and fat, each (z, y, x), muscle water about 1."""
    shape = tuple(label.shape)
    fat_level = draw.uniform(*r.fat_signal)
    muscle, bone = (tissue_table(tissue, label.device) for tissue in ("muscle", "bone"))
    fraction = fat_fraction(label, diseased, draw, r)
    muscle_water = (1 + 0.06 * draw.normals(256))[label]
    inside = depth > 0
    is_muscle = muscle[label] & inside
    # everything in the body is fat until something else is there
    interstitial = draw.uniform(0.02, 0.12) + torch.where(
        fields.compartment < 1.0, draw.uniform(0.0, 0.25), 0.0
    )
    fat = fat_level * (1 + 0.08 * draw.field(shape, (4, 24, 24)))
    water, fat = interstitial.expand(shape).clone(), fat
    water = torch.where(is_muscle, muscle_water * (1 - fraction), water)
    fat = torch.where(is_muscle, fat_level * fraction, fat)
    water, fat = _vessels(water, fat, label, inside, draw)
    water, fat = _bones(water, fat, bone[label] & inside, fields.depth, fat_level, draw, r)
    for code, level in ((CARTILAGE, draw.uniform(0.3, 0.9)), (LIGAMENT, draw.uniform(0.05, 0.3))):
        there = (label == code) & inside
        water, fat = water.masked_fill(there, level), fat.masked_fill(there, 0.05)
    water, fat = _fascia(water, fat, label, is_muscle, draw, r)
    water, fat = draw_within_muscle(water, fat, label, is_muscle, draw, r)
    # deep between muscle and bone, without a name: in the pelvis its cavity
    free = inside & (label == 0) & (fields.compartment < 1.0) & (fields.gap > ORGANS_FROM_MM)
    water, fat = draw_tissue_faults(water, fat, is_muscle, bone[label] & inside, free, draw, r)
    skin = inside & (depth < r.skin_thickness)
    water, fat = water.masked_fill(skin, draw.uniform(0.4, 1.0)), fat.masked_fill(skin, 0.1)
    return torch.where(inside, water, 0.0), torch.where(inside, fat, 0.0)


def fat_fraction(label: Tensor, diseased: bool, draw: Draw, r: Ranges) -> Tensor:
    """Fat fraction inside muscle: a level per muscle, smooth or streaky."""
    level = draw.uniform(*r.healthy_fat) * (0.6 + 0.8 * draw.rand(256))
    if not diseased:
        return _smooth_fat(label, level, draw.uniform(0.05, 0.3), draw)
    worst = draw.uniform(*r.diseased_fat)
    # neighbours may be spared: each muscle draws its own share of the worst …
    share = draw.rand(256) ** draw.uniform(0.3, 2.0)
    if draw.chance(r.all_or_nothing_probability):  # … or is replaced, or nearly spared
        taken = draw.rand(256) < draw.uniform(0.15, 0.85)
        share = torch.where(taken, 0.75 + 0.25 * share, 0.2 * share)
    level = torch.maximum(level, worst * share)
    if draw.chance(r.streaks_probability):
        return streaky_fat(label, level, draw)
    return _smooth_fat(label, level, draw.uniform(0.2, 0.9), draw)


def _smooth_fat(label: Tensor, level: Tensor, rough: float, draw: Draw) -> Tensor:
    """Fat that comes and goes gradually around each muscle's level."""
    shape = tuple(label.shape)
    fine = draw.integer(16, 64)
    texture = rough * (0.6 * draw.field(shape, (6, 10, 10)) + draw.field(shape, (12, fine, fine)))
    return (level[label] * torch.exp(texture)).clamp(0.0, 0.95)


def streaky_fat(label: Tensor, level: Tensor, draw: Draw) -> Tensor:
    """Fat in streaks between the fascicles: nearly all or nearly nothing, a few mm wide.

    The share of a muscle that streaks cover is its level: the texture is about normal, and the
    threshold is the normal quantile of the level.
    """
    shape = tuple(label.shape)
    texture = draw.uniform(0.3, 1.0) * draw.field(shape, (8, 8, 8)) + _fascicles(shape, draw)
    texture = texture / texture.std()
    threshold = torch.special.ndtri(1 - level.clamp(0.01, 0.95))[label]
    streak = torch.sigmoid((texture - threshold) * draw.uniform(2.0, 6.0))
    return (streak * draw.uniform(0.6, 0.95)).clamp_min(0.02)


def _fascicles(shape: tuple[int, int, int], draw: Draw) -> Tensor:
    """Bands a few mm wide that run in a random direction and bend, (z, y, x)."""
    knots = draw.normals(shape[0], 1, draw.integer(20, 90), draw.integer(20, 90))
    knots = knots + draw.normals(1, *knots.shape[1:])  # slices have some of it in common
    turn, bend = draw.uniform(0.0, math.pi), draw.uniform(0.0, 0.25)
    axes = (torch.linspace(-0.7, 0.7, n, device=draw.device) for n in shape[1:])
    y, x = torch.meshgrid(*axes, indexing="ij")
    y, x = (a + bend * draw.field((1, *shape[1:]), (1, 4, 4))[0] for a in (y, x))
    turned = (math.cos(turn) * y + math.sin(turn) * x, math.cos(turn) * x - math.sin(turn) * y)
    where = torch.stack(turned[::-1], dim=-1).expand(shape[0], *shape[1:], 2)
    found = torch.nn.functional.grid_sample(
        knots, where, padding_mode="reflection", align_corners=True
    )
    return found[:, 0]


def _vessels(
    water: Tensor, fat: Tensor, label: Tensor, inside: Tensor, draw: Draw
) -> tuple[Tensor, Tensor]:
    """Tubes along the limb in the fat: bright inflow, or voids."""
    shape = tuple(label.shape)
    knots = draw.integer(20, 40)
    tube = (draw.field(shape, (3, knots, knots)) > draw.uniform(1.6, 2.6)) & (label == 0) & inside
    level = draw.uniform(0.7, 1.8) if draw.chance(0.7) else 0.05
    return water.masked_fill(tube, level), fat.masked_fill(tube, 0.05)


def _bones(
    water: Tensor,
    fat: Tensor,
    bone: Tensor,
    depth: Tensor,
    fat_level: float,
    draw: Draw,
    r: Ranges,
) -> tuple[Tensor, Tensor]:
    """Cortical bone without signal around fatty marrow."""
    cortex = bone & (depth < draw.uniform(*r.cortical_bone))
    marrow = bone & ~cortex
    water = water.masked_fill(marrow, draw.uniform(0.02, 0.3))
    fat = fat.masked_fill(marrow, fat_level * draw.uniform(*r.marrow))
    return water.masked_fill(cortex, 0.03), fat.masked_fill(cortex, 0.03)


def _fascia(
    water: Tensor, fat: Tensor, label: Tensor, is_muscle: Tensor, draw: Draw, r: Ranges
) -> tuple[Tensor, Tensor]:
    """Borders between touching muscles lose water with a strength that varies and may vanish."""
    border = torch.zeros_like(is_muscle)
    border[:, :-1] |= label[:, :-1] != label[:, 1:]
    border[:, :, :-1] |= label[:, :, :-1] != label[:, :, 1:]
    border &= is_muscle
    strength = draw.uniform(-0.3, 1.0) + 0.5 * draw.field(tuple(label.shape), (4, 10, 10))
    strength = strength.clamp(0.0, 1.0) * border
    fatty = draw.uniform(0.0, 1.0)
    # a replaced muscle keeps its sheath: a thin dark line within the fat
    sheath = strength * draw.uniform(*r.sheath)
    return water * (1 - strength), fat * (1 - sheath) + strength * fatty * draw.uniform(0.2, 0.9)


def blur(values: Tensor, sigma: float) -> Tensor:
    """Gaussian in plane, ``sigma`` in pixels; (z, y, x) → (z, y, x)."""
    radius = max(1, math.ceil(2.5 * sigma))
    places = torch.arange(-radius, radius + 1, device=values.device)
    taps = torch.exp(-0.5 * (places / sigma) ** 2)
    taps = taps / taps.sum()
    out = values[:, None]
    out = torch.nn.functional.conv2d(out, taps.reshape(1, 1, -1, 1), padding=(radius, 0))
    out = torch.nn.functional.conv2d(out, taps.reshape(1, 1, 1, -1), padding=(0, radius))
    return out[:, 0]


def acquire(water: Tensor, fat: Tensor, factor: int, draw: Draw, r: Ranges) -> Tensor:
    """The magnitude image of one contrast on the coarser grid, without noise.

    Water and fat are blurred and averaged to the pixel before they interfere: the dark line
    where they meet comes by itself. Where the scanner's pixels are the finer ones, the magnitudes
    are averaged instead, as the application does when it brings an image to its own pixels: the
    lines are then thinner, and streaks of fat stay apart from muscle.
    """
    sigma = draw.uniform(*r.point_spread)
    w, f = blur(water, sigma), blur(fat, sigma)
    fine_pixels = draw.chance(r.fine_pixels_probability)
    if not fine_pixels:
        w, f = _averaged(w, factor), _averaged(f, factor)
    signal = _signal(w, f, draw, r)
    if fine_pixels:
        return _averaged(signal, factor)
    return coarse(signal, 2) if draw.chance(r.coarse_pixels_probability) else signal


def _averaged(values: Tensor, factor: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(values[:, None], factor)[:, 0]


def _signal(w: Tensor, f: Tensor, draw: Draw, r: Ranges) -> Tensor:
    weight = draw.uniform(*r.fat_weight)
    contrast = draw.choice(r.contrasts)
    if contrast == "opposed":
        return (w - weight * f).abs()
    if contrast == "in_phase":
        return w + weight * f
    if contrast == "water":
        return w + draw.uniform(0.0, 0.1) * f
    if contrast == "fat":
        return f + draw.uniform(0.0, 0.1) * w
    return draw.uniform(0.3, 0.6) * w + weight * f  # T1-weighted: fat relaxes faster


def scan(signal: Tensor, inside: Tensor, draw: Draw, r: Ranges) -> Tensor:
    """Coil shading, drop-off, slice gain, Rician noise, gamma, background, scale.

    Parameters
    ----------
    signal : Tensor, shape (z, y, x)
    inside : Tensor of bool, shape (z, y, x)
        The body.

    Returns
    -------
    Tensor
        Every slice scaled by the 98th percentile of the positive values inside, clipped to
        0 … 2, as :func:`legseg_bids.imaging.intensity.normalise` does.
    """
    shape = tuple(signal.shape)
    shade = draw.uniform(*r.shading) * draw.field(shape, (2, 3, 3))
    gain = (1 + 0.04 * draw.normals(shape[0], 1, 1)) * drop_off(shape[0], draw, r)
    image = draw_image_faults(signal * torch.exp(shade) * gain, draw, r)
    level = draw.log_uniform(*r.noise)
    real, imaginary = (level * draw.normals(*shape) for _ in range(2))
    image = torch.sqrt((image + real) ** 2 + imaginary**2)
    if not draw.chance(r.unmasked_probability):
        image = image * inside
    residual = torch.exp(r.reference_sigma * draw.normals(shape[0]))
    image = (image / (references(image, inside) * residual)[:, None, None]).clamp(0.0, 2.0)
    return image ** math.exp(draw.normal(r.gamma_sigma))


def drop_off(slices: int, draw: Draw, r: Ranges) -> Tensor:
    """Signal that the coil leaves in each slice, (z, 1, 1): less towards either end."""
    gain = torch.ones(slices, device=draw.device)
    for _ in range(2):
        if draw.chance(r.drop_off_probability):
            depth, reach = draw.uniform(*r.drop_off), draw.uniform(0.1, 0.5)
            t = (1 - torch.arange(slices, device=draw.device) / (reach * slices)).clamp_min(0.0)
            gain = gain * (1 - depth * t**1.5)
        gain = gain.flip(0)
    return gain[:, None, None]


def references(image: Tensor, inside: Tensor) -> Tensor:
    """98th percentile of the positive values inside, for every slice, (z,).

    Of every third of them, and 1 where these are fewer than 17: a third of what the application
    asks for. All slices at once, with shapes that do not depend on the values, so that nothing
    has to wait for a GPU to tell how many there are.
    """
    values = image.flatten(1)
    there = inside.flatten(1) & (values > 0)
    third = there & (there.cumsum(1) % 3 == 1)
    count = third.sum(1)
    rank = (0.98 * count.double()).long().clamp_min(1)  # from below; from above it is small
    most = min(values.shape[1], values.shape[1] // 150 + 4)
    top = torch.where(third, values, -math.inf).topk(most, dim=1).values
    found = top.gather(1, (count - rank).clamp_min(0)[:, None])[:, 0]
    return torch.where(count >= 17, found, 1.0).clamp_min(1e-6)
