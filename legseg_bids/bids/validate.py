"""Is the input valid BIDS? Asked of bids-validator-deno, which needs no network."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from legseg_bids.errors import ValidationError

LOGGER = logging.getLogger(__name__)
COMMAND = "bids-validator-deno"
OPTIONS = ("--format", "json", "--ignoreWarnings", "--ignoreNiftiHeaders", "--prune")
SHOWN = 5
NOT_SHOWN = ("sub-", ".", "code", "derivatives", "sourcedata")
"""How names begin that are not validated where participants are chosen."""
ANSWERS = (0, 16)
"""Exit codes with which the validator gives a verdict: valid, and not."""


def validate(bids_dir: Path, participants: Sequence[str] = ()) -> list[str]:
    """List what is wrong with a dataset; problems of other participants do not count.

    Without the validator, or if it fails, only the file names of the participants are
    checked, and a warning is logged.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    participants : sequence of str
        Labels without ``sub-``; empty means all.

    Returns
    -------
    list of str
        One line for each problem; empty when the dataset is valid.
    """
    with _only(bids_dir, participants) as view:
        report = _run(find_command(), view)
    if report is None:
        return _problems_of_names(bids_dir, participants)
    return [_line(issue) for issue in _errors(report) if concerns(issue, participants)]


def require_valid(bids_dir: Path, participants: Sequence[str] = ()) -> None:
    """Stop a run on an invalid dataset.

    Raises
    ------
    ValidationError
        If `validate` lists anything; the message holds the first lines.
    """
    problems = validate(bids_dir, participants)
    if problems:
        more = f"\n  … and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ValidationError(
            f"{bids_dir} is not valid BIDS ({len(problems)} errors); expected none; repair them, "
            "or add --skip-bids-validation:\n  " + "\n  ".join(problems[:SHOWN]) + more
        )


def find_command() -> str | None:
    """Find the validator: beside this Python, or on the path."""
    beside = Path(sys.executable).parent / COMMAND
    return str(beside) if beside.exists() else shutil.which(COMMAND)


def concerns(issue: Mapping[str, Any], participants: Sequence[str]) -> bool:
    """Tell whether an issue is of the dataset as a whole or of a chosen participant.

    Examples
    --------
    >>> concerns({"location": "/sub-02/anat/x.nii.gz"}, ["01"])
    False
    >>> concerns({"location": "/dataset_description.json"}, ["01"])
    True
    """
    subject = re.match(r"/?sub-([^/_.]+)", str(issue.get("location", "")))
    return not participants or subject is None or subject.group(1) in participants


@contextmanager
def _only(bids_dir: Path, participants: Sequence[str]) -> Iterator[Path]:
    """The dataset with no other participants: the validator reads everything it is given.

    A folder of links in the system's temporary folder. Without participants, or where links
    cannot be made, the dataset itself.
    """
    with ExitStack() as stack:
        view = bids_dir
        if participants:
            try:
                private = tempfile.TemporaryDirectory(prefix="legseg-", ignore_cleanup_errors=True)
                view = _links(bids_dir, participants, Path(stack.enter_context(private)))
            except OSError as error:
                LOGGER.info("the whole of %s is validated (%s)", bids_dir, error)
        yield view


def _links(bids_dir: Path, participants: Sequence[str], folder: Path) -> Path:
    wanted = {f"sub-{label}" for label in participants} | {".bidsignore"}
    for path in sorted(bids_dir.resolve().iterdir()):
        if path.name in wanted or not path.name.startswith(NOT_SHOWN):
            (folder / path.name).symlink_to(path)
    return folder


def _run(command: str | None, bids_dir: Path) -> dict[str, Any] | None:
    if command is None:
        LOGGER.warning("%s not found; only file names are checked", COMMAND)
        return None
    try:
        done = subprocess.run(
            [command, *OPTIONS, str(bids_dir)], capture_output=True, text=True, check=False
        )
        report = json.loads(done.stdout)
    except (OSError, ValueError) as error:
        LOGGER.warning("%s failed (%s); only file names are checked", COMMAND, error)
        return None
    if done.returncode not in ANSWERS or not isinstance(report, dict):
        LOGGER.warning("%s exited with %d; only file names are checked", COMMAND, done.returncode)
        return None
    return report


def _errors(report: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    listed = report.get("issues", {}).get("issues", [])
    return (issue for issue in listed if issue.get("severity") == "error")


def _line(issue: Mapping[str, Any]) -> str:
    code = " ".join(filter(None, [issue.get("code"), issue.get("subCode")]))
    message = str(issue.get("issueMessage") or "").strip().partition("\n")[0]
    return f"{issue.get('location', '')}: {code}" + (f" ({message})" if message else "")


def _problems_of_names(bids_dir: Path, participants: Sequence[str]) -> list[str]:
    from bids_validator import BIDSValidator  # type: ignore[import-untyped]

    known = BIDSValidator()
    labels = participants or ["*"]
    files = (path for label in labels for path in bids_dir.glob(f"sub-{label}/**/*.nii*"))
    names = (f"/{path.relative_to(bids_dir).as_posix()}" for path in sorted(files))
    return [f"{name}: not a BIDS file name" for name in names if not known.is_bids(name)]
