"""Augmentations that move voxels. Each is a map from new places to old ones.

Places are Tensors (3, z, y, x) of millimetres from the middle of the image, in the order z, y, x.
Maps are applied one after the other to the places of the new voxels; the image is sampled once, at
the end (:func:`resampled`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from legseg_bids.synth.draws import Draw
from legseg_bids.train.augment.sample import Sample, Sides

Range = tuple[float, float]
Backward = Callable[[Tensor], Tensor]
#: Where nothing is: far outside any image, mm.
NOWHERE = 1e6


class Spatial(Protocol):
    """A spatial augmentation: ranges, and how likely it is used."""

    probability: float

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:
        """Draw within the ranges."""
        ...


def extent(sample: Sample) -> Tensor:
    """Field of view along z, y, x, mm."""
    return torch.tensor([n * s for n, s in zip(sample.shape, sample.spacing, strict=True)])


def places(sample: Sample) -> Tensor:
    """Where the voxels of a sample are, (3, z, y, x).

    Examples
    --------
    >>> places(Sample(torch.zeros(1, 1, 1, 3), torch.zeros(1, 1, 3), (6.0, 2.0, 2.0)))[2]
    tensor([[[-2.,  0.,  2.]]])
    """
    axes = [
        (torch.arange(n) - (n - 1) / 2) * s
        for n, s in zip(sample.shape, sample.spacing, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def resampled(sample: Sample, at: Tensor) -> Sample:
    """The one resampling: images linearly, labels by the nearest voxel; beyond the image is air.

    A single slice stays in its plane.
    """
    half = extent(sample) / 2
    relative = at / half[:, None, None, None]
    if sample.shape[0] == 1:
        relative[0] = 0.0
    # grid_sample wants x, y, z, last; faces of the outermost voxels are at -1 and 1
    grid = relative.flip(0).movedim(0, -1)[None]

    def sampled(values: Tensor, mode: str) -> Tensor:
        out: Tensor = torch.nn.functional.grid_sample(
            values[None], grid, mode, padding_mode="zeros", align_corners=False
        )
        return out[0]

    labels = sampled(sample.labels[None].to(sample.image.dtype), "nearest")[0]
    return Sample(sampled(sample.image, "bilinear"), labels.round().long(), sample.spacing)


def _linear(forward: Tensor) -> Backward:
    """The map back of a matrix that turns old places into new ones."""
    back = torch.linalg.inv(forward)

    def backward(at: Tensor) -> Tensor:
        return torch.einsum("ij,jzyx->izyx", back, at)

    return backward


def turn(degrees: float, axes: tuple[int, int]) -> Tensor:
    """Rotation in the plane of two axes, from the first towards the second."""
    a, b = axes
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    out = torch.eye(3)
    out[a, a] = out[b, b] = cosine
    out[b, a], out[a, b] = sine, -sine
    return out


@dataclass(frozen=True)
class Scale:
    """Larger or smaller, about the middle.

    Attributes
    ----------
    in_plane : range
        Factor of y and x, each on its own.
    along : range
        Factor along the limb.
    """

    probability: float = 0.5
    in_plane: Range = (0.8, 1.25)
    along: Range = (0.9, 1.1)

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:  # noqa: ARG002
        """A factor for each axis."""
        ranges = (self.along, self.in_plane, self.in_plane)
        return _linear(torch.diag(torch.tensor([draw.uniform(*r) for r in ranges])))


@dataclass(frozen=True)
class Skew:
    """Slices pushed over, and sheared in themselves.

    Attributes
    ----------
    in_plane, along : range
        mm by which x moves for each mm of y, and y and x for each mm along the limb.
    """

    probability: float = 0.5
    in_plane: Range = (-0.1, 0.1)
    along: Range = (-0.05, 0.05)

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:  # noqa: ARG002
        """A shear for each pair of axes."""
        forward = torch.eye(3)
        forward[2, 1] = draw.uniform(*self.in_plane)
        forward[1, 0], forward[2, 0] = draw.uniform(*self.along), draw.uniform(*self.along)
        return _linear(forward)


@dataclass(frozen=True)
class Rotation:
    """Turned about the middle.

    Attributes
    ----------
    in_plane, tilt : range
        Degrees about the axis of the limb, and about each of the two others.
    """

    probability: float = 0.5
    in_plane: Range = (-30.0, 30.0)
    tilt: Range = (-5.0, 5.0)

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:  # noqa: ARG002
        """Three angles."""
        flat = turn(draw.uniform(*self.in_plane), (1, 2))
        tilted = [turn(draw.uniform(*self.tilt), axes) for axes in ((0, 1), (0, 2))]
        return _linear(tilted[0] @ tilted[1] @ flat)


@dataclass(frozen=True)
class Translation:
    """Shifted.

    Attributes
    ----------
    in_plane, along : range
        mm along y and x, and along the limb.
    """

    probability: float = 0.5
    in_plane: Range = (-20.0, 20.0)
    along: Range = (0.0, 0.0)

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:  # noqa: ARG002
        """A shift for each axis."""
        ranges = (self.along, self.in_plane, self.in_plane)
        shift = torch.tensor([draw.uniform(*r) for r in ranges])[:, None, None, None]
        return lambda at: at - shift


@dataclass(frozen=True)
class PiecewiseAffine:
    """A grid of 4 x 4 points in the plane pulled about, affine in each triangle between them.

    Attributes
    ----------
    share : range
        How far a point moves, as a share of the field of view (standard deviation).
    """

    probability: float = 0.5
    share: Range = (0.0, 0.03)

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:  # noqa: ARG002
        """A shift for each point, the same in all slices."""
        size = extent(sample)[1:]
        pulls = draw.normals(2, GRID, GRID) * draw.uniform(*self.share) * size[:, None, None]

        def backward(at: Tensor) -> Tensor:
            place = (at[1:] / size[:, None, None, None] + 0.5).clamp(0, 1) * (GRID - 1)
            return torch.cat([at[:1], at[1:] + in_triangles(pulls, place)])

        return backward


#: Points of the grid of :class:`PiecewiseAffine` along y and along x.
GRID = 4


def in_triangles(values: Tensor, place: Tensor) -> Tensor:
    """Values between the points of a grid, linear in each of the two triangles of a cell.

    Parameters
    ----------
    values : Tensor, shape (c, k, k)
        At the points.
    place : Tensor, shape (2, …)
        Where in the grid (y, x), 0 … k - 1.

    Examples
    --------
    >>> square = torch.tensor([[[0.0, 1.0], [2.0, 7.0]]])
    >>> in_triangles(square, torch.tensor([[0.5, 0.0, 1.0], [0.5, 0.5, 0.5]]))
    tensor([[1.5000, 0.5000, 4.5000]])
    """
    last = values.shape[-1] - 2
    cell = place.floor().clamp(0, last).long()
    (y, x), (v, u) = cell, place - cell
    near, far = values[:, y, x], values[:, y + 1, x + 1]
    beside, below = values[:, y, x + 1], values[:, y + 1, x]
    upper = near + u * (beside - near) + v * (below - near)
    lower = far + (1 - u) * (below - far) + (1 - v) * (beside - far)
    return torch.where(u + v <= 1, upper, lower)


@dataclass(frozen=True)
class Elastic:
    """Bent smoothly: random shifts at knots, joined by cubic B-splines.

    Attributes
    ----------
    mm : range
        Standard deviation of the knots' shift.
    knots : float
        Distance of the knots, mm.
    """

    probability: float = 0.5
    mm: Range = (0.0, 6.0)
    knots: float = 40.0

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:  # noqa: ARG002
        """A shift in the plane for each knot."""
        splines = [
            spline_weights(n, n * s / self.knots)
            for n, s in zip(sample.shape, sample.spacing, strict=True)
        ]
        count = [s.shape[1] for s in splines]
        pulls = draw.normals(2, *count) * draw.uniform(*self.mm)
        # Axis by axis: in one go, the product would be a thousand times as much work.
        in_z, in_y, in_x = splines
        shift = torch.einsum("xk,cijk->cijx", in_x, pulls)
        shift = torch.einsum("yj,cijx->ciyx", in_y, shift)
        shift = torch.einsum("zi,ciyx->czyx", in_z, shift)
        return lambda at: torch.cat([at[:1], at[1:] + shift])


def spline_weights(size: int, cells: float) -> Tensor:
    """Cubic B-spline weights of the knots at each voxel, shape (size, knots); rows sum to 1.

    Examples
    --------
    >>> spline_weights(5, 2.0).shape, float(spline_weights(5, 2.0).sum(1).min())
    (torch.Size([5, 5]), 1.0)
    """
    cells = max(cells, 1.0)
    place = (torch.arange(size) + 0.5) / size * cells
    knots = torch.arange(math.ceil(cells) + 3) - 1.0
    away = (place[:, None] - knots).abs()
    near = 2 / 3 - away**2 + away**3 / 2
    far = (2 - away).clamp_min(0) ** 3 / 6
    return torch.where(away < 1, near, far)
