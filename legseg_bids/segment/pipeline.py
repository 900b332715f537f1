"""From a volume to labels in one call, without nipype."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from legseg_bids.segment.limb import RegionResult
from legseg_bids.segment.locate import Location, decide, parts_alone, regions_in_view
from legseg_bids.segment.merge import Labels, merge
from legseg_bids.segment.models import Model, find_models_dir, load_model
from legseg_bids.segment.region import Clock, run_region
from legseg_bids.settings import Settings

LOCATOR = "locator"
NETWORKS: Mapping[Region, str] = MappingProxyType(
    {Region.UPPER: "thigh", Region.LOWER: "lower_leg", Region.HIP: "hip"}
)
OPTIONAL = frozenset({Region.HIP})
"""Regions that may go without a bundle: then, the thigh's network looks at all hip slices."""
WHOLE_LEG = "leg"
"""Name of a bundle that stands for those of all regions, where there is one."""
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


def segment_station(
    volume: Volume,
    settings: Settings,
    make_engine: EngineMaker | None = None,
    in_phase: Volume | None = None,
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
    in_phase : Volume, optional
        W + F with the axes and grid of `volume`; see :mod:`legseg_bids.segment.contrasts`.

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
    clock = Clock()
    with clock("prepare"):
        canonical, mask, orientation, warnings = prepare(volume)
        other = None if in_phase is None else to_canonical(in_phase)[0]
        limbs = split_limbs(mask, canonical.spacing)
    with clock("locate"):
        location = locate_station(canonical, mask, limbs, load_model(directory, LOCATOR), make)
    models = load_region_models(directory, location, canonical.spacing[2])
    results = tuple(
        segment_regions(
            canonical, mask, limbs, location, models, make, settings.memory, clock, other
        )
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
    names = networks_in_view(directory, location, slice_distance)
    return {region: load_model(directory, name) for region, name, _ in names}


def networks_in_view(
    directory: Path, location: Location, slice_distance: float
) -> tuple[tuple[Region, str, slice], ...]:
    """The networks that a station needs: region, name of the bundle, slices."""
    if (directory / WHOLE_LEG).is_dir():
        return ((Region.WHOLE, WHOLE_LEG, slice(0, len(location.parts))),)
    with_hip = Region.HIP in _regions_in(directory)
    found = regions_in_view(location.parts, slice_distance, with_hip)
    return tuple((region, NETWORKS[region], z_range) for region, z_range in found)


def bundles_in(directory: Path) -> tuple[str, ...]:
    """Names of the bundles that a run with this folder uses."""
    if (directory / WHOLE_LEG).is_dir():
        return LOCATOR, WHOLE_LEG
    return LOCATOR, *(NETWORKS[region] for region in _regions_in(directory))


def _regions_in(directory: Path) -> tuple[Region, ...]:
    """Regions that have a network of their own; of those that must, without a look."""
    return tuple(
        region
        for region, name in NETWORKS.items()
        if region not in OPTIONAL or (directory / name).is_dir()
    )


def segment_regions(
    canonical: Volume,
    mask: NDArray[np.bool_],
    limbs: Sequence[LimbBox],
    location: Location,
    models: Mapping[Region, Model],
    make: EngineMaker,
    memory_bytes: int | None,
    clock: Clock | None = None,
    in_phase: Volume | None = None,
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
        At least those of the regions in view; the hip is one if it is here.
    make : callable
        Makes a model ready to run.
    memory_bytes : int or None
        Ceiling for the process.
    in_phase : Volume, optional
        On the same grid; see :mod:`legseg_bids.segment.contrasts`.

    Yields
    ------
    RegionResult
    """
    clock = clock or Clock()
    parts = regions_in_view(location.parts, canonical.spacing[2], Region.HIP in models)
    if Region.WHOLE in models:
        parts = ((Region.WHOLE, slice(0, canonical.shape[2])),)
    for region, z_range in parts:
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
            in_phase,
        ):
            yield run.result


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
