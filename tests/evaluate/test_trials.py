"""Simulated trials, and how the answers to them are judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from phantom import write_phantom

from legseg_bids.anatomy.regions import Region
from legseg_bids.evaluate import answers
from legseg_bids.evaluate.answers import answer, contrasts, hits, mean_dice
from legseg_bids.evaluate.trials import Setting, Trial, simulate_trial
from legseg_bids.segment.merge import Labels
from legseg_bids.segment.models import Model, SegmentationSpec
from legseg_bids.synth.atlas import Anatomy, load_anatomy
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import REGION_REACH

SETTING = Setting(pixel=4.0, slice_distance=10.0, coverage=60.0, noise=0.0, shading=0.0)
PLAIN = replace(Ranges(), disease_probability=0.0, atrophy_probability=0.0, drop_off_probability=0)
ILL = replace(PLAIN, disease_probability=1.0, diseased_fat=(0.9, 0.9))
REPORTED = (0, 31, 35, 55, 59, 103, 151)
SPEC = SegmentationSpec(
    Region.UPPER, (4.0, 4.0, 10.0), 5.0, REPORTED, (1, 1, 1), (1, 1, 1), (8, 64, 64), 100.0
)


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory: pytest.TempPathFactory) -> Anatomy:
    atlas = write_phantom(tmp_path_factory.mktemp("atlas"))
    return load_anatomy(atlas, "vhm", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trial(anatomy: Anatomy) -> Trial:
    return simulate_trial(anatomy, "left", "upper", SETTING, 5, PLAIN)


def test_a_trial_shows_muscle_as_water_and_the_rest_as_fat(trial: Trial) -> None:
    assert trial.water.shape == trial.fat.shape == trial.labels.shape == (60, 60, 6)
    assert trial.water.spacing == (4.0, 4.0, 10.0)
    muscle = np.isin(trial.labels, (31, 35, 55, 59))
    assert muscle.sum() > 200
    assert np.median(trial.water.data[muscle]) > 2 * np.median(trial.fat.data[muscle])
    assert 0 < trial.fat_fraction < 0.25


def test_a_right_limb_becomes_a_left_one(anatomy: Anatomy) -> None:
    right = simulate_trial(anatomy, "right", "upper", SETTING, 5, PLAIN)
    assert set(np.unique(right.labels)) <= {0, 31, 35, 55, 59, 101, 103, 151}


def test_a_seed_is_a_person(anatomy: Anatomy, trial: Trial) -> None:
    noisy = replace(SETTING, noise=0.1)
    again, loud, other = (
        simulate_trial(anatomy, "left", "upper", setting, seed, PLAIN)
        for setting, seed in ((SETTING, 5), (noisy, 5), (SETTING, 6))
    )
    np.testing.assert_array_equal(again.water.data, trial.water.data)
    np.testing.assert_array_equal(loud.labels, trial.labels)
    assert (other.labels != trial.labels).any()
    air = trial.water.data == 0
    assert loud.water.data[air].std() > 5


@pytest.mark.parametrize(
    "fault", [{"wrapped": 0.3}, {"ghosts": 0.2}, {"resolved": 0.4}, {"lost": 0.4}]
)
def test_faults_of_a_scan_change_images_and_not_the_truth(
    anatomy: Anatomy, trial: Trial, fault: dict[str, float]
) -> None:
    spoilt = simulate_trial(anatomy, "left", "upper", replace(SETTING, **fault), 5, PLAIN)
    np.testing.assert_array_equal(spoilt.labels, trial.labels)
    for name in ("water", "fat"):
        a, b = (getattr(one, name).data for one in (spoilt, trial))
        assert np.isfinite(a).all()
        assert abs(a - b).max() > 10
    if "lost" in fault:
        level = (spoilt.water.data / trial.water.data.clip(1)).max(axis=(0, 1))
        assert (level < 0.5).sum() == round(0.4 * trial.water.shape[2])


@pytest.mark.parametrize("region", REGION_REACH)
def test_every_region_has_trials(anatomy: Anatomy, region: str) -> None:
    found = simulate_trial(anatomy, "right", region, SETTING, 3, PLAIN)
    assert (found.labels > 0).any()


def test_disease_is_fat_in_muscle(anatomy: Anatomy, trial: Trial) -> None:
    assert simulate_trial(anatomy, "left", "upper", SETTING, 5, ILL).fat_fraction > 0.15
    made = contrasts(trial)
    water, fat = trial.water.data, trial.fat.data
    np.testing.assert_allclose(made["in_phase"].data, water + fat, rtol=1e-5)
    np.testing.assert_allclose(made["opposed"].data, abs(water - fat), atol=1e-3)


def test_the_pipeline_answers_a_trial(trial: Trial) -> None:
    def engine(batch: np.ndarray) -> tuple[np.ndarray]:
        logits = np.zeros((1, len(REPORTED), *batch.shape[2:]), np.float32)
        logits[:, 1] = 20 * (batch[:, 0] > 0.3) - 5  # all that is bright is muscle 31
        return (logits,)

    model = Model("thigh", Path(), "1", SPEC, {}, {})
    run, labels = answer(trial, model, engine, also="in_phase")  # type: ignore[arg-type]
    assert labels.labels.shape == trial.labels.shape
    assert run.contrasts[0] == "opposed"
    assert set(run.confidences) == {"opposed", "in_phase"}
    assert set(np.unique(labels.labels)) == {0, 31}
    found = {hit.label: hit for hit in hits(trial, labels, REPORTED)}
    assert 0 < found[31].dice < 0.7
    assert found[55].dice == 0.0
    assert np.isnan(found[55].confidence)


def test_judging(trial: Trial) -> None:
    right = Labels(trial.labels, np.full(trial.labels.shape, 0.9, np.float32))
    perfect = hits(trial, right, REPORTED)
    assert {hit.label for hit in perfect} <= {31, 35, 55, 59}  # neither bone nor fat
    assert mean_dice(perfect) == 1.0
    assert all(hit.distance == 0 and hit.is_there for hit in perfect)
    assert perfect[0].confidence == pytest.approx(0.9)
    one = perfect[0].label
    missed = Labels(np.where(trial.labels == one, 0, trial.labels), right.probability)
    assert mean_dice(hits(trial, missed, REPORTED)) == pytest.approx(1 - 1 / len(perfect))


def test_what_is_not_there_is_judged_but_not_averaged(trial: Trial) -> None:
    empty = replace(trial, labels=np.zeros_like(trial.labels))
    found = hits(empty, Labels(trial.labels, np.ones(trial.labels.shape, np.float32)), REPORTED)
    assert found
    assert all(hit.dice == 0 and not hit.is_there for hit in found)
    assert np.isnan(mean_dice(found))
    assert answers.LEAST_VOLUME > 0
