"""One region's network on the limbs of a station."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.regions import Region, Side
from legseg_bids.anatomy.whereabouts import possible_slices
from legseg_bids.imaging.intensity import NoSignalError
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.contrasts import IN_PHASE, OPPOSED, confidence, is_used
from legseg_bids.segment.convention import Convention
from legseg_bids.segment.engines import Engine
from legseg_bids.segment.infer import BASELINE, segment_limb
from legseg_bids.segment.limb import LimbImage, RegionResult, prepare_limb, restore
from legseg_bids.segment.locate import Location
from legseg_bids.segment.models import SegmentationSpec

BYTES_PER_SOURCE_VOXEL = 16
"""Image (4), masks (3), labels (2) and probability (4) on the source grid, and some spare."""

BYTES_PER_RESULT_VOXEL = 5
"""Label (1) and probability (4) that the thigh's network found in the slices of the hip's."""


@dataclass
class Clock:
    """Wall time by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


@dataclass(frozen=True, eq=False)
class LimbRun:
    """What one network made of one limb.

    Attributes
    ----------
    image : LimbImage
        What it was given.
    probabilities : ndarray of float32, shape (labels, z, y, x)
        On the network's grid, one map for each of the specification's labels.
    result : RegionResult
        Labels on the canonical source grid.
    contrasts : tuple of str
        The images of the limb from which the probabilities are the mean.
    confidences : Mapping of str to float
        Mean probability of the muscles in the answer to every image, where there are several.
    """

    image: LimbImage
    probabilities: NDArray[np.float32]
    result: RegionResult
    contrasts: tuple[str, ...] = (OPPOSED,)
    confidences: Mapping[str, float] = field(default_factory=dict)


def run_region(
    canonical: Volume,
    mask: NDArray[np.bool_],
    limbs: Sequence[LimbBox],
    location: Location,
    z_range: slice,
    spec: SegmentationSpec,
    engine: Engine,
    memory_bytes: int | None,
    clock: Clock | None = None,
    in_phase: Volume | None = None,
) -> Iterator[LimbRun]:
    """Run a region's network on every limb that has voxels in its slices.

    Parameters
    ----------
    canonical : Volume
        Clean opposed-phase magnitudes, canonical axes.
    mask : ndarray of bool
        Body mask.
    limbs : sequence of LimbBox
    location : Location
    z_range : slice
        Slices of the region.
    spec, engine
        The region's network.
    memory_bytes : int or None
        Ceiling for the process.
    clock : Clock, optional
    in_phase : Volume, optional
        On the same grid; see :mod:`legseg_bids.segment.contrasts`.

    Yields
    ------
    LimbRun
    """
    if spec.convention != Convention():
        in_phase = None  # who knows what a network that was made elsewhere makes of it
    region = _Region(
        mask,
        location.direction,
        z_range,
        spec,
        engine,
        memory_bytes,
        clock or Clock(),
        _places(spec, location, canonical.spacing[2]),
    )
    held = BASELINE + BYTES_PER_SOURCE_VOXEL * canonical.data.size
    held += 0 if in_phase is None else in_phase.data.nbytes
    held += BYTES_PER_RESULT_VOXEL * canonical.data.size if spec.region is Region.HIP else 0
    present = [
        (limb, side)
        for limb, side in zip(limbs, location.sides, strict=True)
        if limb.mask[:, :, z_range].any()
    ]
    together = spec.convention.view == "stack" and bool(present)
    for limb, side in [(_all_limbs(present), present[0][1])] if together else present:
        run = region.look(canonical, limb, side, held)
        if in_phase is not None:
            run = region.look_again(run, in_phase, limb, held)
        yield from _by_limb(run, present) if together else [run]


def _places(
    spec: SegmentationSpec, location: Location, slice_distance: float
) -> NDArray[np.bool_] | None:
    """In which slices each label may stand; None for a network that was made elsewhere.

    That one may know better than the locator, which chose ours and not it.
    """
    if spec.convention != Convention():
        return None
    rows = [
        possible_slices(label, location.parts, slice_distance, location.direction)
        if label
        else np.ones(len(location.parts), bool)
        for label in spec.labels
    ]
    return np.array(rows)


def _all_limbs(limbs: Sequence[tuple[LimbBox, Side]]) -> LimbBox:
    """Whole slices as if they were one limb, for a network that sees them so."""
    mask = np.logical_or.reduce([limb.mask for limb, _ in limbs])
    x, y, z = mask.shape
    return LimbBox(mask, (slice(0, x), slice(0, y), slice(0, z)))


def _by_limb(run: LimbRun, limbs: Sequence[tuple[LimbBox, Side]]) -> Iterator[LimbRun]:
    """What a network found in whole slices, limb by limb."""
    whole, z_range = run.result, run.result.box[2]
    for limb, side in limbs:
        x, y, z = limb.box
        z = slice(max(z.start, z_range.start), min(z.stop, z_range.stop))
        part = x, y, slice(z.start - z_range.start, z.stop - z_range.start)
        result = RegionResult(
            side,
            whole.region,
            (x, y, z),
            whole.labels[part],
            whole.probability[part],
            limb.mask[x, y, z],
            whole.known,
        )
        yield replace(run, result=result)


@dataclass
class _Region:
    """What the limbs of a region have in common."""

    mask: NDArray[np.bool_]
    direction: int
    z_range: slice
    spec: SegmentationSpec
    engine: Engine
    memory_bytes: int | None
    clock: Clock
    possible: NDArray[np.bool_] | None

    def look(self, volume: Volume, limb: LimbBox, side: Side, held: int) -> LimbRun:
        """Feed one image of one limb; ``held`` bytes are taken by other things."""
        with self.clock("crop"):
            image = prepare_limb(
                volume, self.mask, limb, side, self.z_range, self.spec, self.direction
            )
        with self.clock("network"):
            found = segment_limb(image, self.spec, self.engine, self.memory_bytes, held)
        with self.clock("restore"):
            return LimbRun(image, found, restore(image, found, self.spec, self.possible))

    def look_again(self, run: LimbRun, in_phase: Volume, limb: LimbBox, held: int) -> LimbRun:
        """Feed the in-phase image too, and average the answers if this one is as sure."""
        before = confidence(run.result)
        try:
            other = self.look(in_phase, limb, run.result.side, held + run.probabilities.nbytes)
        except NoSignalError:  # water and fat images may be empty where the opposed one is not
            return replace(run, confidences={OPPOSED: before})
        sure = {OPPOSED: before, IN_PHASE: confidence(other.result)}
        if not is_used(*sure.values()):
            return replace(run, confidences=sure)
        mean = np.add(run.probabilities, other.probabilities, out=other.probabilities)
        mean /= 2
        with self.clock("restore"):
            result = restore(run.image, mean, self.spec, self.possible)
        return LimbRun(run.image, mean, result, (OPPOSED, IN_PHASE), sure)
