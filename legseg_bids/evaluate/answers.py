"""What a network answers on a trial, and how right that is, muscle by muscle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.anatomy.regions import Part, Region, Side
from legseg_bids.evaluate.overlap import dice, distance95
from legseg_bids.evaluate.trials import Trial
from legseg_bids.imaging import dixon
from legseg_bids.imaging.limbs import split_limbs
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment import pipeline
from legseg_bids.segment.engines import Engine
from legseg_bids.segment.locate import Location
from legseg_bids.segment.merge import Labels
from legseg_bids.segment.models import Model
from legseg_bids.segment.region import LimbRun, run_region

#: Muscles with less than this in the image are not judged, mL.
LEAST_VOLUME = 1.0
#: What the locator would say of most slices of a region; it decides what may stand there.
PLACES = MappingProxyType(
    {
        Region.LOWER: Part.LOWER,
        Region.UPPER: Part.UPPER,
        Region.HIP: Part.HIP,
        Region.WHOLE: Part.UPPER,
    }
)


@dataclass(frozen=True)
class Hit:
    """How well one muscle was found.

    Attributes
    ----------
    label : int
    volume, found : float
        Of the truth and of the answer, mL.
    dice : float
    distance : float
        :func:`.overlap.distance95`, mm; NaN if one of them is empty.
    confidence : float
        Mean probability of the answer; NaN without one.
    """

    label: int
    volume: float
    found: float
    dice: float
    distance: float
    confidence: float

    @property
    def is_there(self) -> bool:
        """The truth has enough of it to be judged."""
        return self.volume >= LEAST_VOLUME


def contrasts(trial: Trial) -> dict[str, Volume]:
    """What the application could feed, made from water and fat as it would make them."""
    water, fat = trial.water.data, trial.fat.data
    images = {
        "opposed": dixon.opposed_phase(water, fat),
        "in_phase": dixon.in_phase(water, fat),
        "water": np.asarray(water, np.float32),
    }
    return {name: Volume(data, trial.water.affine) for name, data in images.items()}


def answer(
    trial: Trial, model: Model, engine: Engine, fed: str = "opposed", also: str | None = None
) -> tuple[LimbRun, Labels]:
    """Run the middle of the pipeline on a trial whose place in the leg is known.

    Parameters
    ----------
    trial : Trial
    model, engine
        Network of the trial's region.
    fed : str
        The contrast that stands for the opposed-phase image.
    also : str, optional
        The contrast that is offered beside it.

    Returns
    -------
    run : LimbRun
        Of the largest limb in the image; another one's edge may be in view.
    labels : Labels
        Merged and cleaned.
    """
    images = contrasts(trial)
    opposed, mask, _, _ = pipeline.prepare(images["opposed"])
    limb = max(split_limbs(mask, opposed.spacing), key=lambda one: int(one.mask.sum()))
    slices = opposed.shape[2]
    part = PLACES[model.segmentation.region]
    place = Location((Side.LEFT,), (part,) * slices, 1, (1.0, 0.0, 0.0))
    (run,) = run_region(
        opposed if fed == "opposed" else images[fed],
        mask,
        (limb,),
        place,
        slice(0, slices),
        model.segmentation,
        engine,
        None,
        in_phase=None if also is None else images[also],
    )
    return run, pipeline.finish([run.result], opposed)


def hits(trial: Trial, labels: Labels, reported: Sequence[int]) -> list[Hit]:
    """Judge every muscle that a network knows and that truth or answer has.

    Parameters
    ----------
    trial : Trial
    labels : Labels
        The answer.
    reported : sequence of int
        Labels that the network reports.
    """
    ml = trial.water.voxel_volume / 1000.0
    muscles = [i for i in reported if i and label_by_index(i).tissue == "muscle"]
    out = []
    for index in muscles:
        true, found = trial.labels == index, labels.labels == index
        if max(true.sum(), found.sum()) * ml >= LEAST_VOLUME:
            out.append(_hit(index, true, found, labels, trial, ml))
    return out


def _hit(
    index: int,
    true: NDArray[np.bool_],
    found: NDArray[np.bool_],
    labels: Labels,
    trial: Trial,
    ml: float,
) -> Hit:
    sure = float(labels.probability[found].mean()) if found.any() else float("nan")
    return Hit(
        label=index,
        volume=float(true.sum() * ml),
        found=float(found.sum() * ml),
        dice=dice(true, found),
        distance=distance95(true, found, trial.water.spacing),
        confidence=sure,
    )


def mean_dice(found: Sequence[Hit]) -> float:
    """Mean over the muscles that are there; NaN without any."""
    values = [hit.dice for hit in found if hit.is_there]
    return float(np.mean(values)) if values else float("nan")
