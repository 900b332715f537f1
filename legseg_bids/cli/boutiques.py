"""``--bids-exec-spec``: the command line as a Boutiques descriptor, made from the parser.

The BIDS execution specification (draft) asks an application for this description, by which
``bosh`` and platforms that understand Boutiques 0.5 can start it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from legseg_bids import __version__
from legseg_bids.cli.exit_codes import load_exit_codes
from legseg_bids.cli.options import count
from legseg_bids.cli.parser import LEVELS, build_parser
from legseg_bids.cli.resources import THREADS_PER_IMAGE

SCHEMA_VERSION = "0.5"
SAID_AND_DONE = frozenset({"help", "version", "bids_exec_spec"})
"""Options that tell something and end; nobody starts a task for them."""

MADE_IF_NEED_BE = frozenset({"output_dir", "work_dir"})
"""Folders that need not exist before, as Boutiques wants it of a File."""

GIGABYTES = 4
"""For one image at a time: the default ceiling for the networks, and what surrounds them."""

OUTPUTS = (
    ("derivative", "Labels, tables and pictures of each image", "[OUTPUT_DIR]", False),
    ("wide_table", "One row for each participant", "[OUTPUT_DIR]/phenotype/legseg.tsv", True),
    ("long_table", "One row for each structure", "[OUTPUT_DIR]/group_volumes.tsv", True),
    ("group_page", "The study on one page", "[OUTPUT_DIR]/group.html", True),
)
"""Id, name, path and whether the participant level leaves it out."""


def descriptor() -> dict[str, Any]:
    """Describe the command line: what it takes, what it writes, and how it ends.

    Examples
    --------
    >>> descriptor()["command-line"][:47]
    'legseg [BIDS_DIR] [OUTPUT_DIR] [ANALYSIS_LEVEL]'
    """
    parser = build_parser()
    actions = [action for action in parser._actions if action.dest not in SAID_AND_DONE]
    return {
        "name": "legseg-bids",
        "description": parser.description,
        "tool-version": __version__,
        "schema-version": SCHEMA_VERSION,
        "command-line": " ".join([parser.prog, *map(_key, actions)]),
        "container-image": {"type": "docker", "image": f"legseg-bids:{__version__}"},
        "inputs": [_input(action) for action in actions],
        "groups": list(_groups(parser)),
        "output-files": [
            {"id": name, "name": text, "path-template": path, "optional": optional}
            for name, text, path, optional in OUTPUTS
        ],
        "error-codes": [
            {"code": int(row.code), "description": row.meaning}
            for row in load_exit_codes()
            if row.code
        ],
        "suggested-resources": {"cpu-cores": THREADS_PER_IMAGE, "ram": GIGABYTES},
        "tags": {"domain": ["neuroinformatics", "mri"], "status": "beta"},
    }


def text() -> str:
    """Give the descriptor as JSON."""
    return json.dumps(descriptor(), indent=2) + "\n"


def _option(action: argparse.Action) -> str | None:
    """The spelling that ``--help`` shows; of a switch, the one that changes something."""
    shown = [name for name in action.option_strings if name.startswith("--") and "_" not in name]
    if isinstance(action, argparse.BooleanOptionalAction):
        shown = [name for name in shown if name.startswith("--no-") == action.default]
    return shown[0] if shown else None


def _id(action: argparse.Action) -> str:
    return (_option(action) or action.dest).removeprefix("--").replace("-", "_")


def _key(action: argparse.Action) -> str:
    return f"[{_id(action).upper()}]"


def _input(action: argparse.Action) -> dict[str, Any]:
    option = _option(action)
    described: dict[str, Any] = {
        "id": _id(action),
        "name": _id(action).replace("_", " "),
        "type": _type(action),
        "description": str(action.help or ""),
        "value-key": _key(action),
        "optional": option is not None,
    }
    if option is not None:
        described["command-line-flag"] = option
    if action.nargs == "+":
        described |= {"list": True, "min-list-entries": 1}
    if described["type"] == "Number":
        described["integer"] = action.type in (int, count)
    choices = LEVELS if action.dest == "analysis_level" else action.choices
    if choices:
        described["value-choices"] = list(choices)
    if isinstance(action.default, str):
        described["default-value"] = action.default
    return described


def _type(action: argparse.Action) -> str:
    """Type in the words of Boutiques."""
    if action.nargs == 0:
        return "Flag"
    if action.metavar == "N":
        return "Number"
    return "File" if action.type is Path and action.dest not in MADE_IF_NEED_BE else "String"


def _groups(parser: argparse.ArgumentParser) -> Iterator[dict[str, Any]]:
    """Options of which only one may be given."""
    for group in parser._mutually_exclusive_groups:
        members = [_id(action) for action in group._group_actions]
        yield {
            "id": f"one_of_{'_'.join(members)}",
            "name": f"one of {', '.join(members)}",
            "members": members,
            "mutually-exclusive": True,
        }
