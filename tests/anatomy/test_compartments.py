from __future__ import annotations

import pytest

from legseg_bids.anatomy import label_by_index
from legseg_bids.anatomy.compartments import Compartment, load_compartments

ALL = load_compartments()


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_members_are_muscles_of_its_side_and_region(one: Compartment) -> None:
    labels = [label_by_index(index) for index in one.members]
    assert {label.tissue for label in labels} == {"muscle"}
    assert {label.side for label in labels} == {one.side}
    assert {label.region for label in labels} == {one.region}
    assert one.required <= set(one.members)
    assert one.required
    assert one.name.endswith(one.side)


def test_no_muscle_lies_in_two_compartments() -> None:
    members = [index for one in ALL for index in one.members]
    assert len(members) == len(set(members))


def test_both_sides_are_alike() -> None:
    left, right = ([c for c in ALL if c.side == side] for side in ("left", "right"))
    assert [c.key for c in left] == [c.key for c in right]
    for one, other in zip(left, right, strict=True):
        assert [index + 1 for index in one.members] == list(other.members)


def test_a_muscle_under_another_label_counts_as_found() -> None:
    by_key = {c.key: c for c in ALL if c.side == "left"}
    anterior = by_key["anterior"]
    # Tibialis anterior, extensor digitorum (with fibularis tertius) and extensor hallucis longus.
    assert anterior.is_complete(frozenset({21, 23, 25}))
    assert not anterior.is_complete(frozenset({21, 25, 27}))
    assert by_key["lateral"].is_complete(frozenset({17}))
    assert by_key["adductors"].is_complete(frozenset({39, 43, 45, 47, 65}))
