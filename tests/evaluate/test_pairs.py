from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.evaluate.finding import LabelImage
from legseg_bids.evaluate.pairs import pair

DRAWN, COMPUTED = Path("drawn"), Path("computed")


def image(name: str, *sources: str, root: Path = COMPUTED) -> LabelImage:
    return LabelImage(root / name, root, frozenset(sources))


def images(names: list[str], root: Path = COMPUTED) -> list[LabelImage]:
    return [image(name, root=root) for name in names]


@pytest.mark.parametrize(
    ("reference", "predictions", "found"),
    [
        # a station, hand-drawn: not the merged image, not another station
        (
            "sub-1/anat/sub-1_acq-opp_chunk-1_seg-hand_dseg.nii.gz",
            ["sub-1_acq-opp_chunk-1_seg-muscles_dseg.nii.gz",
             "sub-1_acq-opp_chunk-2_seg-muscles_dseg.nii.gz",
             "sub-1_acq-opp_seg-muscles_desc-merged_dseg.nii.gz"],
            "sub-1_acq-opp_chunk-1_seg-muscles_dseg.nii.gz",
        ),
        # drawn on the merged image
        (
            "sub-1_acq-opp_seg-hand_dseg.nii.gz",
            ["sub-1_acq-opp_chunk-1_dseg.nii.gz", "sub-1_acq-opp_chunk-2_dseg.nii.gz",
             "sub-1_acq-opp_desc-merged_dseg.nii.gz"],
            "sub-1_acq-opp_desc-merged_dseg.nii.gz",
        ),
        ("sub-1_desc-merged_dseg.nii.gz",
         ["sub-1_dseg.nii.gz", "sub-1_desc-merged_dseg.nii.gz"], "sub-1_desc-merged_dseg.nii.gz"),
        # another tool keeps the name of what it was fed
        ("sub-1_acq-opp_seg-hand_dseg.nii.gz",
         ["sub-1_acq-opp_T1w_dseg.nii.gz"], "sub-1_acq-opp_T1w_dseg.nii.gz"),
        ("case_001.nii.gz", ["case_001.nii.gz", "case_002.nii.gz"], "case_001.nii.gz"),
        ("case_001.nii.gz", ["case_001_0000.nii.gz"], "case_001_0000.nii.gz"),
        # one says less than the other
        ("sub-1_dseg.nii.gz", ["sub-1_acq-opp_run-2_dseg.nii.gz"],
         "sub-1_acq-opp_run-2_dseg.nii.gz"),
        ("sub-1_ses-b_dseg.nii.gz", ["sub-1_ses-a_dseg.nii.gz", "sub-1_ses-b_dseg.nii.gz"],
         "sub-1_ses-b_dseg.nii.gz"),
        # folders tell participant and session
        ("sub-1/ses-b/x_dseg.nii.gz", ["sub-1/ses-a/seg", "sub-1/ses-b/seg"], "sub-1/ses-b/seg"),
        # nobody
        ("sub-1_dseg.nii.gz", ["sub-2_dseg.nii.gz"], None),
        ("sub-1_acq-a_dseg.nii.gz", ["sub-1_acq-b_dseg.nii.gz"], None),
        ("sub-1_ses-a_dseg.nii.gz", ["sub-1_ses-b_dseg.nii.gz"], None),
        ("case_001.nii.gz", ["case_002.nii.gz"], None),
    ],
)  # fmt: skip
def test_what_belongs_to_a_reference(reference, predictions, found) -> None:
    pairs = pair(images([reference], DRAWN), images(predictions), "m")
    assert [case.prediction.name for case in pairs.cases] == ([found] if found else [])
    assert len(pairs.unused) == len(predictions) - bool(found)
    if not found:
        (trouble,) = pairs.missing
        assert trouble.kind == "error"
        assert f"belongs to {reference}" in trouble.problem


def test_sources_decide_before_names() -> None:
    fat = "sub-1/anat/sub-1_acq-fat_T1w.nii.gz"
    reference = image("sub-1_acq-fat_dseg.nii.gz", fat, root=DRAWN)
    ours = image(
        "sub-1_acq-water_dseg.nii.gz",
        "sub-1/anat/sub-1_acq-water_T1w.nii.gz",
        fat,
    )
    other = image("sub-1_acq-fat_dseg.nii.gz")
    assert pair([reference], [other, ours], "m").cases[0].prediction is ours
    stranger = image("sub-2_acq-water_dseg.nii.gz", *ours.sources)
    assert pair([reference], [other, stranger], "m").cases[0].prediction is other


@pytest.mark.parametrize(
    ("references", "predictions", "said"),
    [
        (["sub-1_seg-a_dseg.nii.gz"], ["sub-1_seg-x_dseg.nii.gz", "sub-1_seg-y_dseg.nii.gz"],
         "sub-1_seg-x_dseg.nii.gz and sub-1_seg-y_dseg.nii.gz all belong to"),
        (["sub-1_desc-anna_dseg.nii.gz", "sub-1_desc-ben_dseg.nii.gz"], ["sub-1_dseg.nii.gz"],
         "sub-1_desc-anna_dseg.nii.gz and sub-1_desc-ben_dseg.nii.gz both claim"),
    ],
)  # fmt: skip
def test_ambiguous_pairs_name_both_files_and_stop_nobody(references, predictions, said) -> None:
    more = ["sub-2_dseg.nii.gz"]
    pairs = pair(images([*references, *more], DRAWN), images([*predictions, *more]), "m")
    assert [case.reference.name for case in pairs.cases] == more
    assert len(pairs.troubles) == len(references)
    assert all(said in trouble.problem for trouble in pairs.troubles)


def test_an_image_is_not_compared_with_itself() -> None:
    same = images(["sub-1_dseg.nii.gz"])
    pairs = pair(same, same, "m")
    assert not pairs.cases
    assert "is reference and prediction" in pairs.troubles[0].problem


LABEL = st.text("abc12", min_size=1, max_size=3)
NAME = st.builds(
    lambda sub, ses, acq, chunk: f"sub-{sub}_ses-{ses}_acq-{acq}_chunk-{chunk}_dseg.nii.gz",
    LABEL, LABEL, LABEL, st.integers(1, 4),
)  # fmt: skip


@given(st.lists(NAME, min_size=1, max_size=12, unique=True), st.randoms())
def test_whoever_has_all_entities_finds_itself(names: list[str], chance: random.Random) -> None:
    shuffled = chance.sample(names, len(names))
    pairs = pair(images(names, DRAWN), images(shuffled), "m")
    assert {c.reference.name: c.prediction.name for c in pairs.cases} == {n: n for n in names}
    assert (pairs.troubles, pairs.missing, pairs.unused) == ((), (), ())
