from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.entities import entity_order, load_entities
from legseg_bids.bids.names import output_paths
from legseg_bids.bids.queries import load_queries
from legseg_bids.bids.spellings import (
    LONGEST_NAME,
    Spelling,
    family_of,
    name_problem,
    read_spelling,
    standard_entities,
    standard_name,
)

TABLE = load_queries()
OUTPUT_KEYS = [e.key for e in load_entities().values() if e.output and e.key not in {"sub", "ses"}]


def spell(path: str) -> Spelling:
    found = read_spelling(PurePath(path), TABLE)
    assert found is not None, path
    return found


NAMES = [
    # BIDS stays as it is.
    *(
        (name, name)
        for name in (
            "sub-1/anat/sub-1_acq-outphase_chunk-2_T1w.nii.gz",
            "sub-1/ses-a/anat/sub-1_ses-a_acq-d_echo-1_part-mag_chunk-1_MEGRE.nii",
            "sub-1/anat/sub-1_acq-opp_FLASH.nii.gz",
            "sub-1/anat/sub-1_acq-DIXONbodyOUT_chunk-1_T1w.nii.gz",
            "sub-1/anat/sub-1_rec-outphase_run-01_T1w.nii.gz",
        )
    ),
    # QMRITools.
    (
        "sub-X/ses-001/dix/sub-X_ses-001_stk-UPLEG_megre_dix_outph.nii.gz",
        "sub-X/ses-001/anat/sub-X_ses-001_acq-UPLEG_MEGRE.nii.gz",
    ),
    (
        "sub-X/ses-001/dix/sub-X_ses-001_stk-D1_tse_dix_outph.nii",
        "sub-X/ses-001/anat/sub-X_ses-001_acq-D1tse_T2w.nii",
    ),
    (
        "sub-X/ses-1/dix/sub-X_ses-1_stk-D1_rep-2_megre_dix_real.nii.gz",
        "sub-X/ses-1/anat/sub-X_ses-1_acq-D12_MEGRE.nii.gz",
    ),
    (
        "sub-X/ses-1/dix/sub-X_ses-1_chunk-BodyDIX_megre_dix_outph.nii.gz",
        "sub-X/ses-1/anat/sub-X_ses-1_acq-BodyDIX_MEGRE.nii.gz",
    ),
    # TPTBox.
    (
        "sub-1/vibe/sub-1_acq-ax_chunk-3_part-outphase_vibe.nii.gz",
        "sub-1/anat/sub-1_acq-axoutphase_chunk-3_T1w.nii.gz",
    ),
    (
        "sub-1/mevibe/sub-1_sequ-me1_acq-ax_part-eco0-opp1_mevibe.nii.gz",
        "sub-1/anat/sub-1_acq-axme1eco0opp1mevibe_MEGRE.nii.gz",
    ),
    # ORMIR-MIDS.
    ("sub-X/mr-anat/sub-X_MEGRE.nii.gz", "sub-X/anat/sub-X_MEGRE.nii.gz"),
    ("sub-X/mr-quant/sub-X_outphase.nii.gz", "sub-X/anat/sub-X_MEGRE.nii.gz"),
    # Not quite BIDS.
    (
        "sub-1/anat/sub-1_chunk-1_acq-out_T1w.nii.gz",
        "sub-1/anat/sub-1_acq-out_chunk-1_T1w.nii.gz",
    ),
    ("sub-1/anat/sub-1_acq-v1.2out_T1w.nii.gz", "sub-1/anat/sub-1_acq-v12out_T1w.nii.gz"),
    ("sub-1/anat/acq-out_T1w.nii.gz", "sub-1/anat/sub-1_acq-out_T1w.nii.gz"),
    (
        "sub-1/ses-2/anat/sub-1_acq-out_T1w.nii.gz",
        "sub-1/ses-2/anat/sub-1_ses-2_acq-out_T1w.nii.gz",
    ),
    ("sub-1/anat/sub-1_acq-out_flip-2_x_T1w.nii.gz", "sub-1/anat/sub-1_acq-out2x_T1w.nii.gz"),
]


@pytest.mark.parametrize(("path", "expected"), NAMES)
def test_names_in_bids(path: str, expected: str) -> None:
    assert standard_name(spell(path)) == expected


@pytest.mark.parametrize(
    ("path", "contrast", "part"),
    [
        ("sub-1/dix/sub-1_megre_dix_wat.nii.gz", "wat", None),
        ("sub-1/dix/sub-1_megre_dix_imag.nii.gz", "", "imag"),
        ("sub-1/dix/sub-1_megre_dix_ph.nii.gz", "", "ph"),
        ("sub-1/dix/sub-1_part-real_megre_dix.nii.gz", "", "real"),
        ("sub-1/vibe/sub-1_part-water_vibe.nii.gz", "water", None),
        ("sub-1/vibe/sub-1_part-fat-fraction_vibe.nii.gz", "fat-fraction", None),
        ("sub-1/anat/sub-1_part-mag_T1w.nii.gz", "", "mag"),
        ("sub-1/mr-quant/sub-1_fat.nii.gz", "fat", None),
    ],
)
def test_contrast_and_part(path: str, contrast: str, part: str | None) -> None:
    assert (spell(path).contrast, spell(path).part) == (contrast, part)


@pytest.mark.parametrize(
    "path",
    [
        "sub-1/anat/sub-1_T2starmap.nii.gz",
        "sub-1/dix/sub-1_megre_dix_t2star.nii.gz",
        "sub-1/dix/sub-1_megre_dix_fatfr.nii.gz",
        "sub-1/dix/sub-1_seg_auto_megre_dix_outph.nii.gz",
        "sub-1/vibe/sub-1_mod-vibe_seg-body_msk.nii.gz",
        "sub-1/mr-anat/sub-1_MEGRE_patient.json",
        "sub-1/func/sub-1_T1w.nii.gz",
        "sub-1/anat/deep/sub-1_T1w.nii.gz",
        "other/anat/sub-1_T1w.nii.gz",
        "sub-1/other/anat/sub-1_T1w.nii.gz",
        "sub-1_T1w.nii.gz",
    ],
)
def test_what_is_no_image_of_interest(path: str) -> None:
    assert read_spelling(PurePath(path), TABLE) is None


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("sub-0 1/anat/sub-0 1_T1w.nii.gz", "sub-0 1; expected a label"),
        ("sub-../anat/sub-.._T1w.nii.gz", "expected a label"),
        ("sub-/anat/sub-_T1w.nii.gz", "expected a label"),
        ("sub-1/ses-$(x)/anat/sub-1_T1w.nii.gz", "expected a label"),
        ("sub-1/anat/sub-2_T1w.nii.gz", "expected one participant"),
        ("sub-1/ses-a/anat/sub-1_ses-b_T1w.nii.gz", "expected one session"),
        (f"sub-1/anat/sub-1_acq-{'a' * 200}_T1w.nii.gz", "shorten"),
    ],
)
def test_names_that_no_output_can_have(path: str, match: str) -> None:
    assert re.search(match, str(name_problem(spell(path))))


def test_several_parts_of_a_signal_are_named_without_part() -> None:
    spelling = spell("sub-1/anat/sub-1_echo-1_part-real_MEGRE.nii.gz")
    assert standard_name(spelling, without_part=True) == "sub-1/anat/sub-1_echo-1_MEGRE.nii.gz"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("sub-1_stk-UP_megre_dix_outph", "sub-1_stk-LO_megre_dix_wat", True),
        ("sub-1_chunk-1_T1w", "sub-1_chunk-2_MEGRE", True),
        ("sub-1_chunk-1_echo-1_MEGRE", "sub-1_chunk-2_echo-2_MEGRE", True),
        ("sub-1_run-1_T1w", "sub-1_run-2_T1w", False),
        ("sub-1_chunk-1_part-outphase_vibe", "sub-1_chunk-2_part-outphase_vibe", True),
        ("sub-1_chunk-1_part-outphase_vibe", "sub-1_chunk-2_part-outphase_mevibe", False),
    ],
)
def test_families(first: str, second: str, same: bool) -> None:
    families = [family_of(spell(f"sub-1/dix/{name}.nii.gz"), "") for name in (first, second)]
    assert (families[0] == families[1]) is same


def test_families_stay_within_a_session() -> None:
    paths = [f"sub-1/ses-{s}/anat/sub-1_ses-{s}_T1w.nii.gz" for s in "ab"]
    assert family_of(spell(paths[0]), "") != family_of(spell(paths[1]), "")


# ------------------------------------------------------------------ properties

HOSTILE = st.text(st.characters(exclude_characters="_/\0"), max_size=12)
KEYS = st.one_of(st.sampled_from([*entity_order(), "stk", "vol", "rep", "sequ"]), HOSTILE)
TYPES = st.sampled_from([words for words in TABLE.types if words])
ENDINGS = st.sampled_from(["", "_outph", "_wat", "_real"])
NAMED = st.lists(st.tuples(KEYS, HOSTILE), max_size=5)
DERIVATIVE = re.compile(
    r"sub-L/(ses-L/)?anat/sub-L(_ses-L)?(_task-L)?(_acq-L)?(_ce-L)?(_rec-L)?(_run-N)?(_echo-N)?"
    r"(_part-(mag|phase|real|imag))?(_chunk-N)?_(seg-muscles_(dseg|probseg)|label-leg_mask)".replace(
        "L", "[A-Za-z0-9+]+"
    ).replace("N", "[0-9]+")
    + r"\.(nii\.gz|json|tsv)"
)


@given(NAMED, TYPES, ENDINGS, st.booleans())
def test_every_output_has_a_valid_name(
    entities: list[tuple[str, str]], words: str, ending: str, in_session: bool
) -> None:
    stem = "_".join(["sub-1", *("-".join(pair) for pair in entities), words + ending])
    folder = "sub-1/ses-a/dix" if in_session else "sub-1/anat"
    spelling = read_spelling(PurePath(f"{folder}/{stem}.nii.gz"), TABLE)
    if spelling is None or name_problem(spelling):
        return
    paths = output_paths(Path("out"), standard_name(spelling))
    for path in (paths.labels, paths.table, paths.sidecar, paths.mask, paths.probabilities):
        relative = path.relative_to("out").as_posix()
        assert DERIVATIVE.fullmatch(relative), relative
        assert len(path.name.encode()) <= 255 - len(".0123456789ab.tmp") - len("_desc-confidence")


def values(key: str) -> st.SearchStrategy[str]:
    entity = load_entities()[key]
    if entity.values:
        return st.sampled_from(entity.values)
    return st.text("0123" if entity.index else "abXY01+", min_size=1, max_size=4)


VALID = st.fixed_dictionaries({}, optional={key: values(key) for key in OUTPUT_KEYS})


def bids_name(entities: dict[str, str], suffix: str) -> str:
    pairs = [f"{key}-{entities[key]}" for key in entity_order() if key in entities]
    return f"sub-1/anat/{'_'.join(['sub-1', *pairs, suffix])}.nii.gz"


@given(VALID, st.sampled_from(["T1w", "PDw", "T2w", "T2starw", "FLASH", "MEGRE"]))
def test_bids_names_stay_and_outputs_are_as_different_as_sources(
    entities: dict[str, str], suffix: str
) -> None:
    name = bids_name(entities, suffix)
    spelling = spell(name)
    assert standard_name(spelling) == name
    assert standard_entities(spelling) == {"sub": "1", **entities}


@given(VALID)
def test_the_official_validator_agrees(entities: dict[str, str]) -> None:
    from bids_validator import BIDSValidator

    assert BIDSValidator().is_bids("/" + standard_name(spell(bids_name(entities, "T1w"))))


@given(st.integers(1, LONGEST_NAME))
def test_long_labels_pass_or_are_refused(length: int) -> None:
    spelling = spell(f"sub-1/anat/sub-1_acq-{'a' * length}_T1w.nii.gz")
    fits = len(f"sub-1_acq-{'a' * length}") <= LONGEST_NAME
    assert (name_problem(spelling) is None) is fits
