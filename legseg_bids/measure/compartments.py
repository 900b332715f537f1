"""The table of compartments: muscles that work together, measured as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from legseg_bids.anatomy.compartments import Compartment, load_compartments
from legseg_bids.measure.amounts import amount
from legseg_bids.measure.muscles import MuscleMeasure, asymmetry
from legseg_bids.measure.quality import CHECK, worst
from legseg_bids.measure.scene import Scene
from legseg_bids.measure.tally import Tally

SLIVER = 0.05
"""A smaller share of a compartment's volume does not spoil its quality."""


@dataclass(frozen=True)
class CompartmentMeasure:
    """What a group of muscles on one side amounts to; see :class:`MuscleMeasure` for the rest.

    Attributes
    ----------
    index : int
        Number of the row.
    name, compartment, side : str
        As in the table of compartments.
    includes : str
        Abbreviations of its muscles that were found, with those that a label also covers.
    complete : bool
        All its muscles were found, and none lies in part out of view.
    """

    index: int
    name: str
    compartment: str
    side: str
    includes: str
    complete: bool
    volume: float
    max_csa: float
    max_csa_slice: int
    length: float
    mean_fat_fraction: float | None
    median_fat_fraction: float | None
    fat_fraction_voxels: int | None
    intramuscular_fat: float | None
    lean_volume: float | None
    asymmetry: float | None = None
    quality: str = ""


def measure_compartments(
    scene: Scene, sums: Tally, muscles: Sequence[MuscleMeasure]
) -> tuple[CompartmentMeasure, ...]:
    """Measure each compartment of which at least one muscle was found.

    Parameters
    ----------
    scene : Scene
        The image.
    sums : Tally
        Its sums.
    muscles : sequence of MuscleMeasure
        Its rows.
    """
    rows = [
        _row(number, compartment, own, scene, sums)
        for number, compartment in enumerate(load_compartments(), start=1)
        if (own := [row for row in muscles if row.index in compartment.members])
    ]
    whole = {(row.compartment, row.side): row.volume for row in rows if row.complete}
    return tuple(replace(row, asymmetry=_difference(row.compartment, whole)) for row in rows)


def _row(
    number: int,
    compartment: Compartment,
    own: Sequence[MuscleMeasure],
    scene: Scene,
    sums: Tally,
) -> CompartmentMeasure:
    found = amount(scene, sums, [row.index for row in own])
    present = frozenset(row.index for row in own)
    complete = compartment.is_complete(present) and all(row.is_whole for row in own)
    named = [name for row in own for name in (row.abbreviation, row.includes) if name]
    return CompartmentMeasure(
        index=number,
        name=compartment.name,
        compartment=compartment.key,
        side=compartment.side,
        includes=", ".join(named),
        complete=complete,
        volume=found.volume,
        max_csa=found.max_csa,
        max_csa_slice=found.max_csa_slice,
        length=found.length,
        mean_fat_fraction=found.mean_fat_fraction,
        median_fat_fraction=found.median_fat_fraction,
        fat_fraction_voxels=found.fat_fraction_voxels,
        intramuscular_fat=found.fat,
        lean_volume=found.lean,
        quality=worst([*_qualities(own, found.volume), *([] if complete else [CHECK])]),
    )


def _qualities(own: Sequence[MuscleMeasure], volume: float) -> list[str]:
    """How good its muscles are, but for slivers that hardly count."""
    return [row.quality for row in own if row.volume >= SLIVER * volume]


def _difference(compartment: str, whole: dict[tuple[str, str], float]) -> float | None:
    pair = [whole.get((compartment, side)) for side in ("left", "right")]
    left, right = pair
    return None if left is None or right is None else asymmetry(left, right)
