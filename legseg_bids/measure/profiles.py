"""The table of profiles: the cross-section of each structure in each slice, one row for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.compartments import load_compartments
from legseg_bids.measure.amounts import amount
from legseg_bids.measure.bones import BONES, BoneScale, bone_scales
from legseg_bids.measure.muscles import MuscleMeasure
from legseg_bids.measure.scene import Scene
from legseg_bids.measure.tally import Tally
from legseg_bids.measure.tissues import Tissues


@dataclass(frozen=True)
class ProfileRow:
    """One structure in one slice.

    Attributes
    ----------
    index : int
        Number of the row.
    name, structure : str
        For people, and for programs: abbreviation of a label, key of a compartment, or
        ``limb``, ``muscle``, ``subcutaneous_fat``, ``intermuscular_fat``.
    kind : str
        ``muscle``, ``bone``, ``compartment`` or ``tissue``.
    side : str
        ``left`` or ``right``.
    slice : int
        Counted from 0, from the feet.
    position : float
        Of the slice above the lowest one, mm.
    bone : str or None
        The bone along which the slice lies: ``femur`` or ``tibia``.
    bone_percent : float or None
        Where along it: 0 distal, 100 proximal end; None unless both its ends are seen.
    csa : float
        Area within the slice, mm².
    mean_fat_fraction : float or None
        Of the inside of a label or compartment; of all of a tissue.
    """

    index: int
    name: str
    structure: str
    kind: str
    side: str
    slice: int
    position: float
    bone: str | None
    bone_percent: float | None
    csa: float
    mean_fat_fraction: float | None


@dataclass(frozen=True, eq=False)
class _Curve:
    """What one structure looks like along the limb."""

    name: str
    structure: str
    kind: str
    side: str
    region: str | None
    areas: NDArray[np.float64]
    fractions: NDArray[np.float64]


def measure_profiles(
    scene: Scene, sums: Tally, rows: Sequence[MuscleMeasure], tissues: Sequence[Tissues]
) -> tuple[ProfileRow, ...]:
    """Give each structure with a side one row for each slice that shows it.

    The areas of a structure times the distance of the slices add up to its volume.

    Parameters
    ----------
    scene : Scene
        The image.
    sums : Tally
        Its sums.
    rows : sequence of MuscleMeasure
        Its table of labels.
    tissues : sequence of Tissues
        Of each limb.
    """
    scales = {(scale.bone, scale.side): scale for scale in bone_scales(scene, rows)}
    curves = [
        *_labels(scene, sums, rows),
        *_compartments(scene, sums, rows),
        *(curve for tissue in tissues for curve in _tissues(scene, tissue)),
    ]
    found: list[ProfileRow] = []
    for curve in curves:
        bone, percent = _along(curve, scene.slices, scales)
        for z in np.flatnonzero(np.nan_to_num(curve.areas)):
            fraction = float(curve.fractions[z])
            found.append(
                ProfileRow(
                    index=len(found) + 1,
                    name=curve.name,
                    structure=curve.structure,
                    kind=curve.kind,
                    side=curve.side,
                    slice=int(z),
                    position=float(z * scene.thickness),
                    bone=bone[z],
                    bone_percent=_known(float(percent[z])),
                    csa=float(curve.areas[z]),
                    mean_fat_fraction=_known(fraction),
                )
            )
    return tuple(found)


def _labels(scene: Scene, sums: Tally, rows: Sequence[MuscleMeasure]) -> Iterator[_Curve]:
    for row in rows:
        if row.side in {"left", "right"} and row.tissue in {"muscle", "bone"}:
            found = amount(scene, sums, [row.index])
            yield _Curve(
                row.name,
                row.abbreviation,
                row.tissue,
                row.side,
                row.region,
                found.areas,
                found.slice_fractions,
            )


def _compartments(scene: Scene, sums: Tally, rows: Sequence[MuscleMeasure]) -> Iterator[_Curve]:
    present = {row.index for row in rows}
    for one in load_compartments():
        own = [index for index in one.members if index in present]
        if own:
            found = amount(scene, sums, own)
            yield _Curve(
                one.name,
                one.key,
                "compartment",
                one.side,
                one.region,
                found.areas,
                found.slice_fractions,
            )


def _tissues(scene: Scene, tissues: Tissues) -> Iterator[_Curve]:
    for key, (areas, fractions) in tissues.curves(scene).items():
        name = f"{key.replace('_', ' ').capitalize()} {tissues.side}"
        yield _Curve(name, key, "tissue", tissues.side, None, areas, fractions)


def _along(
    curve: _Curve, slices: int, scales: dict[tuple[str, str], BoneScale]
) -> tuple[list[str | None], NDArray[np.float64]]:
    """The bone of each slice, and where along it the slice lies.

    A structure of thigh or lower leg has the bone of its region. A tissue runs through both: it
    has the bone that the slice shows, as far as that is known.
    """
    percent = np.full(slices, np.nan)
    bone: list[str | None] = [None] * slices
    for region, name in BONES.items():
        if curve.region == region:
            bone = [name] * slices
        scale = scales.get((name, curve.side))
        if scale is None or curve.region not in {region, None}:
            continue
        own = scale.percent(slices)
        percent = np.where(np.isfinite(own), own, percent)
        if curve.region is None:
            bone = [name if np.isfinite(own[z]) else bone[z] for z in range(slices)]
    return bone, percent


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
