"""How a limb lies in the frame of a straightened anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: How many numbers a pose is.
POSE_NUMBERS = 11


@dataclass(frozen=True)
class Pose:
    """How a limb lies in the straightened frame of an anatomy.

    Attributes
    ----------
    height, length : float
        Height in the frame of the limb's middle (mm), and the frame's mm per mm along the limb.
    middle : float
        Of the limb's slices, mm above its lowest.
    width, turn : float
        The frame's mm per mm across the limb, and its rotation, radians.
    centre : tuple of float
        Middle of the limb's muscles in its own plane (y, x), mm; see :class:`PartialLimb`.
    shift, lean : tuple of float
        Of that middle from the frame's axis (y, x), mm, and mm per mm along the limb.
    """

    height: float
    length: float
    middle: float
    width: float
    turn: float
    centre: tuple[float, float]
    shift: tuple[float, float]
    lean: tuple[float, float]

    def as_numbers(self) -> tuple[float, ...]:
        """In the order of the fields."""
        flat = (self.height, self.length, self.middle, self.width, self.turn)
        return (*flat, *self.centre, *self.shift, *self.lean)

    @staticmethod
    def from_numbers(numbers: Sequence[float]) -> Pose:
        """What :meth:`as_numbers` gave."""
        a = [float(n) for n in numbers]
        return Pose(*a[:5], (a[5], a[6]), (a[7], a[8]), (a[9], a[10]))

    def places(self, height: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Where pixels (y, x in mm of the limb's plane) of slices lie, (z, y, x, 3), mm."""
        dz = (height - self.middle) * self.length
        y, x = y - self.centre[0], x - self.centre[1]
        across = turned(y, x, y.new_tensor(self.turn))
        y, x = (a * self.width + s for a, s in zip(across, self.shift, strict=True))
        y, x = (a + (n * dz)[:, None, None] for a, n in zip((y, x), self.lean, strict=True))
        z = (self.height + dz)[:, None, None]
        return torch.stack(torch.broadcast_tensors(z, y, x), dim=-1)


def turned(y: Tensor, x: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Places (y, x) turned about the origin, angle in radians."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return cos * y + sin * x, cos * x - sin * y
