from __future__ import annotations

import re
from pathlib import Path

import pytest
from reported import write_sidecar, write_study

from legseg_bids.bids.finished import finished_images
from legseg_bids.report.methods import methods_facts, references
from legseg_bids.report.page import render_methods
from legseg_bids.report.tables import muscle_table

STEM = "sub-01/anat/sub-01_acq-opp_chunk-1"
MODEL = {"Name": "thigh", "Version": "0.1.0", "Engine": "openvino", "Device": "cpu"}


@pytest.fixture
def text(tmp_path: Path) -> str:
    out = write_study(tmp_path).output_dir
    uris = [f"bids:raw:{STEM}_T1w.nii.gz"]
    write_sidecar(out, f"{STEM}_seg-muscles", uris, Models=[MODEL, MODEL, 3])
    row = {"abbreviation": "RF_L", "volume": "1", "length": "n/a", "quality": "good"}
    table = muscle_table([row], {"volume": {"Description": "Number of <voxels>"}})
    return render_methods(methods_facts(finished_images(out, "01"), [table]))


def test_what_was_done_is_told_with_versions(text: str) -> None:
    assert "legseg-bids 0.1.0" in text
    assert "thigh 0.1.0; run with openvino, cpu" in text
    assert ", on an opposed-phase image (" in text
    assert "Stations of one leg were merged" in text
    assert "not corrected by hand" in text


def test_what_was_measured_is_defined_and_nothing_else(text: str) -> None:
    assert "volume (mL): number of <voxels>." in text  # escaped once, by the page
    assert "length" not in text.partition("References")[0]
    assert "quality" not in text


def test_each_citation_has_its_number(text: str) -> None:
    body, listed = text.split("\n\nReferences\n")
    found = ",".join(re.findall(r"\[([\d, ]+)\]", body))
    cited = set(map(int, found.split(",")))
    lines = listed.splitlines()
    assert len(lines) == len(references())
    assert cited == set(range(1, len(lines) + 1))
    for number, (line, work) in enumerate(zip(lines, references(), strict=True), start=1):
        assert line == f"{number}. {work['text']} https://doi.org/{work['doi']}"
        assert re.fullmatch(r"10\.\d{4,}/\S+", work["doi"])


def test_without_an_image_there_is_still_a_text() -> None:
    text = render_methods(methods_facts([], []))
    assert "version not recorded" in text
    assert "Stations of one leg" not in text
