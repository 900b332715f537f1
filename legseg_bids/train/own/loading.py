"""Patches of augmented limbs, drawn by seed, loaded by processes of their own.

Arrays travel through pipes and not through shared memory, which containers make small. A process
keeps at most two batches ahead, and maps limbs from the disk instead of reading them: its memory
does not grow with the number of images.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from legseg_bids.anatomy.labels import BACKGROUND
from legseg_bids.bids.sockets import make_room_for_sockets
from legseg_bids.segment.models import UNREPORTED
from legseg_bids.synth.draws import Draw
from legseg_bids.train.augment import (
    Augmentation,
    Sample,
    load_augmentation,
    random_patch,
    read_augmentation,
)
from legseg_bids.train.losses.truth import IGNORE
from legseg_bids.train.own.limbs import Limb
from legseg_bids.train.own.recipe import Recipe
from legseg_bids.train.own.structures import OTHER
from legseg_bids.train.workers import begin

#: Slices beyond a patch that are augmented with it, for rotations and shifts to draw from.
SPARE = 4
#: Augmentations that change sides: limbs come one by one, right ones mirrored already.
NEEDLESS = ("mirror", "limbs")
#: Batches that each process prepares ahead.
AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """What one step of the training sees.

    Attributes
    ----------
    image : Tensor of float32, shape (n, 1, z, y, x)
    labels : Tensor of int64, shape (n, z, y, x)
        Channels of the network, -1 where nobody looked.
    known : Tensor of bool, shape (n, classes)
        Which classes somebody drew.
    spacing : tuple of float
        Mean over the batch, along z, y, x, mm.
    """

    image: Tensor
    labels: Tensor
    known: Tensor
    spacing: tuple[float, ...]


def augmentation_of(recipe: Recipe) -> Augmentation:
    """The augmentations of a recipe, without those that a single limb has no use for."""
    table = recipe.augment
    chosen = read_augmentation(table) if isinstance(table, Mapping) else load_augmentation(table)
    return Augmentation({k: v for k, v in chosen.steps.items() if k not in NEEDLESS})


def to_channels(codes: NDArray[np.integer[Any]], channels: Sequence[int]) -> NDArray[np.int64]:
    """Channel of every code; what is no class is other structures, or else background.

    Examples
    --------
    >>> to_channels(np.array([0, -1, 55, 57, 250]), (0, 55, -1)).tolist()
    [0, -1, 1, 2, 2]
    """
    rest = list(channels).index(UNREPORTED) if UNREPORTED in channels else 0
    table = np.full(OTHER + 2, rest, np.int64)
    table[BACKGROUND], table[IGNORE] = 0, IGNORE
    for channel, code in enumerate(channels):
        if code > BACKGROUND:
            table[code] = channel
    out: NDArray[np.int64] = table[codes]
    return out


def known_channels(drawn: Sequence[int], channels: Sequence[int]) -> NDArray[np.bool_]:
    """Which channels were drawn; background and other structures only if all classes were.

    Examples
    --------
    >>> known_channels([55], (0, 55, -1)).tolist(), known_channels([55], (0, 55, 57)).tolist()
    ([True, True, True], [False, True, False])
    """
    classes = [code for code in channels if code > BACKGROUND]
    complete = set(classes) <= set(drawn)
    return np.array([code in drawn if code > BACKGROUND else complete for code in channels])


class Patches(Dataset[Any]):
    """Patches by number: each a pure function of its number and the recipe."""

    def __init__(
        self, recipe: Recipe, limbs: Sequence[Limb], folder: Path, channels: Sequence[int]
    ) -> None:
        self.recipe, self.limbs, self.folder = recipe, tuple(limbs), folder
        self.channels = tuple(channels)

    def __getstate__(self) -> dict[str, Any]:
        """Without what another process makes for itself."""
        return {k: v for k, v in vars(self).items() if k != "augmentation"}

    @cached_property
    def augmentation(self) -> Augmentation:
        """Read where it is used."""
        return augmentation_of(self.recipe)

    def __getitem__(self, number: int) -> tuple[NDArray[Any], ...]:
        """Image (1, z, y, x), channels (z, y, x), known classes and spacing of a patch."""
        seed = self.recipe.seed * 1_000_000_007 + number
        draw = Draw(seed % 2**31)
        limb = self.limbs[draw.integer(0, len(self.limbs))]
        slab = self._slab(limb, draw)
        size: Any = self.recipe.grid.patch
        patch = random_patch(self.augmentation.apply(slab, seed), size, seed)
        known = known_channels(limb.drawn, self.channels)
        spacing = np.array(limb.spacing, np.float32)
        labels = patch.labels.numpy().astype(np.int16)
        return patch.image.numpy(), labels, known, spacing

    def _slab(self, limb: Limb, draw: Draw) -> Sample:
        """As many slices of a limb as a patch can reach, of one of its contrasts."""
        image = np.load(self.folder / limb.image, mmap_mode="r")
        codes = np.load(self.folder / limb.labels, mmap_mode="r")
        slices = self.recipe.grid.patch[0] + 2 * SPARE
        low = draw.integer(0, max(codes.shape[0] - slices, 0) + 1)
        cut = slice(low, low + slices)
        contrast = draw.integer(0, image.shape[0])
        return Sample(
            torch.from_numpy(np.array(image[contrast, cut])[None]),
            torch.from_numpy(to_channels(codes[cut], self.channels)),
            limb.spacing,
        )


def collate(samples: Sequence[tuple[NDArray[Any], ...]]) -> tuple[NDArray[Any], ...]:
    """Stack arrays; still arrays, so that they are sent through a pipe."""
    return tuple(np.stack(arrays) for arrays in zip(*samples, strict=True))


def batches(patches: Patches, first: int, workers: int) -> Iterator[Batch]:
    """An endless stream of batches, the same whatever the number of processes.

    Parameters
    ----------
    patches : Patches
    first : int
        Number of the first batch, so that a resumed training goes on in the stream.
    workers : int
        Processes; 0 prepares each batch when it is asked for.
    """
    size = patches.recipe.batch
    numbers = ([n * size + i for i in range(size)] for n in itertools.count(first))
    options: dict[str, Any] = {}
    if workers:
        make_room_for_sockets()
        options = {
            "prefetch_factor": AHEAD,
            "multiprocessing_context": "forkserver",
            "worker_init_fn": begin,
        }
    loader = DataLoader(
        patches,
        batch_sampler=_Numbers(numbers),
        num_workers=workers,
        collate_fn=collate,
        **options,
    )
    for image, labels, known, spacing in loader:
        yield Batch(
            torch.from_numpy(image),
            torch.from_numpy(labels.astype(np.int64)),
            torch.from_numpy(known),
            tuple(float(s) for s in spacing.mean(0)),
        )


class _Numbers:
    """Lists of numbers, as a loader wants its batches."""

    def __init__(self, numbers: Iterator[list[int]]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[list[int]]:
        return self._numbers
