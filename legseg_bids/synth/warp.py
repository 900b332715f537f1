"""What makes one limb another person's: a share of known people, single muscles' volume.

Displacements are computed in the straightened frame of :mod:`legseg_bids.synth.people`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.interpolation import interp
from legseg_bids.synth.people import displaced, draw_person
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.resident import PIXEL_STEP, SLICE_STEP, muscle_sums, resident

#: Muscles of one limb whose size is changed.
MUSCLES = 3
#: A muscle is followed so far above and below the middle of the stack, mm.
FOLLOWED = 350.0
#: In plane, a swelling reaches this many radii of its muscle (Gaussian sigma).
BREADTH = 1.1
#: A muscle thinner than this (radius, mm) changes less and less, so that its ends stay.
THIN = 5.0


@dataclass(frozen=True)
class Swelling:
    """A muscle that is larger or smaller, followed along the limb.

    Attributes
    ----------
    height : Tensor of float64, shape (k,)
        Rising, mm.
    path : Tensor of float64, shape (k, 3)
        Middle (y, x) in the straightened frame and radius at these heights, mm.
    strength : float
        Pull towards the middle, as a share of the distance from it.
    """

    height: Tensor
    path: Tensor
    strength: float

    def shift(self, place: Tensor) -> Tensor:
        """Displacement at places (..., 3): towards the middle where the muscle is larger."""
        middle = interp(place[..., 0], self.height, self.path).float()
        radius = middle[..., 2]
        away = place[..., 1:] - middle[..., :2]
        sigma = (BREADTH * radius).clamp_min(1.0)
        near = torch.exp(-0.5 * (away / sigma[..., None]).square().sum(-1))
        pull = -self.strength * near * (radius / THIN).clamp_max(1.0)
        return torch.cat([torch.zeros_like(place[..., :1]), pull[..., None] * away], dim=-1)


@dataclass(frozen=True)
class Warp:
    """One person's displacement of an anatomy's limb; drawn once, applied on any grid."""

    anatomy: Anatomy
    side: str
    person: Tensor | None
    swellings: tuple[Swelling, ...]

    def shift(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Displacement of the anatomy's coordinates (z, y, x in mm), shape (3, *z.shape)."""
        mirror = -1.0 if self.side == "right" else 1.0
        before = middle_at(self.anatomy, self.side, z)
        place = torch.stack([z, y - before[..., 1], mirror * (x - before[..., 0])], dim=-1)
        moved = place + sum((s.shift(place) for s in self.swellings), place.new_zeros(()))
        people = self.anatomy.people
        if self.person is not None and people is not None:
            moved = moved + displaced(self.person, moved, people.frame)
        after = middle_at(self.anatomy, self.side, moved[..., 0])
        new = (
            moved[..., 0],
            moved[..., 1] + after[..., 1],
            mirror * moved[..., 2] + after[..., 0],
        )
        return torch.stack([a - b for a, b in zip(new, (z, y, x), strict=True)])


def middle_at(anatomy: Anatomy, side: str, height: Tensor) -> Tensor:
    """Middle of a limb (x, y) at heights of any shape, mm; shape (..., 2)."""
    there = resident(anatomy, height.device)
    return interp(height / anatomy.spacing[2], there.rows, there.centre[side]).float()


def draw_warp(anatomy: Anatomy, side: str, height: float, draw: Draw, r: Ranges) -> Warp | None:
    """Draw a person around a height of the limb; none if nothing is to be changed."""
    person = None if anatomy.people is None else draw_person(anatomy.people, draw, r)
    swellings: tuple[Swelling, ...] = ()
    if draw.chance(r.swelling_probability):
        swellings = _draw_swellings(anatomy, side, height, draw, r)
    if person is None and not swellings:
        return None
    return Warp(anatomy, side, person, swellings)


def _draw_swellings(
    anatomy: Anatomy, side: str, height: float, draw: Draw, r: Ranges
) -> tuple[Swelling, ...]:
    """Muscles of the slices around a height, their size to be changed.

    Which there are decides how the draws are used: worked out on the CPU, from sums that were
    counted once; only the paths of the chosen ones go to the device.
    """
    sums = muscle_sums(anatomy)
    slices = torch.arange(len(sums), dtype=torch.float64, device="cpu") * SLICE_STEP
    z = slices * anatomy.spacing[2]
    from_here = (z - height).abs()
    own = torch.tensor(_muscles(side), device="cpu")
    there = own[sums[from_here < FOLLOWED / 3, :, 0].sum(0)[own] > 0].tolist()
    picks = draw.picks(MUSCLES, len(there))
    strengths = [draw.uniform(*r.swelling) for _ in range(MUSCLES)]
    if not there:
        return ()
    chosen = {there[pick]: strength for pick, strength in zip(picks, strengths, strict=True)}
    near = from_here < FOLLOWED
    return tuple(
        Swelling(
            z[near].to(draw.device),
            _followed(sums[near, label], anatomy, side, z[near]).to(draw.device),
            strength,
        )
        for label, strength in chosen.items()
    )


def _muscles(side: str) -> list[int]:
    """Codes of the muscles of one limb, rising."""
    return sorted(e.index for e in load_labels() if e.tissue == "muscle" and e.side == side)


def _followed(sums: Tensor, anatomy: Anatomy, side: str, z: Tensor) -> Tensor:
    """Middle (y, x) and radius of a muscle in each slice, (k, 3), from its sums (k, 3).

    Where it is not, the radius is zero and the middle that of the nearest slice that has it.
    """
    sx, sy = (PIXEL_STEP * s for s in anatomy.spacing[:2])
    mirror = -1.0 if side == "right" else 1.0
    pixels, of_y, of_x = sums.unbind(1)
    middle, has = middle_at(anatomy, side, z), pixels > 0
    y = of_y[has] / pixels[has] * sy - middle[has, 1]
    x = mirror * (of_x[has] / pixels[has] * sx - middle[has, 0])
    every = torch.arange(len(pixels), dtype=torch.float64, device="cpu")
    path = interp(every, every[has], torch.stack([y, x], dim=1))
    return torch.cat([path, (pixels * sx * sy / math.pi).sqrt()[:, None]], dim=1)
