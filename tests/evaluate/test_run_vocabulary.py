from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.evaluate.schemes import Scheme, known_scheme, scheme_of_names
from legseg_bids.evaluate.vocabulary import knowing, vocabulary

NAMES = {label.index: label.name for label in load_labels()}
SOME = st.sets(st.sampled_from(sorted(NAMES)), min_size=1, max_size=12)


def scheme(indices: set[int]) -> Scheme:
    return scheme_of_names({index: NAMES[index] for index in indices})


@given(SOME, SOME)
def test_what_is_known_is_added_and_nothing_is_changed(own: set[int], other: set[int]) -> None:
    found = knowing(scheme(own), vocabulary([scheme(own), scheme(other)]))
    assert {i for covered in found.covers.values() for i in covered} == own | other
    assert {n: found.structures[n] for n in own} == dict(scheme(own).structures)
    assert all(number > 65535 for number in found.covers.keys() - own)
    assert len(found.covers) == len(found.structures) == len(own | other)


def test_a_coarser_division_is_not_added_to_a_finer_one_nor_the_other_way_round() -> None:
    fine, coarse = scheme({61}), scheme_of_names({1: "quadriceps_femoris_left"})
    assert knowing(fine, vocabulary([coarse])).covers == fine.covers
    assert knowing(coarse, vocabulary([fine])).covers == coarse.covers


def test_of_two_divisions_the_finer_one_is_known() -> None:
    parts = scheme({55, 57, 59, 61})
    whole = scheme_of_names({1: "quadriceps_femoris_left"})
    found = knowing(scheme({63}), vocabulary([whole, parts]))
    assert set(found.structures.values()) == {"SAR_L", "VL_L", "VI_L", "VM_L", "RF_L"}


def test_nothing_known_changes_nothing() -> None:
    ours = known_scheme("legseg")
    assert knowing(ours, ()) == ours
    assert knowing(ours, vocabulary([ours])) == ours
