"""The tables of the experiments, and what they name."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.errors import UsageError
from legseg_bids.evaluate.reproductions.bank import REGIONS
from legseg_bids.evaluate.reproductions.batches import AUGMENTATIONS, named_augmentation
from legseg_bids.evaluate.reproductions.experiments import (
    KINDS,
    TRUTHS,
    experiment_names,
    load_experiment,
)
from legseg_bids.evaluate.reproductions.structures import class_table, parts, structure_set
from legseg_bids.evaluate.reproductions.training import named_loss
from legseg_bids.networks import names as network_names

SETS = ("bones", "calf_partial", "lower_limb", "thigh_leg")


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_names_what_exists(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.reference in [arm.name for arm in experiment.arms]
    assert set(experiment.regions) <= set(REGIONS)
    assert experiment.size % experiment.coarser == 0
    assert len({arm.name for arm in experiment.arms}) == len(experiment.arms)
    structure_set(experiment.structures)
    for arm in experiment.arms:
        assert arm.kind in KINDS
        assert arm.truth in TRUTHS
        if arm.kind != "shipped":
            assert arm.network["name"] in network_names()
            named_loss(arm.loss)
        if arm.augment:
            assert named_augmentation(arm.augment) is not None


def test_all_arms_of_partial_labels_share_a_network() -> None:
    arms = load_experiment("partial-labels").arms
    assert len({str(arm.network) for arm in arms}) == 1


def test_unknown_experiment_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="partial-labels"):
        load_experiment("full-labels")


@pytest.mark.parametrize("name", SETS)
def test_structures_are_left_labels_each_in_one_class(name: str) -> None:
    structures = structure_set(name)
    left = {label.index for label in load_labels() if label.side != "right"}
    used = [index for s in structures for index in s.labels]
    assert set(used) <= left
    assert len(used) == len(set(used))
    table = class_table(structures)
    assert sorted(set(table.tolist())) == list(range(len(structures) + 1))
    assert len(parts(structures)) >= 1


def test_unknown_set_is_an_error() -> None:
    with pytest.raises(KeyError):
        structure_set("arm")


def test_named_augmentations_can_be_read() -> None:
    assert all(named_augmentation(name) for name in AUGMENTATIONS)
    assert named_augmentation("") is None
