"""What makes one limb another person's: a share of known people, single muscles' volume.

Displacements are computed in the straightened frame of :mod:`legseg_bids.synth.people`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.synth.atlas import SHIFTS, Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.people import displaced, draw_person
from legseg_bids.synth.ranges import Ranges

#: Muscles of one limb whose size is changed.
MUSCLES = 3
#: Every so many slices and pixels of a map are enough to follow a muscle.
SLICE_STEP, PIXEL_STEP = 8, 4
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
    height : ndarray, shape (k,)
        Rising, mm.
    path : ndarray, shape (k, 3)
        Middle (y, x) in the straightened frame and radius at these heights, mm.
    strength : float
        Pull towards the middle, as a share of the distance from it.
    """

    height: NDArray[np.float64]
    path: NDArray[np.float64]
    strength: float

    def shift(self, place: Tensor) -> Tensor:
        """Displacement at places (..., 3): towards the middle where the muscle is larger."""
        z = place[..., 0].numpy()
        at = np.stack([np.interp(z, self.height, p) for p in self.path.T], axis=-1)
        middle = torch.from_numpy(at.astype(np.float32))
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
        moved = place + sum((s.shift(place) for s in self.swellings), torch.zeros(()))
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
    path = anatomy.centre[side]
    rows = height.numpy() / anatomy.spacing[2]
    axes = [np.interp(rows, np.arange(len(path)), path[:, a]) for a in (0, 1)]
    return torch.from_numpy(np.stack(axes, axis=-1).astype(np.float32))


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
    """Muscles of the slices around a height, their size to be changed."""
    dz = anatomy.spacing[2]
    rows = np.arange(anatomy.packed.shape[0])[::SLICE_STEP]
    rows = rows[np.abs(rows * dz - height) < FOLLOWED]
    fields = anatomy.packed[rows, ::PIXEL_STEP, ::PIXEL_STEP]
    labels = (fields >> SHIFTS["label"]) & 255
    own = [e.index for e in load_labels() if e.tissue == "muscle" and e.side == side]
    there = np.intersect1d(np.unique(labels[np.abs(rows * dz - height) < FOLLOWED / 3]), own)
    picks, strengths = draw.rand(MUSCLES), [draw.uniform(*r.swelling) for _ in range(MUSCLES)]
    if not there.size:
        return ()
    chosen = {int(there[int(p * there.size)]): s for p, s in zip(picks, strengths, strict=True)}
    middle = middle_at(anatomy, side, torch.from_numpy(rows * dz)).numpy()
    mirror = -1.0 if side == "right" else 1.0
    return tuple(
        Swelling(rows * dz, _followed(labels == label, anatomy, middle, mirror), strength)
        for label, strength in chosen.items()
    )


def _followed(
    muscle: NDArray[np.bool_], anatomy: Anatomy, middle: NDArray[np.float32], mirror: float
) -> NDArray[np.float64]:
    """Middle (y, x) and radius of a muscle (k, y, x) in each slice, (k, 3).

    Where it is not, the radius is zero and the middle that of the nearest slice that has it.
    """
    sx, sy = (PIXEL_STEP * s for s in anatomy.spacing[:2])
    pixels = muscle.sum(axis=(1, 2))
    has = np.flatnonzero(pixels)
    y = (muscle.sum(axis=2) @ np.arange(muscle.shape[1]))[has] / pixels[has] * sy
    x = (muscle.sum(axis=1) @ np.arange(muscle.shape[2]))[has] / pixels[has] * sx
    every = np.arange(len(pixels))
    y = np.interp(every, has, y - middle[has, 1])
    x = np.interp(every, has, mirror * (x - middle[has, 0]))
    return np.stack([y, x, np.sqrt(pixels * sx * sy / np.pi)], axis=1)
