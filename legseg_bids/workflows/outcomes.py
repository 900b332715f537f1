"""What became of each image, as one record that the last lines of a run are made from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

KILLED = (
    "a worker process was killed while this image was being processed, most likely for want of "
    "memory; lower --nprocs or raise --mem, then run again: finished images are kept"
)

#: What a message means when it says less than it should.
_KNOWN_CAUSES = (
    ("BrokenProcessPool", KILLED),
    ("MemoryError", "not enough memory; raise --mem or lower --nprocs"),
    ("No space left on device", "the disk is full; make room for the output and work folders"),
)


class Status(StrEnum):
    """What became of one image."""

    SEGMENTED = "segmented"
    DONE = "done already"
    PLANNED = "would be segmented"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """One image (or set of files of one station) and what became of it.

    Attributes
    ----------
    image : str
        The file, relative to the dataset.
    status : Status
        What became of it.
    message : str
        Where the result is, or what went wrong and what to do.
    warnings : tuple of str
        What a person should look at although there is a result.
    """

    image: str
    status: Status
    message: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        line = f"{self.status.upper()}: {self.image}" + f": {self.message}" * bool(self.message)
        return "".join([line, *(f"\n  warning: {warning}" for warning in self.warnings)])


def crash_reason(text: str) -> str:
    r"""The reason of a failure from the text of a nipype crash file.

    The last exception that is named in it, without its module; known riddles are explained.

    Examples
    --------
    >>> crash_reason("Traceback:\n  ...\n\tlegseg_bids.errors.ImageError: a.nii.gz is empty\n")
    'a.nii.gz is empty'
    >>> crash_reason("ValueError: math domain error")
    'ValueError: math domain error'
    """
    for sign, cause in _KNOWN_CAUSES:
        if sign in text:
            return cause
    found = re.findall(
        r"^\s*([\w.]*?)(\w+(?:Error|Exception|Interrupt))(?::\s*(.*))?$", text, re.M
    )
    if not found:
        return "stopped without a reason"
    module, name, message = found[-1]
    own = module.startswith("legseg_bids.") and message
    return message if own else f"{name}: {message}".rstrip(": ")


def find_crash(folder: Path, workflow: str, before: Iterable[Path] = ()) -> Path | None:
    """The newest crash file of a (sub)workflow in a folder.

    Parameters
    ----------
    folder : Path
        Where crash files are written; need not exist.
    workflow : str
        Name of the workflow, a part of the node's full name in the file's first line.
    before : iterable of Path
        Files to leave aside, because they were there before the run.
    """
    fresh = set(folder.glob("crash-*.txt")) - set(before)
    mine = [path for path in fresh if workflow in _first_line(path).split(".")]
    return max(mine, key=lambda path: path.stat().st_mtime, default=None)


def _first_line(path: Path) -> str:
    """Full name of the node: the first line is ``Node: <workflow>.<workflow>.<node>``."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline().removeprefix("Node:").strip()
