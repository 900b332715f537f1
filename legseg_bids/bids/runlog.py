"""The log of a run: for each participant its settings (TOML), and what came of it (TSV)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import log_dir
from legseg_bids.bids.write import write_text


def run_id() -> str:
    """Name a run: local time and a random part, so that runs sort and never collide.

    Examples
    --------
    >>> len(run_id().split("_"))
    2
    """
    return f"{datetime.now().astimezone():%Y%m%d-%H%M%S}_{uuid.uuid4()}"


def write_run_log(
    output_dir: Path, subject: str, run: str, sections: Mapping[str, Mapping[str, Any]]
) -> Path:
    """Write what a run was asked to do.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    subject : str
        Label without ``sub-``.
    run : str
        From `run_id`.
    sections : mapping of str to mapping
        TOML tables; values are text, numbers, booleans, or lists of these. None is left out.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = log_dir(output_dir, subject) / f"{run}.toml"
    write_text(path, to_toml(sections))
    return path


def write_outcomes(
    output_dir: Path, subject: str, run: str, exit_code: int, rows: Iterable[Sequence[str]]
) -> Path:
    """Write what became of the images of a participant, beside the settings.

    A run that was interrupted writes none: its images tell what was finished.

    Parameters
    ----------
    output_dir, subject, run
        As for `write_run_log`.
    exit_code : int
        Of the whole run.
    rows : iterable of sequence of str
        Image, status, message, and one warning after another; printable text without tabs.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    lines = [("image", "status", "message", "warnings", "exit_code")]
    for image, status, message, *warnings in rows:
        lines.append((image, status, message, " | ".join(warnings), str(exit_code)))
    text = "".join("\t".join(word or "n/a" for word in line) + "\n" for line in lines)
    path = log_dir(output_dir, subject) / f"{run}_outcome.tsv"
    write_text(path, text)
    return path


def to_toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Write tables of plain values as TOML.

    Raises
    ------
    TypeError
        If a value is neither text, number, boolean nor a list of these.

    Examples
    --------
    >>> print(to_toml({"run": {"device": "cpu", "nprocs": 2, "sessions": ()}}), end="")
    [run]
    device = "cpu"
    nprocs = 2
    sessions = []
    """
    return "\n".join(
        f"[{_key(name)}]\n"
        + "".join(f"{_key(k)} = {_value(v)}\n" for k, v in section.items() if v is not None)
        for name, section in sections.items()
    )


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _value(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"a {type(value).__name__} in the run log; expected plain values")


def _quoted(text: str) -> str:
    """Quote text; TOML's basic strings are JSON's, but for one control character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
