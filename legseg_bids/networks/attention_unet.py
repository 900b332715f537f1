"""Attention U-Net: what is coarse decides where to look in what is fine.

Oktay et al., MIDL 2018 (arXiv 1804.03999), with the details of the authors' published code: two
gates on each skip connection except the finest, trilinear enlargement. Their table gives 5.88
million parameters for the U-Net and 6.40 million with attention; so has this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from legseg_bids.networks.any_size import AnySize
from legseg_bids.networks.blocks import CONVS, NORMS, POOLS
from legseg_bids.networks.registry import register

MODES = {2: "bilinear", 3: "trilinear"}


def _normalised(
    axes: int, inputs: int, outputs: int, kernel: int, *, active: bool
) -> list[nn.Module]:
    layers = [CONVS[axes](inputs, outputs, kernel, padding=kernel // 2), NORMS[axes](outputs)]
    return [*layers, nn.ReLU(inplace=True)] if active else layers


def _pair(axes: int, inputs: int, outputs: int) -> nn.Sequential:
    first = _normalised(axes, inputs, outputs, 3, active=True)
    return nn.Sequential(*first, *_normalised(axes, outputs, outputs, 3, active=True))


class AttentionGate(nn.Module):
    """One additive gate: (n, skip, 2·axes) and (n, gate, axes) → (n, skip, 2·axes)."""

    def __init__(self, axes: int, skip: int, gate: int) -> None:
        super().__init__()
        conv = CONVS[axes]
        self.mode = MODES[axes]
        self.look = conv(skip, skip, 2, 2, bias=False)
        self.ask = conv(gate, skip, 1)
        self.weigh = conv(skip, 1, 1)
        self.out = nn.Sequential(*_normalised(axes, skip, skip, 1, active=False))

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """The skip connection, weighted between 0 and 1 everywhere."""
        question = torch.relu(self.look(skip) + self.ask(gate))
        weight = torch.sigmoid(self.weigh(question))
        large = nn.functional.interpolate(weight, scale_factor=2.0, mode=self.mode)
        out: Tensor = self.out(skip * large)
        return out


class TwoGates(nn.Module):
    """Two gates on one skip connection, and a mixture of what they let through."""

    def __init__(self, axes: int, skip: int, gate: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(AttentionGate(axes, skip, gate) for _ in range(2))
        self.mix = nn.Sequential(*_normalised(axes, 2 * skip, skip, 1, active=True))

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """As :meth:`AttentionGate.forward`."""
        out: Tensor = self.mix(torch.cat([one(skip, gate) for one in self.gates], dim=1))
        return out


@register
class AttentionUNet(AnySize):
    """U-Net with attention gates, of slices or of volumes.

    Parameters
    ----------
    inputs, classes : int
        Channels of the image and of the logits.
    axes : {2, 3}
        Slices or volumes.
    features : sequence of int
        Channels of each level, finest first.
    attention : bool
        Without, it is the U-Net that the paper compares with.

    Examples
    --------
    >>> net = AttentionUNet(classes=3, axes=2, features=(4, 6, 8)).eval()
    >>> net(torch.zeros(1, 1, 7, 9)).shape
    torch.Size([1, 3, 7, 9])
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        axes: int = 3,
        features: Sequence[int] = (16, 32, 64, 128, 256),
        attention: bool = True,
    ) -> None:
        super().__init__()
        self.step = (2 ** (len(features) - 1),) * axes
        self.mode = MODES[axes]
        pairs = list(pairwise(features))
        self.first = _pair(axes, inputs, features[0])
        self.encode = nn.ModuleList(_pair(axes, a, b) for a, b in pairs)
        self.gates = nn.ModuleList(
            TwoGates(axes, a, b) if attention and i > 0 else nn.Identity()
            for i, (a, b) in enumerate(pairs)
        )
        self.decode = nn.ModuleList(_pair(axes, a + b, a) for a, b in pairs)
        self.pool = POOLS[axes](2)
        self.head = CONVS[axes](features[0], classes, 1)

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of an image whose axes are multiples of ``step``."""
        skips = [self.first(image)]
        for encode in self.encode:
            skips.append(encode(self.pool(skips[-1])))
        y = skips.pop()
        for gate, decode in zip(reversed(self.gates), reversed(self.decode), strict=True):
            skip = skips.pop()
            seen = gate(skip, y) if isinstance(gate, TwoGates) else skip
            large = nn.functional.interpolate(y, scale_factor=2.0, mode=self.mode)
            y = decode(torch.cat([seen, large], dim=1))
        out: Tensor = self.head(y)
        return out
