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


def test_the_validator_is_shown_the_chosen_participants_only(build, monkeypatch) -> None:
    """It reads whatever it is given: five seconds for a thousand participants."""
    root = build(GOOD)
    for name in ("derivatives", "sourcedata", ".git"):
        (root / name).mkdir()
    (root / ".bidsignore").touch()
    seen: list[set[str]] = []

    def look(command, **_):  # type: ignore[no-untyped-def]
        seen.append({path.name for path in Path(command[-1]).iterdir()})
        return subprocess.CompletedProcess([], 0, "{}", "")

    monkeypatch.setattr(module.subprocess, "run", look)
    monkeypatch.setattr(module, "find_command", lambda: "validator")
    validate(root, ["02"])
    validate(root)
    assert {"sub-02", "dataset_description.json", ".bidsignore"} <= seen[0]
    assert not {"sub-01", "derivatives", "sourcedata", ".git"} & seen[0]
    assert seen[1] == {path.name for path in root.iterdir()}


@needs_validator
def test_a_chosen_participant_is_found_through_links_and_named_as_ever(build) -> None:
    root = build({**BAD, "sub-03/anat/sub-03_stk-UPLEG_outph": {}})
    chosen = validate(root, ["02"])
    assert chosen == [line for line in validate(root) if "sub-02" in line] != []


def test_without_links_all_is_validated(build, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    answers(monkeypatch, "{}")
    assert validate(build(GOOD), ["01"]) == []


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
