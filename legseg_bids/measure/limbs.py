"""The table of limbs: what each leg is made of, over the slices where that can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legseg_bids.measure.scene import Scene
from legseg_bids.measure.tissues import Tissues, tells_between

EXCHANGED = (
    "fat under the skin looks like water in all slices: the water and the fat image may be "
    "exchanged; fat fractions are given as they are; check the names of the files"
)
LOWER_MARGIN = 0.1
"""By so much must muscle look fatter than the fat under the skin before a swap is suspected."""


@dataclass(frozen=True)
class LimbMeasure:
    """What one limb is made of; volumes in mL, of the slices that were measured.

    Attributes
    ----------
    index : int
        Number of the row.
    name, side : str
        ``Left leg``, ``left``.
    first_slice, last_slice, slices : int
        Lowest and highest measured slice, and how many there are.
    length : float
        What they cover, mm.
    cut_in_plane : bool
        The limb reaches the border of the image within a slice: fat under the skin is missing.
    limb_volume, muscle_volume, bone_volume : float
        All of the limb, the labelled muscles and the labelled bones.
    subcutaneous_fat_volume, subcutaneous_fat_max_area : float
        Between skin and muscles, mL; its largest area in a slice, mm².
    intermuscular_fat_volume, intramuscular_fat_volume : float or None
        Fat between and within muscles; None if unknown.
    mean_muscle_fat_fraction : float or None
        Of all voxels of muscle, in [0, 1].
    """

    index: int
    name: str
    side: str
    first_slice: int
    last_slice: int
    slices: int
    length: float
    cut_in_plane: bool
    limb_volume: float
    muscle_volume: float
    subcutaneous_fat_volume: float
    subcutaneous_fat_max_area: float
    intermuscular_fat_volume: float | None
    intramuscular_fat_volume: float | None
    bone_volume: float
    mean_muscle_fat_fraction: float | None


def measure_limbs(scene: Scene, tissues: Sequence[Tissues]) -> tuple[LimbMeasure, ...]:
    """One row for each limb, left before right."""
    return tuple(_row(number, scene, one) for number, one in enumerate(tissues, start=1))


def swap_warnings(scene: Scene, tissues: Sequence[Tissues]) -> tuple[str, ...]:
    """Warn where water and fat look exchanged: where fat under the skin is leaner than muscle.

    That order holds in any leg, however much fat its muscles hold. A map from two magnitudes,
    which names no fat, cannot be wrong in this way. Nothing is changed.
    """
    if not tells_between(scene):
        return ()
    odd = {one.side: swapped(one) for one in tissues}
    whole = all(odd[one.side].size == one.slices.size for one in tissues)
    if tissues and whole:
        return (EXCHANGED,)
    return tuple(
        f"fat under the skin of the {side} leg looks like water in slices {spans(found)} (from 0 "
        "at the feet): water and fat may be exchanged there; fat fractions are given as they are"
        for side, found in odd.items()
        if found.size
    )


def swapped(one: Tissues) -> NDArray[np.intp]:
    """Slices of a limb whose fat under the skin has less fat than its muscles."""
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(one.middle["subcutaneous"] + LOWER_MARGIN < one.middle["muscle"])


def spans(slices: NDArray[np.intp]) -> str:
    """Spell rising numbers as spans.

    Examples
    --------
    >>> spans(np.array([3, 4, 5, 9]))
    '3-5, 9'
    """
    pieces = np.split(slices, np.flatnonzero(np.diff(slices) > 1) + 1)
    return ", ".join(f"{p[0]}-{p[-1]}" if p.size > 1 else str(p[0]) for p in pieces)


def _row(number: int, scene: Scene, one: Tissues) -> LimbMeasure:
    shown = one.slices
    first, last = int(shown[0]), int(shown[-1])
    volume = {name: float(counts.sum() * scene.voxel_ml) for name, counts in one.voxels.items()}
    known = int(one.known["muscle"].sum())
    return LimbMeasure(
        index=number,
        name=f"{one.side.capitalize()} leg",
        side=one.side,
        first_slice=first,
        last_slice=last,
        slices=shown.size,
        length=shown.size * scene.thickness,
        cut_in_plane=one.cut_in_plane,
        limb_volume=volume["limb"],
        muscle_volume=volume["muscle"],
        subcutaneous_fat_volume=volume["subcutaneous"],
        subcutaneous_fat_max_area=float(one.voxels["subcutaneous"].max() * scene.pixel_area),
        intermuscular_fat_volume=_fat(scene, one, "between") if tells_between(scene) else None,
        intramuscular_fat_volume=_fat(scene, one, "muscle"),
        bone_volume=volume["bone"],
        mean_muscle_fat_fraction=one.fat["muscle"].sum() / known if known else None,
    )


def _fat(scene: Scene, one: Tissues, tissue: str) -> float | None:
    """Fat in a tissue, mL."""
    if scene.fat_fraction is None:
        return None
    voxels = one.fat_voxels(tissue)
    return float(np.nansum(voxels) * scene.voxel_ml) if np.isfinite(voxels).any() else None
