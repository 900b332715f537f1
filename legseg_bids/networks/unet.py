"""The 2-D U-Net, and the Spatial Channel U-Net that also knows where a slice lies.

U-Net: Ronneberger et al., MICCAI 2015. Spatial Channel U-Net: Henson et al., PLoS One
19:e0299099, 2024, with the details of the authors' published code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from legseg_bids.networks.any_size import AnySize
from legseg_bids.networks.registry import register

#: Places along the limb that a Spatial Channel U-Net tells apart: one for each per cent.
PLACES = 100


def double_convolution(inputs: int, outputs: int, normalise: bool) -> nn.Sequential:
    """Two rectified 3 x 3 convolutions that keep the size."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not normalise))
        if normalise:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


@register
class UNet2d(AnySize):
    """U-Net of single slices.

    The convolutions keep the size, where those of the paper lose a pixel at each border.

    Parameters
    ----------
    inputs, classes : int
        Channels of the image and of the logits.
    features : sequence of int
        Channels of each level, finest first.
    normalise : bool
        Batch normalisation after each convolution; the paper of 2015 has none.

    Examples
    --------
    >>> UNet2d(classes=3, features=(4, 8)).eval()(torch.zeros(1, 1, 7, 9)).shape
    torch.Size([1, 3, 7, 9])
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.step = (2 ** (len(features) - 1),) * 2
        pairs = list(pairwise(features))
        self.first = double_convolution(inputs, features[0], normalise)
        self.encode = nn.ModuleList(double_convolution(a, b, normalise) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairs)
        self.decode = nn.ModuleList(double_convolution(2 * a, a, normalise) for a, _ in pairs)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(features[0], classes, 1)

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of slices whose sides are multiples of ``step``."""
        skips = [self.first(image)]
        for encode in self.encode:
            skips.append(encode(self.pool(skips[-1])))
        y = skips.pop()
        for up, decode in zip(reversed(self.up), reversed(self.decode), strict=True):
            y = decode(torch.cat([skips.pop(), up(y)], dim=1))
        out: Tensor = self.head(y)
        return out


@register
class SpatialChannelUNet(UNet2d):
    """U-Net whose logits are weighted by the place of the slice along the limb.

    The place, 0 to 100 per cent, is written as one of 100 switches; a linear layer with one node
    for each class turns them into factors, by which the logits are multiplied. Parameters are
    those of :class:`UNet2d`.

    Notes
    -----
    In the authors' code the first slice (0 %) has the switch of the last; here each has its own.

    Examples
    --------
    >>> net = SpatialChannelUNet(classes=3, features=(4, 8)).eval()
    >>> net(torch.zeros(2, 1, 8, 8), torch.tensor([0.0, 73.5])).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        normalise: bool = True,
    ) -> None:
        super().__init__(inputs, classes, features, normalise)
        self.place = nn.Linear(PLACES, classes)
        nn.init.uniform_(self.place.weight, 0.001, 1.0)

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:
        """Logits of slices; ``more`` is their place (n,), per cent of the limb."""
        (place,) = more
        here = place.clamp(0, PLACES - 1).floor()
        switches = (here[:, None] == torch.arange(PLACES, device=place.device)).to(image.dtype)
        factors: Tensor = self.place(switches)
        return super().compute(image) * factors[:, :, None, None]
