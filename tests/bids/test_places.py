from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from legseg_bids.bids import places
from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.places import check_places, prepare_output
from legseg_bids.errors import OutputError, UsageError


@pytest.mark.parametrize("output", ["raw/derivatives/legseg", "out", "raw-out", "raw/../out"])
def test_good_places(tmp_path: Path, output: str) -> None:
    check_places(tmp_path / "raw", tmp_path / output, tmp_path / "work")


@pytest.mark.parametrize(
    ("output", "work", "match"),
    [
        ("raw", None, "is the input dataset"),
        ("raw/.", None, "is the input dataset"),
        ("out/../raw", None, "is the input dataset"),
        ("raw/sub-01", None, "lies inside the input"),
        ("raw/out", None, "lies inside the input"),
        ("raw/derivatives", None, "lies inside the input"),
        ("out", "raw/work", "work folder .* lies inside"),
        ("out", "raw", "work folder .* lies inside"),
    ],
)
def test_bad_places(tmp_path: Path, output: str, work: str | None, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        check_places(tmp_path / "raw", tmp_path / output, work and tmp_path / work)


def test_a_link_into_the_input_is_seen(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "out").symlink_to("raw")
    with pytest.raises(UsageError, match="is the input dataset"):
        check_places(tmp_path / "raw", tmp_path / "out")


def test_the_output_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    prepare_output(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []


def test_our_own_output_is_taken_again(tmp_path: Path) -> None:
    write_dataset_files(tmp_path, None)
    prepare_output(tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            '{"Name": "fMRIPrep", "GeneratedBy": [{"Name": "fMRIPrep"}]}',
            "holds the dataset 'fMRIP",
        ),
        ('{"Name": "raw data", "DatasetType": "raw"}', "holds the dataset 'raw data'"),
        ('{"GeneratedBy": "legseg"}', "holds the dataset"),
        ("{", "cannot be read"),
    ],
)
def test_the_output_of_others_is_left_alone(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "dataset_description.json").write_text(content)
    with pytest.raises(OutputError, match=match):
        prepare_output(tmp_path)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text(json.dumps({}))
    with pytest.raises(OutputError, match="cannot be written"):
        prepare_output(tmp_path / "out")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch, code: int) -> None:
    def refuse(**_: object) -> None:
        raise OSError(code, "refused by the system")

    monkeypatch.setattr(places.tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match="refused by the system"):
        prepare_output(tmp_path)
