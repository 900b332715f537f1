"""What a training is fed: batches of the bank, a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.evaluate.reproductions.bank import REGIONS, Bank
from legseg_bids.evaluate.reproductions.hiding import drawn_classes, drawn_part, hidden
from legseg_bids.evaluate.reproductions.structures import Structure, class_table, parts
from legseg_bids.train.augment import Augmentation, Sample, Sides, read_augmentation

#: Augmentation of slices of one limb by name: what a slice can show of ``legs``.
AUGMENTATIONS: Mapping[str, Mapping[str, Any]] = {
    "slices": {
        "scale": {"in_plane": [0.8, 1.25]},
        "rotation": {"in_plane": [-15, 15], "tilt": [0, 0]},
        "translation": {"in_plane": [-15, 15]},
        "elastic": {"mm": [0, 6], "knots": 40},
        "contrast": {"exponent": [0.7, 1.4]},
        "rician": {"snr": [8, 60]},
    }
}
_NO_SIDES = Sides({}, frozenset(), frozenset())


@dataclass(frozen=True, eq=False)
class Batch:
    """Slices with their truth.

    Attributes
    ----------
    image : Tensor of float32, shape (n, 1, y, x)
    labels : Tensor of int64, shape (n, y, x)
        Classes.
    place : Tensor of float32, shape (n,)
        Per cent of the limb.
    region : Tensor of int64, shape (n,)
        0 thigh (or hip), 1 calf.
    known : Tensor of bool, shape (n, classes), optional
        Which classes were drawn.
    """

    image: Tensor
    labels: Tensor
    place: Tensor
    region: Tensor
    known: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Where batches come from.

    Attributes
    ----------
    bank : Bank
    rows : ndarray of int
        Slices of the bank that may be drawn.
    structures : tuple of Structure
        Classes of the labels.
    size : int
        Pixels of a side that are cut out of the middle.
    coarser : int
        So many pixels of the bank make one, along either axis.
    truth : str
        One of :data:`.experiments.TRUTHS`.
    augmentation : Augmentation, optional
    """

    bank: Bank
    rows: NDArray[Any]
    structures: tuple[Structure, ...]
    size: int
    coarser: int = 1
    truth: str = "all"
    augmentation: Augmentation | None = None

    def batch(self, count: int, seed: int, step: int) -> Batch:
        """Slices drawn at random; the same ones for every arm."""
        generator = np.random.default_rng([seed, step])
        chosen = np.sort(generator.choice(self.rows, count, replace=len(self.rows) < count))
        batch = self.read(chosen)
        if self.augmentation is not None:
            pixel = self.bank.plan.pixel * self.coarser
            batch = augmented(batch, self.augmentation, pixel, seed, step)
        return self.as_drawn(batch, self.bank.person[chosen])

    def read(self, rows: NDArray[Any]) -> Batch:
        """Slices as they are, everything drawn."""
        cut = middle(self.bank.plan.size, self.size)
        step = self.coarser
        every = slice(cut.start + (step - 1) // 2, cut.stop, step)
        labels = class_table(self.structures)[self.bank.label[rows][:, every, every]]
        image = torch.from_numpy(self.bank.image[rows][:, None, cut, cut].astype(np.float32))
        return Batch(
            torch.nn.functional.avg_pool2d(image, step),
            torch.from_numpy(labels.astype(np.int64)),
            torch.from_numpy(self.bank.place[rows]),
            torch.from_numpy((self.bank.region[rows] == REGIONS.index("calf")).astype(np.int64)),
        )

    def as_drawn(self, batch: Batch, people: Sequence[int] | NDArray[Any]) -> Batch:
        """The batch with what was drawn of it only."""
        if self.truth == "all":
            return batch
        groups = parts(self.structures)
        known = torch.stack(
            [drawn_classes(self.structures, drawn_part(int(p), groups)) for p in people]
        )
        labels = hidden(batch.labels, known)
        told = known if self.truth == "drawn" else None
        return Batch(batch.image, labels, batch.place, batch.region, told)


def middle(whole: int, wanted: int) -> slice:
    """The middle pixels of an axis.

    Examples
    --------
    >>> middle(80, 64)
    slice(8, 72, None)
    """
    first = max(whole - wanted, 0) // 2
    return slice(first, first + min(wanted, whole))


def named_augmentation(name: str) -> Augmentation | None:
    """An augmentation of :data:`AUGMENTATIONS`; none for an empty name."""
    return read_augmentation(AUGMENTATIONS[name]) if name else None


def augmented(batch: Batch, how: Augmentation, pixel: float, seed: int, step: int) -> Batch:
    """Each slice augmented on its own; where on the limb it lies stays."""
    images, labels = [], []
    for k in range(len(batch.image)):
        one = Sample(batch.image[k, :, None], batch.labels[k, None], (pixel, pixel, pixel))
        new = how.apply(one, (seed * 1_000_003 + step) * 64 + k, _NO_SIDES)
        images.append(new.image[:, 0])
        labels.append(new.labels[0])
    return Batch(torch.stack(images), torch.stack(labels), batch.place, batch.region, batch.known)
