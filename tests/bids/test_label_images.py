from __future__ import annotations

import json
from pathlib import Path

import pytest

from legseg_bids.bids.label_images import nearest_table, told_sources
from legseg_bids.bids.metadata import by_folder


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"Sources": ["bids:raw:sub-1/anat/a.nii.gz"]}, {"sub-1/anat/a.nii.gz"}),
        ({"Sources": "bids::a", "SpatialReference": "b"}, {"a", "b"}),
        ({"Sources": None}, set()),
        ([], set()),
        ("{", set()),
        (None, set()),
    ],
)
def test_what_a_sidecar_says(tmp_path: Path, content: object, found: set[str]) -> None:
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "a_dseg.json").write_text(text)
    assert told_sources(tmp_path / "a_dseg.nii.gz") == found


@pytest.mark.parametrize(
    ("tables", "chosen"),
    [
        ([], None),
        (["dseg.tsv"], "dseg.tsv"),
        (["dseg.tsv", "acq-a_dseg.tsv"], "acq-a_dseg.tsv"),
        (["acq-b_dseg.tsv", "sub-1/anat/sub-2_dseg.tsv"], None),
        (["acq-a_dseg.tsv", "sub-1/dseg.tsv"], "sub-1/dseg.tsv"),
        (["sub-1/anat/dseg.tsv", "sub-1/anat/sub-1_acq-a_dseg.tsv"],
         "sub-1/anat/sub-1_acq-a_dseg.tsv"),
        (["sub-2/anat/dseg.tsv"], None),
    ],
)  # fmt: skip
def test_the_most_specific_table_of_the_nearest_folder(
    tmp_path: Path, tables: list[str], chosen: str | None
) -> None:
    found = nearest_table(
        tmp_path / "sub-1/anat/sub-1_acq-a_dseg.nii.gz", by_folder(tmp_path / t for t in tables)
    )
    assert found == (tmp_path / chosen if chosen else None)
