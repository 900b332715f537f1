"""What goes wrong in a scan or lies in the leg besides muscle: one function each, on tensors.

Every fault has a strength that a benchmark can set, and a ``draw_…`` that a training draws it
with. How often and how strongly is in :class:`legseg_bids.synth.ranges.Ranges`; the name, the
source and a picture of each in the documentation (``synth/data/factors.tsv``).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges

Pair = tuple[Tensor, Tensor]


def oedema(water: Tensor, fat: Tensor, muscle: Tensor, texture: Tensor, strength: float) -> Pair:
    """Brighter water in parts of the muscles.

    Parameters
    ----------
    water, fat : Tensor, shape (z, y, x)
        Densities, muscle water about 1.
    muscle : Tensor of bool, shape (z, y, x)
    texture : Tensor, shape (z, y, x)
        Smooth field of about unit variance; what is above 0.5 is wet.
    strength : float
        How much brighter, as a share; the fat there becomes fainter by a quarter of it.
    """
    wet = torch.sigmoid(4 * (texture - 0.5)) * muscle
    return water * (1 + strength * wet), fat * (1 - 0.25 * strength * wet)


def implant(water: Tensor, fat: Tensor, distance: Tensor, radius: float, rim: float) -> Pair:
    """A signal void around metal, and signal piled up at its rim.

    Parameters
    ----------
    distance : Tensor, shape (z, y, x)
        From the metal's axis, mm.
    radius : float
        Of the void, mm.
    rim : float
        Extra signal at the rim, as a share.
    """
    void = distance < radius
    piled = (distance >= radius) & (distance < 1.25 * radius)
    out = [torch.where(piled, v * (1 + rim), v).masked_fill(void, 0.0) for v in (water, fat)]
    return out[0], out[1]


def swap(water: Tensor, fat: Tensor, texture: Tensor, threshold: float) -> Pair:
    """Water and fat taken for one another where a smooth field exceeds a threshold."""
    there = texture > threshold
    return torch.where(there, fat, water), torch.where(there, water, fat)


def organs(
    water: Tensor, fat: Tensor, free: Tensor, texture: Tensor, level: float, threshold: float
) -> Pair:
    """Bladder, bowel and vessels in the cavity of the pelvis, where the maps name nothing.

    Parameters
    ----------
    free : Tensor of bool, shape (z, y, x)
        The cavity, at some distance from muscle and bone.
    texture : Tensor, shape (z, y, x)
        What is above the threshold is an organ.
    level : float
        Its water; muscle is about 1.
    """
    there = free & (texture > threshold)
    return water.masked_fill(there, level), fat.masked_fill(there, 0.05)


def wrap(image: Tensor, share: float, strength: float, axis: int) -> Tensor:
    """The far edge of the leg folded over the near one: the field of view was too small.

    Parameters
    ----------
    image : Tensor, shape (z, y, x)
    share : float
        Of the image that is folded, 0 to 0.5; negative: over the other edge.
    strength : float
        Of what is folded, 0 to 1.
    axis : int
        1 (y) or 2 (x).
    """
    n = image.shape[axis]
    width = max(1, round(abs(share) * n))
    out = image.clone()
    if share > 0:
        out.narrow(axis, 0, width).add_(image.narrow(axis, n - width, width), alpha=strength)
    else:
        out.narrow(axis, n - width, width).add_(image.narrow(axis, 0, width), alpha=strength)
    return out


def ghosts(image: Tensor, share: float, strength: float, axis: int) -> Tensor:
    """Weak copies on either side along the phase direction: motion, or pulsating vessels.

    Parameters
    ----------
    share : float
        Distance of the copies, of the image.
    strength : float
        Of a copy.
    axis : int
        1 (y) or 2 (x).
    """
    step = max(1, round(share * image.shape[axis]))
    copies = torch.roll(image, step, axis) + torch.roll(image, -step, axis)
    return (image + strength * copies) / (1 + 2 * strength)


def ringing(image: Tensor, share: float, axis: int) -> Tensor:
    """Edges that ring (Gibbs) and blur: only a share of the frequencies was measured."""
    n = image.shape[axis]
    spectrum = torch.fft.rfft(image, dim=axis)
    kept = max(2, round(share * spectrum.shape[axis]))
    spectrum.narrow(axis, kept, spectrum.shape[axis] - kept).zero_()
    return torch.fft.irfft(spectrum, n=n, dim=axis).clamp_min(0.0)


def lost_slices(image: Tensor, slices: Tensor, left: float) -> Tensor:
    """Slices that lost most of their signal.

    Parameters
    ----------
    slices : Tensor of bool, shape (z,)
    left : float
        Share of the signal that is left.
    """
    return torch.where(slices[:, None, None], image * left, image)


def coarse(image: Tensor, factor: int) -> Tensor:
    """Pixels ``factor`` times as large, interpolated back; (z, y, x)."""
    small = torch.nn.functional.avg_pool2d(image[:, None], factor)
    return torch.nn.functional.interpolate(
        small, image.shape[1:], mode="bilinear", align_corners=False
    )[:, 0]


def pressed(y: Tensor, x: Tensor, depth: float, ratio: float) -> Pair:
    """Where a limb that lies flat on the table was before: buttocks and calves are pressed flat.

    Parameters
    ----------
    y, x : Tensor
        Distance from the limb's middle to the front and to the side, mm.
    depth : float
        How far behind the middle the pressing begins, mm; the limb is widened gradually, from
        some 40 mm in front of that on.
    ratio : float
        Thickness before, of the thickness now.
    """
    beyond = (-depth - y).clamp_min(0.0)
    wider = 1 + 0.15 * (ratio - 1) * torch.sigmoid((-depth - y + 15.0) / 12.0)
    return y - beyond * (ratio - 1), x / wider


# how a training draws them -----------------------------------------------------------------


def draw_tissue_faults(
    water: Tensor, fat: Tensor, muscle: Tensor, bone: Tensor, free: Tensor, draw: Draw, r: Ranges
) -> Pair:
    """Organs, oedema, metal and swaps on the densities, each with its probability.

    Parameters
    ----------
    water, fat : Tensor, shape (z, y, x)
    muscle, bone, free : Tensor of bool, shape (z, y, x)
        ``free`` is what lies deep and has no name: the cavity of the pelvis.
    """
    shape = tuple(water.shape)
    if _worth_drawing(free) and draw.chance(r.organs_probability):
        for _ in range(draw.integer(1, 4)):
            knots = draw.integer(4, 14)
            texture = draw.field(shape, (3, knots, knots))
            level, threshold = draw.uniform(0.2, 2.2), draw.uniform(-0.5, 1.2)
            water, fat = organs(water, fat, free, texture, level, threshold)
    if draw.chance(r.oedema_probability):
        knots = draw.integer(3, 12)
        texture = draw.field(shape, (3, knots, knots))
        water, fat = oedema(water, fat, muscle, texture, draw.uniform(*r.oedema))
    if draw.chance(r.implant_probability):
        distance = _metal(shape, bone, draw)
        radius = draw.uniform(*r.implant_radius) / r.pixel
        water, fat = implant(water, fat, distance, 2 * radius, draw.uniform(0.0, 1.0))
    if draw.chance(r.swap_probability):
        texture = draw.field(shape, (2, 3, 3))
        water, fat = swap(water, fat, texture, draw.uniform(*r.swap_threshold))
    return water, fat


def _worth_drawing(there: Tensor) -> bool:
    """Whether there is any; on a GPU, which would have to be waited for, always."""
    return there.device.type != "cpu" or bool(there.any())


def _metal(shape: tuple[int, int, int], bone: Tensor, draw: Draw) -> Tensor:
    """Distance from a nail along the limb, or from a screw's head, in fine pixels, (z, y, x).

    It lies in a bone of the middle slice. Where there is one decides what is drawn next: that
    slice is brought to the CPU, the one time that a GPU is waited for while a sample is made.
    """
    z, y, x = (torch.arange(n, dtype=torch.float32, device=draw.device) for n in shape)
    places = torch.nonzero(bone[shape[0] // 2].cpu())
    if len(places) and draw.chance(0.8):
        cy, cx = places[draw.integer(0, len(places))].tolist()
    else:
        cy, cx = (draw.uniform(0.25 * n, 0.75 * n) for n in shape[1:])
    lean = (draw.normal(1.0), draw.normal(1.0))
    middle = draw.uniform(0.0, shape[0])
    along = (z - middle)[:, None, None]
    away = ((y[:, None] - cy - lean[0] * along) ** 2 + (x - cx - lean[1] * along) ** 2).sqrt()
    if draw.chance(0.5):  # a nail or a plate; otherwise it ends within a few slices
        return away
    reach = draw.uniform(1.0, 4.0)
    return away + 30.0 * (along.abs() - reach).clamp_min(0.0)


def draw_image_faults(image: Tensor, draw: Draw, r: Ranges) -> Tensor:
    """Ghosts, wrap-around, ringing and lost slices on the magnitude image, (z, y, x)."""
    if draw.chance(r.ghosts_probability):
        share, axis = draw.uniform(0.06, 0.5), draw.integer(1, 3)
        image = ghosts(image, share, draw.uniform(*r.ghosts), axis)
    if draw.chance(r.wrap_probability):
        share = draw.uniform(*r.wrap) * (1 if draw.chance(0.5) else -1)
        image = wrap(image, share, draw.uniform(0.3, 1.0), draw.integer(1, 3))
    if draw.chance(r.ringing_probability):
        image = ringing(image, draw.uniform(*r.ringing), draw.integer(1, 3))
    if draw.chance(r.lost_slices_probability):
        lost = draw.rand(image.shape[0]) < draw.uniform(0.05, 0.3)
        image = lost_slices(image, lost, draw.uniform(0.0, 0.4))
    return image


def draw_pressing(draw: Draw, r: Ranges) -> tuple[float, float] | None:
    """Depth and ratio of :func:`pressed`, or none."""
    if not draw.chance(r.pressed_probability):
        return None
    return draw.uniform(*r.pressed_depth), draw.uniform(*r.pressed_ratio)


def draw_child(draw: Draw, r: Ranges) -> float:
    """How much smaller than an adult's the limb is, as a logarithm (0: an adult)."""
    if not draw.chance(r.child_probability):
        return 0.0
    return math.log(draw.uniform(*r.child_scale))
