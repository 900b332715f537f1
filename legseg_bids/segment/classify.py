"""What the classifier says of each slice of a station: the sides, and the part of the leg."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.regions import Part
from legseg_bids.errors import ImageError
from legseg_bids.imaging.stacks import Grid
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.engines import Engine
from legseg_bids.segment.models import LocatorSpec
from legseg_bids.segment.slices import locator_input

BATCH = 8
"""Slices a call; stacks are filled up to it, so that one compiled network serves all."""


@dataclass(frozen=True, eq=False)
class Classification:
    """Each slice of a station on its own, as the classifier sees it.

    Attributes
    ----------
    sides : ndarray of float64, shape (nz, 3)
        Probability of left, right, both.
    parts : ndarray of float64, shape (nz, 5)
        Probability of each part, by rising z index; all alike where there is no body.
    occupied : ndarray of bool, shape (nz,)
        Slices that show the body.
    limbs : int
        How many limbs the body mask holds: one or two.
    grid : Grid
        Canonical grid of the station.
    """

    sides: NDArray[np.float64]
    parts: NDArray[np.float64]
    occupied: NDArray[np.bool_]
    limbs: int
    grid: Grid


def classify(
    image: Volume, mask: NDArray[np.bool_], limbs: int, spec: LocatorSpec, engine: Engine
) -> Classification:
    """Run the classifier on every slice.

    Parameters
    ----------
    image : Volume
        Normalised image, canonical axes.
    mask : ndarray of bool, shape (nx, ny, nz)
        Body mask.
    limbs : int
        How many limbs the mask holds.
    spec : LocatorSpec
    engine : Engine
        The classifier: (n, 1, size, size) to side logits (n, 3) and part logits (n, 5).

    Raises
    ------
    ImageError
        If the mask is empty, or there are no limbs or more than two.
    """
    if limbs not in (1, 2):
        raise ImageError(f"{limbs} limbs found; expected one or two; look at the body mask")
    pictures = locator_input(image.data, mask, image.spacing, spec.size, spec.pixel_mm)
    sides, parts = _run(pictures, engine)
    occupied: NDArray[np.bool_] = np.asarray(mask.any(axis=(0, 1)))
    parts[~occupied] = 1 / len(Part)
    return Classification(sides, parts, occupied, limbs, Grid.of(image))


def _run(
    pictures: NDArray[np.float32], engine: Engine
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities of sides (n, 3) and parts (n, 5)."""
    outputs = [engine(batch) for batch in _batches(pictures)]
    count = len(pictures)
    sides = np.concatenate([output[0] for output in outputs])[:count]
    parts = np.concatenate([output[1] for output in outputs])[:count]
    return _softmax(sides), _softmax(parts)


def _batches(pictures: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Batches of one size, the last one filled up with zeros."""
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        missing = BATCH - len(batch)
        yield np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else batch


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities
