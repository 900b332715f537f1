"""What an image shows, by the words of three makers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.queries import load_queries
from legseg_bids.dicom.contrasts import (
    CONTRASTS,
    PARTS,
    UNCLEAR,
    load_rules,
    read_table,
    vendor_of,
    what_it_shows,
)

OTHERS = ("other", "localizer", "dixon", UNCLEAR, "")


def shown(vendor: str, image_type: str = "", description: str = "", **tags: str) -> str:
    said = {"ImageType": image_type.split("\\"), "SeriesDescription": [description]}
    return what_it_shows(vendor, {**said, **{k: [v] for k, v in tags.items()}}).contrast


@pytest.mark.parametrize(
    ("vendor", "image_type", "description", "contrast"),
    [
        ("siemens", r"ORIGINAL\PRIMARY\M\OPP_PHASE\ND", "t1_vibe_dixon_tra_opp", "opposed"),
        ("siemens", r"ORIGINAL\PRIMARY\M\IN_PHASE", "t1_vibe_dixon_tra_in", "in_phase"),
        ("siemens", r"DERIVED\PRIMARY\M\DIXON\WATER", "t1_vibe_dixon_tra_W", "water"),
        ("siemens", r"DERIVED\PRIMARY\M\DIXON\FAT", "", "fat"),
        ("siemens", r"ORIGINAL\PRIMARY\M\ND", "legs_vibe_dixon_OPP", "opposed"),
        ("siemens", r"ORIGINAL\PRIMARY\M\ND", "legs_vibe_dixon_F", "fat"),
        ("siemens", r"DERIVED\PRIMARY\M\FAT_FRACTION", "qdixon", "other"),
        ("siemens", r"ORIGINAL\PRIMARY\M\NORM", "t1_vibe_dixon", "dixon"),
        ("siemens", r"ORIGINAL\PRIMARY\M\NORM", "t2_tse_tra", ""),
        ("siemens", r"ORIGINAL\PRIMARY\M\WATER", "vibe_dixon_fat", UNCLEAR),
        ("philips", r"DERIVED\PRIMARY\W\W\DERIVED", "mDIXON_legs", "water"),
        ("philips", r"DERIVED\PRIMARY\OP\OP\DERIVED", "mDIXON_legs", "opposed"),
        ("philips", r"ORIGINAL\PRIMARY\M_FFE\M\FFE", "mDIXON_legs", "dixon"),
        ("philips", r"ORIGINAL\PRIMARY\M_FFE\M\FFE", "mDIXON_legs_IP", "in_phase"),
        ("ge", r"DERIVED\PRIMARY", "WATER: Ax LAVA-Flex", "water"),
        ("ge", r"DERIVED\PRIMARY", "FAT: Ax LAVA-Flex", "fat"),
        ("ge", r"DERIVED\PRIMARY", "InPhase: Ax LAVA-Flex", "in_phase"),
        ("ge", r"DERIVED\PRIMARY", "OutPhase: Ax LAVA-Flex", "opposed"),
        ("ge", r"DERIVED\PRIMARY", "R2*: IDEAL IQ legs", "other"),
        ("ge", r"DERIVED\PRIMARY", "FatFrac: IDEAL IQ legs", "other"),
        ("ge", r"ORIGINAL\PRIMARY\OTHER", "3-plane LOC", "localizer"),
        ("canon", r"DERIVED\PRIMARY\WATER", "WFOP", "water"),
        ("unknown", "", "t2 fat sat", ""),
        ("unknown", "", "t1 no fat", ""),
        ("unknown", "", "water fat ratio", "dixon"),
        ("unknown", "", "out of phase legs", "opposed"),
        ("unknown", "", "pdff map", "other"),
        ("siemens", r"ORIGINAL\PRIMARY\LOCALIZER\M", "legs", "localizer"),
    ],
)
def test_makers_own_words(vendor: str, image_type: str, description: str, contrast: str) -> None:
    assert shown(vendor, image_type, description) == contrast


@pytest.mark.parametrize(
    ("vendor", "tags", "part"),
    [
        ("siemens", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase"),
        ("philips", {"ImageType": ["ORIGINAL", "PRIMARY", "R_FFE", "R", "FFE"]}, "real"),
        ("philips", {"ComplexImageComponent": ["IMAGINARY"]}, "imaginary"),
        ("ge", {"(0043,102F)": ["3"]}, "imaginary"),
        ("ge", {"(0043,102F)": ["0"]}, "magnitude"),
        ("siemens", {"(0043,102F)": ["3"]}, "magnitude"),
    ],
)
def test_parts_of_complex_images(vendor: str, tags: dict, part: str) -> None:
    assert what_it_shows(vendor, tags).part == part


def test_one_makers_words_are_not_anothers() -> None:
    assert shown("philips", description="water bath") == "water"
    assert shown("siemens", description="FAT SAT t1") == ""
    assert shown("ge", description="FAT SAT t1") == ""


def test_contrasts_named_together_are_told_by_the_image_type() -> None:
    description = "opp phase and in phase"
    assert shown("siemens", r"ORIGINAL\PRIMARY\OPP_PHASE", description) == "opposed"
    assert shown("siemens", "", description) == UNCLEAR


def test_stitched_images_say_so() -> None:
    tags = {"ImageType": ["DERIVED", "PRIMARY", "COMPOSED", "WATER"]}
    said = what_it_shows("siemens", tags)
    assert said.stitched
    assert said.contrast == "water"


def test_table_is_sound() -> None:
    rows = read_table("contrasts.tsv")
    assert len(rows) == len(load_rules()) > 30
    for row in rows:
        assert row["says"] in (*CONTRASTS, *PARTS, *OTHERS[:3], "stitched"), row
        assert row["vendor"] in ("any", "siemens", "philips", "ge")
        assert row["source"]
        re.compile(row["pattern"])


def test_image_types_mean_what_they_mean_to_the_application() -> None:
    """A word that discovery knows must not be taken as something else here."""
    for role, words in load_queries().roles.items():
        for word in words.image_types:
            assert shown("any", word) == role


@given(st.lists(st.text(max_size=12), max_size=4), st.text(max_size=30))
def test_any_words_give_an_answer(image_type: list[str], description: str) -> None:
    tags = {"ImageType": image_type, "SeriesDescription": [description]}
    said = what_it_shows(vendor_of(description), tags)
    assert said.contrast in (*CONTRASTS, *OTHERS)
    assert said.part in ("magnitude", *PARTS)
