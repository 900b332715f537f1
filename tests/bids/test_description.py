from __future__ import annotations

import json
from pathlib import Path

import pytest

from legseg_bids import __version__
from legseg_bids.bids.description import dataset_link, describe, write_dataset_files


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    root.mkdir()
    (root / "dataset_description.json").write_text(
        json.dumps({"Name": "x", "License": "CC0", "DatasetDOI": "doi:10.1/x", "Authors": ["A"]})
    )
    return root


def read(folder: Path) -> dict[str, object]:
    return json.loads((folder / "dataset_description.json").read_text())


def test_the_description_names_program_source_and_licence(raw: Path) -> None:
    content = describe(raw / "derivatives/legseg", raw, {})
    assert content["GeneratedBy"][0]["Version"] == __version__
    assert content["DatasetLinks"] == {"raw": "../.."}
    assert content["SourceDatasets"] == [{"DOI": "doi:10.1/x"}]
    assert content["License"] == "CC0"
    assert "Authors" not in content


def test_the_container_comes_from_the_environment(raw: Path) -> None:
    environ = {"LEGSEG_CONTAINER_TYPE": "apptainer", "LEGSEG_CONTAINER_TAG": "0.1", "HOME": "/x"}
    container = describe(raw / "out", raw, environ)["GeneratedBy"][0]["Container"]
    assert container == {"Type": "apptainer", "Tag": "0.1"}


@pytest.mark.parametrize(
    ("output", "source", "expected"),
    [
        ("d/derivatives/legseg", {"DatasetDOI": "doi:10.1/x"}, "../.."),
        ("elsewhere", {"DatasetDOI": "doi:10.1/x"}, "doi:10.1/x"),
        ("elsewhere", {}, "../d"),
    ],
)
def test_links_tell_no_absolute_path(tmp_path, output: str, source, expected: str) -> None:
    assert dataset_link(tmp_path / output, tmp_path / "d", source) == expected


def test_all_files_are_written_once(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert write_dataset_files(out, raw, {}) is None
    assert {path.name for path in out.iterdir()} == {
        "dataset_description.json",
        "README.md",
        ".bidsignore",
    }
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    write_dataset_files(out, raw, {})
    assert times == {path: path.stat().st_mtime_ns for path in out.iterdir()}


def test_another_version_before_is_told(raw: Path, tmp_path: Path) -> None:
    write_dataset_files(tmp_path, raw, {})
    content = read(tmp_path)
    content["GeneratedBy"][0]["Version"] = "0.0.1"
    (tmp_path / "dataset_description.json").write_text(json.dumps(content))
    assert write_dataset_files(tmp_path, raw, {}) == "0.0.1"
    assert read(tmp_path)["GeneratedBy"][0]["Version"] == __version__


def test_without_the_input_the_earlier_description_stays(raw: Path, tmp_path: Path) -> None:
    write_dataset_files(tmp_path, raw, {})
    before = read(tmp_path)
    write_dataset_files(tmp_path, None, {"LEGSEG_CONTAINER_TAG": "9"})
    assert read(tmp_path) == before


def test_a_spoilt_description_is_replaced(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{")
    write_dataset_files(tmp_path, raw, {})
    assert read(tmp_path)["DatasetType"] == "derivative"
