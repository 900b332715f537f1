"""``legseg-correct`` as a person meets it: what it prints, and how it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from corrections import FIRST, FIRST_MANUAL, MERGED_MANUAL, edit, grow, segment

from legseg_bids.cli.correct import main
from legseg_bids.errors import ExitCode
from legseg_bids.workflows.locks import claim

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    return segment(tmp_path_factory.mktemp("correct"), tiny_models, "--no-reports")


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


@pytest.fixture
def edited(out: Path, tmp_path: Path) -> Path:
    return edit(out, FIRST, tmp_path / f"{Path(FIRST).name}_edited.nii.gz", grow)


def test_from_correction_to_page_and_back(
    out: Path, made: Path, edited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(out), str(edited), "--author", "A", "--note", "B"]
    assert main([*words, "--bids-dir", str(made.parent / "bids")]) == ExitCode.OK
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0] == f"wrote {out / FIRST_MANUAL}.nii.gz"
    assert [line.split(":")[0].strip() for line in lines[2:4]] == ["BFLH_L", "BFSH_L"]
    assert lines[-1] == f"report: {out / 'sub-01.html'}"
    assert main([str(out), "--undo", Path(FIRST).name, "--no-report"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [f"undone: now {out / FIRST}.nii.gz"]
    assert not list(out.rglob("*manual*_dseg.*"))


def test_refreshing_makes_what_is_missing(
    out: Path, edited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(out), str(edited), "--no-report"]) == ExitCode.OK
    capsys.readouterr()
    assert main([str(out), "--refresh", "--no-report"]) == ExitCode.OK
    (out / f"{MERGED_MANUAL}.tsv").unlink()
    assert main([str(out), "--refresh", "--no-report"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["up to date", f"merged anew: {out / MERGED_MANUAL}.nii.gz"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], ExitCode.USAGE),
        (["{edited}", "--refresh"], ExitCode.USAGE),
        (["{edited}", "--undo", "x"], ExitCode.USAGE),
        (["{edited}", "--of", "sub-99_dseg"], ExitCode.NO_INPUT),
        (["--undo", "sub-99_dseg"], ExitCode.NO_INPUT),
        (["nowhere.nii.gz"], ExitCode.FAILED),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    out: Path, edited: Path, words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(out), *(word.format(edited=edited) for word in words)]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("legseg-correct: ")
    assert "Traceback" not in told.err


def test_a_participant_at_work_is_left_alone(
    out: Path, edited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with claim(out, ["01"]):
        assert main([str(out), str(edited)]) == ExitCode.BUSY
    assert "try again when it has ended" in capsys.readouterr().err


def test_warnings_go_to_the_standard_error(
    out: Path, edited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(out), str(edited), "--no-report"]) == ExitCode.OK
    edit(out, FIRST, out / f"{FIRST}.nii.gz", lambda labels: labels.__setitem__((0, 0, 0), 31))
    capsys.readouterr()
    assert main([str(out), "--refresh", "--no-report"]) == ExitCode.OK
    told = capsys.readouterr()
    assert told.out == "up to date\n"
    assert told.err.startswith("legseg-correct: warning: ")
    assert "older automatic result" in told.err
