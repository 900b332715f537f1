"""Where the networks of each region may answer a trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from legseg_bids.anatomy.regions import Part, Region
from legseg_bids.evaluate.answers import PLACES, answer
from legseg_bids.evaluate.trials import Trial
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.models import Model, SegmentationSpec

SHAPE, SPACING = (40, 40, 24), (4.0, 4.0, 10.0)
GLUTEUS_MEDIUS, SACRUM = 73, 121


@pytest.fixture
def trial() -> Trial:
    """A limb of water 240 mm long, brighter on one side."""
    x, y, _ = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    inside = np.hypot(x - 19.5, y - 19.5) < 15
    water = np.where(inside, np.where(y > 22, 300.0, 200.0), 0.0).astype(np.float32)
    affine = np.diag([*SPACING, 1.0])
    return Trial(Volume(water, affine), Volume(0 * water, affine), inside.astype(np.uint8), 0.0)


def engine(batch: np.ndarray) -> tuple[np.ndarray]:
    """Air, grey and bright."""
    grey = batch[0, 0]
    middle = grey[grey > 0.1].mean()
    return (9 * np.stack([grey <= 0.1, (grey > 0.1) & (grey < middle), grey >= middle])[None],)


def model(region: Region) -> Model:
    labels = (0, GLUTEUS_MEDIUS, SACRUM)
    spec = SegmentationSpec(
        region, SPACING, 5.0, labels, (1, 1, 1), (1, 1, 1), (24, 40, 40), 100.0
    )
    return Model(str(region), Path(), "1", spec, {}, {})


@pytest.mark.parametrize(("region", "slices"), [(Region.HIP, 24), (Region.UPPER, 5)])
def test_structures_of_the_hip_may_stand_anywhere_in_a_trial_of_the_hip(
    trial: Trial, region: Region, slices: int
) -> None:
    """In one of the thigh only where the hip may be out of view, less than 60 mm above."""
    run, labels = answer(trial, model(region), engine)  # type: ignore[arg-type]
    for index in (GLUTEUS_MEDIUS, SACRUM):
        shown = (labels.labels == index).any(axis=(0, 1))
        assert shown.sum() == slices
        assert shown[-1]
    assert run.result.known == frozenset(model(region).segmentation.labels) - {0}


def test_every_region_has_a_place() -> None:
    assert set(PLACES) == set(Region)
    assert PLACES[Region.LOWER] is Part.LOWER
