"""The networks on one limb: one image, or two whose answers are averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from legseg_bids.anatomy.regions import Part, Side
from legseg_bids.imaging.limbs import split_limbs
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment import pipeline, region
from legseg_bids.segment.convention import Convention
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.locate import Location
from legseg_bids.segment.models import SegmentationSpec, load_model
from legseg_bids.segment.region import LimbRun, run_region


@pytest.fixture
def thighs(models_dir: Path, legs: Volume):  # type: ignore[no-untyped-def]
    """Feed both thighs, with another image or without; the runs by rising x."""
    model = load_model(models_dir, "thigh")
    canonical, mask, _, _ = pipeline.prepare(legs)
    limbs = split_limbs(mask, canonical.spacing)
    slices = canonical.shape[2]
    place = Location((Side.LEFT, Side.RIGHT), (Part.UPPER,) * slices, 1, (0.0, 0.0, 1.0))

    def feed(in_phase: Volume | None, spec: SegmentationSpec | None = None) -> list[LimbRun]:
        engine = load_engine(model, "openvino", "cpu")
        whole = slice(0, slices)
        runs = run_region(
            canonical,
            mask,
            limbs,
            place,
            whole,
            spec or model.segmentation,
            engine,
            None,
            in_phase=in_phase,
        )
        return list(runs)

    return feed


@pytest.fixture
def brighter(legs: Volume) -> Volume:
    """The same legs with other contrasts between the tissues."""
    return Volume(np.sqrt(np.abs(pipeline.prepare(legs)[0].data)), legs.affine)


def test_one_image_alone(thighs) -> None:  # type: ignore[no-untyped-def]
    runs = thighs(None)
    assert [run.result.side for run in runs] == [Side.LEFT, Side.RIGHT]
    assert all(run.contrasts == ("opposed",) and run.confidences == {} for run in runs)


def test_two_answers_are_averaged(  # type: ignore[no-untyped-def]
    thighs, brighter: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = thighs(None)
    monkeypatch.setattr(region, "is_used", lambda *_: True)
    both = thighs(brighter)
    for one, two in zip(alone, both, strict=True):
        assert two.contrasts == ("opposed", "in_phase")
        assert set(two.confidences) == {"opposed", "in_phase"}
        np.testing.assert_allclose(two.probabilities.sum(axis=0), 1, atol=1e-4)
        assert np.abs(two.probabilities - one.probabilities).max() > 1e-3
    # half of the way to the answer to the other image alone
    limb = both[0]
    other = 2 * limb.probabilities - alone[0].probabilities
    np.testing.assert_allclose(other.sum(axis=0), 1, atol=1e-3)
    assert other.min() > -1e-4


def test_the_same_image_twice_changes_nothing(  # type: ignore[no-untyped-def]
    thighs, legs: Volume
) -> None:
    canonical = pipeline.prepare(legs)[0]
    for one, two in zip(thighs(None), thighs(canonical), strict=True):
        np.testing.assert_array_equal(one.result.labels, two.result.labels)
        assert two.confidences["opposed"] == two.confidences["in_phase"]


def test_an_unsure_answer_is_left_out(  # type: ignore[no-untyped-def]
    thighs, brighter: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region, "is_used", lambda *_: False)
    for one, two in zip(thighs(None), thighs(brighter), strict=True):
        assert two.contrasts == ("opposed",)
        np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_an_empty_image_is_as_good_as_none(  # type: ignore[no-untyped-def]
    thighs, legs: Volume
) -> None:
    empty = Volume(np.zeros(legs.shape, np.float32), legs.affine)
    for one, two in zip(thighs(None), thighs(empty), strict=True):
        assert two.contrasts == ("opposed",)
        assert set(two.confidences) == {"opposed"}
        np.testing.assert_array_equal(one.result.labels, two.result.labels)


def test_a_network_made_elsewhere_is_fed_opposed_phase_alone(  # type: ignore[no-untyped-def]
    thighs, legs: Volume, models_dir: Path
) -> None:
    elsewhere = replace(
        load_model(models_dir, "thigh").segmentation, convention=Convention(mirror=False)
    )
    for run in thighs(pipeline.prepare(legs)[0], elsewhere):
        assert run.contrasts == ("opposed",)
        assert run.confidences == {}


def test_only_networks_of_ours_are_told_where_a_structure_can_be(models_dir: Path) -> None:
    spec = load_model(models_dir, "thigh").segmentation
    place = Location((Side.LEFT,), (Part.KNEE, *(Part.UPPER,) * 30), 1, (1.0, 0.0, 0.0))
    places = region._places(spec, place, 6.0)
    assert places is not None
    assert places.shape == (len(spec.labels), 31)
    assert places[0].all()
    assert places.any(axis=1).all()
    assert region._places(replace(spec, convention=Convention(mirror=False)), place, 6.0) is None
