"""U-Net whose encoder is the ResNet-34 of image classification.

He et al., CVPR 2016, as encoder; the decoder is that of segmentation_models (Iakubovskii, 2019):
nearest-neighbour enlargement, the skip connection, two convolutions. The encoder is MONAI's. Its
weights have the names of torchvision's, so that the ImageNet file of torchvision fits
(:mod:`legseg_bids.train.imagenet`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from legseg_bids.networks.any_size import AnySize
from legseg_bids.networks.registry import register

#: Channels of the five scales of ResNet-34, finest first.
ENCODED = (64, 64, 128, 256, 512)


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


@register
class ResNet34UNet(AnySize):
    """U-Net of slices with a ResNet-34 encoder.

    Parameters
    ----------
    inputs, classes : int
        Channels of the slice and of the logits.
    decoder : sequence of five int
        Channels of the decoder, coarsest first.
    """

    step = (32, 32)

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        decoder: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        from monai.networks.nets.resnet import ResNet

        self.encoder = ResNet(
            block="basic",
            layers=[3, 4, 6, 3],
            block_inplanes=list(ENCODED[1:]),
            spatial_dims=2,
            n_input_channels=inputs,
            conv1_t_stride=2,
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
        )
        before = [ENCODED[-1], *decoder[:-1]]
        skips = [*reversed(ENCODED[:-1]), 0]
        sizes = zip(before, skips, decoder, strict=True)
        self.decode = nn.ModuleList(_pair(a + s, b) for a, s, b in sizes)
        self.head = nn.Conv2d(decoder[-1], classes, 3, padding=1)

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of slices whose sides are multiples of 32."""
        e = self.encoder
        skips: list[Tensor | None] = [None, e.act(e.bn1(e.conv1(image)))]
        y = e.maxpool(skips[1])
        for layer in (e.layer1, e.layer2, e.layer3):
            y = layer(y)
            skips.append(y)
        y = e.layer4(y)
        for decode in self.decode:
            y = nn.functional.interpolate(y, scale_factor=2.0)
            skip = skips.pop()
            y = decode(y if skip is None else torch.cat([y, skip], dim=1))
        out: Tensor = self.head(y)
        return out
