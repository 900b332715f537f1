"""One pass over a label image: how many voxels each label has in each slice, and their sums.

Volumes, areas, profiles and fat of muscles and of groups of muscles all come from these sums,
so that they agree with each other exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.measure.interior import interior
from legseg_bids.measure.scene import Scene
from legseg_bids.measure.values import Values

LABELS = 256
FEWEST_INSIDE = 10
"""A label with fewer voxels left after the erosion is measured without it."""
FULL = 255.0


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over the voxels of each label in each slice; arrays of shape (256, z).

    Attributes
    ----------
    voxels : ndarray of int
        Number of voxels.
    known, fat : ndarray
        Of these, how many have a known fat fraction, and the sum of it.
    inside, inside_fat : ndarray
        The same after the erosion; of a label of which too little is left, without it.
    confidence : ndarray or None
        Sum of the probabilities of the labels.
    values : Values
        The fat fractions themselves, of the voxels that `inside` counts.
    """

    voxels: NDArray[np.int64]
    known: NDArray[np.int64]
    fat: NDArray[np.float64]
    inside: NDArray[np.int64]
    inside_fat: NDArray[np.float64]
    confidence: NDArray[np.float64] | None
    values: Values


def tally(scene: Scene) -> Tally:
    """Count and sum up; see :class:`Tally`."""
    slices = scene.slices
    where = np.flatnonzero(scene.labels)
    label = scene.labels.ravel()[where].astype(np.uint8)
    bins = label.astype(np.intp) * slices + where % slices

    def count(chosen: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        own = bins if chosen is None else bins[chosen]
        return np.bincount(own, minlength=LABELS * slices).reshape(LABELS, slices)

    def total(values: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        sums: NDArray[Any] = np.bincount(bins[chosen], values[chosen], minlength=LABELS * slices)
        return sums.astype(np.float64).reshape(LABELS, slices)

    fraction = _of(scene.fat_fraction, where)
    known = np.isfinite(fraction)
    used = known & _used(scene, where, label, known)
    return Tally(
        voxels=count(),
        known=count(known),
        fat=total(fraction, known),
        inside=count(used),
        inside_fat=total(fraction, used),
        confidence=_confidence(scene, where, total),
        values=Values.of(label[used], fraction[used]),
    )


def _of(image: NDArray[Any] | None, where: NDArray[np.intp]) -> NDArray[Any]:
    """Values at these places; NaN where there is no image."""
    if image is None:
        return np.full(where.size, np.nan, np.float32)
    return np.asarray(image.ravel()[where])


def _used(
    scene: Scene, where: NDArray[np.intp], label: NDArray[np.uint8], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Voxels whose fat fraction counts: the inside of each label, or all of a thin one."""
    if scene.fat_fraction is None:
        return known
    inside = _of(interior(scene.labels, scene.pixel), where)
    left = np.bincount(label[inside & known], minlength=LABELS)
    thin = left < FEWEST_INSIDE
    return np.asarray(inside | thin[label])


def _confidence(scene: Scene, where: NDArray[np.intp], total: Any) -> NDArray[np.float64] | None:
    if scene.confidence is None:
        return None
    values = _of(scene.confidence, where).astype(np.float32)
    if np.issubdtype(scene.confidence.dtype, np.integer):
        values /= FULL
    sums: NDArray[np.float64] = total(values, np.ones(where.size, bool))
    return sums
