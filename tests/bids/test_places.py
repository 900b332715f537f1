from __future__ import annotations

import errno
import json
import os
import time
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
        ("out", "out", "work folder .* lies inside the output"),
        ("out", "out/work", "work folder .* lies inside the output"),
    ],
)
def test_bad_places(tmp_path: Path, output: str, work: str | None, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        check_places(tmp_path / "raw", tmp_path / output, work and tmp_path / work)


@pytest.mark.parametrize("place", range(3))
def test_a_folder_that_is_not_named_in_utf_8(tmp_path: Path, place: int) -> None:
    places = [tmp_path / "raw", tmp_path / "out", tmp_path / "work"]
    places[place] = tmp_path / os.fsdecode(b"stu\xfcdie")
    with pytest.raises(UsageError, match="expected UTF-8"):
        check_places(*places)


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


def leftover(path: Path, age: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    name = ".x_dseg.json.0123456789ab.tmp"
    gone = [
        leftover(tmp_path / "sub-01" / "ses-a" / "anat" / name),
        leftover(tmp_path / "logs" / "sub-01" / name),
        leftover(tmp_path / name, age=2 * places.OLD),
    ]
    stay = [
        leftover(tmp_path / "sub-02" / "anat" / name),
        leftover(tmp_path / "logs" / "sub-02" / name),
        leftover(tmp_path / ".y.json.0123456789ab.tmp"),
        leftover(tmp_path / "sub-01" / "x_dseg.json"),
        leftover(tmp_path / "sub-01" / ".mine.tmp"),
    ]
    places.sweep(tmp_path, ["01", "03"])
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stay)


def test_an_output_that_vanished_is_noticed(tmp_path: Path) -> None:
    """The folder of a mount that is gone is still there, and empty."""
    write_dataset_files(tmp_path / "out", None)
    places.require_output(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="mount it again"):
        places.require_output(tmp_path / "out")


class TestWorkFolder:
    def test_one_that_was_asked_for_is_kept(self, tmp_path: Path) -> None:
        with places.work_folder(tmp_path / "a" / "b") as folder:
            assert folder == tmp_path / "a" / "b"
        assert list(folder.iterdir()) == []

    def test_a_private_one_is_removed(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with places.work_folder(None) as folder:
            assert folder.parent == tmp_path
            (folder / "x").touch()
        assert list(tmp_path.iterdir()) == []

    def test_one_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with (
            pytest.raises(OutputError, match=r"work folder .*file/work cannot.*with -w"),
            places.work_folder(tmp_path / "file" / "work"),
        ):
            pass

    @pytest.mark.parametrize("asked", [True, False])
    def test_one_that_cannot_be_written(self, tmp_path: Path, monkeypatch, asked: bool) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "refused by the system")

        for name in ("TemporaryFile", "TemporaryDirectory"):
            monkeypatch.setattr(places.tempfile, name, refuse)
        with (
            pytest.raises(OutputError, match="refused by the system"),
            places.work_folder(tmp_path if asked else None),
        ):
            pass

    def test_an_error_inside_stays_what_it_is(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError), places.work_folder(tmp_path):
            (tmp_path / "nothing").read_text()

    def test_the_validator_keeps_its_cache_there(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.delenv("DENO_DIR", raising=False)
        with places.work_folder(tmp_path):
            assert os.environ["DENO_DIR"] == str(tmp_path / "deno")
        assert "DENO_DIR" not in os.environ
