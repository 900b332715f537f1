"""The table of labels: size, extent and fat of each structure, and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.anatomy import Label, combined_with, label_by_index, mirror_index
from legseg_bids.measure.amounts import Amount, amount
from legseg_bids.measure.quality import Look, judge
from legseg_bids.measure.scene import Scene
from legseg_bids.measure.tally import Tally, tally
from legseg_bids.measure.trust import predict_dice

Box = tuple[slice, ...]


@dataclass(frozen=True)
class MuscleMeasure:
    """What one label of an image amounts to.

    Attributes
    ----------
    index, name, abbreviation, side, region, tissue, color
        As in the label scheme.
    includes : str or None
        Abbreviations of structures that this label also covers.
    voxels : int
        Number of voxels.
    volume : float
        mL, of what is in view: see `truncated` and `cut_in_plane`.
    first_slice, last_slice : int
        Lowest and highest canonical slice (counted from 0, from the feet) that shows it.
    slices : int
        Number of slices that show it.
    touches_edge : bool
        It reaches the first or last slice that shows the body, or a gap between stations, so
        that its volume may be incomplete.
    truncated : str
        ``none``, ``proximal``, ``distal`` or ``both``: at which end; or
        ``gap``, if only a gap cuts it.
    cut_in_plane : bool
        It reaches the border of the image within a slice.
    length : float
        Extent along the limb, mm.
    max_csa, max_csa_slice : float, int
        Largest cross-section, mm², and the slice that has it.
    mean_fat_fraction, median_fat_fraction : float or None
        Of its inside, in [0, 1]; None if unknown.
    fat_fraction_voxels : int or None
        Voxels that these two are taken from.
    intramuscular_fat, lean_volume : float or None
        Fat within the muscle and the rest of it, mL; None for what is no muscle.
    mean_confidence : float or None
        Mean probability of the label.
    predicted_dice : float or None
        See :mod:`legseg_bids.measure.trust`; None for what is no muscle.
    asymmetry : float or None
        100 (L - R) / ((L + R) / 2) of the volumes; None unless both sides are whole.
    quality, quality_reasons : str
        See :mod:`legseg_bids.measure.quality`.
    """

    index: int
    name: str
    abbreviation: str
    side: str
    region: str
    tissue: str
    color: str
    includes: str | None
    voxels: int
    volume: float
    first_slice: int
    last_slice: int
    slices: int
    touches_edge: bool
    truncated: str
    cut_in_plane: bool
    length: float
    max_csa: float
    max_csa_slice: int
    mean_fat_fraction: float | None = None
    median_fat_fraction: float | None = None
    fat_fraction_voxels: int | None = None
    intramuscular_fat: float | None = None
    lean_volume: float | None = None
    mean_confidence: float | None = None
    predicted_dice: float | None = None
    asymmetry: float | None = None
    quality: str = ""
    quality_reasons: str = ""

    @property
    def is_whole(self) -> bool:
        """Nothing of it lies out of view."""
        return self.truncated == "none" and not self.cut_in_plane


def measure(scene: Scene, sums: Tally | None = None) -> tuple[MuscleMeasure, ...]:
    """Measure each label that is present.

    Parameters
    ----------
    scene : Scene
        The label image and what else is known.
    sums : Tally, optional
        Its sums, if they are at hand.

    Returns
    -------
    tuple of MuscleMeasure
        By rising index; empty if there is only background.

    Raises
    ------
    KeyError
        If a label is not in the scheme.

    Examples
    --------
    >>> labels = np.zeros((4, 4, 3), np.uint8)
    >>> labels[1:3, 1:3, :2] = 61
    >>> row = measure(Scene(labels, np.diag([1.0, 1.0, 5.0, 1.0])))[0]
    >>> row.abbreviation, row.volume, row.max_csa, row.length, row.truncated
    ('RF_L', 0.04, 4.0, 10.0, 'distal')
    """
    sums = tally(scene) if sums is None else sums
    rows = {}
    pieces = {}
    for index, box in enumerate(ndimage.find_objects(scene.labels), start=1):
        if box is not None:
            label = label_by_index(index)
            rows[index] = _row(label, amount(scene, sums, [index]), box, scene, sums)
            if label.tissue == "muscle":
                pieces[index] = largest_share(scene.labels[box] == index)
    whole = {index: row.volume for index, row in rows.items() if row.is_whole}
    return tuple(_judged(row, whole, pieces.get(index)) for index, row in rows.items())


def asymmetry(left: float, right: float) -> float:
    """Difference of two sides as a share of their mean, %; positive if the left is larger.

    Examples
    --------
    >>> asymmetry(110.0, 90.0), asymmetry(90.0, 110.0)
    (20.0, -20.0)
    """
    return 100.0 * (left - right) / ((left + right) / 2)


def largest_share(inside: NDArray[np.bool_]) -> float:
    """Share of the voxels that hang together, by a face, an edge or a corner.

    Examples
    --------
    >>> largest_share(np.array([[[1, 1, 1, 0, 1]]], bool))
    0.75
    """
    pieces, _ = ndimage.label(inside, np.ones((3, 3, 3), bool))
    sizes = np.bincount(pieces.ravel())[1:]
    return float(sizes.max() / sizes.sum())


def _row(label: Label, found: Amount, box: Box, scene: Scene, sums: Tally) -> MuscleMeasure:
    truncated = _truncated(found, scene)
    is_muscle = label.tissue == "muscle"
    sure = _mean_confidence(label.index, found.voxels, sums)
    return MuscleMeasure(
        index=label.index,
        name=label.name,
        abbreviation=label.abbreviation,
        side=label.side,
        region=label.region,
        tissue=label.tissue,
        color=label.color,
        includes=combined_with(label.index),
        voxels=found.voxels,
        volume=found.volume,
        first_slice=found.first_slice,
        last_slice=found.last_slice,
        slices=found.slices,
        touches_edge=truncated != "none",
        truncated=truncated,
        cut_in_plane=any(_reaches_border(box[n], scene.labels.shape[n]) for n in (0, 1)),
        length=found.length,
        max_csa=found.max_csa,
        max_csa_slice=found.max_csa_slice,
        mean_fat_fraction=found.mean_fat_fraction,
        median_fat_fraction=found.median_fat_fraction,
        fat_fraction_voxels=found.fat_fraction_voxels,
        intramuscular_fat=found.fat if is_muscle else None,
        lean_volume=found.lean if is_muscle else None,
        mean_confidence=sure,
        predicted_dice=predict_dice(min(sure, 1.0)) if is_muscle and sure is not None else None,
    )


def _mean_confidence(index: int, voxels: int, sums: Tally) -> float | None:
    """Of all of its voxels; None if it is not known of one of them."""
    if sums.confidence is None:
        return None
    mean = float(sums.confidence[index].sum() / voxels)
    return None if math.isnan(mean) else mean


def _truncated(found: Amount, scene: Scene) -> str:
    """At which end of the limb a structure reaches the end of what was imaged."""
    first, last = scene.ends
    distal, proximal = found.first_slice <= first, found.last_slice >= last
    if distal and proximal:
        return "both"
    if distal or proximal:
        return "distal" if distal else "proximal"
    return "gap" if found.areas[scene.beside_gaps].any() else "none"


def _reaches_border(extent: slice, size: int) -> bool:
    return bool(extent.start == 0 or extent.stop == size)


def _judged(
    row: MuscleMeasure, whole: Mapping[int, float], largest_piece: float | None
) -> MuscleMeasure:
    """The row with what only the other side tells, and with a judgement."""
    partner = mirror_index(row.index)
    difference = None
    if partner != row.index and row.index in whole and partner in whole:
        pair: Sequence[int] = sorted((row.index, partner))
        difference = asymmetry(*(whole[index] for index in pair))
    look = Look(
        index=row.index,
        volume=row.volume,
        truncated=row.truncated,
        cut_in_plane=row.cut_in_plane,
        confidence=row.mean_confidence,
        largest_piece=largest_piece,
        asymmetry=difference,
    )
    quality, reasons = judge(look)
    return replace(row, asymmetry=difference, quality=quality, quality_reasons=reasons)
