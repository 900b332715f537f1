"""The results of finished cases, kept so that an evaluation can go on where it stopped.

One file for each case in the hidden folder ``.cases``, which may be removed at any time. It
counts only while the files of its case, the options and the code that measures are those of then.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from legseg_bids.bids.derivative import sha256
from legseg_bids.bids.write import remove_leftovers, replacing

FOLDER = ".cases"
FORMAT = 1
SETTLED = 2_000_000_000
"""Nanoseconds after which a file that changes again has another time stamp (FAT: 2 s)."""
STALE = 600.0
"""Seconds after which nobody writes a temporary file any more."""
#: What decides on the numbers: files of the package.
DECIDING = (
    "anatomy/compartments.py",
    "anatomy/data/combined.tsv",
    "anatomy/data/compartments.tsv",
    "anatomy/data/labels.tsv",
    "anatomy/data/synonyms.tsv",
    "anatomy/labels.py",
    "anatomy/synonyms.py",
    "bids/reading.py",
    "evaluate/cases.py",
    "evaluate/data/groups.tsv",
    "evaluate/data/parts.tsv",
    "evaluate/data/schemes.tsv",
    "evaluate/data/structure_names.tsv",
    "evaluate/grids.py",
    "evaluate/label_tables.py",
    "evaluate/metrics.py",
    "evaluate/nearest.py",
    "evaluate/overlap.py",
    "evaluate/schemes.py",
    "evaluate/structures.py",
    "evaluate/surface_elements.py",
    "evaluate/surfaces.py",
    "evaluate/vocabulary.py",
    "evaluate/volumes.py",
    "imaging/orientation.py",
    "segment/boxes.py",
)


@dataclass(frozen=True)
class Part:
    """Where the result of one case is kept, and what it must be made from to count.

    Attributes
    ----------
    path : Path
    inputs : tuple of Path
        Files that were read.
    options : mapping
        All that can change a number, in plain values.
    """

    path: Path
    inputs: tuple[Path, ...]
    options: Mapping[str, Any]

    def read(self) -> dict[str, Any] | None:
        """What is kept, if it still counts; else None."""
        kept = read_part(self.path)
        if kept is None or kept.get("format") != FORMAT or kept.get("code") != code_version():
            return None
        if not _suffices(kept.get("options"), self.options):
            return None
        stamps = kept.get("inputs")
        if not isinstance(stamps, dict) or stamps.keys() != {str(p) for p in self.inputs}:
            return None
        return kept if all(_unchanged(p, stamps[str(p)]) for p in self.inputs) else None

    def write(self, content: Mapping[str, Any], stamps: Mapping[str, Any]) -> None:
        """Keep a result, in one piece.

        Parameters
        ----------
        content : mapping
            Plain values.
        stamps : mapping
            From :meth:`stamps`, taken before the files were read.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        kept = {
            **content,
            "format": FORMAT,
            "code": code_version(),
            "options": dict(self.options),
            "inputs": dict(stamps),
        }
        text = json.dumps(kept, allow_nan=True).encode()
        with replacing(self.path) as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
            packed.write(text)

    def stamps(self) -> dict[str, list[Any]]:
        """What the files look like now; their content, too, as a check sum.

        Raises
        ------
        OSError
            If one cannot be read.
        """
        return {str(path): [_stamp(path), sha256(path)] for path in self.inputs}


def part_path(out: Path, *names: str) -> Path:
    """Where the result of a case is kept.

    Parameters
    ----------
    out : Path
        Folder of the evaluation.
    *names : str
        What tells the case from all others.
    """
    digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    return out / FOLDER / f"{digest[:24]}.json.gz"


def read_part(path: Path) -> dict[str, Any] | None:
    """What a file keeps, whether it counts or not; None if it is missing or damaged."""
    try:
        with gzip.open(path, "rb") as file:
            kept = json.load(file)
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    return kept if isinstance(kept, dict) else None


def sweep(out: Path) -> None:
    """Remove temporary files of evaluations that were killed."""
    remove_leftovers(out / FOLDER, older_than=STALE)
    remove_leftovers(out, deep=False, older_than=STALE)


@cache
def code_version() -> str:
    """Check sum of everything in this package that decides on a number."""
    digest = hashlib.sha256()
    root = resources.files("legseg_bids")
    for name in DECIDING:
        digest.update(name.encode() + root.joinpath(name).read_bytes())
    return digest.hexdigest()[:16]


def _suffices(kept: object, wanted: Mapping[str, Any]) -> bool:
    """Whether options are those of then; rows of slices may be there without being wanted."""
    if not isinstance(kept, dict):
        return False
    same = {**kept, "slices": None} == {**wanted, "slices": None}
    return same and bool(kept.get("slices") or not wanted.get("slices"))


def _stamp(path: Path) -> list[int] | None:
    """Size and time stamps; None where they may not tell the next change."""
    told = path.stat()
    stamp = [told.st_size, told.st_mtime_ns, told.st_ctime_ns]
    return stamp if time.time_ns() - max(stamp[1:]) > SETTLED else None


def _unchanged(path: Path, before: Any) -> bool:
    """Whether a file is that of then: by its stamp, or else by its content."""
    try:
        stamp, digest = before
        return bool(stamp and stamp == _stamp(path)) or bool(sha256(path) == digest)
    except (OSError, TypeError, ValueError):
        return False
