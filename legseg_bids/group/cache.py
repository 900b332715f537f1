"""What the last group step read, so that the next one need not read it again.

One file in the derivative's ``logs``: one line of JSON for each participant, in the order of
labels, so that it is read and written while the participants pass by, and never held whole. It
may be deleted at any time. An entry counts only while size and both time stamps of its file are
those of then; a file that was written just before it was read is not remembered at all, since it
could change once more without a trace.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from legseg_bids.bids.finished import DISK, Disk
from legseg_bids.bids.write import replacing

FORMAT = "legseg group cache 1"
KEPT = ("ConfigHash", "Version", "StationSHA256", "SourceSHA256", "Correction")
"""What of our object in a sidecar is remembered: all that tables are made from."""
SETTLED = 2_000_000_000
"""Nanoseconds after which a file that changes again has another time stamp (FAT: 2 s)."""
Entries = dict[str, list[Any]]


@dataclass
class Remembered:
    """Files of one participant, read from the disk or remembered.

    Attributes
    ----------
    before, now : dict
        Entries of the last run, and of this one: path and role to time stamps and content.
    """

    root: Path
    before: Entries = field(default_factory=dict)
    now: Entries = field(default_factory=dict)

    @property
    def disk(self) -> Disk:
        """How to read files of this participant."""
        return Disk(
            legseg=lambda path: self._get("sidecar", path, _legseg),
            digest=lambda path: self._get("sha256", path, DISK.digest),
            text=lambda path: self._get("text", path, DISK.text),
        )

    def _get(self, role: str, path: Path, read: Callable[[Path], Any]) -> Any:
        key = f"{role} {path.relative_to(self.root).as_posix()}"
        stamp = _stamp(path)
        entry = self.before.get(key)
        known = bool(stamp and entry and entry[0] == stamp)
        value = entry[1] if known and entry else read(path)
        if stamp and time.time_ns() - max(stamp[1:]) > SETTLED:
            self.now[key] = [stamp, value]
        return value


class Memory:
    """The cache, passed through from its first participant to its last.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    before : iterator
        Participants and entries of the last run, by rising label.
    write : callable
        Takes one line.
    """

    def __init__(
        self,
        root: Path,
        before: Iterator[tuple[str, Entries]],
        write: Callable[[bytes], object],
    ) -> None:
        self._root, self._before, self._write = root, before, write
        self._next: tuple[str, Entries] | None = None

    @contextmanager
    def of(self, participant: str) -> Iterator[Disk]:
        """Read files of this participant; call in the order of labels."""
        known = Remembered(self._root, self._entries(participant))
        yield known.disk
        if known.now:
            self._write(json.dumps([participant, known.now]).encode() + b"\n")

    def _entries(self, participant: str) -> Entries:
        while self._next is None or self._next[0] < participant:
            self._next = next(self._before, None)
            if self._next is None:
                return {}
        return self._next[1] if self._next[0] == participant else {}


def cache_path(root: Path) -> Path:
    """Where the cache of a derivative lies."""
    return root / "logs" / "group_cache.jsonl.gz"


@contextmanager
def remembering(root: Path) -> Iterator[Memory]:
    """Open the cache of a derivative; it is replaced when the block ends well.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = cache_path(root)
    with replacing(path) as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        packed.write(json.dumps(FORMAT).encode() + b"\n")
        yield Memory(root, _read(path), packed.write)


def _read(path: Path) -> Iterator[tuple[str, Entries]]:
    """Entries of the last run; whatever is damaged or of another version was never there."""
    try:
        with gzip.open(path, "rb") as file:
            if json.loads(file.readline()) != FORMAT:
                return
            for line in file:
                participant, entries = json.loads(line)
                yield str(participant), dict(entries)
    except (OSError, EOFError, ValueError, TypeError, zlib.error):
        return


def _stamp(path: Path) -> list[int] | None:
    """Size and time stamps; None where there is no such file."""
    try:
        told = path.stat()
    except OSError:
        return None
    return [told.st_size, told.st_mtime_ns, told.st_ctime_ns]


def _legseg(sidecar: Path) -> dict[str, Any]:
    told = DISK.legseg(sidecar)
    return {key: told[key] for key in KEPT if key in told}
