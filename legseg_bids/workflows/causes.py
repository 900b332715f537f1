"""What an error means in plain words, and what helps: a table with one loader.

An error of our own says what was found, what was expected and what to do. Others say
``[Errno 116] Stale file handle``: the table knows what that means to a person.
"""

from __future__ import annotations

import csv
import errno
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).parent / "data" / "causes.tsv"
LONGEST = 600
"""Characters of a message that are shown; the crash file holds all of it."""

_EXCEPTION = re.compile(
    r"^\s*((?:\w+\.)*)(\w*(?:[Ee]rror|Exception|Interrupt|Pool|Exit|File))(?::\s*(.*))?$"
)


@dataclass(frozen=True)
class Cause:
    """One row: how an error is recognised, what it means, what helps.

    Attributes
    ----------
    sign : re.Pattern
        Searched for in the name and message of the exception.
    cause, hint : str
        In plain words; neither ends with a full stop.
    """

    sign: re.Pattern[str]
    cause: str
    hint: str


@lru_cache(maxsize=1)
def load_causes(path: Path = TABLE) -> tuple[Cause, ...]:
    """Read the table; the first row that fits wins."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return tuple(Cause(re.compile(row["sign"]), row["cause"], row["hint"]) for row in rows)


def explain(name: str, message: str, *, own: bool = False) -> str:
    """Say what an exception means, in one line.

    Parameters
    ----------
    name, message : str
        Name of the exception's class, and its text.
    own : bool
        Whether it is one of our own, whose text already says what to do.

    Examples
    --------
    >>> explain("OSError", "[Errno 116] Stale file handle: '/data/a.nii'")  # doctest: +ELLIPSIS
    "a network file system lost the file (stale handle) (OSError: ... '/data/a.nii'); mount ..."
    >>> explain("ValueError", "math domain error")
    'ValueError: math domain error'
    """
    said = shorten(message if own and message else f"{name}: {message}".rstrip(": "))
    text = _said_by_the_system(message) if own else f"{name}: {message}"
    for row in load_causes():
        if row.sign.search(text):
            return f"{row.cause} ({said}); {row.hint}"
    return said


def _said_by_the_system(message: str) -> str:
    """The reason that our own errors hold in parentheses, where it is one of the system's."""
    known = {os.strerror(number) for number in errno.errorcode}
    return next((part for part in re.findall(r"\(([^()]*)\)", message) if part in known), "")


def explain_error(error: BaseException) -> str:
    """As `explain`, for an exception at hand."""
    own = type(error).__module__.startswith("legseg_bids.")
    return explain(type(error).__name__, str(error), own=own)


def crash_reason(text: str) -> str:
    r"""The reason of a failure from the text of a nipype crash file, in one line.

    The last exception that is named in it. Only that line is looked at: what a file is called
    must not decide why it failed.

    Examples
    --------
    >>> crash_reason("Traceback:\n  ...\n\tlegseg_bids.errors.ImageError: a.nii.gz is empty\n")
    'a.nii.gz is empty'
    """
    found = [match for line in text.splitlines() if (match := _EXCEPTION.match(line))]
    if not found:
        return "stopped without a reason"
    module, name, message = found[-1].groups()
    return explain(name, message or "", own=module.startswith("legseg_bids."))


def shorten(text: str, limit: int = LONGEST) -> str:
    """Cut a long text in its middle.

    Examples
    --------
    >>> shorten("a" * 9, limit=5)
    'aa … aa'
    """
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"
