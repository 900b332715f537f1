from __future__ import annotations

import colorsys
import re
from collections import Counter

import pytest

from legseg_bids.anatomy.labels import (
    Label,
    combined_with,
    label_by_index,
    load_labels,
    mirror_index,
    right_of,
)

LABELS = load_labels()
SIDED = [label for label in LABELS if label.side != "n/a"]
LEFT = [label for label in LABELS if label.side == "left"]


def rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def test_table_is_complete_and_sorted() -> None:
    indices = [label.index for label in LABELS]
    assert indices == sorted(set(indices))
    assert len(LABELS) == 98
    assert max(indices) <= 255


@pytest.mark.parametrize("field", ["name", "abbreviation", "color"])
def test_field_is_unique(field: str) -> None:
    counts = Counter(getattr(label, field) for label in LABELS)
    assert [value for value, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.abbreviation)
def test_label_uses_the_vocabulary(label: Label) -> None:
    assert label.side in {"left", "right", "n/a"}
    assert label.region in {"lower", "upper", "hip", "n/a"}
    assert label.tissue in {"muscle", "bone", "fat"}
    assert re.fullmatch(r"#[0-9a-f]{6}", label.color)
    assert re.fullmatch(r"[A-Z]+(_[LR])?", label.abbreviation)


@pytest.mark.parametrize("left", LEFT, ids=lambda label: label.abbreviation)
def test_right_partner_is_next_number_and_a_darker_shade(left: Label) -> None:
    right = label_by_index(left.index + 1)
    assert left.index % 2 == 1
    assert right.name == left.name.removesuffix("left") + "right"
    assert right.abbreviation == left.abbreviation.removesuffix("L") + "R"
    assert (right.region, right.tissue) == (left.region, left.tissue)
    left_hsv, right_hsv = (colorsys.rgb_to_hsv(*rgb(label.color)) for label in (left, right))
    assert right_hsv[0] == pytest.approx(left_hsv[0], abs=0.03)
    assert right_hsv[2] < left_hsv[2]


def test_every_sided_label_has_its_partner() -> None:
    assert len(SIDED) == 2 * len(LEFT)


@pytest.mark.parametrize("column", ["musclemap", "atlas"])
def test_foreign_numbers_tell_the_sides_apart(column: str) -> None:
    for left in LEFT:
        number = getattr(left, column)
        partner = getattr(label_by_index(left.index + 1), column)
        assert (number is None) == (partner is None)
        assert number is None or number != partner


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.abbreviation)
def test_mirror_is_its_own_inverse_and_swaps_sides(label: Label) -> None:
    partner = label_by_index(mirror_index(label.index))
    assert mirror_index(partner.index) == label.index
    assert {label.side, partner.side} in ({"left", "right"}, {"n/a"})


def test_known_labels() -> None:
    assert label_by_index(61).name == "Rectus femoris left"
    assert label_by_index(61).atlas == 113
    assert label_by_index(151).abbreviation == "SAT"
    assert label_by_index(27).musclemap is None
    assert right_of(121) == 121


@pytest.mark.parametrize("index", [-1, 29, 67, 255])
def test_unknown_label_is_named(index: int) -> None:
    with pytest.raises(KeyError, match=str(index)):
        label_by_index(index)
    with pytest.raises(KeyError, match=str(index)):
        mirror_index(index)


def test_right_of_a_right_label_is_refused() -> None:
    with pytest.raises(ValueError, match="62 is on the right already"):
        right_of(62)


def test_combined_labels_name_structures_of_the_same_side() -> None:
    abbreviations = {label.abbreviation: label for label in LABELS}
    combined = {label.index: combined_with(label.index) for label in LABELS}
    known = {index: includes for index, includes in combined.items() if includes}
    assert known == {17: "FB_L", 18: "FB_R", 23: "FT_L", 24: "FT_R"}
    for index, includes in known.items():
        assert abbreviations[includes].side == label_by_index(index).side
