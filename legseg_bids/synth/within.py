"""What lies inside a muscle and belongs to it: aponeuroses, strands of fat, and veins.

The maps name none of them, and to whoever measures a muscle all are part of it. A network that
has never seen them takes the dark lines of a living calf for the borders of muscles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from legseg_bids.synth.draws import Draw
from legseg_bids.synth.faults import Pair
from legseg_bids.synth.ranges import Ranges


def sheets(course: Tensor, level: Tensor, width: Tensor | float) -> Tensor:
    """How much of each voxel is sheet, 0 to 1: where a smooth field has a given level.

    Parameters
    ----------
    course : Tensor, shape (z, y, x)
        Smooth field; each of its level sets is a surface.
    level : Tensor, shape (z, y, x)
        The level that is a sheet, one per muscle, so that sheets end where their muscle does.
    width : Tensor or float
        Full width at half maximum in plane, pixels.
    """
    slope = torch.zeros_like(course)
    along_y = course[:, 2:, 1:-1] - course[:, :-2, 1:-1]
    along_x = course[:, 1:-1, 2:] - course[:, 1:-1, :-2]
    slope[:, 1:-1, 1:-1] = torch.sqrt(along_y**2 + along_x**2) / 2
    away = (course - level).abs() / slope.clamp_min(1e-6)  # pixels
    return (1 - away / width).clamp(0.0, 1.0)


def connective(water: Tensor, fat: Tensor, sheet: Tensor, fatty: float) -> Pair:
    """Take the water from sheets of connective tissue, and put some fat there.

    Parameters
    ----------
    water, fat : Tensor, shape (z, y, x)
        Densities, muscle water about 1.
    sheet : Tensor, shape (z, y, x)
        How much of a voxel is sheet, 0 to 1.
    fatty : float
        Fat of what is all sheet.
    """
    return water * (1 - sheet), fat * (1 - sheet) + fatty * sheet


def draw_within_muscle(
    water: Tensor, fat: Tensor, label: Tensor, muscle: Tensor, draw: Draw, r: Ranges
) -> Pair:
    """Aponeuroses, strands and veins inside muscles, each with its probability.

    Parameters
    ----------
    water, fat : Tensor, shape (z, y, x)
    label : Tensor of int64, shape (z, y, x)
        Codes.
    muscle : Tensor of bool, shape (z, y, x)
    """
    if draw.chance(r.aponeuroses_probability):
        sheet = _draw_sheets(label, draw, r) * muscle
        water, fat = connective(water, fat, sheet, draw.uniform(0.0, 0.6))
    if draw.chance(r.strands_probability):
        strand = _draw_strands(label, draw, r) * muscle
        water, fat = connective(water, fat, strand, draw.uniform(0.2, 0.9))
    if draw.chance(r.veins_probability):
        knots = draw.integer(14, 36)
        tube = draw.field(tuple(label.shape), (3, knots, knots)) > draw.uniform(1.7, 2.8)
        # slow blood is wet, fast blood is bright, or void where it has left the slice
        wet = draw.uniform(1.0, 1.9) if draw.chance(0.75) else draw.uniform(0.05, 0.5)
        water = water.masked_fill(tube & muscle, wet)
    return water, fat


def _draw_sheets(label: Tensor, draw: Draw, r: Ranges) -> Tensor:
    """Sheets in some of the muscles, here and there along them, of a width that varies."""
    shape = tuple(label.shape)
    knots = draw.integer(5, 14)
    course = draw.field(shape, (3, knots, knots))
    level = 0.7 * draw.normals(256)
    has = draw.rand(256) < draw.uniform(*r.aponeuroses_share)
    coming_and_going = draw.field(shape, (3, knots, knots))
    width = draw.uniform(*r.aponeurosis) / (r.pixel / 2)
    wedge = torch.exp(draw.uniform(0.0, 0.8) * coming_and_going)
    there = (2 * coming_and_going + draw.uniform(-1.0, 2.0)).clamp(0.0, 1.0) * has[label]
    return sheets(course, level[label], width * wedge) * there * draw.uniform(0.3, 1.0)


def _draw_strands(label: Tensor, draw: Draw, r: Ranges) -> Tensor:
    """Short pieces of thin sheets, millimetres long, everywhere in the muscles."""
    shape = tuple(label.shape)
    knots, pieces = draw.integer(10, 40), draw.integer(25, 60)
    course = draw.field(shape, (shape[0], knots, knots))
    width = draw.uniform(*r.strands) / (r.pixel / 2)
    there = 3 * (draw.field(shape, (shape[0], pieces, pieces)) - draw.uniform(0.0, 1.0))
    level = 0.7 * draw.normals(256)
    return sheets(course, level[label], width) * there.clamp(0.0, 1.0) * draw.uniform(0.3, 1.0)
