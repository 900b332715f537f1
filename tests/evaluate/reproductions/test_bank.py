"""The slices that all experiments share."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from legseg_bids.errors import OutputError
from legseg_bids.evaluate.reproductions import bank as module
from legseg_bids.evaluate.reproductions.bank import REGIONS, Bank, Plan, heights, open_bank
from legseg_bids.evaluate.reproductions.batches import Source, named_augmentation
from legseg_bids.evaluate.reproductions.running import QUICK, Order, map_loader
from legseg_bids.evaluate.reproductions.structures import structure_set
from legseg_bids.synth.atlas import Anatomy

SMALL = replace(QUICK, people={"train": 2, "known": 1, "new": 1})


def quiet(line: str) -> None:
    pass


@pytest.fixture
def bank(order: Order, tmp_path: Path) -> Bank:
    return open_bank(tmp_path / "slices", SMALL, map_loader(order), quiet)


def test_every_person_has_slices_of_every_region(bank: Bank) -> None:
    assert len(bank.image) == SMALL.count == 4 * len(REGIONS) * SMALL.slices
    for split, count in SMALL.people.items():
        for region in REGIONS:
            assert len(bank.rows(split, [region])) == count * SMALL.slices
    assert len(bank.rows("train", REGIONS, people=1)) == SMALL.slices * len(REGIONS)
    assert np.isfinite(bank.image).all()
    assert (bank.label[bank.rows("known", ["thigh"])] > 0).any()


def test_place_rises_along_the_limb(bank: Bank) -> None:
    low, middle, high = (
        bank.place[bank.rows("known", [region])].mean() for region in ("calf", "thigh", "hip")
    )
    assert 0 < low < middle < high


def test_people_of_the_splits_differ(bank: Bank) -> None:
    first, second = (bank.image[bank.rows(s, ["calf"])[0]] for s in ("train", "known"))
    assert not np.array_equal(first, second)


def test_a_second_opening_simulates_nothing(bank: Bank, tmp_path: Path) -> None:
    def never(name: str) -> Anatomy:
        raise AssertionError(name)

    again = open_bank(tmp_path / "slices", SMALL, never, quiet)
    assert np.array_equal(again.image, bank.image)


def test_an_interrupted_bank_goes_on_and_is_the_same(
    bank: Bank, order: Order, tmp_path: Path
) -> None:
    before = np.array(bank.image)
    state = tmp_path / "slices" / "bank.json"
    state.write_text(json.dumps(SMALL.facts() | {"done": 2}))
    bank.image[bank.rows("new", REGIONS)] = 0
    again = open_bank(tmp_path / "slices", SMALL, map_loader(order), quiet)
    assert np.array_equal(again.image, before)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"done": "x"}'])
def test_a_damaged_state_begins_anew(
    bank: Bank, order: Order, tmp_path: Path, content: str
) -> None:
    before = np.array(bank.label)
    (tmp_path / "slices" / "bank.json").write_text(content)
    again = open_bank(tmp_path / "slices", SMALL, map_loader(order), quiet)
    assert np.array_equal(again.label, before)


def test_no_space_is_said_before_anything_is_simulated(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match="free; expected"):
        open_bank(tmp_path / "full", SMALL, map_loader(order), quiet)


def test_a_file_in_the_way_is_said(order: Order, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        open_bank(tmp_path / "file" / "slices", SMALL, map_loader(order), quiet)


def test_heights_lie_between_the_joints(order: Order) -> None:
    anatomy = map_loader(order)("vhm")
    marks = anatomy.landmarks["left"]
    found = heights(anatomy, "left", "calf", 5)
    assert marks.ankle < found[0] < found[-1] < marks.knee
    assert np.allclose(np.diff(found), found[1] - found[0])


def source(bank: Bank, **options: object) -> Source:
    rows = bank.rows("train", ["calf"])
    return Source(bank, rows, structure_set("calf_partial"), 32, **options)  # type: ignore[arg-type]


def test_batches_are_a_function_of_seed_and_step(bank: Bank) -> None:
    one, two = source(bank).batch(3, 1, 5), source(bank).batch(3, 1, 5)
    assert torch.equal(one.image, two.image)
    other = source(bank).batch(3, 2, 5)
    assert not torch.equal(one.image, other.image)


def test_coarser_batches_are_smaller(bank: Bank) -> None:
    batch = source(bank, coarser=2).batch(2, 0, 0)
    assert batch.image.shape == (2, 1, 16, 16)
    assert batch.labels.shape == (2, 16, 16)


@pytest.mark.parametrize(("truth", "told"), [("all", False), ("naive", False), ("drawn", True)])
def test_what_a_training_is_told(bank: Bank, truth: str, told: bool) -> None:
    batch = source(bank, truth=truth).batch(4, 0, 0)
    whole = source(bank).batch(4, 0, 0)
    assert torch.equal(batch.image, whole.image)
    assert (batch.known is not None) == told
    assert torch.equal(batch.labels, whole.labels) == (truth == "all")


def test_augmented_slices_keep_their_size_and_classes(bank: Bank) -> None:
    plain, changed = (
        source(bank, augmentation=how).batch(3, 0, 0)
        for how in (None, named_augmentation("slices"))
    )
    assert changed.image.shape == plain.image.shape
    assert not torch.equal(changed.image, plain.image)
    assert set(changed.labels.unique().tolist()) <= {*plain.labels.unique().tolist(), 0}


def test_plan_counts_its_bytes() -> None:
    assert Plan().bytes > Plan().count * Plan().size ** 2 * 3
