"""What became of each image, as one record that the last lines of a run are made from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from legseg_bids.bids.derivative import read_legseg
from legseg_bids.bids.names import printable
from legseg_bids.bids.runlog import write_outcomes
from legseg_bids.errors import ExitCode, OutputError

ON_A_SCREEN = 20
"""Result lines that a person sees at once."""


class Status(StrEnum):
    """What became of one image."""

    SEGMENTED = "segmented"
    MERGED = "merged"
    REPORTED = "reported"
    DONE = "done already"
    PLANNED = "would be segmented"
    TO_MERGE = "would be merged"
    SKIPPED = "skipped"
    ELSEWHERE = "left to another run"
    FAILED = "failed"

    @property
    def in_summary(self) -> str:
        """How the last line of a run calls it."""
        because = {Status.DONE: "skipped because done", Status.SKIPPED: "skipped because unusable"}
        return because.get(self, str(self))


@dataclass(frozen=True)
class Outcome:
    """One image (or set of files of one station) and what became of it.

    Attributes
    ----------
    image : str
        The file, relative to the dataset; or the participant and session of a merged image.
    status : Status
        What became of it.
    message : str
        Where the result is, or what went wrong and what to do.
    warnings : tuple of str
        What a person should look at although there is a result.
    """

    image: str
    status: Status
    message: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.status.upper(), self.image, *([self.message] if self.message else [])]
        warnings = (f"\n  warning: {printable(warning)}" for warning in self.warnings)
        return "".join([": ".join(map(printable, parts)), *warnings])

    @property
    def subject(self) -> str:
        """Label of the participant without ``sub-``; empty if the image names none."""
        found = re.match(r"sub-([^/_ :]+)", self.image)
        return found[1] if found else ""

    def row(self) -> tuple[str, ...]:
        """The same for a table: image, status, message, and one warning after another."""
        return tuple(map(printable, (self.image, self.status, self.message, *self.warnings)))


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """How a run ends that came to its end: the one place where this is decided.

    Examples
    --------
    >>> exit_code([Outcome("a", Status.SEGMENTED), Outcome("b", Status.ELSEWHERE)])
    <ExitCode.BUSY: 75>
    """
    found = {outcome.status for outcome in outcomes}
    if Status.FAILED in found:
        return ExitCode.FAILED
    return ExitCode.BUSY if Status.ELSEWHERE in found else ExitCode.OK


def summary(outcomes: Iterable[Outcome]) -> str:
    """How many images came to what, in one line.

    Examples
    --------
    >>> summary([Outcome("a", Status.DONE), Outcome("b", Status.FAILED)])
    '1 skipped because done, 1 failed'
    """
    return tally(Counter(outcome.status for outcome in outcomes)) or "nothing to do"


def tally(counts: Mapping[Status, int]) -> str:
    """The same from the counts themselves; empty if there are none."""
    return ", ".join(f"{counts[s]} {s.in_summary}" for s in Status if counts.get(s))


def recall(outcomes: Sequence[Outcome], fit: int = ON_A_SCREEN) -> list[str]:
    """Failures once more, where they may have scrolled away: a heading, and a line for each.

    Examples
    --------
    >>> outcomes = [Outcome("a", Status.FAILED, "it is empty"), Outcome("b", Status.DONE)]
    >>> recall(outcomes), recall(outcomes, fit=1)
    ([], ['1 failed:', '  a: it is empty'])
    """
    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    if not failed or len(outcomes) <= fit:
        return []
    lines = (f"  {printable(one.image)}: {printable(one.message)}" for one in failed)
    return [f"{len(failed)} failed:", *lines]


def log_outcomes(
    output_dir: Path,
    run: str,
    outcomes: Sequence[Outcome],
    subjects: Iterable[str],
    say: Callable[[str], None],
) -> None:
    """Write what became of each image beside the settings of the run.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    run : str
        Identifier of the run.
    outcomes : sequence of Outcome
        Of all participants; the exit code is that of the whole run.
    subjects : iterable of str
        Participants for whom this run has a log.
    say : callable
        Takes a line about a table that cannot be written: the images do not suffer from it.
    """
    code = exit_code(outcomes)
    rows: dict[str, list[tuple[str, ...]]] = {subject: [] for subject in sorted(set(subjects))}
    for outcome in outcomes:
        rows.get(outcome.subject, []).append(outcome.row())
    for subject, mine in rows.items():
        try:
            write_outcomes(output_dir, subject, run, code, mine)
        except OutputError as error:
            say(str(error))


def find_crash(folder: Path, workflow: str, before: Iterable[Path] = ()) -> Path | None:
    """The newest crash file of a (sub)workflow in a folder.

    Parameters
    ----------
    folder : Path
        Where crash files are written; need not exist.
    workflow : str
        Name of the workflow, a part of the node's full name in the file's first line.
    before : iterable of Path
        Files to leave aside, because they were there before the run.
    """
    fresh = set(folder.glob("crash-*.txt")) - set(before)
    mine = [path for path in fresh if workflow in _first_line(path).split(".")]
    return max(mine, key=lambda path: path.stat().st_mtime, default=None)


def _first_line(path: Path) -> str:
    """Full name of the node: the first line is ``Node: <workflow>.<workflow>.<node>``."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline().removeprefix("Node:").strip()


def warnings_in(sidecar: Path) -> tuple[str, ...]:
    """What the sidecar of a result asks a person to look at."""
    return tuple(map(str, read_legseg(sidecar).get("Warnings", [])))
