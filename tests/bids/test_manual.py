"""Names of corrections, and what their sidecars say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.manual import (
    Kind,
    correction,
    has_corrections,
    is_edited,
    manual_labels,
    manual_paths,
    notes_on,
    original_labels,
    structures,
)
from legseg_bids.bids.names import output_paths
from legseg_bids.bids.sets import merged_paths

SOURCE = "sub-1/ses-a/anat/sub-1_ses-a_acq-opp_T1w.nii.gz"
LABELS = st.text("abcXYZ019", min_size=1, max_size=6)


@given(LABELS, LABELS)
def test_original_and_correction_name_each_other(subject: str, acq: str) -> None:
    source = f"sub-{subject}/anat/sub-{subject}_acq-{acq}_T1w.nii.gz"
    station = output_paths(Path("o"), source)
    merged = merged_paths(Path("o"), source)
    names = {station.labels, merged.labels}
    for labels in (station.labels, merged.labels):
        manual = manual_labels(labels)
        assert original_labels(manual) == labels == original_labels(labels)
        assert manual_labels(manual) == manual
        names.add(manual)
    assert len(names) == 4


@pytest.mark.parametrize("kind", ["station", "merged"])
def test_no_file_of_a_correction_has_the_name_of_an_automatic_one(kind: str) -> None:
    root = Path("o")
    paths = output_paths(root, SOURCE) if kind == "station" else merged_paths(root, SOURCE)
    manual = manual_paths(root, paths.labels)
    assert not set(vars(paths).values()) & set(manual.own)
    assert manual.fat_fraction == paths.fat_fraction
    assert manual.own[0] == manual.sidecar
    assert {path.suffix for path in manual.own} == {".json", ".gz", ".tsv", ".png"}
    assert manual_paths(root, manual.labels) == manual


@pytest.mark.parametrize("legseg", [{}, {"Correction": "by me"}, {"Correction": None}])
def test_a_sidecar_of_something_else_is_no_correction(legseg: dict) -> None:
    assert correction(legseg) == {}
    assert not is_edited(legseg)
    assert structures(legseg) == ()


def test_what_a_sidecar_says_of_a_correction() -> None:
    legseg = {"Correction": {"Kind": str(Kind.EDITED), "Structures": {"RF_L": {}}}}
    assert is_edited(legseg)
    assert structures(legseg) == ("RF_L",)


@pytest.mark.parametrize(
    ("original", "labels", "count"), [("a", "b", 0), ("x", "b", 1), ("a", "x", 1), ("x", "x", 2)]
)
def test_notes_tell_what_has_changed_since(original: str, labels: str, count: int) -> None:
    path = Path("sub-1_seg-muscles_desc-manual_dseg.nii.gz")
    sums = {original_labels(path): "a", path: "b"}
    legseg = {"Correction": {"OriginalSHA256": original, "LabelsSHA256": labels}}
    assert len(notes_on(path, legseg, sums.__getitem__)) == count


def test_corrections_are_found_in_sessions(tmp_path: Path) -> None:
    manual = manual_paths(tmp_path, output_paths(tmp_path, SOURCE).labels)
    manual.sidecar.parent.mkdir(parents=True)
    assert not has_corrections(tmp_path, "1")
    manual.sidecar.write_text("{}")
    assert has_corrections(tmp_path, "1")
