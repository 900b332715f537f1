"""From a volume to labels in one call, without nipype."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.regions import Region
from legseg_bids.errors import ImageError
from legseg_bids.imaging.intensity import clean, normalise
from legseg_bids.imaging.limbs import LimbBox, split_limbs
from legseg_bids.imaging.mask import body_mask
from legseg_bids.imaging.orientation import Orientation, from_canonical, to_canonical
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.classify import Classification, classify
from legseg_bids.segment.cleanup import clean_labels
from legseg_bids.segment.engines import Engine, load_engine
from legseg_bids.segment.infer import BASELINE, segment_limb
from legseg_bids.segment.limb import LimbImage, RegionResult, prepare_limb, restore
from legseg_bids.segment.locate import Location, decide, parts_alone, regions_in_view
from legseg_bids.segment.merge import Labels, merge
from legseg_bids.segment.models import Model, SegmentationSpec, find_models_dir, load_model
from legseg_bids.settings import Settings

LOCATOR = "locator"
NETWORKS: Mapping[Region, str] = MappingProxyType(
    {Region.UPPER: "thigh", Region.LOWER: "lower_leg"}
)
BYTES_PER_SOURCE_VOXEL = 16
"""Image (4), masks (3), labels (2) and probability (4) on the source grid, and some spare."""

EngineMaker = Callable[[Model], Engine]


@dataclass(frozen=True, eq=False)
class StationResult:
    """What is known of a station after segmentation; canonical axes.

    Attributes
    ----------
    labels : ndarray of uint8, shape (nx, ny, nz)
    probability : ndarray of float32, shape (nx, ny, nz)
    mask : ndarray of bool, shape (nx, ny, nz)
        Voxels of the limbs.
    affine : ndarray, shape (4, 4)
        Of the canonical grid.
    orientation : Orientation
        The way back to the source axes.
    location : Location
    warnings : tuple of str
    seconds : Mapping of str to float
        Wall time of each step.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    orientation: Orientation
    location: Location
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def source_labels(self) -> NDArray[np.uint8]:
        """The labels in the axes of the source image."""
        return from_canonical(self.labels, self.orientation)


@dataclass
class _Clock:
    """Wall time by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


def segment_station(
    volume: Volume, settings: Settings, make_engine: EngineMaker | None = None
) -> StationResult:
    """Label the muscles in an opposed-phase image.

    Parameters
    ----------
    volume : Volume
        Any axes.
    settings : Settings
        Models, engine, device, threads and memory are used.
    make_engine : callable, optional
        Makes a model ready to run; by default :func:`load_engine` as the settings say.

    Returns
    -------
    StationResult

    Raises
    ------
    ImageError
        If the image holds no leg.
    ModelError
        If a model is missing or damaged.
    UsageError
        If the memory is too small.
    """
    make = make_engine or engine_maker(settings)
    directory = find_models_dir(settings.models_dir)
    clock = _Clock()
    with clock("prepare"):
        canonical, mask, orientation, warnings = prepare(volume)
        limbs = split_limbs(mask, canonical.spacing)
    with clock("locate"):
        location = locate_station(canonical, mask, limbs, load_model(directory, LOCATOR), make)
    models = load_region_models(directory, location, canonical.spacing[2])
    results = tuple(
        segment_regions(canonical, mask, limbs, location, models, make, settings.memory, clock)
    )
    with clock("merge"):
        merged = finish(results, canonical)
    return StationResult(
        labels=merged.labels,
        probability=merged.probability,
        mask=limb_mask(limbs),
        affine=canonical.affine,
        orientation=orientation,
        location=location,
        warnings=(*warnings, *location.warnings),
        seconds=MappingProxyType(clock.seconds),
    )


def engine_maker(settings: Settings) -> EngineMaker:
    """How the settings want networks to be run."""

    def make(model: Model) -> Engine:
        return load_engine(model, settings.engine, settings.device, settings.omp_nthreads)

    return make


def prepare(
    volume: Volume,
) -> tuple[Volume, NDArray[np.bool_], Orientation, tuple[str, ...]]:
    """Canonical axes, clean magnitudes, body mask.

    Parameters
    ----------
    volume : Volume
        Any axes.

    Returns
    -------
    canonical : Volume
        float32 magnitudes.
    mask : ndarray of bool
        Body mask.
    orientation : Orientation
        The way back.
    warnings : tuple of str

    Raises
    ------
    ImageError
        If there is nothing in the image, or no body.
    """
    turned, orientation = to_canonical(volume)
    data, warnings = clean(turned.data)
    mask = body_mask(data, turned.spacing)
    if not mask.any():
        raise ImageError(
            f"no body found in an image of {volume.shape} voxels; expected one or two legs; "
            f"look at the image"
        )
    return Volume(data, turned.affine), mask, orientation, warnings


def locate_station(
    canonical: Volume,
    mask: NDArray[np.bool_],
    limbs: Sequence[LimbBox],
    model: Model,
    make: EngineMaker,
) -> Location:
    """Sides and parts of a station that is alone; see :func:`locate_among` for several."""
    seen = classify_station(canonical, mask, limbs, model, make)
    return decide(seen, parts_alone(seen))


def classify_station(
    canonical: Volume,
    mask: NDArray[np.bool_],
    limbs: Sequence[LimbBox],
    model: Model,
    make: EngineMaker,
) -> Classification:
    """Scale the image as the classifier wants it, and run it; see :func:`classify`."""
    image = Volume(normalise(canonical.data, mask), canonical.affine)
    return classify(image, mask, len(limbs), model.locator, make(model))


def load_region_models(
    directory: Path, location: Location, slice_distance: float
) -> dict[Region, Model]:
    """The models that a station needs."""
    regions = [region for region, _ in regions_in_view(location.parts, slice_distance)]
    return {region: load_model(directory, NETWORKS[region]) for region in regions}


def segment_regions(
    canonical: Volume,
    mask: NDArray[np.bool_],
    limbs: Sequence[LimbBox],
    location: Location,
    models: Mapping[Region, Model],
    make: EngineMaker,
    memory_bytes: int | None,
    clock: _Clock | None = None,
) -> Iterator[RegionResult]:
    """Segment every region of every limb, one network in memory at a time.

    Parameters
    ----------
    canonical : Volume
        Clean magnitudes, canonical axes.
    mask : ndarray of bool
        Body mask.
    limbs : sequence of LimbBox
    location : Location
    models : Mapping of Region to Model
        At least those of the regions in view.
    make : callable
        Makes a model ready to run.
    memory_bytes : int or None
        Ceiling for the process.

    Yields
    ------
    RegionResult
    """
    clock = clock or _Clock()
    for region, z_range in regions_in_view(location.parts, canonical.spacing[2]):
        with clock("load networks"):
            engine = make(models[region])
        for run in run_region(
            canonical,
            mask,
            limbs,
            location,
            z_range,
            models[region].segmentation,
            engine,
            memory_bytes,
            clock,
        ):
            yield run.result


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
    """

    image: LimbImage
    probabilities: NDArray[np.float32]
    result: RegionResult


def run_region(
    canonical: Volume,
    mask: NDArray[np.bool_],
    limbs: Sequence[LimbBox],
    location: Location,
    z_range: slice,
    spec: SegmentationSpec,
    engine: Engine,
    memory_bytes: int | None,
    clock: _Clock | None = None,
) -> Iterator[LimbRun]:
    """Run a region's network on every limb that has voxels in its slices.

    Parameters
    ----------
    canonical, mask, limbs, location, memory_bytes
        As in :func:`segment_regions`.
    z_range : slice
        Slices of the region.
    spec, engine
        The region's network.

    Yields
    ------
    LimbRun
    """
    clock = clock or _Clock()
    reserved = BASELINE + BYTES_PER_SOURCE_VOXEL * canonical.data.size
    for limb, side in zip(limbs, location.sides, strict=True):
        if not limb.mask[:, :, z_range].any():
            continue
        with clock("crop"):
            image = prepare_limb(canonical, mask, limb, side, z_range, spec, location.direction)
        with clock("network"):
            probabilities = segment_limb(image, spec, engine, memory_bytes, reserved)
        with clock("restore"):
            result = restore(image, probabilities, spec)
        yield LimbRun(image, probabilities, result)


def finish(results: Sequence[RegionResult], canonical: Volume) -> Labels:
    """Merge the regions and clean the labels.

    Of a voxel that the clean-up changed, the probability is what the old label had left.
    """
    merged = merge(results, canonical.shape)
    labels = clean_labels(merged.labels, canonical.spacing)
    changed = labels != merged.labels
    probability = np.where(changed, 1 - merged.probability, merged.probability)
    return Labels(labels, probability)


def limb_mask(limbs: Sequence[LimbBox]) -> NDArray[np.bool_]:
    """Voxels that belong to a limb."""
    mask = limbs[0].mask.copy()
    for limb in limbs[1:]:
        mask |= limb.mask
    return mask
