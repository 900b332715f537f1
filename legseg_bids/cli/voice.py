"""How a run speaks: progress to the standard error, results to the standard output."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from legseg_bids.workflows.board import Board
    from legseg_bids.workflows.outcomes import Outcome

NO_DISPLAY = frozenset({"", "dumb", "unknown"})
"""Kinds of terminal (``TERM``) on which nothing can be written over."""
TOO_TALKATIVE = 2
"""From this verbosity on others speak, too, who know nothing of a display."""


class Voice(Protocol):
    """What a run says, and to whom; a context in which it may speak."""

    board: Board

    def say(self, line: str) -> None:
        """A line that everybody should read."""

    def step(self, line: str) -> None:
        """A line about a step of an image."""

    def tell(self, outcome: Outcome) -> None:
        """What became of an image."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Lines:
    """One line for each thing that is said, the same for a person and for a log file.

    Parameters
    ----------
    heed : callable
        Called before each line of progress; raises where the run was told to stop.
    """

    def __init__(self, heed: Callable[[], None]) -> None:
        from legseg_bids.workflows.board import Board

        self.board = Board()
        self._heed = heed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def say(self, line: str) -> None:
        """A line that everybody should read."""
        self._heed()
        write(line, sys.stderr)

    def step(self, line: str) -> None:
        """A line about a step of an image."""
        self.say(line)

    def tell(self, outcome: Outcome) -> None:
        """What became of an image."""
        write(str(outcome), sys.stdout)


def choose_voice(heed: Callable[[], None], verbosity: int = 0, *, display: bool = True) -> Voice:
    """A display where there is a terminal that can show one, else lines.

    Parameters
    ----------
    heed : callable
        See :class:`Lines`.
    verbosity : int
        How often ``-v`` was given.
    display : bool
        Whether there is anything to show.
    """
    if not display or verbosity >= TOO_TALKATIVE or not _can_show():
        return Lines(heed)
    try:
        from legseg_bids.cli.display import Display
    except ImportError:
        return Lines(heed)
    return Display(heed, verbosity)


def write(line: str, stream: TextIO) -> None:
    """Write a line now. If nobody can read it any more, a run of hours goes on all the same.

    So it is when the terminal was closed, or the pipe, or when the disk of a log file is full.
    """
    with suppress(OSError):
        print(line, file=stream, flush=True)


def close_quietly() -> None:
    """At the very end: what could not be written to a pipe that is closed is no error either."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block has ended.

    Blocking them for this thread would not do: any other thread may take a signal of the process,
    and what handles it runs here all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, _: heard.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for one in heard:
            signal.raise_signal(one)


def in_foreground(stream: TextIO) -> bool:
    """Whether this process is the one that its terminal belongs to at the moment."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _can_show() -> bool:
    terminal = os.environ.get("TERM", "")
    return sys.stderr.isatty() and terminal not in NO_DISPLAY and in_foreground(sys.stderr)
