"""What happens on one level of a U-Net: four kinds of blocks, by name.

``conv`` is that of Ronneberger et al. (MICCAI 2015), ``resnet`` of He et al. (CVPR 2016),
``dense`` of Huang et al. (CVPR 2017), ``inception`` of Szegedy et al. (CVPR 2015).
Rohm et al. (Diagnostics 11:1747, 2021) compared them on muscles of the lower leg.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

KINDS = ("conv", "resnet", "dense", "inception")
NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
CONVS = {2: nn.Conv2d, 3: nn.Conv3d}
POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
#: Convolutions of a dense block; each adds a quarter of the block's channels.
DENSE_LAYERS = 4


def unit(
    inputs: int,
    outputs: int,
    kernel: Sequence[int],
    stride: Sequence[int] | int = 1,
    activate: bool = True,
) -> nn.Sequential:
    """Convolution, batch normalisation and, if wanted, a rectifier, that keep the size.

    The number of axes, 2 or 3, is that of the kernel.
    """
    axes = len(kernel)
    padding = tuple(k // 2 for k in kernel)
    steps = stride if isinstance(stride, int) else tuple(stride)
    layers: list[nn.Module] = [
        CONVS[axes](inputs, outputs, tuple(kernel), steps, padding, bias=False),
        NORMS[axes](outputs),
    ]
    if activate:
        layers.append(nn.LeakyReLU(0.01, inplace=True))
    return nn.Sequential(*layers)


class ResNetBlock(nn.Module):
    """Two convolutions, the first of half the channels, beside a short cut that is added.

    Nothing is rectified after the sum.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Sequence[int]) -> None:
        super().__init__()
        middle = max(outputs // 2, 1)
        self.body = nn.Sequential(
            unit(inputs, middle, kernel), unit(middle, outputs, kernel, activate=False)
        )
        point = (1,) * len(kernel)
        same = inputs == outputs
        self.skip = nn.Identity() if same else unit(inputs, outputs, point, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, …) → (n, outputs, …)."""
        out: Tensor = self.body(x) + self.skip(x)
        return out


class DenseBlock(nn.Module):
    """Convolutions that each see all before them, then a mixture of all."""

    def __init__(self, inputs: int, outputs: int, kernel: Sequence[int]) -> None:
        super().__init__()
        growth = max(outputs // DENSE_LAYERS, 1)
        self.layers = nn.ModuleList(
            unit(inputs + i * growth, growth, kernel) for i in range(DENSE_LAYERS)
        )
        self.mix = unit(inputs + DENSE_LAYERS * growth, outputs, (1,) * len(kernel))

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, …) → (n, outputs, …)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        out: Tensor = self.mix(x)
        return out


class InceptionBlock(nn.Module):
    """Four views side by side: a point, one kernel, two kernels, the largest neighbour."""

    def __init__(self, inputs: int, outputs: int, kernel: Sequence[int]) -> None:
        super().__init__()
        point = (1,) * len(kernel)
        part = max(outputs // 4, 1)
        around = tuple(k // 2 for k in kernel)
        self.branches = nn.ModuleList(
            [
                unit(inputs, outputs - 3 * part, point),
                nn.Sequential(unit(inputs, part, point), unit(part, part, kernel)),
                nn.Sequential(
                    unit(inputs, part, point), unit(part, part, kernel), unit(part, part, kernel)
                ),
                nn.Sequential(
                    POOLS[len(kernel)](tuple(kernel), 1, around), unit(inputs, part, point)
                ),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, …) → (n, outputs, …)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def make_block(
    kind: str, inputs: int, outputs: int, kernel: Sequence[int], repeats: int, dropout: float
) -> nn.Sequential:
    """One level's work: a block ``repeats`` times, then dropout.

    Raises
    ------
    ValueError
        If there is no such kind of block.

    Examples
    --------
    >>> make_block("dense", 3, 8, (3, 3), 1, 0.0)(torch.zeros(1, 3, 5, 5)).shape
    torch.Size([1, 8, 5, 5])
    """
    makers: dict[str, Callable[..., nn.Module]] = {
        "conv": unit,
        "resnet": ResNetBlock,
        "dense": DenseBlock,
        "inception": InceptionBlock,
    }
    if kind not in makers:
        msg = f"unknown block {kind!r}; expected one of {', '.join(KINDS)}"
        raise ValueError(msg)
    maker = makers[kind]
    layers: list[nn.Module] = [
        maker(inputs if i == 0 else outputs, outputs, kernel) for i in range(repeats)
    ]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
