from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.anatomy.labels import load_labels, mirror_index
from legseg_bids.errors import ImageError, UsageError
from legseg_bids.evaluate.schemes import (
    COLUMNS,
    Scheme,
    common,
    known_scheme,
    left_out,
    read_scheme,
    scheme_names,
    scheme_of_names,
)
from legseg_bids.evaluate.structures import (
    covered_by,
    is_part,
    key_of,
    read_data,
    side_of,
    with_parts,
)

BY_NAME = {label.abbreviation: label.index for label in load_labels()}
TOTAL = "totalsegmentator_thigh_shoulder_muscles_mr"
QMRI = """################################################
# ITK-SnAP Label Description File
    0     0    0    0        0  0  0    "Clear Label"
# Lower leg muscles 1-30
    1   255  192  203        1  1  1    "1 Lateral gastrocnemius Left"
   31     0  100    0        1  1  1    "31 Biceps femoris long Left"
   63   203  193    0        1  1  1    "63 Satorius Left"
   78     0    0  205        1  1  1    "78 Tensor fascia latae Right"
   91    60  179  113        1  1  1    "89 Quadratus lumborum Left"
  101   200  200  200        1  1  1    "101 Ilium Left"
  151   240  0    255        1  1  1    "151 Subcutanious fat"
"""
CARD = {
    "model": {"spatial_dims": 2},
    "labels": [
        {"region": "leg", "anatomy": "anterior compartment", "side": "left", "value": 1},
        {"region": "leg", "anatomy": "gastrocnemius", "side": "right", "value": 10},
        {"region": "pelvis", "anatomy": "sacrum", "side": "no side", "value": 6160},
        {"region": "neck", "anatomy": "longus colli", "side": "left", "value": 1151},
    ],
}
REGIONS = {
    "labels": {
        "background": 0,
        "adductors": [1, 2, 3],
        "adductor longus": [2, 3],
        "rectus femoris": 4,
        "ignore": 5,
    },
    "regions_class_order": [1, 2, 4],
}
MUSCLEMAP_CSV = """Anatomy,Side,Label,Volume (ml)
Soleus,Left,8131,400
Gemelli & Quadratus Femoris,R,6222,30
"""
FILES = {
    "bids": ("x.tsv", "index\tname\tabbreviation\n61\tRectus femoris left\tRF_L\n5\tq\tSOL_L\n",
             {61: "RF_L", 5: "SOL_L"}, {}),
    "bids without abbreviations": ("x.tsv", "index\tname\n2.0\tvastus_lateralis\n", {2: "VL"}, {}),
    "qmritools": ("x.txt", QMRI, {1: "LG_L", 31: "BFLH_L", 63: "SAR_L", 78: "TFL_R", 101: "HIP_L",
                                  151: "SAT"}, {91: "Quadratus lumborum Left"}),
    "musclemap card": ("m.json", json.dumps(CARD), {1: "anterior_L", 10: "gastrocnemius_R",
                                                    6160: "SAC"}, {1151: "longus colli left"}),
    "musclemap table": ("m.csv", MUSCLEMAP_CSV,
                        {8131: "SOL_L", 6222: "gemelli_quadratus_R"}, {}),
    "nnunet": ("dataset.json", '{"labels": {"background": 0, "VL_R": 1, "spleen": 2}}',
               {1: "VL_R"}, {2: "spleen"}),
    "nnunet 1": ("dataset.json", '{"labels": {"0": "background", "1": "Soleus"}}', {1: "SOL"}, {}),
    "nnunet regions": ("dataset.json", json.dumps(REGIONS),
                       {1: "AM+AMIN+AB+GRA+PEC", 2: "AL", 3: "AL", 4: "RF"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_tables_of_other_tools(kind: str, tmp_path: Path) -> None:
    name, text, structures, unknown = FILES[kind]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    found = read_scheme(tmp_path / "image.nii.gz", path)
    assert dict(found.structures) == structures
    assert dict(found.unknown) == unknown
    assert found.name == str(path)
    if unknown:
        with pytest.raises(ImageError, match=next(iter(unknown.values()))):
            read_scheme(tmp_path / "image.nii.gz", path, strict=True)


BROKEN = {
    "no file": (None, "not a file"),
    "no names": ("index\tcolor\n1\tred\n", "its columns are index, color"),
    "no numbers": ("name\nSoleus\n", "its columns are name"),
    "half a number": ("index\tname\n1.5\tSoleus\n", "no whole number"),
    "words": ("index\tname\none\tSoleus\n", "could not convert"),
    "nothing": ("index\tname\n", "its columns are none"),
    "nobody knows": ("index\tname\n1\tsoleuss\n2\telbow\n", "'soleuss' .nearest: Soleus.*'elbow'"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_tables_that_tell_nothing(kind: str, tmp_path: Path) -> None:
    text, told = BROKEN[kind]
    path = tmp_path / "x.tsv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ImageError, match=told):
        read_scheme(tmp_path / "image.nii.gz", path)


@pytest.mark.parametrize("text", ["[1]", '{"labels": 3}', '{"labels": []}', "{", '{"labels": {}}'])
def test_json_that_tells_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(text)
    with pytest.raises(ImageError, match="cannot be read"):
        read_scheme(tmp_path / "image.nii.gz", path)


def label_image(path: Path, xml: str = "", code: int = 0) -> Path:
    image = nib.nifti1.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    if xml:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, xml.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


XML = (
    '<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>'
    '<Label Key="7" Red="1"><![CDATA[sartorius_left]]></Label>'
    '<Label Key="9" Red="1">deltoid</Label></LabelTable></VolumeInformation></CaretExtension>'
)


@pytest.mark.parametrize("code", [0, 30])
def test_a_label_table_in_the_header(code: int, tmp_path: Path) -> None:
    found = read_scheme(label_image(tmp_path / "a" / "b" / "total.nii.gz", XML + "  ", code))
    assert dict(found.structures) == {7: "SAR_L"}
    assert dict(found.unknown) == {9: "deltoid"}


@pytest.mark.parametrize(
    "xml", ["", "<LabelTable", '<!DOCTYPE a [<!ENTITY b "c">]>' + XML, "<LabelTable/>"]
)
def test_without_any_table_the_message_says_what_to_do(xml: str, tmp_path: Path) -> None:
    path = label_image(tmp_path / "a" / "b" / "c" / "image.nii.gz", xml)
    with pytest.raises(ImageError, match=r"image\.tsv.*--table.*--scheme"):
        read_scheme(path)


@pytest.mark.parametrize("beside", ["p/s/image.tsv", "p/s/dseg.tsv", "p/dseg.tsv", "dseg.tsv"])
def test_a_table_beside_the_image(beside: str, tmp_path: Path) -> None:
    image = label_image(tmp_path / "p" / "s" / "image.nii.gz", XML)
    (tmp_path / beside).write_text("index\tname\n3\tSoleus left\n")
    assert read_scheme(image).structures == {3: "SOL_L"}
    assert read_scheme(image, scheme="legseg").structures[5] == "SOL_L"


def test_unknown_schemes_are_named() -> None:
    with pytest.raises(UsageError, match=r"did you mean musclemap\?.*totalsegmentator"):
        known_scheme("muscle-map")


@pytest.mark.parametrize("name", scheme_names())
def test_known_schemes_name_structures_of_the_leg(name: str) -> None:
    scheme = known_scheme(name)
    assert scheme.structures
    assert set(scheme.structures) == set(scheme.covers)
    for number, covered in scheme.covers.items():
        assert scheme.structures[number] == key_of(covered)
    same = common(scheme, scheme)
    assert {n for s in same for n in s.reference} == set(scheme.structures)
    assert all(s.reference == s.predicted for s in same)


def test_own_scheme_is_the_label_table() -> None:
    found = known_scheme("legseg").structures
    assert found == {label.index: label.abbreviation for label in load_labels()}
    assert known_scheme("qmritools_legs").structures == found
    assert set(COLUMNS) <= set(scheme_names())


def told(a: Scheme, b: Scheme) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    sides = {"left": "_L", "right": "_R", "n/a": ""}
    return {s.name + sides[s.side]: (s.reference, s.predicted) for s in common(a, b)}


def test_compartments_of_totalsegmentator_against_ours() -> None:
    found = told(known_scheme("legseg"), known_scheme(TOTAL))
    assert set(found) == {
        f"{name}_{side}"
        for name in ("quadriceps", "adductors", "hamstrings", "SAR")
        for side in "LR"
    }
    assert found["quadriceps_R"] == ((56, 58, 60, 62), (2,))
    assert found["adductors_L"] == ((39, 41, 43, 45, 47, 65), (3,))
    reasons = {(r.found_in, r.structure): r.reason for r in left_out(
        known_scheme("legseg"), known_scheme(TOTAL))}  # fmt: skip
    assert reasons["reference", "SOL_L"] == "the prediction does not have it"
    assert reasons["prediction", "deltoid"] == "nobody knows this name"


def test_muscles_that_one_scheme_draws_with_another() -> None:
    """Ours has the fibularis brevis under the longus; theirs has the lateral compartment."""
    ours = scheme_of_names({17: "Fibularis longus left", 21: "TA_L", 23: "EDL_L", 25: "EHL_L"})
    found = told(known_scheme("musclemap_leg"), ours)
    assert found == {"lateral_L": ((5,), (17,)), "anterior_L": ((1,), (21, 23, 25))}
    all_of_them = scheme_of_names({1: "FL_L", 2: "FB_L"})
    assert told(ours, all_of_them) == {"lateral_L": ((17,), (1, 2))}


def test_sides_in_one_number_take_both_of_the_other() -> None:
    found = told(known_scheme("thigh_partial"), known_scheme("legseg"))
    assert found["SAR"] == ((1,), (63, 64))
    assert found["RF"] == ((2,), (61, 62))


def test_numbers_that_are_finer_than_ours_go_together() -> None:
    bones = known_scheme("totalsegmentator_appendicular_bones_mr")
    assert told(bones, known_scheme("legseg"))["FOOT"] == ((4, 5, 6), (111, 112))


def test_names_of_musclesense_and_segai() -> None:
    found = told(known_scheme("musclesense_thigh"), known_scheme("segai_thigh"))
    assert found["biceps_femoris_L"] == ((27,), (12, 11))
    assert found["ST_R"] == ((6,), (6,))
    assert dict(known_scheme("musclesense_calf").unknown) == {
        7: "Right Tibia Marrow",
        17: "Left Tibia Marrow",
    }
    assert known_scheme("musclesense_calf").structures[13] == "LG_L"


def test_borders_that_cross_are_not_compared() -> None:
    a = scheme_of_names({1: "VL_L", 2: "vastus lateralis intermedius left", 3: "SAR_L"})
    b = scheme_of_names({1: "quadriceps left", 3: "SAR_L"})
    assert told(a, b) == {"SAR_L": ((3,), (3,))}
    missing = {(r.found_in, r.label): r.reason for r in left_out(a, b)}
    assert missing["prediction", 1].startswith("the reference has only a part of it (")
    assert missing["reference", 1].startswith("the prediction has it only together with others")


@st.composite
def partitions(draw) -> Scheme:
    """A scheme of some thigh muscles, some of them in one number."""
    labels = draw(st.lists(st.sampled_from([55, 56, 57, 58, 59, 61, 39, 41, 43]), unique=True,
                           min_size=1))  # fmt: skip
    numbers = draw(st.lists(st.integers(1, 4), min_size=len(labels), max_size=len(labels)))
    covers: dict[int, frozenset[int]] = {}
    for label, number in zip(labels, numbers, strict=True):
        covers[number] = covers.get(number, frozenset()) | {label}
    return Scheme("drawn", {n: key_of(c) for n, c in covers.items()}, covers)


@given(partitions(), partitions())
def test_what_is_common_covers_the_same_on_both_sides(a: Scheme, b: Scheme) -> None:
    found = common(a, b)
    mine, yours = (dict(zip(s.covers, with_parts(s.covers.values()), strict=True)) for s in (a, b))
    used: list[tuple[int, ...]] = []
    for one in found:
        first = frozenset().union(*(mine[n] for n in one.reference))
        second = frozenset().union(*(yours[n] for n in one.predicted))
        assert first == second >= set(one.members)
        used.append(one.reference)
    assert len({n for numbers in used for n in numbers}) == sum(map(len, used))
    turned = {(s.predicted, s.reference) for s in common(b, a)}
    assert turned == {(s.reference, s.predicted) for s in found}
    compared = {n for s in found for n in s.reference}
    assert {r.label for r in left_out(a, b) if r.found_in == "reference"} == (
        set(a.covers) - compared
    )


@pytest.mark.parametrize("label", load_labels(), ids=lambda label: label.abbreviation)
def test_every_name_of_ours_covers_its_label(label) -> None:
    for name in (label.name, label.abbreviation):
        assert covered_by(name) == frozenset({label.index})
    if label.side == "left":
        both = frozenset({label.index, mirror_index(label.index)})
        assert covered_by(label.name.removesuffix(" left")) == both


@pytest.mark.parametrize("table", ["groups.tsv", "structure_names.tsv", "parts.tsv"])
def test_tables_name_structures_of_the_scheme(table: str) -> None:
    rows = read_data(table)
    assert rows
    for row in rows:
        names = row.get("members", "").split()
        for base in (*names, *(row[k] for k in ("whole", "part") if k in row)):
            assert base in BY_NAME or f"{base}_L" in BY_NAME
        if table != "parts.tsv":
            covered = covered_by(row["name"])
            assert covered
            assert covered == covered_by(f"left {row['name']}") | covered_by(f"{row['name']} R")


def test_no_two_rows_tell_the_same_words_apart() -> None:
    keys = [row["name"] for row in read_data("structure_names.tsv")]
    assert len(set(keys)) == len(keys)
    numbers = [(row["scheme"], row["number"]) for row in read_data("schemes.tsv")]
    assert len(set(numbers)) == len(numbers)


some = st.sets(st.sampled_from(sorted(BY_NAME.values())), min_size=1, max_size=6)


@given(some, some)
def test_other_structures_have_other_short_names(one: set[int], two: set[int]) -> None:
    if key_of(one) == key_of(two):
        assert all(is_part(index) for index in one ^ two)
    assert side_of(one) == "n/a" or key_of(one).endswith(f"_{side_of(one)[0].upper()}")
