"""Augmentations that change grey values and leave every voxel in its place.

Grey values are magnitudes: none becomes negative, and strengths are relative to the mean signal of
the image, so that ranges do not depend on the scanner's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from legseg_bids.synth.draws import Draw
from legseg_bids.train.augment.spatial import Range

#: Voxels brighter than this share of the brightest count as signal, not air.
SIGNAL_ABOVE = 0.05
#: Blurring that :class:`Sharpen` undoes, pixels (Gaussian sigma).
UNSHARP = 1.0


class Intensity(Protocol):
    """An augmentation of grey values: ranges, and how likely it is used."""

    probability: float

    def change(self, image: Tensor, draw: Draw) -> Tensor:
        """Draw within the ranges and apply it to an image (c, z, y, x)."""
        ...


def level(image: Tensor) -> float:
    """Mean of the voxels that are not air; 1 if there is none."""
    signal = image[image > SIGNAL_ABOVE * image.max()]
    return float(signal.mean()) if signal.numel() else 1.0


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur within the slices; sigma in pixels."""
    if sigma <= 0:
        return image
    radius = max(int(3 * sigma + 0.5), 1)
    tap = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    tap = (tap / tap.sum()).to(image.dtype)
    slices = image.reshape(-1, 1, *image.shape[-2:])
    wide = torch.nn.functional.pad(slices, (radius,) * 4, mode="replicate")
    rows = torch.nn.functional.conv2d(wide, tap.reshape(1, 1, 1, -1))
    return torch.nn.functional.conv2d(rows, tap.reshape(1, 1, -1, 1)).reshape(image.shape)


@dataclass(frozen=True)
class Blur:
    """Softer.

    Attributes
    ----------
    sigma : range
        Gaussian sigma, pixels, within the slices.
    """

    probability: float = 0.5
    sigma: Range = (0.0, 1.5)

    def change(self, image: Tensor, draw: Draw) -> Tensor:
        """Blur."""
        return blurred(image, draw.uniform(*self.sigma))


@dataclass(frozen=True)
class Sharpen:
    """Crisper: what blurring would take away is added.

    Attributes
    ----------
    amount : range
        How many times it is added.
    """

    probability: float = 0.5
    amount: Range = (0.0, 1.0)

    def change(self, image: Tensor, draw: Draw) -> Tensor:
        """Sharpen."""
        detail = image - blurred(image, UNSHARP)
        return (image + draw.uniform(*self.amount) * detail).clamp_min(0)


@dataclass(frozen=True)
class Contrast:
    """Grey values farther from, or nearer to, the mean signal m: m (x / m)^exponent.

    A power leaves both the mean signal and air where they are; a factor would turn air grey.

    Attributes
    ----------
    exponent : range
        Above 1 contrast grows, below it shrinks.
    """

    probability: float = 0.5
    exponent: Range = (0.7, 1.4)

    def change(self, image: Tensor, draw: Draw) -> Tensor:
        """Stretch or squeeze."""
        middle = level(image)
        out: Tensor = middle * (image.clamp_min(0) / middle) ** draw.uniform(*self.exponent)
        return out


@dataclass(frozen=True)
class Brightness:
    """Lighter or darker everywhere.

    Attributes
    ----------
    shift : range
        What is added, as a share of the mean signal.
    """

    probability: float = 0.5
    shift: Range = (-0.2, 0.2)

    def change(self, image: Tensor, draw: Draw) -> Tensor:
        """Add."""
        return (image + draw.uniform(*self.shift) * level(image)).clamp_min(0)


@dataclass(frozen=True)
class Rician:
    """Noise of magnitude images (Gudbjartsson and Patz, Magn Reson Med 34:910, 1995).

    Attributes
    ----------
    snr : range
        Mean signal divided by the standard deviation of the noise in each of the two receivers.
    """

    probability: float = 0.5
    snr: Range = (5.0, 50.0)

    def change(self, image: Tensor, draw: Draw) -> Tensor:
        """Add complex noise, and take the magnitude."""
        sigma = level(image) / draw.uniform(*self.snr)
        real, imaginary = (draw.normals(*image.shape) * sigma for _ in range(2))
        return torch.hypot(image + real, imaginary)


@dataclass(frozen=True)
class SaltAndPepper:
    """Single voxels as bright as the brightest, or black.

    Attributes
    ----------
    share : range
        Of all voxels; half of them bright.
    """

    probability: float = 0.5
    share: Range = (0.001, 0.01)

    def change(self, image: Tensor, draw: Draw) -> Tensor:
        """Replace voxels."""
        share = draw.uniform(*self.share)
        lot = draw.rand(*image.shape)
        salted = torch.where(lot < share / 2, image.max(), image)
        return torch.where(lot > 1 - share / 2, torch.zeros_like(image), salted)
