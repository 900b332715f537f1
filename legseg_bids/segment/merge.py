"""Regions and sides into one label image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import NOT_APPLICABLE, load_labels
from legseg_bids.anatomy.regions import Region
from legseg_bids.segment.limb import RegionResult


@dataclass(frozen=True, eq=False)
class Labels:
    """A label image with its certainty, canonical axes.

    Attributes
    ----------
    labels : ndarray of uint8, shape (nx, ny, nz)
        Label indices, 0 background.
    probability : ndarray of float32, shape (nx, ny, nz)
        Probability of that label; 0 where no network looked.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.float32]


def merge(candidates: Iterable[RegionResult], shape: tuple[int, int, int]) -> Labels:
    """Settle the overlaps of regions and of sides.

    Within a limb any structure beats background, for a network calls background what is
    not of its region; of two structures the more probable one wins. In slices that the
    thigh's and the hip's network both saw, the thigh's alone tells the structures that it
    knows: it has seen far more people, and what two networks look for would grow to all that
    either of them finds. The hip's adds the others. In the strip where two
    limbs overlap, the limb that owns a voxel decides, unless the other limb's network finds
    a structure of its side there that is more probable than the owner's answer, background
    included. What has no side (subcutaneous fat) is the owner's to tell. Voxels that no limb
    owns stay background.

    Parameters
    ----------
    candidates : iterable of RegionResult
        Each on the canonical source grid; their order does not matter.
    shape : tuple of int
        The canonical source grid.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        If a box does not lie within the grid.
    """
    ordered = sorted(candidates, key=lambda one: (one.region, one.side))
    thighs = {one.side: one for one in ordered if one.region is Region.UPPER}
    labels = np.zeros(shape, np.uint8)
    probability = np.zeros(shape, np.float32)
    owned = np.zeros(shape, bool)
    for result in ordered:
        _check(result, shape)
    settled = [
        _left_to(thighs[one.side], one) if one.region is Region.HIP and one.side in thighs else one
        for one in ordered
    ]
    for result in settled:
        _claim_own(result, labels[result.box], probability[result.box])
        owned[result.box] |= result.own
    for result in settled:
        _claim_foreign(result, labels[result.box], probability[result.box], owned[result.box])
    return Labels(labels, probability)


def _left_to(thigh: RegionResult, hip: RegionResult) -> RegionResult:
    """The hip's answers without the thigh's structures in the slices that the thigh's saw."""
    start = max(thigh.box[2].start, hip.box[2].start) - hip.box[2].start
    stop = min(thigh.box[2].stop, hip.box[2].stop) - hip.box[2].start
    if stop <= start or not thigh.known:
        return hip
    labels, probability = hip.labels.copy(), hip.probability.copy()
    theirs = np.isin(labels[..., start:stop], list(thigh.known))
    labels[..., start:stop][theirs] = 0
    probability[..., start:stop][theirs] = 0
    return replace(hip, labels=labels, probability=probability)


def _claim_own(
    result: RegionResult, labels: NDArray[np.uint8], probability: NDArray[np.float32]
) -> None:
    """Write a limb's answers into its own voxels (views of the whole image)."""
    better = result.probability > probability
    structure = result.labels > 0
    wins = np.where(structure, (labels == 0) | better, (labels == 0) & better) & result.own
    np.copyto(labels, result.labels, where=wins)
    np.copyto(probability, result.probability, where=wins)


def _claim_foreign(
    result: RegionResult,
    labels: NDArray[np.uint8],
    probability: NDArray[np.float32],
    owned: NDArray[np.bool_],
) -> None:
    """Write a limb's more probable structures into the other limb's voxels."""
    sided = np.isin(result.labels, _sided_labels())
    wins = owned & ~result.own & sided & (result.probability > probability)
    np.copyto(labels, result.labels, where=wins)
    np.copyto(probability, result.probability, where=wins)


def _sided_labels() -> list[int]:
    return [label.index for label in load_labels() if label.side != NOT_APPLICABLE]


def _check(result: RegionResult, shape: tuple[int, int, int]) -> None:
    size = tuple(part.stop - part.start for part in result.box)
    inside = all(
        0 <= part.start <= part.stop <= n for part, n in zip(result.box, shape, strict=True)
    )
    if not inside or size != result.labels.shape:
        raise ValueError(
            f"result of shape {result.labels.shape} in box {result.box} does not fit the grid "
            f"{shape}; expected a crop of that grid"
        )
