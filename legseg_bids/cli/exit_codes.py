"""The exit codes and what they mean: one table for ``--help``, the documentation and tests."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.errors import ExitCode

TABLE = Path(__file__).parent / "data" / "exit_codes.tsv"


@dataclass(frozen=True)
class Meaning:
    """One row: a code and what it means."""

    code: ExitCode
    meaning: str


def load_exit_codes(path: Path = TABLE) -> tuple[Meaning, ...]:
    """Read the table; rows by rising code.

    Raises
    ------
    ValueError
        If a row names no :class:`ExitCode`, or number and name do not go together.

    Examples
    --------
    >>> load_exit_codes()[0]
    Meaning(code=<ExitCode.OK: 0>, meaning='every selected image is segmented, now or by ...')
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        if ExitCode(int(row["code"])).name != row["name"]:
            msg = f"{path}: {row['code']} is not {row['name']}; expected the names of ExitCode"
            raise ValueError(msg)
    return tuple(Meaning(ExitCode(int(row["code"])), row["meaning"]) for row in rows)


def help_text() -> str:
    """Lines for ``--help``."""
    return "\n".join(f"  {row.code:<4d}{row.meaning}" for row in load_exit_codes())
