"""The Boutiques descriptor says what the parser says, by the rules of its schema 0.5."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from legseg_bids import __version__
from legseg_bids.cli.boutiques import SAID_AND_DONE, descriptor
from legseg_bids.cli.parser import build_parser, parse
from legseg_bids.errors import ExitCode

RUN = Path(__file__).parents[2] / "run.py"
KEYS = {
    "name", "description", "tool-version", "schema-version", "command-line", "container-image",
    "inputs", "groups", "output-files", "error-codes", "suggested-resources", "tags",
}  # fmt: skip
INPUT_KEYS = {
    "id", "name", "type", "description", "value-key", "list", "min-list-entries", "optional",
    "command-line-flag", "default-value", "value-choices", "integer",
}  # fmt: skip
TOLD = descriptor()
INPUTS: dict[str, dict[str, Any]] = {one["id"]: one for one in TOLD["inputs"]}
ACTIONS = [a for a in build_parser()._actions if a.dest not in SAID_AND_DONE]


def test_it_is_printed_with_no_other_argument_and_nothing_else_is() -> None:
    done = subprocess.run(
        [sys.executable, RUN, "--bids-exec-spec"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == TOLD


def test_every_option_of_the_parser_is_there_and_nothing_else() -> None:
    named = {action.dest for action in ACTIONS}
    # A switch that is on by default is offered as what turns it off.
    on = {"merge_stations", "reports"}
    assert set(INPUTS) == named - on | {f"no_{name}" for name in on}


def test_each_flag_is_one_that_the_parser_knows() -> None:
    known = {name for action in ACTIONS for name in action.option_strings}
    flags = {i["command-line-flag"] for i in INPUTS.values() if "command-line-flag" in i}
    assert flags <= known
    assert {"--no-merge-stations", "--no-reports"} <= flags


def test_the_fields_are_those_of_the_schema() -> None:
    assert set(TOLD) == KEYS
    assert TOLD["schema-version"] == "0.5"
    assert TOLD["tool-version"] == __version__
    for one in INPUTS.values():
        assert set(one) <= INPUT_KEYS
        assert {"id", "name", "type"} <= set(one)
        assert one["type"] in {"String", "File", "Flag", "Number"}
        assert re.fullmatch(r"[0-9_a-zA-Z]+", one["id"])
        assert one["description"]


def test_identifiers_and_keys_are_unique_and_keys_stand_in_the_command_line() -> None:
    lists = (TOLD["inputs"], TOLD["groups"], TOLD["output-files"])
    ids = [entry["id"] for entries in lists for entry in entries]
    assert len(set(ids)) == len(ids)
    keys = [one["value-key"] for one in TOLD["inputs"]]
    assert TOLD["command-line"].split() == ["legseg", *keys]
    assert not any(a in b for a in keys for b in keys if a != b)
    for one in TOLD["output-files"]:
        assert set(re.findall(r"\[\w+\]", one["path-template"])) <= set(keys)


def test_what_only_some_types_may_have() -> None:
    for one in INPUTS.values():
        assert ("value-choices" not in one) or one["type"] in {"String", "Number"}
        assert ("integer" in one) == (one["type"] == "Number")
        if one["type"] == "Flag":
            assert one["optional"]
            assert "command-line-flag" in one
            assert "list" not in one
        if "value-choices" in one and "default-value" in one:
            assert one["default-value"] in one["value-choices"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bids_dir", {"type": "File", "optional": False}),
        ("output_dir", {"type": "String", "optional": False}),
        ("analysis_level", {"value-choices": ["participant", "group"]}),
        ("participant_label", {"list": True, "command-line-flag": "--participant-label"}),
        ("nprocs", {"type": "Number", "integer": True}),
        ("mem_gb", {"type": "Number", "integer": False}),
        ("mem", {"type": "String"}),
        ("engine", {"value-choices": ["auto", "openvino", "torch"], "default-value": "auto"}),
        ("work_dir", {"type": "String", "command-line-flag": "--work-dir"}),
        ("bids_filter_file", {"type": "File"}),
        ("overwrite", {"type": "Flag", "command-line-flag": "--overwrite"}),
        ("verbose", {"type": "Flag"}),
    ],
)
def test_inputs(name: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= INPUTS[name].items()


def test_what_excludes_each_other() -> None:
    members = [group["members"] for group in TOLD["groups"]]
    assert members == [["mem", "mem_gb", "mem_mb"], ["dry_run", "reports_only"]]
    assert all(group["mutually-exclusive"] is True for group in TOLD["groups"])


def test_exit_codes_are_all_but_success() -> None:
    assert [row["code"] for row in TOLD["error-codes"]] == sorted(set(ExitCode) - {0})


def test_a_command_line_made_from_it_is_understood() -> None:
    """As a platform does: every key becomes flag and value, or nothing."""
    given = {
        "bids_dir": "/in", "output_dir": "/out", "analysis_level": "participant",
        "participant_label": "01 02", "mem": "8GB", "no_merge_stations": "", "nprocs": "2",
    }  # fmt: skip
    line = TOLD["command-line"]
    for name, one in INPUTS.items():
        words = f"{one.get('command-line-flag', '')} {given[name]}" if name in given else ""
        line = line.replace(one["value-key"], words)
    args: argparse.Namespace = parse(shlex.split(line)[1:])
    assert args.participant_label == ["01", "02"]
    assert (args.mem, args.nprocs, args.merge_stations) == ("8GB", 2, False)


def test_the_validator_of_boutiques_agrees() -> None:
    validator = pytest.importorskip("boutiques.validator")
    assert validator.validate_descriptor(descriptor())
