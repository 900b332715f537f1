"""What a run is at: written as it goes on, for a display to look at whenever it likes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legseg_bids.workflows.outcomes import Outcome, Status


@dataclass(frozen=True)
class Work:
    """An image in work.

    Attributes
    ----------
    name : str
        The image, for a person.
    doing : str
        Its step.
    since, begun : float
        When the step and the image began, in seconds of :meth:`Board.now`.
    """

    name: str
    doing: str
    since: float
    begun: float


class Board:
    """Stage, images in work, images that are through, and what became of all.

    Only the run writes here. A display may read from a thread of its own: every change is a
    single assignment, and :meth:`at_work` gives a copy.

    Parameters
    ----------
    clock : callable
        Gives seconds.

    Attributes
    ----------
    stage : str
        What the run as a whole is doing.
    images, through : int
        How many images are to do, and how many of them came to an end, good or bad.
    counts : Counter of Status
        What became of all images so far, also of those that were not to do.
    shown : bool
        Whether a display shows it: then nothing else should write to the terminal.

    Examples
    --------
    >>> board = Board()
    >>> board.expect(4, now=10)
    >>> board.begin("a", "sub-01_T1w", "segmenting", now=12)
    >>> board.at_work()
    [Work(name='sub-01_T1w', doing='segmenting', since=12, begun=12)]
    >>> board.finish("a", now=40)
    28
    >>> board.left(now=45)
    85.0
    >>> board.through, board.images, board.at_work()
    (1, 4, [])
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._expected_at = 0.0
        self._last: tuple[float, float] | None = None
        self._work: dict[str, Work] = {}
        self.stage = ""
        self.images = 0
        self.through = 0
        self.counts: Counter[Status] = Counter()
        self.shown = False

    def now(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._started

    def expect(self, images: int, now: float) -> None:
        """Set how many images are to do; their pace is measured from now on."""
        self.images, self.through, self._last = images, 0, None
        self._expected_at = now

    def begin(self, key: str, name: str, doing: str, now: float) -> None:
        """Note that an image is at a step."""
        before = self._work.get(key)
        self._work[key] = Work(name, doing, now, before.begun if before else now)

    def finish(self, key: str, now: float) -> float:
        """Note that an image is through; how long it took, seconds."""
        self.through += 1
        pace = (now - self._expected_at) / self.through
        self._last = now, pace * max(0, self.images - self.through)
        return self.drop(key, now)

    def drop(self, key: str, now: float) -> float:
        """Note that something that is no image to do is through; how long it took, seconds."""
        work = self._work.pop(key, None)
        return now - work.begun if work else 0.0

    def left(self, now: float) -> float | None:
        """Seconds that the other images will take at the pace so far; None if unknown."""
        if self._last is None:
            return None
        then, left = self._last
        return max(0.0, left - (now - then))

    def at_work(self) -> list[Work]:
        """Images in work, the first begun first."""
        return list(self._work.values())

    def count(self, outcome: Outcome) -> None:
        """Note what became of an image."""
        self.counts[outcome.status] += 1
