"""From a prepared anatomy to a deformed one: where each voxel of an image lies in the map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from legseg_bids.synth.atlas import COMPARTMENT_STEP, DEPTH_STEP, GAP_STEP, SHIFTS, Anatomy
from legseg_bids.synth.ranges import Ranges

#: What lies outside a map: no structure near, far from any compartment, no body.
_NOTHING = (255 << SHIFTS["gap"]) | (255 << SHIFTS["compartment"])


class Draw:
    """A seeded source of random numbers, so that a sample is a pure function of its seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """One number from [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def normal(self, sigma: float = 1.0) -> float:
        """One number from a normal distribution around zero."""
        return sigma * float(torch.randn((), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform(0.0, 1.0) < probability

    def log_uniform(self, low: float, high: float) -> float:
        """One number whose logarithm is uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def choice(self, options: tuple[tuple[str, float], ...]) -> str:
        """One of the names, each with its weight."""
        point = self.uniform(0.0, sum(weight for _, weight in options))
        for name, weight in options:
            point -= weight
            if point < 0:
                return name
        return options[-1][0]

    def integer(self, low: int, high: int) -> int:
        """One of low … high - 1."""
        return int(torch.randint(low, high, (), generator=self.generator))

    def normals(self, *shape: int) -> Tensor:
        """Standard normal tensor."""
        return torch.randn(*shape, generator=self.generator)

    def rand(self, *shape: int) -> Tensor:
        """Uniform tensor in [0, 1)."""
        return torch.rand(*shape, generator=self.generator)

    def field(self, shape: tuple[int, int, int], knots: tuple[int, int, int]) -> Tensor:
        """Smooth random field, about unit variance: knots interpolated to ``shape`` (z, y, x)."""
        coarse = self.normals(1, 1, *knots)
        fine = torch.nn.functional.interpolate(
            coarse, size=shape, mode="trilinear", align_corners=True
        )
        return fine[0, 0]


@dataclass(frozen=True)
class Grid:
    """Voxels of an image: shape (z, y, x) and spacing (z, y, x) in mm."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    def offsets(self) -> tuple[Tensor, Tensor, Tensor]:
        """Distance from the middle along z, y, x, shaped to broadcast, mm."""
        axes = [
            (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * s
            for n, s in zip(self.shape, self.spacing, strict=True)
        ]
        return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]

    def finer(self, factor: int) -> Grid:
        """The grid with ``factor`` x ``factor`` pixels in each of these."""
        z, y, x = self.shape
        return Grid(
            (z, y * factor, x * factor),
            (self.spacing[0], self.spacing[1] / factor, self.spacing[2] / factor),
        )

    def coarser(self, factor: int) -> Grid:
        """The grid whose pixels are ``factor`` x ``factor`` of these."""
        z, y, x = self.shape
        return Grid(
            (z, y // factor, x // factor),
            (self.spacing[0], self.spacing[1] * factor, self.spacing[2] * factor),
        )


#: A deformation: grid → atlas coordinates (z, y, x) in mm.
Mapping = Callable[[Grid], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Fields:
    """What the map says at every voxel, each (z, y, x).

    ``label`` and ``nearest`` are codes (int64), ``gap`` the distance to the nearest muscle,
    ``depth`` the depth in the own structure, ``compartment`` the distance from the muscle
    compartment (all mm), ``body`` the body's own outline.
    """

    label: Tensor
    nearest: Tensor
    gap: Tensor
    depth: Tensor
    compartment: Tensor
    body: Tensor


def look_up(
    anatomy: Anatomy, z: Tensor, y: Tensor, x: Tensor, valid: Tensor | None = None
) -> Fields:
    """Nearest-voxel values of all fields at atlas coordinates.

    Parameters
    ----------
    z, y, x : Tensor
        Coordinates in mm, broadcastable to (z, y, x).
    valid : Tensor of bool, optional
        Where false, nothing is there.
    """
    nz, ny, nx = anatomy.packed.shape
    sx, sy, sz = anatomy.spacing
    iz, iy, ix = ((c / s).round().long() for c, s in ((z, sz), (y, sy), (x, sx)))
    inside = (iz >= 0) & (iz < nz) & (iy >= 0) & (iy < ny) & (ix >= 0) & (ix < nx)
    if valid is not None:
        inside = inside & valid
    flat = (iz.clamp(0, nz - 1) * ny + iy.clamp(0, ny - 1)) * nx + ix.clamp(0, nx - 1)
    values = torch.from_numpy(np.take(anatomy.packed.reshape(-1), flat.numpy()))
    return unpack(torch.where(inside, values, torch.tensor(_NOTHING)))


def unpack(packed: Tensor) -> Fields:
    """Split packed integers into their fields."""

    def part(name: str) -> Tensor:
        return (packed >> SHIFTS[name]) & 255

    return Fields(
        label=part("label"),
        nearest=part("nearest"),
        gap=part("gap").float() * GAP_STEP,
        depth=part("depth").float() * DEPTH_STEP,
        compartment=part("compartment").float() * COMPARTMENT_STEP,
        body=part("body").bool(),
    )


def limb_mapping(
    anatomy: Anatomy, side: str, height: float, offset: tuple[float, float], draw: Draw, r: Ranges
) -> Mapping:
    """Deform one limb: rotation, scale, shear, tilt and elastic fields.

    Parameters
    ----------
    side : str
        Which limb; the right one is mirrored, so that lateral is always at low x.
    height : float
        Atlas height of the middle slice, mm.
    offset : tuple of float
        Where the limb's middle lies in the image (y, x), mm from the image's middle.
    """
    mirror = -1.0 if side == "right" else 1.0
    row = min(max(round(height / anatomy.spacing[2]), 0), len(anatomy.centre[side]) - 1)
    cx, cy = anatomy.centre[side][row]
    large = draw.chance(r.large_rotation_probability)
    angle = draw.uniform(-r.large_rotation, r.large_rotation) if large else 0.0
    angle = math.radians(angle + draw.normal(r.rotation_sigma))
    common = draw.normal(r.scale_sigma_log) + r.scale_mean_log
    scale = [math.exp(-common - draw.normal(0.06)) for _ in range(2)]
    length = math.exp(draw.normal(r.length_sigma_log))
    shear = draw.normal(r.shear_sigma)
    tilt = (draw.normal(r.tilt_sigma), draw.normal(r.tilt_sigma))
    drift = (draw.normal(0.03), draw.normal(0.03))
    knots = [
        (draw.normals(2, 1, 1, 3, 5, 5), draw.uniform(*r.coarse_displacement) / 2),
        (draw.normals(2, 1, 1, 4, 10, 10), draw.uniform(*r.fine_displacement) / 2),
    ]

    def mapping(grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        dz, dy, dx = grid.offsets()
        dy, dx = dy - offset[0] + drift[0] * dz, dx - offset[1] + drift[1] * dz
        y = (math.cos(angle) * dy + math.sin(angle) * dx) * scale[0]
        x = (-math.sin(angle) * dy + math.cos(angle) * dx) * scale[1] + shear * y
        for coarse, amplitude in knots:
            fine = [_stretch(c, grid.shape) * amplitude for c in coarse]
            y, x = y + fine[0], x + fine[1]
        z = height + dz * length + tilt[0] * y + tilt[1] * x
        return z, cy + y, cx + mirror * x

    return mapping


def _stretch(coarse: Tensor, shape: tuple[int, int, int]) -> Tensor:
    # align_corners=False keeps the field in place when the same grid is sampled coarser.
    fine = torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=False)
    return fine[0, 0]
