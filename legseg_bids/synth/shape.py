"""From a prepared anatomy to a deformed one: where each voxel of an image lies in the map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.synth.atlas import COMPARTMENT_STEP, DEPTH_STEP, GAP_STEP, SHIFTS, Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.faults import draw_child, draw_pressing, pressed
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.resident import resident
from legseg_bids.synth.warp import draw_warp

#: What lies outside a map: no structure near, far from any compartment, no body.
_NOTHING = (255 << SHIFTS["gap"]) | (255 << SHIFTS["compartment"])
#: Knots of a person's displacement across an image; its own lie 20 mm apart.
_WARP_KNOTS = 32


@dataclass(frozen=True)
class Grid:
    """Voxels of an image: shape (z, y, x) and spacing (z, y, x) in mm."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    def offsets(self, device: str | torch.device = "cpu") -> tuple[Tensor, Tensor, Tensor]:
        """Distance from the middle along z, y, x, shaped to broadcast, mm."""
        axes = [
            (torch.arange(n, dtype=torch.float32, device=device) - (n - 1) / 2) * s
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

    def resampled(self, pixels: int) -> Grid:
        """The grid with ``pixels`` x ``pixels`` over the same area."""
        z, y, x = self.shape
        return Grid(
            (z, pixels, pixels),
            (self.spacing[0], self.spacing[1] * y / pixels, self.spacing[2] * x / pixels),
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
        Coordinates in mm, broadcastable to (z, y, x). Where they lie, the map is read:
        :func:`.resident.resident`.
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
    packed = resident(anatomy, flat.device).packed
    values = packed.index_select(0, flat.reshape(-1)).reshape(flat.shape)
    return unpack(torch.where(inside, values, _NOTHING))


def unpack(packed: Tensor) -> Fields:
    """Split packed integers into their fields: each is one of their bytes, the lowest first."""
    bytes_of = packed.contiguous()[..., None].view(torch.uint8)

    def part(name: str) -> Tensor:
        return bytes_of[..., SHIFTS[name] // 8]

    return Fields(
        label=part("label").long(),
        nearest=part("nearest").long(),
        gap=part("gap").float() * GAP_STEP,
        depth=part("depth").float() * DEPTH_STEP,
        compartment=part("compartment").float() * COMPARTMENT_STEP,
        body=part("body").bool(),
    )


def limb_mapping(
    anatomy: Anatomy, side: str, height: float, offset: tuple[float, float], draw: Draw, r: Ranges
) -> Mapping:
    """Deform one limb: rotation, scale, shear, tilt, elastic fields, and another person's shape.

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

    along = draw.normals(1, 1, 3, 5, 5) * draw.uniform(*r.along_displacement)
    warp = draw_warp(anatomy, side, height, draw, r)
    child, pressing = math.exp(-draw_child(draw, r)), draw_pressing(draw, r)

    def pose(grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        dz, dy, dx = grid.offsets(draw.device)
        dy, dx = dy - offset[0] + drift[0] * dz, dx - offset[1] + drift[1] * dz
        if pressing is not None:
            dy, dx = pressed(*torch.broadcast_tensors(dy, dx), *pressing)
        dy, dx = child * dy, child * dx
        y = (math.cos(angle) * dy + math.sin(angle) * dx) * scale[0]
        x = (-math.sin(angle) * dy + math.cos(angle) * dx) * scale[1] + shear * y
        for coarse, amplitude in knots:
            fine = [_stretch(c, grid.shape) * amplitude for c in coarse]
            y, x = y + fine[0], x + fine[1]
        z = height + dz * length * child + tilt[0] * y + tilt[1] * x + _stretch(along, grid.shape)
        return z, cy + y, cx + mirror * x

    def mapping(grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        z, y, x = pose(grid)
        if warp is None:
            return z, y, x
        shift = warp.shift(*torch.broadcast_tensors(*pose(grid.resampled(_WARP_KNOTS))))
        dz, dy, dx = (_stretch(s[None, None], grid.shape) for s in shift)
        return z + dz, y + dy, x + dx

    return mapping


def _stretch(coarse: Tensor, shape: tuple[int, int, int]) -> Tensor:
    # align_corners=False keeps the field in place when the same grid is sampled coarser.
    fine = torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=False)
    return fine[0, 0]
