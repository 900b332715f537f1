from __future__ import annotations

import pytest

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.bids.sidecars import load_columns
from legseg_bids.group.structures import (
    KINDS,
    compartment_rows,
    describe,
    label_structures,
    limb_rows,
    load_measures,
    on_white,
    structure_of,
    tissue_descriptions,
)


def test_every_label_is_a_structure_of_a_known_kind() -> None:
    assert set(label_structures()) == {label.abbreviation for label in load_labels()}
    assert {structure.kind for structure in label_structures().values()} <= set(KINDS)


def test_sides_share_base_and_name() -> None:
    left, right = label_structures()["VL_L"], label_structures()["VL_R"]
    assert (left.base, left.name, left.kind) == (right.base, right.name, right.kind)
    assert (left.side, right.side) == ("left", "right")


def test_measures_are_described() -> None:
    for measure in load_measures().values():
        assert measure.title
        assert measure.unit or measure.name == "mean_fat_fraction"
        assert measure.counts in ("whole", "peak", "always")


def test_rows_of_compartments_and_limbs_are_structures() -> None:
    rows = [
        *compartment_rows([{"compartment": "triceps_surae", "side": "right"}]),
        *limb_rows([{"side": "left", "bone_volume": "3", "limb_volume": "n/a"}]),
    ]
    found = [structure_of(row) for row in rows]
    assert [(s.key, s.name, s.kind) for s in found if s] == [
        ("triceps_surae_R", "Triceps surae", "compartment"),
        ("bone_L", "Bones", "tissue"),
    ]
    assert rows[1]["volume"] == "3"
    assert set(tissue_descriptions()) >= {"limb", "bone"}


def test_all_that_may_be_told_of_a_structure_is_described() -> None:
    limbs = {name: "1" for name in load_columns("limbs") if name != "side"}
    rows = [
        {"kind": "muscle", "abbreviation": "RF_L", **dict.fromkeys(load_measures(), "1")},
        *compartment_rows(
            [{"compartment": "x", "side": "left", **dict.fromkeys(load_measures(), "1")}]
        ),
        *limb_rows([{**limbs, "side": "left"}]),
    ]
    for row in rows:
        structure = structure_of(row)
        assert structure
        for measure in load_measures().keys() & row.keys():
            assert describe(structure, measure)["Units"], (structure.key, measure)


@pytest.mark.parametrize("name", ["", "a b", "<b>", "x" * 41, "1st", "a\tb"])
def test_strange_names_are_none(name: str) -> None:
    (row,) = compartment_rows([{"compartment": name, "side": "left"}])
    assert structure_of(row) is None


def test_dots_of_every_colour_can_be_seen() -> None:
    for structure in label_structures().values():
        color = on_white(structure.color)
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        weights = (0.2126, 0.7152, 0.0722)
        assert sum(w * p**2.2 for w, p in zip(weights, parts, strict=True)) < 0.36
