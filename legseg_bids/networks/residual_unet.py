"""A 3-D residual U-Net whose kernels and strides follow the anisotropy of leg images.

Leg stacks have pixels of 1.5 mm and slices of 6 mm or more. As long as the pixel is finer than
the slice, features are only compared in plane (kernels 1 x 3 x 3, strides 1 x 2 x 2); below,
the grid is about isotropic and kernels are 3 x 3 x 3, the planning rule of nnU-Net (Isensee et
al., Nature Methods 18:203, 2021). Blocks are those of He et al. (CVPR 2016).

Normalisation is by batch statistics that are fixed after training, never by statistics of the
image: the value of a voxel then depends on its receptive field alone, and a volume can be cut
into patches without changing a single label.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from legseg_bids.networks.registry import register

Triple = tuple[int, int, int]


def _conv(inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Conv3d:
    padding = tuple(k // 2 for k in kernel)
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)


class ResidualBlock(nn.Module):
    """Two convolutions and a short cut; the first convolution may stride.

    Shapes: (n, inputs, z, y, x) → (n, outputs, z / sz, y / sy, x / sx).
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, kernel, stride)
        self.norm1 = nn.BatchNorm3d(outputs)
        self.conv2 = _conv(outputs, outputs, kernel)
        self.norm2 = nn.BatchNorm3d(outputs)
        self.act = nn.LeakyReLU(0.01, inplace=True)
        same = inputs == outputs and stride == (1, 1, 1)
        self.skip: nn.Module = nn.Identity() if same else _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions plus the short cut, rectified."""
        y = self.act(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return self.act(y + self.skip(x))


def _shortcut(inputs: int, outputs: int, stride: Triple) -> nn.Module:
    layers: list[nn.Module] = []
    if stride != (1, 1, 1):
        layers.append(nn.AvgPool3d(stride, stride))
    layers += [nn.Conv3d(inputs, outputs, 1, bias=False), nn.BatchNorm3d(outputs)]
    return nn.Sequential(*layers)


class PlainBlock(nn.Module):
    """One convolution, normalised and rectified: all that the finest grid can afford."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple) -> None:
        super().__init__()
        self.conv = _conv(inputs, outputs, kernel)
        self.norm = nn.BatchNorm3d(outputs)
        self.act = nn.LeakyReLU(0.01, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, rectify."""
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


@register
class ResidualUNet3d(nn.Module):
    """U-Net of residual blocks with concatenated skip connections.

    Parameters
    ----------
    inputs, classes : int
        Channels of the image and of the logits.
    features : sequence of int
        Channels of each level, finest first.
    strides : sequence of (z, y, x)
        Down-sampling from each level to the next; one fewer than levels.
    kernels : sequence of (z, y, x)
        Kernel size of each level, odd.

    Examples
    --------
    >>> net = ResidualUNet3d(classes=3, features=(4, 8), strides=((1, 2, 2),),
    ...                      kernels=((1, 3, 3), (3, 3, 3))).eval()
    >>> net(torch.zeros(1, 1, 2, 8, 8)).shape
    torch.Size([1, 3, 2, 8, 8])
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        features: Sequence[int] = (24, 32, 64, 112, 160),
        strides: Sequence[Sequence[int]] = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
        kernels: Sequence[Sequence[int]] = ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    ) -> None:
        super().__init__()
        if not len(features) == len(kernels) == len(strides) + 1:
            msg = (
                f"{len(features)} features, {len(kernels)} kernels, {len(strides)} strides; "
                "expected one kernel a level and one stride fewer"
            )
            raise ValueError(msg)
        steps = [_triple(s) for s in strides]
        sizes = [_triple(k) for k in kernels]
        self.stem = PlainBlock(inputs, features[0], sizes[0])
        self.down = nn.ModuleList(
            ResidualBlock(features[i], features[i + 1], sizes[i + 1], steps[i])
            for i in range(len(steps))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(features[i + 1], features[i], steps[i], steps[i])
            for i in range(len(steps))
        )
        self.merge = nn.ModuleList(
            PlainBlock(2 * features[i], features[i], sizes[i])
            if i == 0
            else ResidualBlock(2 * features[i], features[i], sizes[i])
            for i in range(len(steps))
        )
        self.head = nn.Conv3d(features[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every voxel, (n, 1, z, y, x) → (n, classes, z, y, x)."""
        skips = [self.stem(x)]
        for down in self.down:
            skips.append(down(skips[-1]))
        y = skips.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            y = merge(torch.cat([up(y), skips.pop()], dim=1))
        out: Tensor = self.head(y)
        return out


def _triple(values: Sequence[int]) -> Triple:
    z, y, x = values
    return int(z), int(y), int(x)


def total_step(strides: Sequence[Sequence[int]]) -> Triple:
    """By what the image's (z, y, x) must be divisible.

    Examples
    --------
    >>> total_step([(1, 2, 2), (2, 2, 2)])
    (2, 4, 4)
    """
    step = [1, 1, 1]
    for stride in strides:
        step = [a * b for a, b in zip(step, stride, strict=True)]
    return _triple(step)


def receptive_radius(strides: Sequence[Sequence[int]], kernels: Sequence[Sequence[int]]) -> Triple:
    """Voxels (z, y, x) beyond which nothing changes an output voxel, an upper bound.

    Each level adds two kernels going down and two going up (one each at the finest level), each
    kernel reaching ``k // 2`` voxels of its own grid; a stride adds the width of its cell.

    Examples
    --------
    >>> receptive_radius([(1, 2, 2)], [(1, 3, 3), (3, 3, 3)])
    (3, 8, 8)
    """
    radius = []
    for axis in range(3):
        cell, reach = 1, 2 * (kernels[0][axis] // 2)
        for stride, kernel in zip(strides, kernels[1:], strict=True):
            below = cell * stride[axis]
            last = kernel is kernels[-1]
            half = kernel[axis] // 2
            # going down: one kernel still on the finer cells (it strides), one on the coarser
            reach += half * cell + half * below
            # going up: two kernels, except at the coarsest level; and the cell's own width
            reach += (
                (0 if last else 2 * half * below) + (below - cell) + (half * below if last else 0)
            )
            cell = below
        radius.append(reach)
    return _triple(radius)
