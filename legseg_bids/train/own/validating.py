"""How good a network is: the Dice coefficient over whole limbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from legseg_bids.anatomy.labels import BACKGROUND
from legseg_bids.train.losses.truth import IGNORE
from legseg_bids.train.own.building import padded_to_step, step_of
from legseg_bids.train.own.limbs import Limb
from legseg_bids.train.own.loading import known_channels, to_channels


@dataclass(frozen=True)
class Look:
    """One slice of a limb, for the picture: what was drawn, and what the network says."""

    image: Tensor
    truth: Tensor
    found: Tensor
    source: str


@dataclass(frozen=True)
class Figures:
    """What a validation gives.

    Attributes
    ----------
    dice : tuple of float
        Of every channel, over all limbs together; NaN where nobody drew it.
    looks : tuple of Look
        A slice of some limbs.
    channels : tuple of int
        Code of each channel.
    """

    dice: tuple[float, ...]
    looks: tuple[Look, ...]
    channels: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Mean over the classes, without background and other structures."""
        own = [d for d, c in zip(self.dice, self.channels, strict=True) if c > BACKGROUND]
        there = [d for d in own if d == d]
        return sum(there) / len(there) if there else float("nan")


def validate(
    network: nn.Module,
    limbs: Sequence[Limb],
    folder: Path,
    channels: Sequence[int],
    device: str = "cpu",
    looks: int = 3,
) -> Figures:
    """Label whole limbs, and compare.

    Parameters
    ----------
    limbs : sequence of Limb
        Their first contrast is used.
    folder : Path
        Where the limbs are.
    channels : sequence of int
        Code of each channel of the network.
    looks : int
        How many limbs to show.
    """
    network.eval()
    hit, size = torch.zeros(len(channels)), torch.zeros(len(channels))
    shown = []
    for number, limb in enumerate(limbs):
        image = torch.from_numpy(np.load(folder / limb.image)[0])
        truth = torch.from_numpy(to_channels(np.load(folder / limb.labels), channels))
        found = label(network, image, device)
        known = known_channels(limb.drawn, channels)
        for channel in np.flatnonzero(known).tolist():
            looked = truth != IGNORE
            own, true = (found == channel) & looked, truth == channel
            hit[channel] += float((own & true).sum())
            size[channel] += float(own.sum() + true.sum())
        if number < looks:
            row = int((truth > 0).sum((1, 2)).argmax())
            shown.append(Look(image[row], truth[row], found[row], limb.source))
    return Figures(tuple((2 * hit / size).tolist()), tuple(shown), tuple(channels))


def label(network: nn.Module, image: Tensor, device: str = "cpu") -> Tensor:
    """Channel of each voxel of an image (z, y, x)."""
    step = step_of(network)
    z, y, x = image.shape
    with torch.inference_mode():
        logits = network(padded_to_step(image[None, None].float(), step).to(device))
        found: Tensor = logits[0, :, :z, :y, :x].argmax(0).cpu()
    return found
