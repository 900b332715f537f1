from __future__ import annotations

import os
from pathlib import Path

import pytest

from legseg_bids.errors import ExitCode
from legseg_bids.workflows.outcomes import (
    Outcome,
    Status,
    exit_code,
    find_crash,
    log_outcomes,
    summary,
)


def crash_file(folder: Path, name: str, node: str, age: int = 0) -> Path:
    path = folder / f"crash-{name}.txt"
    path.write_text(f"Node: {node}\nWorking directory: /w\n")
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_the_newest_crash_of_a_workflow_is_found(tmp_path: Path) -> None:
    crash_file(tmp_path, "a", "legseg_wf.one_wf.prepare", age=9)
    newest = crash_file(tmp_path, "b", "legseg_wf.one_wf.segment")
    crash_file(tmp_path, "c", "legseg_wf.one_wf_b.prepare")
    assert find_crash(tmp_path, "one_wf") == newest


def test_crashes_of_earlier_runs_do_not_count(tmp_path: Path) -> None:
    old = crash_file(tmp_path, "a", "legseg_wf.one_wf.prepare")
    assert find_crash(tmp_path, "one_wf", before=[old]) is None


def test_no_folder_no_crash(tmp_path: Path) -> None:
    assert find_crash(tmp_path / "nowhere", "one_wf") is None


def test_an_outcome_is_one_line() -> None:
    line = str(Outcome("sub-01/anat/sub-01_T1w.nii.gz", Status.FAILED, "it is empty"))
    assert line == "FAILED: sub-01/anat/sub-01_T1w.nii.gz: it is empty"
    assert str(Outcome("a", Status.DONE)) == "DONE ALREADY: a"


def test_a_hostile_file_name_cannot_forge_a_line() -> None:
    name = "sub-01_\nSEGMENTED: sub-02\x1b[2J\u2028_T1w.nii.gz"
    text = str(Outcome(name, Status.FAILED, f"{name} is empty", (f"look at {name}",)))
    assert text.splitlines()[0].startswith("FAILED: sub-01_\\nSEGMENTED: sub-02\\x1b[2J")
    assert len(text.splitlines()) == 2
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], ExitCode.OK),
        ([Status.SEGMENTED, Status.MERGED, Status.DONE, Status.SKIPPED], ExitCode.OK),
        ([Status.PLANNED], ExitCode.OK),
        ([Status.SEGMENTED, Status.ELSEWHERE], ExitCode.BUSY),
        ([Status.ELSEWHERE, Status.FAILED], ExitCode.FAILED),
    ],
)
def test_exit_code(statuses: list[Status], code: ExitCode) -> None:
    assert exit_code(Outcome("a", status) for status in statuses) is code


def test_every_status_is_decided_upon() -> None:
    bad = {Status.FAILED: ExitCode.FAILED, Status.ELSEWHERE: ExitCode.BUSY}
    for status in Status:
        assert exit_code([Outcome("a", status)]) is bad.get(status, ExitCode.OK)


def test_summary_counts_each_kind_in_a_fixed_order() -> None:
    statuses = [Status.FAILED, *Status, Status.SEGMENTED]
    assert summary(Outcome("a", status) for status in statuses) == (
        "2 segmented, 1 merged, 1 reported, 1 skipped because done, 1 would be segmented, "
        "1 would be merged, 1 skipped because unusable, 1 left to another run, 2 failed"
    )
    assert summary([]) == "nothing to do"


@pytest.mark.parametrize(
    ("image", "subject"),
    [
        ("sub-01/anat/sub-01_T1w.nii.gz", "01"),
        ("sub-01_acq-water_T1w.nii.gz, sub-01_x.nii", "01"),
        ("sub-01 ses-a: 2 stations merged", "01"),
        ("sub-01: 2 stations merged", "01"),
        ("sub-01", "01"),
        ("README", ""),
    ],
)
def test_the_participant_of_an_image(image: str, subject: str) -> None:
    assert Outcome(image, Status.DONE).subject == subject


def test_outcomes_are_logged_for_each_participant(tmp_path: Path) -> None:
    outcomes = [
        Outcome("sub-01/anat/a\tb.nii", Status.SEGMENTED, "x", ("look\nhere",)),
        Outcome("sub-02/anat/b.nii", Status.FAILED, "empty"),
        Outcome("sub-03/anat/c.nii", Status.DONE),
    ]
    said: list[str] = []
    log_outcomes(tmp_path, "run", outcomes, ["01", "02"], said.append)
    tables = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.tsv"))
    assert tables == ["logs/sub-01/run_outcome.tsv", "logs/sub-02/run_outcome.tsv"]
    row = (tmp_path / tables[0]).read_text().splitlines()[1]
    assert row.split("\t") == ["sub-01/anat/a\\tb.nii", "segmented", "x", "look\\nhere", "1"]
    assert said == []


def test_a_log_that_cannot_be_written_is_worth_a_line(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    said: list[str] = []
    log_outcomes(tmp_path, "run", [Outcome("sub-1", Status.DONE)], ["1"], said.append)
    assert "cannot be written" in said[0]
