"""What became of each participant on the cluster: read from the notes of the array's tasks.

Each task of ``hpc/legseg_array.sbatch`` notes in a file of its own when a participant began, and
its exit code. A participant that began and has no exit code was killed together with its task.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from legseg_bids.errors import ExitCode

COLUMNS = ("time", "participant", "state", "seconds", "memory_mb")
STARTED = "started"
KILLED_BY_SYSTEM = 137
"""128 + SIGKILL: what a shell says of a process that was killed for want of memory."""


class State(StrEnum):
    """What is known of a participant."""

    NEW = "not begun"
    DONE = "done"
    EMPTY = "without images of the legs"
    FAILED = "failed"
    KILLED = "killed"
    STOPPED = "stopped early"

    @property
    def is_settled(self) -> bool:
        """Whether nothing would come of running it again."""
        return self in (State.DONE, State.EMPTY)


@dataclass(frozen=True)
class Record:
    """The last that was noted of a participant.

    Attributes
    ----------
    code : int or None
        Exit code; ``None`` where there is only a beginning.
    memory_mb : int
        What the task was granted; 0 where Slurm did not say.
    """

    code: int | None
    memory_mb: int

    @property
    def state(self) -> State:
        """What the exit code means for the next submission.

        Examples
        --------
        >>> Record(None, 3072).state, Record(0, 3072).state, Record(2, 3072).state
        (<State.KILLED: 'killed'>, <State.DONE: 'done'>, <State.FAILED: 'failed'>)
        """
        known = {
            None: State.KILLED,
            KILLED_BY_SYSTEM: State.KILLED,
            ExitCode.OK: State.DONE,
            ExitCode.NO_INPUT: State.EMPTY,
            ExitCode.BUSY: State.STOPPED,
            ExitCode.INTERRUPTED: State.STOPPED,
            ExitCode.TERMINATED: State.STOPPED,
        }
        return known.get(self.code, State.FAILED)


def read_records(folder: Path) -> dict[str, Record]:
    """The last record of each participant (``sub-01``).

    Parameters
    ----------
    folder : Path
        With files ``<job>_<task>.tsv``; need not exist. Lines that a crash of a node left
        unfinished are passed over.
    """
    rows = [row for path in sorted(folder.glob("*_*.tsv")) for row in _rows(path)]
    # Stable: within a second, lines of one task stay in their order.
    rows.sort(key=lambda row: row[0])
    return {participant: record for _, participant, record in rows}


def states(
    participants: Iterable[str], records: Mapping[str, Record], output_dir: Path
) -> dict[str, State]:
    """What is known of each participant; done is only what also has results now.

    Parameters
    ----------
    participants : iterable of str
        With ``sub-``.
    records : mapping
        From `read_records`.
    output_dir : Path
        Root of the derivative.
    """
    found = {}
    for name in participants:
        state = records[name].state if name in records else State.NEW
        if state is State.DONE and not _has_results(output_dir / name):
            state = State.NEW
        found[name] = state
    return found


def _has_results(folder: Path) -> bool:
    """Whether a label image has its sidecar, which is written last."""
    return any(any(folder.glob(pattern)) for pattern in ("*/*_dseg.json", "*/*/*_dseg.json"))


def _rows(path: Path) -> Iterator[tuple[int, str, Record]]:
    if re.fullmatch(r"\d+_\d+", path.stem) is None:
        return
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            words = [row.get(column) or "" for column in COLUMNS]
            time, participant, state, _, memory = words
            if not (time.isdecimal() and memory.isdecimal()):
                continue
            if state == STARTED or state.isdecimal():
                code = None if state == STARTED else int(state)
                yield int(time), participant, Record(code, int(memory))
