"""From what nipype does to what a person hears: status callbacks of the plug-ins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from legseg_bids.bids.names import printable
from legseg_bids.workflows.board import Board
from legseg_bids.workflows.monitor import OnStatus
from legseg_bids.workflows.outcomes import Outcome

#: The steps that are worth a line even where nobody asked for many.
LOUD_STEPS = frozenset({"prepare", "segment", "write", "join"})
#: What a step does, for a person; a step that is not listed goes by its own name.
DOING = {
    "prepare": "reading and preparing",
    "classify": "looking at the slices",
    "locate": "locating limbs",
    "segment": "segmenting",
    "merge": "merging labels",
    "measure": "measuring muscles",
    "write": "writing derivatives",
    "draw": "drawing overlay",
    "join": "joining stations",
}
#: An image is through when one of these ends: a station's, and that of a merged image.
LAST_STEPS = frozenset({"draw", "join"})
WAITING = "waiting"

Say = Callable[[str], None]
Tell = Callable[[Outcome], None]
Judge = Callable[[], Outcome | None]


class Progress:
    """Say which image is at which step; the status callback of the plug-ins.

    Each event is a line of its own, for a person and for a log file: how long the run has
    taken, which image of how many, what it is at; and when an image is through, how long it
    took and how long the others will take at this pace. The board gets the same.

    Parameters
    ----------
    names : mapping
        Name of each station's workflow to the name that a person knows it by.
    say : callable
        Takes one line.
    verbosity : int
        From 1 on every step gets a line, else the long ones.
    board : Board
        What a display looks at.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> seconds = iter((0, 0, 2, 60, 62, 130))
    >>> names = {"a_wf": "sub-01_T1w", "b_wf": "sub-02_T1w"}
    >>> progress = Progress(names, print, board=Board(clock=lambda: next(seconds)))
    >>> progress(SimpleNamespace(fullname="wf.a_wf.prepare"), "start")
    [0:00:02] (1/2) sub-01_T1w: reading and preparing
    >>> progress(SimpleNamespace(fullname="wf.a_wf.draw"), "end")
    [0:01:00] (1/2) sub-01_T1w: done in 0:00:58; 1 of 2 images done, about 0:01:00 left
    >>> progress(SimpleNamespace(fullname="wf.b_wf.segment"), "start")
    [0:01:02] (2/2) sub-02_T1w: segmenting
    >>> progress(SimpleNamespace(fullname="wf.b_wf.merge"), "exception")
    [0:02:10] (2/2) sub-02_T1w: merging labels FAILED after 0:01:08; 2 of 2 images done
    """

    def __init__(
        self, names: Mapping[str, str], say: Say, verbosity: int = 0, board: Board | None = None
    ) -> None:
        self._names = names
        self._say = say
        self._verbose = verbosity > 0
        self._board = board or Board()
        self._board.expect(len(names), self._board.now())
        self._number: dict[str, int] = {}
        self._through: set[str] = set()

    def __call__(self, node: Any, status: str) -> None:
        """Say what a node's status means."""
        workflow, step = workflow_and_step(node)
        if workflow not in self._names or workflow in self._through or is_interrupted():
            return
        now = self._board.now()
        number = self._number.setdefault(workflow, len(self._number) + 1)
        message = self._message(workflow, step, status, now)
        if message:
            name = printable(self._names[workflow])
            self._say(f"[{hours(now)}] ({number}/{len(self._names)}) {name}: {message}")

    def _message(self, workflow: str, step: str, status: str, now: float) -> str:
        """Note an event on the board; its line, empty if it is worth none."""
        doing = DOING.get(step, step)
        if status == "exception":
            return f"{doing} FAILED after {self._finish(workflow, now)}"
        if status == "end" and step in LAST_STEPS:
            return f"done in {self._finish(workflow, now)}"
        at = WAITING if status == "end" else doing
        self._board.begin(workflow, printable(self._names[workflow]), at, now)
        if status == "retry":
            return f"{doing}: the process was killed; once more, alone"
        return doing if status == "start" and (self._verbose or step in LOUD_STEPS) else ""

    def _finish(self, workflow: str, now: float) -> str:
        """How long the image took, how many are through, how long the others will take."""
        self._through.add(workflow)
        took = hours(self._board.finish(workflow, now))
        left = self._board.left(now) or 0.0
        through, images = len(self._through), len(self._names)
        rest = f", about {hours(left)} left" if through < images else ""
        return f"{took}; {through} of {images} images done{rest}"


class Verdicts:
    """Tell what became of each image as soon as it is known; of each, once.

    A status callback of the plug-ins, too. nipype says that a step failed before the crash file
    with the reason is there: such an image is told at the next event, or by :meth:`settle`.

    Parameters
    ----------
    judges : mapping
        Name of each image's workflow to what gives its outcome, or None if it cannot be known
        yet.
    tell : callable
        Takes an outcome.

    Attributes
    ----------
    made : dict of str to Outcome
        What was told, by the name of the workflow.
    """

    def __init__(self, judges: Mapping[str, Judge], tell: Tell) -> None:
        self._judges = judges
        self._tell = tell
        self._failing: dict[str, None] = {}
        self.made: dict[str, Outcome] = {}

    def __call__(self, node: Any, status: str) -> None:
        """Look at a node's status."""
        workflow, step = workflow_and_step(node)
        self.settle()
        if workflow not in self._judges or is_interrupted():
            return
        if status == "exception":
            self._failing[workflow] = None
        elif status == "end" and step in LAST_STEPS:
            self._judge(workflow)

    def settle(self) -> None:
        """Tell the failures whose reason is there by now."""
        for workflow in tuple(self._failing):
            self._judge(workflow)

    def close(self, workflows: Iterable[str], otherwise: Callable[[str], Outcome]) -> None:
        """Tell of these, as far as not done: what their judge says, else what `otherwise` says."""
        for workflow in workflows:
            if not self._judge(workflow):
                self._made(workflow, otherwise(workflow))

    def _judge(self, workflow: str) -> bool:
        """Whether an image is told of, now or before."""
        if workflow not in self.made:
            outcome = self._judges[workflow]()
            if outcome is not None:
                self._made(workflow, outcome)
        return workflow in self.made

    def _made(self, workflow: str, outcome: Outcome) -> None:
        self.made[workflow] = outcome
        self._failing.pop(workflow, None)
        self._tell(outcome)


def both(*callbacks: OnStatus) -> OnStatus:
    """Call one status callback after the other."""

    def call(node: Any, status: str) -> None:
        for callback in callbacks:
            callback(node, status)

    return call


def workflow_and_step(node: Any) -> tuple[str, str]:
    """Name of the innermost workflow of a node, and of the node itself.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> workflow_and_step(SimpleNamespace(fullname="legseg_wf.sub_01__T1w_wf.segment"))
    ('sub_01__T1w_wf', 'segment')
    """
    workflow, step = str(node.fullname).split(".")[-2:]
    return workflow, step


def hours(seconds: float) -> str:
    """A duration that sorts and reads well.

    Examples
    --------
    >>> hours(3725.4), hours(0.2)
    ('1:02:05', '0:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def is_interrupted() -> bool:
    """Whether an interruption is on its way out: nipype then calls a step that it left ended."""
    error = sys.exc_info()[1]
    return error is not None and not isinstance(error, Exception)
