"""The command ``legseg``: parse, run, say what became of each image, return an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from legseg_bids import __version__
from legseg_bids.cli.parser import build_parser, settings_from
from legseg_bids.errors import LegsegError
from legseg_bids.settings import GIB, Settings

if TYPE_CHECKING:
    from legseg_bids.workflows.outcomes import Outcome

INTERRUPTED = 130
TERMINATED = 143
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Stop:
    """SIGTERM, remembered.

    The handler ends the run as if by an exception, so that temporary files are removed (batch
    systems). A library may swallow that exception: then the next line of progress ends the run.
    """

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, _signum: int, _frame: object) -> NoReturn:
        """Handle the signal."""
        self.requested = True
        sys.exit(TERMINATED)

    def say(self, line: str) -> None:
        """Show a line of progress, unless the run was told to stop."""
        if self.requested:
            sys.exit(TERMINATED)
        print(line, file=sys.stderr, flush=True)


def entry_point() -> int:
    """Run ``legseg`` with the words of the command line; the exit code."""
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    try:
        code = main(stop=stop)
    except Exception:
        if not stop.requested:
            raise
    return TERMINATED if stop.requested else code


def main(words: Sequence[str] | None = None, stop: Stop | None = None) -> int:
    """Run the application.

    Progress goes to the standard error; one line for each image, and the reason of the exit
    code as the last line, go to the standard output.

    Parameters
    ----------
    words : sequence of str or None
        Arguments; ``None`` takes those of the process.
    stop : Stop or None
        Knows whether the run was told to stop.

    Returns
    -------
    int
        Exit code, see ``--help``.
    """
    args = build_parser().parse_args(words)
    try:
        settings = settings_from(args)
        if args.analysis_level == "group":
            return _conclude(0, _group(settings))
        say = (stop or Stop()).say
        outcomes = _participants(settings, say, args.dry_run, args.verbose)
    except LegsegError as error:
        return _conclude(error.exit_code, str(error))
    except KeyboardInterrupt:
        return _conclude(INTERRUPTED, "interrupted; finished images are kept, run again to go on")
    return _report(outcomes)


def _participants(
    settings: Settings, say: Callable[[str], None], dry_run: bool, verbosity: int
) -> tuple[Outcome, ...]:
    """Run the participant level."""
    _limit_threads(settings.omp_nthreads)
    say(
        f"legseg-bids {__version__}: {settings.nprocs} image(s) at a time, "
        f"{settings.omp_nthreads} thread(s) and {settings.memory / GIB:.1f} GiB of memory each"
    )
    from legseg_bids.workflows.run import run_participants

    return run_participants(settings, say, dry_run=dry_run, verbosity=verbosity)


def _group(settings: Settings) -> str:
    """Run the group level; what it wrote."""
    from legseg_bids.group.table import write_group

    result = write_group(settings.output_dir, settings.participants)
    for note in result.collection.notes:
        print(f"NOTE: {note}")
    for participant in result.collection.missing:
        print(f"MISSING: {participant}: no finished image")
    images = sum(result.collection.images.values())
    return f"{result.wide} and {result.long} written from {images} image(s)"


def _report(outcomes: Sequence[Outcome]) -> int:
    """Print what became of each image; the exit code."""
    from legseg_bids.workflows.outcomes import Status

    for outcome in outcomes:
        print(outcome)
    counts = Counter(outcome.status for outcome in outcomes)
    summary = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    return _conclude(1 if counts[Status.FAILED] else 0, summary)


def _conclude(code: int, reason: str) -> int:
    """Print the last line: the exit code and its reason."""
    print(f"legseg-bids: exit code {code}: {reason}", flush=True)
    return code


def _limit_threads(threads: int) -> None:
    """Libraries read these when they are loaded, here and in every worker."""
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, str(threads))


if __name__ == "__main__":
    sys.exit(entry_point())
