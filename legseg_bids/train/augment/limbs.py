"""Left and right limb, each moved on its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.synth.draws import Draw
from legseg_bids.train.augment.sample import Sample, Sides
from legseg_bids.train.augment.spatial import NOWHERE, Backward, Range, places, turn


@dataclass(frozen=True)
class Limbs:
    """Each limb turned about its own middle, and shifted.

    Which voxel belongs to which limb is told by the sides of the labels; an image without labels
    of both sides is left as it is. Where a limb moved away from the other there is air; where both
    would be, each keeps its own half.

    Attributes
    ----------
    degrees : range
        In the plane.
    mm : range
        Shift along y and x.
    """

    probability: float = 0.5
    degrees: Range = (-15.0, 15.0)
    mm: Range = (-10.0, 10.0)

    def draw(self, draw: Draw, sample: Sample, sides: Sides) -> Backward:
        """One movement for each limb."""
        angles = [draw.uniform(*self.degrees) for _ in range(2)]
        shifts = [[0.0, draw.uniform(*self.mm), draw.uniform(*self.mm)] for _ in range(2)]
        is_left, is_right = (
            torch.isin(sample.labels, torch.tensor(sorted(numbers), dtype=torch.long))
            for numbers in (sides.left, sides.right)
        )
        if not (bool(is_left.any()) and bool(is_right.any())):
            return lambda at: at
        cut = cut_between(is_left, is_right)
        at = places(sample)
        middles = [at[:, limb].mean(1) for limb in (is_left, is_right)]
        moves = [
            _about(turn(angle, (1, 2)), middle, torch.tensor(shift))
            for angle, middle, shift in zip(angles, middles, shifts, strict=True)
        ]
        return lambda new: _chosen(new, moves, cut, sample)


def _about(matrix: Tensor, middle: Tensor, shift: Tensor) -> Backward:
    """Map back of a turn about a middle and a shift."""
    back = torch.linalg.inv(matrix)
    centre, moved = (t[:, None, None, None] for t in (middle, middle + shift))
    return lambda at: torch.einsum("ij,jzyx->izyx", back, at - moved) + centre


def _chosen(new: Tensor, moves: list[Backward], cut: Tensor, sample: Sample) -> Tensor:
    """For each new voxel the old place in the limb that has moved there, or nowhere."""
    old = [move(new) for move in moves]
    low = [_is_low(place, cut, sample) for place in old]
    from_left, from_right = low[0], ~low[1]
    both = from_left & from_right
    take_left = (from_left & ~both) | (both & _is_low(new, cut, sample))
    out = torch.where(take_left, old[0], old[1])
    return torch.where(from_left | from_right, out, torch.full_like(out, NOWHERE))


def _is_low(at: Tensor, cut: Tensor, sample: Sample) -> Tensor:
    """Whether places lie at lower x than the cut of their slice."""
    dz, _, dx = sample.spacing
    depth, _, width = sample.shape
    row = (at[0] / dz + (depth - 1) / 2).round().clamp(0, depth - 1).long()
    column = at[2] / dx + (width - 1) / 2
    return column < cut[row]


def cut_between(is_left: Tensor, is_right: Tensor) -> Tensor:
    """Column between the limbs in each slice, (z,), in voxels.

    Half way between the last column of the left limb and the first of the right one; slices that
    do not show both take the mean of those that do, or, if there is none, of the whole image.

    Examples
    --------
    >>> left, right = torch.zeros(2, 1, 9), torch.zeros(2, 1, 9)
    >>> left[0, 0, 1:3], right[0, 0, 6:8] = 1, 1
    >>> cut_between(left.bool(), right.bool())
    tensor([4., 4.])
    """
    columns = torch.arange(is_left.shape[-1]).float()
    shown = [limb.any(1) for limb in (is_left, is_right)]
    last = torch.where(shown[0], columns, -torch.inf).amax(1)
    first = torch.where(shown[1], columns, torch.inf).amin(1)
    middle = (last + first) / 2
    both = middle.isfinite()
    others = middle[both].mean() if bool(both.any()) else (last.amax() + first.amin()) / 2
    return torch.where(both, middle, others)
