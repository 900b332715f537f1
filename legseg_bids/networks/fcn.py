"""Fully convolutional network of slices (FCN-8s on VGG-16).

Long, Shelhamer and Darrell, CVPR 2015: five stages of VGG-16, its dense layers written as
convolutions, and scores of three scales added. Wong et al. (Proc. ISMRM 27:4741, 2019) used it for
muscles of thigh and calf.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from legseg_bids.networks.any_size import AnySize
from legseg_bids.networks.registry import register

#: Convolutions of each stage of VGG-16.
CONVOLUTIONS = (2, 2, 3, 3, 3)


def _stage(inputs: int, outputs: int, count: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [nn.Conv2d(inputs if i == 0 else outputs, outputs, 3, padding=1), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _twice(classes: int) -> nn.ConvTranspose2d:
    """Enlargement of scores by two, bilinear to begin with."""
    layer = nn.ConvTranspose2d(classes, classes, 4, 2, 1, bias=False)
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.zero_()
        for c in range(classes):
            layer.weight[c, c] = torch.outer(tent, tent)
    return layer


@register
class FCN(AnySize):
    """FCN-8s: coarse scores, refined by those of the two finer scales.

    Parameters
    ----------
    inputs, classes : int
        Channels of the image and of the logits.
    features : sequence of five int
        Channels of the stages.
    hidden : int
        Channels of the two layers that were dense in VGG-16.
    dropout : float
        Share of their values dropped while training.

    Examples
    --------
    >>> net = FCN(classes=3, features=(2, 2, 4, 4, 4), hidden=8).eval()
    >>> net(torch.zeros(1, 1, 33, 40)).shape
    torch.Size([1, 3, 33, 40])
    """

    step = (32, 32)

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        features: Sequence[int] = (64, 128, 256, 512, 512),
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [inputs, *features]
        self.stages = nn.ModuleList(
            _stage(a, b, count)
            for a, b, count in zip(widths, features, CONVOLUTIONS, strict=False)
        )
        self.dense = nn.Sequential(
            nn.Conv2d(features[4], hidden, 7, padding=3),
            nn.ReLU(True),
            nn.Dropout(dropout),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(True),
            nn.Dropout(dropout),
        )
        sources = (features[2], features[3], hidden)
        self.scores = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in sources)
        self.twice = nn.ModuleList(_twice(classes) for _ in range(2))

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of slices whose sides are multiples of 32."""
        pooled = []
        y = image
        for stage in self.stages:
            y = stage(y)
            pooled.append(y)
        fine, middle, coarse = self.scores
        score = coarse(self.dense(y))
        score = self.twice[0](score) + middle(pooled[3])
        score = self.twice[1](score) + fine(pooled[2])
        out: Tensor = nn.functional.interpolate(score, scale_factor=8.0, mode="bilinear")
        return out
