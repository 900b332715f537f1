"""A small residual network that reads one axial slice: which sides, which part of the leg."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from legseg_bids.networks.registry import register


class _Block(nn.Module):
    """Two 3 x 3 convolutions with a short cut, then halving. (n, i, y, x) → (n, o, y/2, x/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.act = nn.LeakyReLU(0.01, inplace=True)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm1(self.conv1(x)))
        y = self.act(self.norm2(self.conv2(y)) + self.skip(x))
        out: Tensor = self.pool(y)
        return out


@register
class LocatorNet(nn.Module):
    """Side (left, right, both) and part (foot, lower, knee, upper, hip) of axial slices.

    Parameters
    ----------
    features : sequence of int
        Channels after each halving.
    sides, parts : int
        Classes of the two heads.

    Notes
    -----
    Input (n, 1, 128, 128); output: side logits (n, 3) and part logits (n, 5).
    """

    def __init__(
        self, features: Sequence[int] = (16, 32, 48, 64, 96), sides: int = 3, parts: int = 5
    ) -> None:
        super().__init__()
        widths = [1, *features]
        self.trunk = nn.Sequential(*(_Block(a, b) for a, b in zip(widths, features, strict=False)))
        self.dropout = nn.Dropout(0.2)
        self.side = nn.Linear(features[-1] * 2, sides)
        self.part = nn.Linear(features[-1] * 2, parts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of side and part for each slice."""
        y = self.trunk(x)
        # Left and right halves are pooled apart: which side a limb is on must survive pooling.
        middle = y.shape[-1] // 2
        halves = [y[..., :middle].mean((-2, -1)), y[..., middle:].mean((-2, -1))]
        y = self.dropout(nn.functional.normalize(torch.cat(halves, dim=1), dim=1) * 8.0)
        return self.side(y), self.part(y)
