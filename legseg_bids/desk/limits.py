"""How much the desk takes in (``data/limits.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Limits:
    """Each is a row of the table: section and key, joined by an underscore."""

    upload_file: int
    upload_project: int
    upload_files: int
    upload_at_once: int
    upload_chunk: int
    disk_reserve: int
    name_path: int
    name_part: int
    name_depth: int
    archive_entries: int
    archive_directory: int
    archive_ratio: int
    archive_innocent: int
    request_json: int
    request_draft: int
    request_events: int
    request_text: int
    token_tries: int
    token_refill: float
    browse_entries: int
    browse_looked_at: int
    browse_walked: int


@cache
def load_limits() -> Limits:
    """The table of the package.

    Examples
    --------
    >>> load_limits().archive_ratio
    120
    """
    text = resources.files(__package__).joinpath("data", "limits.toml").read_text("utf-8")
    rows = tomllib.loads(text).items()
    return Limits(**{f"{part}_{key}": v for part, row in rows for key, v in row.items()})
