"""All tables of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from legseg_bids.measure.compartments import CompartmentMeasure, measure_compartments
from legseg_bids.measure.limbs import LimbMeasure, measure_limbs, swap_warnings, swapped
from legseg_bids.measure.muscles import MuscleMeasure, measure
from legseg_bids.measure.profiles import ProfileRow, measure_profiles
from legseg_bids.measure.quality import CHECK, GOOD
from legseg_bids.measure.scene import Scene
from legseg_bids.measure.tally import tally
from legseg_bids.measure.tissues import Tissues, measure_tissues, tells_between

SWAP = "water-fat swap"


@dataclass(frozen=True)
class Measures:
    """What one image amounts to.

    Attributes
    ----------
    muscles : tuple of MuscleMeasure
        One for each label.
    compartments : tuple of CompartmentMeasure
        One for each compartment and side.
    profiles : tuple of ProfileRow
        One for each structure and slice.
    limbs : tuple of LimbMeasure
        One for each side.
    warnings : tuple of str
        What a person should know of the fat fractions.
    """

    muscles: tuple[MuscleMeasure, ...]
    compartments: tuple[CompartmentMeasure, ...]
    profiles: tuple[ProfileRow, ...]
    limbs: tuple[LimbMeasure, ...]
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        tables = ("muscles", "compartments", "profiles", "limbs")
        return {
            **{name: [vars(row) for row in getattr(self, name)] for name in tables},
            "warnings": list(self.warnings),
        }


def measure_image(scene: Scene) -> Measures:
    """Measure labels, compartments, profiles and limbs.

    Parameters
    ----------
    scene : Scene
        The image.

    Raises
    ------
    KeyError
        If a label is not in the scheme.
    """
    sums = tally(scene)
    tissues = measure_tissues(scene)
    muscles = tuple(_with_swaps(row, scene, tissues) for row in measure(scene, sums))
    return Measures(
        muscles=muscles,
        compartments=measure_compartments(scene, sums, muscles),
        profiles=measure_profiles(scene, sums, muscles, tissues),
        limbs=measure_limbs(scene, tissues),
        warnings=swap_warnings(scene, tissues),
    )


def _with_swaps(row: MuscleMeasure, scene: Scene, tissues: tuple[Tissues, ...]) -> MuscleMeasure:
    """The row with a note if it lies in slices whose water and fat may be exchanged."""
    odd = [swapped(one) for one in tissues if one.side == row.side] if tells_between(scene) else []
    inside = any(((z >= row.first_slice) & (z <= row.last_slice)).any() for z in odd)
    if row.tissue != "muscle" or not inside:
        return row
    reasons = "; ".join(filter(None, [row.quality_reasons, SWAP]))
    return replace(
        row, quality=CHECK if row.quality == GOOD else row.quality, quality_reasons=reasons
    )
