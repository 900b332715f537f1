from __future__ import annotations

import os
from pathlib import Path

import pytest

from legseg_bids.workflows.outcomes import KILLED, Outcome, Status, crash_reason, find_crash

CRASH = """\
Node: legseg_wf.sub_01_wf.prepare
Working directory: /w/prepare

Node inputs:
in_files = ['a.nii.gz']
Traceback (most recent call last):
  File "linear.py", line 47, in run
    node.run(updatehash=updatehash)
nipype.pipeline.engine.nodes.NodeExecutionError: Exception raised while executing Node prepare.

Traceback:
\tTraceback (most recent call last):
\t  File "core.py", line 401, in run
\t    outputs = self.aggregate_outputs(runtime)
\t{}

"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "legseg_bids.errors.ImageError: a.nii.gz is empty; get it again",
            "a.nii.gz is empty; get it again",
        ),
        ("ValueError: x: y", "ValueError: x: y"),
        ("numpy.exceptions.AxisError: axis 3", "AxisError: axis 3"),
        ("KeyError", "KeyError"),
        ("concurrent.futures.process.BrokenProcessPool: A process was terminated", KILLED),
        (
            "OSError: [Errno 28] No space left on device",
            "the disk is full; make room for the output and work folders",
        ),
    ],
)
def test_reason_of_a_crash(line: str, expected: str) -> None:
    assert crash_reason(CRASH.format(line)) == expected


def test_crash_without_exception_still_has_a_reason() -> None:
    assert crash_reason("") == "stopped without a reason"


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
