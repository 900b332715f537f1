"""Several files changed as one: after a kill at any moment, all of them are old or all are new.

New files are first written into a hidden folder of the participant's logs. The change counts
from the moment on when its journal, the list of what is to be moved and removed, is there; whoever
comes next carries out what a killed process has left undone. Whoever changes or carries out
holds the lock of the participant.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import log_dir
from legseg_bids.bids.write import cannot_write, remove, write_json

FOLDER = ".change"
JOURNAL = "journal.json"


@dataclass
class Change:
    """Files to be put in place and to be removed, together.

    Attributes
    ----------
    root : Path
        Root of the derivative.
    folder : Path
        Where the new files wait.
    moved : list of Path
        Where they are to go, in this order; sidecars, which vouch for others, last.
    removed : list of Path
        What is to be removed.
    """

    root: Path
    folder: Path
    moved: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)

    def put(self, target: Path) -> Path:
        """Where to write what is to stand at `target`."""
        self.moved.append(target)
        return self.waiting(target)

    def waiting(self, target: Path) -> Path:
        """Where the new file of this target waits."""
        return self.folder / str(self.moved.index(target)) / target.name

    def drop(self, paths: Iterable[Path]) -> None:
        """Note files that are to be removed, as far as they exist."""
        self.removed += paths


@contextmanager
def changing(root: Path, subject: str) -> Iterator[Change]:
    """Collect a change, and carry it out when the block ends well; else nothing has changed.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    subject : str
        Label without ``sub-``; nobody else is at work on it.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    settle(root, subject)
    folder = log_dir(root, subject) / FOLDER
    change = Change(root, folder)
    try:
        yield change
        written = {
            "moved": [path.relative_to(root).as_posix() for path in change.moved],
            "removed": [path.relative_to(root).as_posix() for path in change.removed],
        }
        write_json(folder / JOURNAL, written)
    except BaseException:
        remove([folder / JOURNAL])  # first: what it lists is about to vanish
        shutil.rmtree(folder, ignore_errors=True)
        raise
    settle(root, subject)


def settle(root: Path, subject: str) -> bool:
    """Carry out what a killed process had decided, and clear away what it had only begun.

    Parameters
    ----------
    root, subject
        As for :func:`changing`.

    Returns
    -------
    bool
        Whether there was anything to carry out.

    Raises
    ------
    OutputError
        If a file cannot be moved or removed.
    """
    folder = log_dir(root, subject) / FOLDER
    if not folder.is_dir():
        return False
    decided = _read(folder / JOURNAL)
    if decided is not None:
        _carry_out(root, f"sub-{subject}", folder, decided)
    shutil.rmtree(folder, ignore_errors=True)
    return decided is not None


def is_unsettled(root: Path, subject: str) -> bool:
    """Whether a change was decided and not carried out to its end."""
    return (log_dir(root, subject) / FOLDER / JOURNAL).is_file()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _carry_out(root: Path, place: str, folder: Path, decided: dict[str, Any]) -> None:
    targets = [_inside(root, place, name) for name in _listed(decided, "moved")]
    removed = [_inside(root, place, name) for name in _listed(decided, "removed")]
    moves = [
        (folder / str(number) / target.name, target)
        for number, target in enumerate(targets)
        if (folder / str(number) / target.name).is_file()
    ]
    # Between the first move and the last, nobody shall take the old sidecar for that of the new.
    remove([target for _, target in moves if target.suffix == ".json"])
    remove(removed)
    for source, target in moves:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        except OSError as error:
            raise cannot_write(target, error) from error
    remove([folder / JOURNAL])


def _listed(decided: dict[str, Any], key: str) -> list[Any]:
    """A list of the journal; empty if it holds none."""
    found = decided.get(key)
    return found if isinstance(found, list) else []


def _inside(root: Path, place: str, name: object) -> Path:
    """A file of the participant; a journal that was tampered with reaches nothing else."""
    path = Path(str(name))
    if path.is_absolute() or ".." in path.parts or path.parts[:1] != (place,):
        raise cannot_write(root / path, OSError("not a file of this participant"))
    return root / path
