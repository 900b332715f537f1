"""Axial slices through one or both legs, with what the locator has to say about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.anatomy.regions import Part
from legseg_bids.synth.atlas import Anatomy, Landmarks
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.physics import acquire, draw_body, dress, scan, water_and_fat
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import FINE
from legseg_bids.synth.shape import Grid, look_up

SIDES = ("left", "right", "both")
#: Slices of one simulated scan.
SLICES = 8
#: Slices with fewer body pixels than this are empty.
FEWEST_PIXELS = 40


@dataclass(frozen=True)
class LocatorSample:
    """Slices of one simulated scan: image (z, 1, y, x), part (z,) and side (index of SIDES)."""

    image: Tensor
    part: Tensor
    side: int


def parts_at(heights: Tensor, marks: Landmarks) -> Tensor:
    """Part of the limb at each height, mm → int64.

    The knee reaches from 10 % of the lower leg below the joint line to 12 % of the thigh above
    it: from the tubercle of the tibia to the upper pole of the patella. The hip begins at the
    ischial tuberosity.

    Examples
    --------
    >>> marks = Landmarks(ankle=50.0, knee=450.0, ischium=850.0, hip=920.0)
    >>> parts_at(torch.tensor([10.0, 200.0, 450.0, 700.0, 900.0]), marks).tolist()
    [0, 1, 2, 3, 4]
    """
    lower, upper = marks.knee - marks.ankle, marks.hip - marks.knee
    bounds = [marks.ankle, marks.knee - 0.10 * lower, marks.knee + 0.12 * upper, marks.ischium]
    out = torch.full_like(heights, int(Part.FOOT), dtype=torch.long)
    for part, bound in zip((Part.LOWER, Part.KNEE, Part.UPPER, Part.HIP), bounds, strict=True):
        out = torch.where(heights >= bound, int(part), out)
    return out


@dataclass(frozen=True)
class Legs:
    """How the legs of one simulated scan lie; drawn once, applied on any grid.

    Lengths in mm. ``shift`` moves each leg outwards (below the ischium, where they are free);
    ``edge`` is how much of the other leg a single-leg scan shows.
    """

    anatomy: Anatomy
    side: str
    height: float
    middle: tuple[float, float]
    start: float
    shift: float
    joined: bool
    offset: float
    edge: float
    scale: float
    turn: float
    knots: Tensor

    def plane(self, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated and scaled distances from the image's middle (z, y, x)."""
        dz, dy, dx = grid.offsets(self.knots.device)
        dy, dx = dy * self.scale, (dx - self.offset) * self.scale
        return dz, dy + self.turn * dx, dx - self.turn * dy

    def coordinates(self, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        """Atlas coordinates (z, y, x) of the grid's voxels."""
        dz, dy, dx = self.plane(grid)
        x = dx + self.start if self.side != "both" else dx - torch.sign(dx) * self.shift
        bend = torch.nn.functional.interpolate(
            self.knots, grid.shape, mode="trilinear", align_corners=False
        )[0]
        return self.height + dz, self.middle[0] + dy + bend[0], self.middle[1] + x + bend[1]

    def shown(self, grid: Grid, x: Tensor) -> Tensor:
        """Which voxels may show what the atlas has at ``x``."""
        middle = self.middle[1]
        if self.side == "left":
            return x < middle + self.edge
        if self.side == "right":
            return x > middle - self.edge
        if self.joined:
            return torch.ones_like(x, dtype=torch.bool)
        return torch.sign(x - middle) == torch.sign(self.plane(grid)[2])


def draw_legs(anatomy: Anatomy, height: float, draw: Draw, r: Ranges) -> Legs:
    """Draw which legs are seen and how they lie."""
    marks = anatomy.landmarks["left"]
    row = min(max(round(height / anatomy.spacing[2]), 0), anatomy.packed.shape[0] - 1)
    left, right = (anatomy.centre[s][row] for s in ("left", "right"))
    apart = float(right[0] - left[0])
    target = draw.uniform(max(70.0, 0.55 * apart), max(apart, 200.0))
    freedom = min(max((marks.ischium - height) / 150.0, 0.0), 1.0)
    side = SIDES[draw.integer(0, 3)]
    single = side != "both"
    return Legs(
        anatomy=anatomy,
        side=side,
        height=height,
        middle=(float(left[1] + right[1]) / 2, float(left[0] + right[0]) / 2),
        start={"left": -apart / 2, "right": apart / 2, "both": 0.0}[side],
        shift=(target - apart) * freedom / 2,
        joined=freedom == 0.0,
        offset=draw.uniform(-60, 60) if single else 0.0,
        edge=draw.uniform(-10.0, 20.0) if single else 0.0,
        scale=math.exp(draw.normal(r.whole_scale_sigma_log)),
        turn=draw.normal(0.1),
        knots=draw.normals(1, 2, 3, 6, 6) * draw.uniform(*r.coarse_displacement),
    )


def locator_sample(
    anatomy: Anatomy,
    size: int,
    pixel: float,
    seed: int,
    r: Ranges,
    device: str | torch.device = "cpu",
) -> LocatorSample:
    """Simulate axial slices through one or both legs, anywhere from foot to hip.

    The image is centred on the body's bounding box, as the application does it.

    Parameters
    ----------
    size : int
        Pixels of a side.
    pixel : float
        Pixel, mm.
    seed : int
        The sample is a pure function of it and the device.
    device : str or torch.device
        Where it is made.
    """
    draw = Draw(seed, device)
    marks = anatomy.landmarks["left"]
    lowest = 0.0 if anatomy.has_lower_leg else marks.knee + 40.0
    dz = draw.log_uniform(4.0, 40.0)
    top = min(anatomy.packed.shape[0] * anatomy.spacing[2], marks.hip + 40)
    legs = draw_legs(anatomy, draw.uniform(lowest, top), draw, r)
    fine = Grid((SLICES, size, size), (dz, pixel, pixel)).finer(FINE)
    body = draw_body(draw, r, anatomy.has_skin)
    z, y, x = legs.coordinates(fine)
    fields = look_up(anatomy, z, y, x, (z >= lowest) & legs.shown(fine, x))
    label, depth = dress(fields, body)
    water, fat = water_and_fat(label, fields, depth, body.diseased, draw, r)
    signal = acquire(water, fat, FINE, draw, r)
    inside = torch.nn.functional.avg_pool2d((depth > 0).float()[:, None], FINE)[:, 0] > 0.5
    image = centred(scan(signal, inside, draw, r), inside)
    heights = legs.height + fine.offsets(draw.device)[0].flatten()
    filled = inside.flatten(1).sum(1) > FEWEST_PIXELS
    part = torch.where(filled, parts_at(heights, marks), -1)
    return LocatorSample(image[:, None], part, SIDES.index(legs.side))


def centred(image: Tensor, inside: Tensor) -> Tensor:
    """Shift (z, y, x) so that the body's bounding box over all slices lies in the middle."""
    out = image
    for axis in (1, 2):
        n = image.shape[axis]
        there = inside.any(0).any(2 - axis)
        first, last = there.byte().argmax(), n - 1 - there.flip(0).byte().argmax()
        shift = torch.where(there.any(), n // 2 - (first + last + 1) // 2, 0)
        # as torch.roll, which would have to know the shift here and now
        places = (torch.arange(n, device=image.device) - shift) % n
        out = out.index_select(axis, places)
    return out
