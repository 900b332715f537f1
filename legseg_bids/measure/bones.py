"""Where a slice lies along femur or tibia, so that areas of different people can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy import Region
from legseg_bids.measure.muscles import MuscleMeasure
from legseg_bids.measure.scene import Scene

BONES = {Region.UPPER: "femur", Region.LOWER: "tibia"}
"""The bone that a region is measured along."""
ABBREVIATIONS = {"femur": "FEM", "tibia": "TIB"}
SHORTEST_MM, LONGEST_MM = 200.0, 600.0
"""Of a whole femur or tibia, from a child of school age to a very tall adult: adults have a femur
of about 450 mm and a tibia of about 370 mm (Trotter and Gleser, American Journal of Physical
Anthropology 10:463, 1952). A label beyond is not the whole bone, whatever its ends look like."""


@dataclass(frozen=True)
class BoneScale:
    """A bone whose two ends are seen.

    Attributes
    ----------
    bone : str
        ``femur`` or ``tibia``.
    side : str
        ``left`` or ``right``.
    first_slice, last_slice : int
        Slices of its distal and its proximal end.
    """

    bone: str
    side: str
    first_slice: int
    last_slice: int

    def percent(self, slices: int) -> NDArray[np.float64]:
        """Where each of so many slices lies: 0 distal, 100 proximal end; NaN beyond.

        Examples
        --------
        >>> BoneScale("femur", "left", 1, 4).percent(6)
        array([ nan, 12.5, 37.5, 62.5, 87.5,  nan])
        """
        length = self.last_slice + 1 - self.first_slice
        percent = 100 * (np.arange(slices) + 0.5 - self.first_slice) / length
        return np.where((percent >= 0) & (percent <= 100), percent, np.nan)


def bone_scales(scene: Scene, rows: Sequence[MuscleMeasure]) -> tuple[BoneScale, ...]:
    """Find the bones that positions can be given along: those whose two ends are seen.

    Parameters
    ----------
    scene : Scene
        The image.
    rows : sequence of MuscleMeasure
        Its table of labels.
    """
    found = {(row.abbreviation.rpartition("_")[0], row.side): row for row in rows}
    scales = []
    for bone, abbreviation in ABBREVIATIONS.items():
        for side in ("left", "right"):
            row = found.get((abbreviation, side))
            # A gap in the middle leaves both ends where they are.
            if row is None or row.truncated not in {"none", "gap"}:
                continue
            if SHORTEST_MM <= row.length <= LONGEST_MM and not _ends_at_gap(row, scene):
                scales.append(BoneScale(bone, side, row.first_slice, row.last_slice))
    return tuple(scales)


def _ends_at_gap(row: MuscleMeasure, scene: Scene) -> bool:
    return bool(np.isin(scene.beside_gaps, (row.first_slice, row.last_slice)).any())
