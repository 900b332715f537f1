"""What the lines of a run say about how far it is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from legseg_bids.bids.names import printable

#: As `legseg_bids.workflows.progress` says them: ``[0:01:00] (1/2) sub-01_T1w: segmenting``.
EVENT = re.compile(r"\[\d+:\d\d:\d\d\] \((\d+)/(\d+)\) (.*)")
THROUGH = re.compile(r"; (\d+) of (\d+) images done(?:, about (\d+):(\d\d):(\d\d) left)?$")
#: As `legseg-bidsify` says them: ``[3/12] series``.
SERIES = re.compile(r"\[(\d+)/(\d+)\] ?(.*)")
#: As `legseg_bids.workflows.outcomes` and the end of a run say them.
OUTCOME = re.compile(r"([A-Z][A-Z ]+): (.*?)(?:: (.*))?")
WARNING = "  warning: "
LAST = re.compile(r"legseg-bids: exit code \d+: (.*)")
LONGEST = 500
MOST_OUTCOMES = 5_000


@dataclass
class Job:
    """Something that a project waits for; a line of progress at a time.

    Attributes
    ----------
    id, kind : str
        The kind is ``survey``, ``convert`` or ``run``.
    started : str
        When it was asked for (ISO 8601, UTC).
    state : str
        ``running``, ``done``, ``failed`` or ``cancelled``.
    done, total : int
        Images, or series.
    line : str
        What it is at; at the end, what became of it.
    queued : bool
        Whether it waits for another one.
    exit_code : int or None
        Of the last process that has ended.
    outcomes : list of dict
        What became of each image.
    clock : callable
        Gives seconds; stands still while the machine sleeps, as the run does.

    Examples
    --------
    >>> seconds = iter((10.0, 14.0))
    >>> job = Job("1", "run", clock=lambda: next(seconds))
    >>> job.read("[0:01:00] (1/2) sub-01: done in 0:00:58; 1 of 2 images done, about 0:01:00 left")
    >>> job.done, job.total, job.line
    (1, 2, 'sub-01: done in 0:00:58')
    >>> job.as_dict()["seconds_left"]
    56
    """

    id: str
    kind: str
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    state: str = "running"
    done: int = 0
    total: int = 0
    line: str = ""
    queued: bool = False
    exit_code: int | None = None
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    _left: tuple[float, float] | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What the page gets."""
        left = None
        if self._left and self.state == "running":
            then, seconds = self._left
            left = round(max(0.0, seconds - (self.clock() - then)))
        shown = ("id", "kind", "state", "done", "total", "line", "started", "queued", "exit_code")
        told = {name: getattr(self, name) for name in shown}
        return {**told, "seconds_left": left, "outcomes": self.outcomes, "interrupted": False}

    def read(self, line: str) -> None:
        """Take a line of progress."""
        line = printable(line.strip())[:LONGEST]
        event, series = EVENT.fullmatch(line), SERIES.fullmatch(line)
        if event:
            self.total = max(self.total, int(event[2]))
            line = event[3]
            self._read_through(line)
            line = THROUGH.sub("", line)
        elif series:
            # The series that is named is begun, not done.
            self.done, self.total = max(0, int(series[1]) - 1), int(series[2])
            line = series[3]
        self.line = line or self.line

    def read_result(self, line: str) -> None:
        """Take a line of results: what became of an image, a warning about it, or the end."""
        line = printable(line.rstrip())
        last, outcome = LAST.fullmatch(line), OUTCOME.fullmatch(line)
        if last:
            self.reason = last[1]
        elif line.startswith(WARNING) and self.outcomes:
            self.outcomes[-1]["warnings"].append(line.removeprefix(WARNING))
        elif outcome and len(self.outcomes) < MOST_OUTCOMES:
            status, image, message = outcome[1].lower(), outcome[2], outcome[3] or ""
            self.outcomes.append(
                {"image": image, "status": status, "message": message, "warnings": []}
            )

    def end(self, state: str, line: str) -> None:
        """It has ended."""
        self.state, self.line, self.queued, self._left = state, line, False, None
        if state == "done":
            self.done = max(self.done, self.total)

    def _read_through(self, line: str) -> None:
        through = THROUGH.search(line)
        if not through:
            return
        self.done = int(through[1])
        hours, minutes, seconds = (int(text or 0) for text in through.groups()[2:])
        self._left = (self.clock(), 3600.0 * hours + 60 * minutes + seconds)
