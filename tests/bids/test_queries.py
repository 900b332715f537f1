from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.queries import (
    is_contrast,
    is_part,
    load_queries,
    part_of,
    role_of,
)

TABLE = load_queries()

WORDS = [
    ("outphase", "opposed"),
    ("DIXONbodyOUT", "opposed"),
    ("dixonOutPhase", "opposed"),
    ("opp", "opposed"),
    ("OP", "opposed"),
    ("dixonopp", "opposed"),
    ("vibeOP", "opposed"),
    ("opposed", "opposed"),
    ("out", "opposed"),
    ("DIXONOUT", "opposed"),
    ("outOfPhase", "opposed"),
    ("legsOut2", "opposed"),
    ("inphase", "in_phase"),
    ("dixonIN", "in_phase"),
    ("IP", "in_phase"),
    ("dixonwater", "water"),
    ("dixonW", "water"),
    ("W", "water"),
    ("wat", "water"),
    ("VibeWATER", "water"),
    ("dixonfat", "fat"),
    ("dixonF", "fat"),
    ("fat", "fat"),
]
NO_WORDS = [
    "",
    "dixon",
    "scout",
    "without",
    "cropped",
    "inplane",
    "optimised",
    "fatsat",
    "FatSat",
    "fatfraction",
    "waterexc",
    "waterfat",
    "wholebody",
    "fast",
    "F3",
    "knee",
    "layout",
]


@pytest.mark.parametrize(("label", "role"), WORDS)
def test_words_of_acquisition_labels(label: str, role: str) -> None:
    assert role_of(label, [], TABLE).role == role


@pytest.mark.parametrize("label", NO_WORDS)
def test_labels_that_only_look_like_it(label: str) -> None:
    assert role_of(label, [], TABLE).role is None


@pytest.mark.parametrize(
    ("image_type", "role"),
    [
        (["ORIGINAL", "PRIMARY", "OPP_PHASE"], "opposed"),
        (["DERIVED", "PRIMARY", "DIXON", "out_phase"], "opposed"),
        (["DERIVED", "PRIMARY", "OP", "OP", "DERIVED"], "opposed"),
        (["DERIVED", "PRIMARY", "IN_PHASE"], "in_phase"),
        (["DERIVED", "PRIMARY", "W"], "water"),
        (["DERIVED", "PRIMARY", "FAT"], "fat"),
        (["ORIGINAL", "PRIMARY", "M", "ND"], None),
        ([], None),
    ],
)
def test_image_types(image_type: list[str], role: str | None) -> None:
    assert role_of("dixon", image_type, TABLE).role == role


def test_name_and_image_type_must_agree() -> None:
    match = role_of("outphase", ["DERIVED", "IN_PHASE"], TABLE)
    assert match.role is None
    assert "in_phase, opposed" in match.because


def test_image_type_settles_a_name_with_two_words() -> None:
    assert role_of("waterfat", ["DERIVED", "WATER"], TABLE).role == "water"


@pytest.mark.parametrize(
    "labels",
    [
        ("dixonwater", "dixonfat", "dixonOUT", "dixonInphase", "dixon"),
        ("W", "F", "op", ""),
        ("waterThigh", "fatThigh", "outphaseThigh", "thigh"),
    ],
)
def test_images_of_one_station_have_the_same_rest(labels: tuple[str, ...]) -> None:
    assert len({role_of(label, [], TABLE).rest for label in labels}) == 1


@given(st.text("abcdinoutphsewrfIPOTW0123", max_size=14), st.booleans())
def test_in_phase_is_never_opposed(label: str, in_type: bool) -> None:
    image_type = ["IN_PHASE"] if in_type else []
    named = role_of(f"{label}Inphase", image_type, TABLE)
    assert named.role in {None, "in_phase"}


@pytest.mark.parametrize(
    ("part", "image_type", "expected"),
    [
        (None, [], "magnitude"),
        ("mag", ["P"], "magnitude"),
        ("phase", [], "phase"),
        ("ph", [], "phase"),
        ("real", [], "real"),
        ("imag", [], "imaginary"),
        (None, ["ORIGINAL", "PRIMARY", "PHASE"], "phase"),
        (None, ["ORIGINAL", "PRIMARY", "R"], "real"),
        (None, ["ORIGINAL", "PRIMARY", "M"], "magnitude"),
        ("outphase", ["ORIGINAL", "PRIMARY", "M"], "magnitude"),
    ],
)
def test_parts_of_complex_data(part: str | None, image_type: list[str], expected: str) -> None:
    assert part_of(part, image_type, TABLE) == expected


@pytest.mark.parametrize(
    ("word", "role"),
    [
        ("outphase", "opposed"),
        ("OUTPH", "opposed"),
        ("eco0-opp1", "opposed"),
        ("inph", "in_phase"),
        ("wat", "water"),
        ("fat", "fat"),
        ("fatfr", None),
        ("fat-fraction", None),
        ("watfr", None),
        ("eco2-opp2", None),
        ("t2star", None),
    ],
)
def test_contrasts_that_stand_alone(word: str, role: str | None) -> None:
    assert role_of("dixon", [], TABLE, exact=word).role == role
    assert is_contrast(word, TABLE) is (role is not None)


def test_a_reconstruction_label_may_name_the_contrast() -> None:
    match = role_of("dixonThigh", [], TABLE, reconstruction="outphase")
    assert (match.role, match.rest) == ("opposed", "dixonthigh_")
    assert "rec-outphase says 'outphase'" in match.because


def test_words_of_a_name_must_agree() -> None:
    match = role_of("dixonwater", [], TABLE, exact="fat")
    assert match.role is None
    assert "fat, water" in match.because


def test_the_table_is_consistent() -> None:
    assert {query.kind for query in TABLE.queries} == {"opposed", "echoes", "water_fat"}
    assert len({query.name for query in TABLE.queries}) == len(TABLE.queries)
    suffixes = {words.suffix for words in TABLE.types.values()}
    assert all(set(query.suffixes) <= suffixes for query in TABLE.queries)
    assert set(TABLE.roles) == {"opposed", "in_phase", "water", "fat"}
    types = [value for words in TABLE.roles.values() for value in words.image_types]
    assert len(types) == len(set(types)), "an image type has two meanings"
    assert all(value == value.upper() for value in types)
    exact = [
        word for words in (*TABLE.roles.values(), *TABLE.parts.values()) for word in words.exact
    ]
    assert len(exact) == len(set(exact)), "a word has two meanings"
    assert all(word == word.lower() for word in exact)
    assert not any(is_part(word, TABLE) or is_contrast(word, TABLE) for word in TABLE.types)
    assert set(TABLE.parts) == {"magnitude", "phase", "real", "imaginary"}
    own = [(words.suffix, words.acq) for words in TABLE.types.values() if words.family]
    assert len(set(own)) == len(own) - 2, "only megre and tse go by two names"
