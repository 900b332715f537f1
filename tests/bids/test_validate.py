from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from legseg_bids.bids import validate as module
from legseg_bids.bids.validate import find_command, require_valid, validate
from legseg_bids.errors import ValidationError

GOOD = {"sub-01/anat/sub-01_acq-out_T1w": {}, "sub-02/anat/sub-02_acq-out_T1w": {}}
BAD = {**GOOD, "sub-02/anat/sub-02_stk-UPLEG_outph": {}}

needs_validator = pytest.mark.skipif(find_command() is None, reason="no bids-validator-deno")


def answers(monkeypatch, stdout: str, code: int = 0) -> None:
    done = subprocess.CompletedProcess([], code, stdout, "")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(module, "find_command", lambda: "validator")


@needs_validator
def test_a_valid_dataset(build) -> None:
    assert validate(build(GOOD)) == []


@needs_validator
def test_errors_count_for_the_chosen_participants_only(build) -> None:
    root = build(BAD)
    assert all("sub-02_stk-UPLEG_outph" in line for line in validate(root))
    assert validate(root, ["02"])
    assert validate(root, ["01"]) == []
    with pytest.raises(ValidationError, match=r"not valid BIDS.*--skip-bids-validation"):
        require_valid(root)


def test_warnings_do_not_count_and_messages_are_one_line(monkeypatch) -> None:
    issues = [
        {"code": "A", "severity": "warning", "location": "/x"},
        {
            "code": "B",
            "subCode": "c",
            "severity": "error",
            "location": "/x",
            "issueMessage": "m\nn",
        },
        {"code": "D", "severity": "error"},
    ]
    answers(monkeypatch, json.dumps({"issues": {"issues": issues}}), 16)
    assert validate(Path("x")) == ["/x: B c (m)", ": D"]


def test_long_lists_are_cut(monkeypatch) -> None:
    issues = [{"code": f"E{n}", "severity": "error", "location": "/x"} for n in range(8)]
    answers(monkeypatch, json.dumps({"issues": {"issues": issues}}), 16)
    with pytest.raises(ValidationError, match="and 3 more"):
        require_valid(Path("x"))


@pytest.mark.parametrize("case", ["missing", "crash", "not json", "cannot start"])
def test_without_the_validator_names_are_checked(build, monkeypatch, caplog, case: str) -> None:
    root = build(BAD)
    if case == "missing":
        monkeypatch.setattr(module, "find_command", lambda: None)
    elif case == "cannot start":
        monkeypatch.setattr(module, "find_command", lambda: "/nowhere/validator")
    else:
        answers(monkeypatch, "{}" if case == "crash" else "oops", 1)
    assert validate(root) == ["/sub-02/anat/sub-02_stk-UPLEG_outph.nii.gz: not a BIDS file name"]
    assert validate(root, ["01"]) == []
    assert "only file names are checked" in caplog.text


def test_the_validator_beside_this_python_comes_first(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / module.COMMAND).touch()
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "python"))
    assert find_command() == str(tmp_path / module.COMMAND)
    (tmp_path / module.COMMAND).unlink()
    monkeypatch.setattr(module.shutil, "which", lambda _: "/elsewhere")
    assert find_command() == "/elsewhere"
