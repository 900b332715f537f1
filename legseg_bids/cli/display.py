"""The display on a terminal: what is said scrolls by above, what goes on stays below.

Drawn by rich. The cursor is never hidden, and nothing is switched that would have to be
switched back, so that the terminal is in order however the run ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from rich.cells import cell_len
from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.live_render import LiveRender
from rich.text import Text

from legseg_bids.cli.voice import Lines, in_foreground, undisturbed, write
from legseg_bids.workflows.board import Board, Work
from legseg_bids.workflows.outcomes import Outcome, Status
from legseg_bids.workflows.progress import hours

REFRESHES = 2
"""A second: one is too few to see that the seconds are counted."""
WIDEST = 100
"""Columns. Lines that are much wider are hard to read, and torn if the window is made smaller."""
BAR, NARROWEST_BAR = 30, 8
STYLES = {
    Status.SEGMENTED: "green",
    Status.MERGED: "green",
    Status.SKIPPED: "yellow",
    Status.ELSEWHERE: "yellow",
    Status.FAILED: "bold red",
}


class Display(Lines):
    """A voice that shows the board at the foot of the terminal.

    Parameters
    ----------
    heed : callable
        See :class:`Lines`.
    verbosity : int
        From 1 on, every step is a line, too.
    """

    def __init__(self, heed: Callable[[], None], verbosity: int = 0) -> None:
        super().__init__(heed)
        self.board.shown = True
        self._verbose = verbosity > 0
        self._console = Console(
            file=sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=True
        )
        self._live = _Foot(
            console=self._console,
            get_renderable=self._foot,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> Self:
        with undisturbed():
            self._live.start()
            self._console.show_cursor(True)
        return self

    def __exit__(self, *_: object) -> None:
        with undisturbed(), suppress(OSError):
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that everybody should read."""
        self._heed()
        self._print(Text(line))

    def step(self, line: str) -> None:
        """A line about a step of an image, which the foot shows anyway."""
        self._heed()
        if self._verbose:
            self._print(Text(line, style="dim"))

    def tell(self, outcome: Outcome) -> None:
        """What became of an image: on the terminal, or to wherever the results go."""
        if not sys.stdout.isatty():
            write(str(outcome), sys.stdout)
            return
        first, *warnings = str(outcome).split("\n")
        line = Text(first)
        line.stylize(STYLES.get(outcome.status, ""), 0, len(outcome.status))
        self._print(line)
        for warning in warnings:
            self._print(Text(warning, style="yellow"))

    def _print(self, line: Text) -> None:
        with suppress(OSError):
            self._console.print(line)

    def _foot(self) -> Group:
        size = self._console.size
        width = max(1, min(size.width - 1, WIDEST))
        plain = self._console.options.ascii_only
        lines = foot(self.board, width, max(1, size.height - 1), plain=plain)
        for line in lines:
            _cut(line, width, self._console.encoding, plain=plain)
        return Group(*lines)


class _Foot(Live):
    """rich's display, which draws nothing while the run is in the background of its terminal."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Put the foot below what is printed."""
        if in_foreground(sys.__stderr__ or sys.stderr):
            return super().process_renderables(renderables)
        # What was drawn before belongs to whoever uses the terminal now.
        self._live_render = LiveRender(self.get_renderable())
        return renderables


def foot(board: Board, width: int, height: int, *, plain: bool = False) -> list[Text]:
    """Lines that show a board.

    Parameters
    ----------
    board : Board
    width, height : int
        Of the terminal, columns and lines; there are never more lines, but they may be too wide.
    plain : bool
        Whether the terminal knows ASCII only.
    """
    now = board.now()
    lines = [_overall(board, now, width, plain=plain)]
    counts = _counts(board, plain=plain)
    if counts.plain:
        lines.append(counts)
    work = board.at_work()
    room = height - len(lines) - 1
    if height < len(lines) + 1:
        return lines[:height]
    shown = work if len(work) <= room else work[: max(0, room - 1)]
    names = max((cell_len(one.name) for one in shown), default=0)
    lines += [_in_work(one, now, min(names, width // 2)) for one in shown]
    if len(shown) < len(work) and room > 0:
        lines.append(Text(f"  and {len(work) - len(shown)} more", style="dim"))
    return lines


def _overall(board: Board, now: float, width: int, *, plain: bool) -> Text:
    """Bar, images through, time that has passed and that is left; before that, the stage."""
    if not board.images:
        return Text(f"{board.stage or 'starting'}  {hours(now)}")
    through, images = min(board.through, board.images), board.images
    left = board.left(now)
    facts = f"{through}/{images} images  {hours(now)}"
    facts += f"  about {hours(left)} left" if left is not None and through < images else ""
    facts += f"  {board.stage}" if not board.at_work() else ""
    room = min(BAR, width - len(facts) - 2)
    if room < NARROWEST_BAR:
        return Text(facts)
    full, empty = "#." if plain else "█░"
    filled = room * through // images
    bar = Text(full * filled, style="green").append(empty * (room - filled), style="dim")
    return bar.append("  " + facts)


def _counts(board: Board, *, plain: bool) -> Text:
    """How many images came to what."""
    parts = [
        Text(f"{board.counts[status]} {status.in_summary}", style=STYLES.get(status, ""))
        for status in Status
        if board.counts[status]
    ]
    return Text(", " if plain else " · ").join(parts)


def _in_work(work: Work, now: float, names: int) -> Text:
    """How long an image has been at which step; what matters least is cut if it must be."""
    name = Text(work.name)
    name.truncate(names, pad=True)
    line = Text(f"  {hours(now - work.since)}  ").append(name)
    return line.append(f"  {work.doing}", style="cyan")


def _cut(line: Text, width: int, encoding: str, *, plain: bool) -> None:
    """Make a line fit: never wrapped, and no letter that the terminal does not know."""
    known = line.plain.encode(encoding, "backslashreplace").decode(encoding)
    if known != line.plain:
        line.plain = known
    line.truncate(width, overflow="crop" if plain else "ellipsis")
