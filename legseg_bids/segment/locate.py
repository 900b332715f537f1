"""Which sides are in view, and which part of the leg each slice shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.regions import Part, Region, Side, parts_of
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.classify import Classification, classify
from legseg_bids.segment.engines import Engine
from legseg_bids.segment.models import LocatorSpec
from legseg_bids.segment.positions import PartSequence, best_sequence, shortest_run

SMALLEST_PROBABILITY = 1e-3
"""Floor of a slice's probabilities: no single slice may outvote the stack."""

DIRECTION_MARGIN = float(np.log(1000.0))
"""Evidence (nats) needed to believe that a stack runs against its affine."""

SIDE_DOUBT = 0.8
"""Probability of the side of a single limb below which a warning is given."""

COUNT_DOUBT = 0.2
"""Probability of the number of limbs found in the mask below which a warning is given."""

PART_DOUBT = 0.6
"""Mean probability of the parts decided on below which a warning is given."""

SHORTEST_REGION_MM = 15.0
"""A region seen in less than this, all of which another region covers, is left out."""

SHORTEST_HIP_MM = 20.0
"""Hip slices at the end of a thigh that span less than this do not call the hip's network: they
may be a misjudgement of the classifier, and the thigh's network looks at them."""

BELOW_HIP_MM = 60.0
"""So far below the lowest hip slice the hip's network looks, too: structures that lie in the hip
alone reach no farther (:mod:`legseg_bids.anatomy.whereabouts`), and the short muscles of the hip
end there. The network learns from slices up to 80 mm below; the rest is left for a classifier that
sees the hip a slice or two too low."""

THIGH_ABOVE_MM = 60.0
"""So far above the lowest hip slice the thigh's network looks where the hip has one of its own.
Its training ends at the top of the femoral head, 70 to 80 mm above; higher up in the pelvis it
finds muscles of the thigh, and is sure of them."""

SLICE_SLACK = 0.01
"""Slices; distances in headers are rounded."""


@dataclass(frozen=True)
class Location:
    """Where in the leg a station lies.

    Attributes
    ----------
    sides : tuple of Side
        One per limb, in the order of the limbs.
    parts : tuple of Part
        One per slice, by rising z index.
    direction : int
        +1, or -1 when the parts run against the affine.
    side_probabilities : tuple of float
        The classifier's mean probability of left, right, both.
    warnings : tuple of str
        What a person should look at.
    """

    sides: tuple[Side, ...]
    parts: tuple[Part, ...]
    direction: int
    side_probabilities: tuple[float, float, float]
    warnings: tuple[str, ...] = ()


def locate(
    image: Volume,
    mask: NDArray[np.bool_],
    limbs: Sequence[LimbBox],
    spec: LocatorSpec,
    engine: Engine,
) -> Location:
    """Find the sides of the limbs and the part of the leg in each slice.

    Of two limbs the one at low x is the left one, for axes are canonical; the classifier
    only checks the number of limbs. The side of a single limb is the classifier's.

    Parameters
    ----------
    image : Volume
        Normalised image, canonical axes.
    mask : ndarray of bool, shape (nx, ny, nz)
        Body mask.
    limbs : sequence of LimbBox
        One or two, by rising x.
    spec : LocatorSpec
    engine : Engine
        The classifier: (n, 1, size, size) to side logits (n, 3) and part logits (n, 5).

    Returns
    -------
    Location

    Raises
    ------
    ImageError
        If the mask is empty, or there are no limbs or more than two.
    """
    seen = classify(image, mask, len(limbs), spec, engine)
    return decide(seen, parts_alone(seen))


def parts_alone(seen: Classification) -> PartSequence:
    """Parts of a station by its own slices only."""
    return best_sequence(evidence(seen), shortest_run(seen.grid.spacing[2]), DIRECTION_MARGIN)


def evidence(seen: Classification) -> NDArray[np.float64]:
    """Log-probability of each part in each slice, shape (nz, 5), with a floor."""
    logs: NDArray[np.float64] = np.log(np.maximum(seen.parts, SMALLEST_PROBABILITY))
    return logs


def decide(
    seen: Classification,
    sequence: PartSequence,
    same_limb: Sequence[Classification] = (),
) -> Location:
    """Sides and parts of a station, and what is doubtful about them.

    Parameters
    ----------
    seen : Classification
        Of the station.
    sequence : PartSequence
        Its parts.
    same_limb : sequence of Classification
        Other stations that show the same single limb: they, too, tell its side.
    """
    views = (seen, *same_limb)
    slices = np.concatenate([view.sides[view.occupied] for view in views])
    left, right, both = (float(p) for p in slices.mean(axis=0))
    sides, doubts = _sides(seen.limbs, left, right, both)
    doubts = (*doubts, *_doubt_of_parts(seen.parts[seen.occupied], sequence.parts, seen.occupied))
    if sequence.direction < 0:
        doubts = (*doubts, _against_the_affine(sequence.parts))
    return Location(sides, sequence.parts, sequence.direction, (left, right, both), doubts)


def regions_in_view(
    parts: Sequence[Part], slice_distance: float, with_hip: bool = False
) -> tuple[tuple[Region, slice], ...]:
    """The regions to segment, each with its slices.

    Knee slices belong to thigh and lower leg. Of these two, one that barely reaches into the
    stack, and there shows nothing but slices of the other, is left out. Without a region of its
    own, the hip is the thigh's. With one, it has its own slices and those up to
    :data:`BELOW_HIP_MM` below, and shares the lowest with the thigh, which ends
    :data:`THIGH_ABOVE_MM` above the first of them.

    Parameters
    ----------
    parts : sequence of Part
        One per slice, rising or falling.
    slice_distance : float
        mm.
    with_hip : bool
        Whether the hip has a network of its own.

    Examples
    --------
    >>> [(str(r), z) for r, z in regions_in_view([Part.KNEE] * 3 + [Part.UPPER] * 5, 6.0)]
    [('lower', slice(0, 3, None)), ('upper', slice(0, 8, None))]
    >>> [(str(r), z) for r, z in regions_in_view([Part.KNEE] + [Part.UPPER] * 5, 6.0)]
    [('upper', slice(0, 6, None))]
    >>> pelvis = [Part.UPPER] * 20 + [Part.HIP] * 20
    >>> [(str(r), z) for r, z in regions_in_view(pelvis, 6.0, with_hip=True)]
    [('upper', slice(0, 31, None)), ('hip', slice(10, 40, None))]
    """
    halves = (Region.LOWER, Region.UPPER)
    found = [(region, z) for region in halves if (z := _range_of(parts, region)) is not None]
    kept = tuple(
        (region, z)
        for region, z in found
        if (z.stop - z.start) * slice_distance >= SHORTEST_REGION_MM
        or not any(_covers(other, z) for name, other in found if name is not region)
    )
    hip = _hip_range(parts, slice_distance) if with_hip else None
    if hip is None:
        return kept
    thigh = _thigh_beside_hip(parts, slice_distance)
    shortened = ((region, thigh if region is Region.UPPER else z) for region, z in kept)
    return (*((region, z) for region, z in shortened if z is not None), (Region.HIP, hip))


def _hip_range(parts: Sequence[Part], slice_distance: float) -> slice | None:
    """Slices for the hip's network; None if there is too little hip to be sure of it."""
    shown = _range_of(parts, Region.HIP)
    if shown is None:
        return None
    count, slices = shown.stop - shown.start, len(parts)
    if count < slices and count + SLICE_SLACK < SHORTEST_HIP_MM / slice_distance:
        return None
    # The hip is at one end of the stack, whichever way that runs: there is nothing above it.
    below = int(BELOW_HIP_MM / slice_distance + SLICE_SLACK)
    return slice(max(0, shown.start - below), min(slices, shown.stop + below))


def _thigh_beside_hip(parts: Sequence[Part], slice_distance: float) -> slice | None:
    """Slices for the thigh's network where there is one for the hip; None if it is not wanted.

    Where nothing but hip is in view, nobody knows how far above the lowest hip slice it begins:
    a stack that is longer than what the thigh's network may see is left to the hip's.
    """
    thigh, hip = (_range_of(parts, region) for region in (Region.UPPER, Region.HIP))
    if thigh is None or hip is None:
        return thigh
    count = int(THIGH_ABOVE_MM / slice_distance + SLICE_SLACK) + 1
    if hip.stop - hip.start == len(parts):
        return thigh if len(parts) <= count else None
    if hip.start == 0:  # the parts fall
        return slice(max(thigh.start, hip.stop - count), thigh.stop)
    return slice(thigh.start, min(thigh.stop, hip.start + count))


def _range_of(parts: Sequence[Part], region: Region) -> slice | None:
    wanted = parts_of(region)
    where = [i for i, part in enumerate(parts) if part in wanted]
    return slice(where[0], where[-1] + 1) if where else None


def _covers(outer: slice, inner: slice) -> bool:
    """Whether `outer` holds all slices of `inner` and more."""
    inside = bool(outer.start <= inner.start and inner.stop <= outer.stop)
    return inside and outer != inner


def _sides(
    count: int, left: float, right: float, both: float
) -> tuple[tuple[Side, ...], tuple[str, ...]]:
    """Sides of the limbs, and doubts about them."""
    if count == 2:
        return (Side.LEFT, Side.RIGHT), _doubt_of_two(both)
    best = max(left, right) / max(left + right, 1e-12)
    side = Side.LEFT if left >= right else Side.RIGHT
    doubts = []
    if best < SIDE_DOUBT:
        doubts.append(
            f"the side of the only limb is uncertain: {side} with probability {best:.2f}; "
            f"check left and right before using the labels"
        )
    if 1 - both < COUNT_DOUBT:
        doubts.append(
            f"one limb was found in the body mask, but the image looks like two "
            f"(probability {both:.2f}); check the labels"
        )
    return (side,), tuple(doubts)


def _doubt_of_two(both: float) -> tuple[str, ...]:
    if both >= COUNT_DOUBT:
        return ()
    doubt = (
        f"two limbs were found in the body mask, but the image looks like one "
        f"(probability of two {both:.2f}); check left and right"
    )
    return (doubt,)


def _doubt_of_parts(
    probabilities: NDArray[np.float64], parts: Sequence[Part], occupied: NDArray[np.bool_]
) -> tuple[str, ...]:
    """A warning where the slices, one by one, do not bear out the parts decided on."""
    chosen = np.array([int(part) for part in parts])[occupied]
    mean = float(probabilities[np.arange(len(chosen)), chosen].mean())
    if mean >= PART_DOUBT:
        return ()
    names = " and ".join(part.name.lower() for part in dict.fromkeys(parts))
    doubt = (
        f"the part of the leg is uncertain: taken as {names} with mean probability {mean:.2f}; "
        f"check that thigh and lower leg are not taken for each other"
    )
    return (doubt,)


def _against_the_affine(parts: Sequence[Part]) -> str:
    what = f"slices run from {parts[0].name.lower()} to {parts[-1].name.lower()}"
    if parts[0] is parts[-1]:
        what = "from station to station, the parts of the leg come from the head to the feet"
    return (
        f"{what} although the affine says that z rises towards the head; the stack was segmented "
        f"upside down; check the orientation of the image, and left and right"
    )
