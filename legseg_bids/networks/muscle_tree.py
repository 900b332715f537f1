"""A tree of networks: one says thigh or leg, then one of two segments the slice.

After Agosti et al., MAGMA 35:467, 2022: a residual classifier that sees the slice as 128 x 128
pixels, and for each region a V-Net-like network of six levels, 32 to 1,024 channels, that sees it
as 432 x 432. The number of convolutions (as in V-Net, at most three a level), the kernels (3 x 3)
and the widths of the classifier are our own choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from legseg_bids.networks.any_size import AnySize
from legseg_bids.networks.registry import register

#: Sides of the slice that the classifier sees.
GLANCE = 128
#: Convolutions of each level of V-Net, finest first; coarser levels have the last number.
DEPTHS = (1, 2, 3)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class Residual(nn.Module):
    """Convolutions whose result is added to what came in. (n, i, y, x) → (n, o, y, x)."""

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += _convolution(inputs if i == 0 else outputs, outputs, 3)
            layers += [nn.PReLU(outputs)] if i < depth - 1 else []
        self.body = nn.Sequential(*layers)
        same = inputs == outputs
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Convolutions plus short cut, rectified."""
        out: Tensor = self.act(self.body(x) + self.skip(x))
        return out


@register
class RegionClassifier(nn.Module):
    """Which region a slice shows: thigh or leg.

    Parameters
    ----------
    inputs, regions : int
        Channels of the slice; classes.
    features : sequence of int
        Channels of each residual block; each halves the slice.

    Examples
    --------
    >>> RegionClassifier(features=(4, 8)).eval()(torch.zeros(3, 1, 200, 180)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self, inputs: int = 1, regions: int = 2, features: Sequence[int] = (16, 32, 64, 128, 256)
    ) -> None:
        super().__init__()
        widths = [inputs, *features]
        pairs = zip(widths, features, strict=False)
        self.trunk = nn.Sequential(
            *(nn.Sequential(Residual(a, b, 2), nn.MaxPool2d(2)) for a, b in pairs)
        )
        self.head = nn.Linear(features[-1], regions)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the regions, (n, inputs, y, x) → (n, regions); the slice may have any size."""
        glance = nn.functional.interpolate(image, (GLANCE, GLANCE), mode="bilinear")
        out: Tensor = self.head(self.trunk(glance).mean((-2, -1)))
        return out


@register
class SixLevelVNet(AnySize):
    """V-Net-like network of slices: residual levels, strided convolutions between them.

    Parameters
    ----------
    inputs, classes : int
        Channels of the slice and of the logits.
    features : sequence of int
        Channels of each level, finest first.

    Examples
    --------
    >>> SixLevelVNet(classes=3, features=(2, 4, 8)).eval()(torch.zeros(1, 1, 9, 13)).shape
    torch.Size([1, 3, 9, 13])
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        features: Sequence[int] = (32, 64, 128, 256, 512, 1024),
    ) -> None:
        super().__init__()
        self.step = (2 ** (len(features) - 1),) * 2
        depths = [DEPTHS[min(i, len(DEPTHS) - 1)] for i in range(len(features))]
        pairs = list(pairwise(features))
        self.first = Residual(inputs, features[0], depths[0])
        self.down = nn.ModuleList(
            nn.Sequential(*_convolution(a, b, 2, 2), nn.PReLU(b)) for a, b in pairs
        )
        self.encode = nn.ModuleList(
            Residual(b, b, depth) for (_, b), depth in zip(pairs, depths[1:], strict=True)
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b, a, 2, 2), nn.PReLU(a)) for a, b in pairs
        )
        self.decode = nn.ModuleList(
            Residual(2 * a, a, depth) for (a, _), depth in zip(pairs, depths[:-1], strict=True)
        )
        self.head = nn.Conv2d(features[0], classes, 1)

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of slices whose sides are multiples of ``step``."""
        skips = [self.first(image)]
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(encode(down(skips[-1])))
        y = skips.pop()
        for up, decode in zip(reversed(self.up), reversed(self.decode), strict=True):
            y = decode(torch.cat([up(y), skips.pop()], dim=1))
        out: Tensor = self.head(y)
        return out


@register
class MuscleTree(nn.Module):
    """Classifier and the two networks that it chooses between.

    Parameters
    ----------
    inputs : int
        Channels of the slice.
    thigh_classes, leg_classes : int
        Channels of the logits of each region.
    features, classifier_features : sequence of int
        As in :class:`SixLevelVNet` and :class:`RegionClassifier`.

    Examples
    --------
    >>> tree = MuscleTree(thigh_classes=3, leg_classes=4, features=(2, 4),
    ...                   classifier_features=(4,)).eval()
    >>> [tuple(t.shape) for t in tree(torch.zeros(2, 1, 6, 6))]
    [(2, 2), (2, 3, 6, 6), (2, 4, 6, 6)]
    """

    def __init__(
        self,
        inputs: int = 1,
        thigh_classes: int = 13,
        leg_classes: int = 8,
        features: Sequence[int] = (32, 64, 128, 256, 512, 1024),
        classifier_features: Sequence[int] = (16, 32, 64, 128, 256),
    ) -> None:
        super().__init__()
        self.region = RegionClassifier(inputs, 2, classifier_features)
        self.thigh = SixLevelVNet(inputs, thigh_classes, features)
        self.leg = SixLevelVNet(inputs, leg_classes, features)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the region (thigh, leg), of the thigh's classes and of the leg's.

        All three are computed, which is what training needs; see :meth:`labels`.
        """
        return self.region(image), self.thigh(image), self.leg(image)

    @torch.no_grad()
    def labels(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Walk the tree: each slice goes through the network of its region only.

        Returns
        -------
        region : Tensor of int64, shape (n,)
            0 thigh, 1 leg.
        labels : Tensor of int64, shape (n, y, x)
            Class within that region.
        """
        region = self.region(image).argmax(1)
        shape = (image.shape[0], *image.shape[2:])
        out = torch.zeros(shape, dtype=torch.long, device=image.device)
        for index, network in enumerate((self.thigh, self.leg)):
            chosen = region == index
            if bool(chosen.any()):
                out[chosen] = network(image[chosen]).argmax(1)
        return region, out
