"""How much there is of a structure: of one label, or of several that are measured as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legseg_bids.measure.scene import Scene
from legseg_bids.measure.tally import Tally


@dataclass(frozen=True, eq=False)
class Amount:
    """Size and fat of a structure.

    Attributes
    ----------
    voxels : int
        Number of voxels.
    volume : float
        mL.
    areas : ndarray of float, shape (z,)
        Cross-section in each slice, mm².
    first_slice, last_slice, slices : int
        Lowest and highest slice that show it, and how many do.
    max_csa, max_csa_slice : float, int
        Largest cross-section, mm², and the lowest slice that has it.
    length : float
        From the lower face of its lowest slice to the upper face of its highest one, mm.
    mean_fat_fraction, median_fat_fraction : float or None
        Of the inside; None if unknown.
    fat_fraction_voxels : int or None
        How many voxels these two are taken from.
    fat : float or None
        mL of fat in all of it; voxels whose fat fraction is unknown count with the mean of the
        others.
    slice_fractions : ndarray of float, shape (z,)
        Mean fat fraction of the inside in each slice; NaN where it is unknown.
    """

    voxels: int
    volume: float
    areas: NDArray[np.float64]
    first_slice: int
    last_slice: int
    slices: int
    max_csa: float
    max_csa_slice: int
    length: float
    mean_fat_fraction: float | None
    median_fat_fraction: float | None
    fat_fraction_voxels: int | None
    fat: float | None
    slice_fractions: NDArray[np.float64]

    @property
    def lean(self) -> float | None:
        """Volume without the fat, mL."""
        return None if self.fat is None else self.volume - self.fat


def amount(scene: Scene, sums: Tally, labels: Sequence[int]) -> Amount:
    """Measure some labels as one structure; at least one of their voxels must be there.

    Parameters
    ----------
    scene : Scene
        The image.
    sums : Tally
        Its sums.
    labels : sequence of int
        Label indices.
    """
    chosen = list(labels)
    counts = sums.voxels[chosen].sum(axis=0)
    shown = np.flatnonzero(counts)
    first, last = int(shown[0]), int(shown[-1])
    voxels, known = int(counts.sum()), int(sums.known[chosen].sum())
    inside, inside_fat = sums.inside[chosen].sum(axis=0), sums.inside_fat[chosen].sum(axis=0)
    used = int(inside.sum())
    volume = voxels * scene.voxel_ml
    largest = int(np.argmax(counts))
    return Amount(
        voxels=voxels,
        volume=volume,
        areas=counts * scene.pixel_area,
        first_slice=first,
        last_slice=last,
        slices=shown.size,
        max_csa=float(counts[largest] * scene.pixel_area),
        max_csa_slice=largest,
        length=(last - first + 1) * scene.thickness,
        mean_fat_fraction=float(inside_fat.sum() / used) if used else None,
        median_fat_fraction=sums.values.median(chosen),
        fat_fraction_voxels=None if scene.fat_fraction is None else used,
        fat=volume * float(sums.fat[chosen].sum()) / known if known else None,
        slice_fractions=ratio(inside_fat, inside),
    )


def ratio(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means from sums and counts; NaN where nothing was counted."""
    means = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
