from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.evaluate.cases import Naming
from legseg_bids.evaluate.finding import LabelImage
from legseg_bids.evaluate.plan import known_in, networks_of
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


def test_a_network_of_ours_is_known_by_what_it_looks_for(tmp_path: Path) -> None:
    """A muscle that it missed in every image is a miss all the same."""
    path = tmp_path / "sub-01_seg-muscles_dseg.nii.gz"
    table = tmp_path / "sub-01_seg-muscles_dseg.tsv"
    table.write_text("index\tname\n61\tRectus femoris left\n")
    image = LabelImage(path, tmp_path, table=table)
    before = known_in([image], Naming())
    models = [{"Name": "thigh", "Labels": ["RF", "SAR", "SAT"]}, {"Name": "old"}]
    sidecar = tmp_path / "sub-01_seg-muscles_dseg.json"
    sidecar.write_text(json.dumps({"Legseg": {"Models": models}}))
    known = known_in([image], Naming())
    assert {i for covered in known for i in covered} == {61, 62, 63, 64, 151}
    assert networks_of(image) == [("RF", "SAR", "SAT")]
    for spoilt in ("{", '{"Legseg": {"Models": 3}}', '{"Legseg": {"Models": [{"Labels": 1}]}}'):
        sidecar.write_text(spoilt)
        assert known_in([image], Naming()) == before
    assert known_in([image], Naming(scheme="legseg")) == ()
