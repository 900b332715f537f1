"""A 3-D U-Net whose blocks, depth, features and down-sampling are options.

The family of QMRITools (Froeling, J Open Source Softw 4:1204, 2019; its ``MakeUnet``): a first
point-wise convolution, five levels of 32 to 512 features, strided convolutions on the way down,
nearest-neighbour enlargement and a convolution on the way up, dropout after each block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from legseg_bids.networks.any_size import AnySize, product_of_strides
from legseg_bids.networks.blocks import make_block, unit
from legseg_bids.networks.registry import register

#: Channels after the first, point-wise convolution.
STEM = 16


@register
class BlockUNet3d(AnySize):
    """U-Net with a choice of blocks.

    Parameters
    ----------
    inputs, classes : int
        Channels of the image and of the logits.
    block : {"resnet", "conv", "dense", "inception"}
        What each level does.
    features : sequence of int
        Channels of each level, finest first; as many levels as numbers.
    strides : sequence of (z, y, x)
        Down-sampling from each level to the next; one fewer than levels.
    kernels : sequence of (z, y, x), optional
        Kernel of each level, odd; 3 x 3 x 3 everywhere by default.
    repeats : int
        Blocks a level.
    dropout : float
        Share of values dropped after each level while training.

    Raises
    ------
    ValueError
        If the numbers of features, strides and kernels do not fit, or the block is unknown.

    Examples
    --------
    >>> net = BlockUNet3d(classes=3, block="conv", features=(4, 8), strides=((1, 2, 2),)).eval()
    >>> net(torch.zeros(1, 1, 3, 7, 9)).shape
    torch.Size([1, 3, 3, 7, 9])
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        block: str = "resnet",
        features: Sequence[int] = (32, 64, 128, 256, 512),
        strides: Sequence[Sequence[int]] = ((1, 2, 2), (2, 2, 2), (1, 2, 2), (2, 2, 2)),
        kernels: Sequence[Sequence[int]] | None = None,
        repeats: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        sizes = [(3, 3, 3)] * len(features) if kernels is None else [tuple(k) for k in kernels]
        if not len(features) == len(sizes) == len(strides) + 1:
            msg = (
                f"{len(features)} features, {len(sizes)} kernels, {len(strides)} strides; "
                "expected one kernel a level and one stride fewer"
            )
            raise ValueError(msg)
        steps = [tuple(s) for s in strides]
        self.step = product_of_strides(steps) if steps else (1, 1, 1)

        def level(i: int, channels: int) -> nn.Module:
            return make_block(block, channels, features[i], sizes[i], repeats, dropout)

        below = range(len(steps))
        self.stem = unit(inputs, STEM, (1, 1, 1))
        self.first = level(0, STEM)
        self.down = nn.ModuleList(
            unit(features[i], features[i + 1], sizes[i + 1], steps[i]) for i in below
        )
        self.encode = nn.ModuleList(level(i + 1, features[i + 1]) for i in below)
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=tuple(float(s) for s in steps[i])),
                unit(features[i + 1], features[i], sizes[i]),
            )
            for i in below
        )
        self.decode = nn.ModuleList(level(i, 2 * features[i]) for i in below)
        self.head = nn.Conv3d(features[0], classes, 1)

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of an image whose axes are multiples of ``step``."""
        skips = [self.first(self.stem(image))]
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(encode(down(skips[-1])))
        y = skips.pop()
        for up, decode in zip(reversed(self.up), reversed(self.decode), strict=True):
            y = decode(torch.cat([skips.pop(), up(y)], dim=1))
        out: Tensor = self.head(y)
        return out
