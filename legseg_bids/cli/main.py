"""The command ``legseg``: parse, run, say what became of each image, return an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

from legseg_bids import __version__
from legseg_bids.cli import resources
from legseg_bids.cli.parser import GROUP, parse, resources_from, settings_from, without_effect
from legseg_bids.cli.voice import Voice, choose_voice, close_quietly, write
from legseg_bids.errors import ExitCode, LegsegError
from legseg_bids.settings import Settings

if TYPE_CHECKING:
    from legseg_bids.workflows.outcomes import Outcome

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
STOPS = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
REASONS = {ExitCode.INTERRUPTED: "interrupted", ExitCode.TERMINATED: "told to stop (SIGTERM)"}


class Stop:
    """Ctrl-C or SIGTERM, remembered.

    The handler ends the run as by an exception, so that workers end and temporary files are
    removed. A library may swallow that exception: then the next line of progress ends the run.
    """

    def __init__(self) -> None:
        self.code: ExitCode | None = None

    def __call__(self, signum: int, _frame: object) -> NoReturn:
        """Handle the signal."""
        self.code = STOPS[signal.Signals(signum)]
        raise KeyboardInterrupt

    def listen(self) -> None:
        """Handle the signals from now on, but those that whoever started us shut off."""
        for number in STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self)

    def heed(self) -> None:
        """End the run if it was told to stop.

        Raises
        ------
        KeyboardInterrupt
        """
        if self.code is not None:
            raise KeyboardInterrupt


def entry_point() -> int:
    """Run ``legseg`` with the words of the command line; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A log that knows fewer letters than a message or a file name is no reason to stop.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    stop = Stop()
    stop.listen()
    try:
        return main(stop=stop)
    finally:
        close_quietly()


def main(words: Sequence[str] | None = None, stop: Stop | None = None) -> int:
    """Run the application.

    Progress goes to the standard error; one line for each image as soon as it is known what
    became of it, and the reason of the exit code as the last line, go to the standard output.

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
    stop = stop or Stop()
    try:
        code, reason = _run(words, stop)
    except KeyboardInterrupt:
        code, reason = _stopped(stop)
    except LegsegError as error:
        code, reason = error.exit_code, str(error)
    except Exception as error:  # noqa: BLE001 - the last line says why, whatever happened
        code, reason = _unforeseen(error)
    if stop.code is not None:
        # Somebody made another error of the interruption.
        code, reason = _stopped(stop)
    write(f"legseg-bids: exit code {code:d}: {reason}", sys.stdout)
    return int(code)


def _run(words: Sequence[str] | None, stop: Stop) -> tuple[ExitCode, str]:
    """Run one of the levels; exit code and reason."""
    args = parse(words)
    settings = settings_from(args)
    for option in without_effect(args):
        all_there_is = "all of OUTPUT_DIR" if args.analysis_level == GROUP else "all of each"
        print(f"NOTE: {option} chooses nothing here: what is made holds {all_there_is}")
    with choose_voice(stop.heed, args.verbose, display=not args.dry_run) as voice:
        if args.analysis_level == GROUP:
            voice.board.stage = "making tables and pages of all participants"
            return ExitCode.OK, _group(settings)
        outcomes = _participants(settings, args, voice)
    from legseg_bids.workflows.outcomes import exit_code, recall, summary

    for line in () if args.dry_run else recall(outcomes):
        write(line, sys.stderr)
    return exit_code(outcomes), summary(outcomes)


def _participants(
    settings: Settings, args: argparse.Namespace, voice: Voice
) -> tuple[Outcome, ...]:
    """Run the participant level."""
    _limit_threads(settings.omp_nthreads)
    used, cpus, memory = resources_from(args), resources.allowed_cpus(), resources.allowed_memory()
    voice.say(f"legseg-bids {__version__}: {resources.describe(used, cpus, memory)}")
    from legseg_bids.workflows.outcomes import tally
    from legseg_bids.workflows.pages import rebuild_reports
    from legseg_bids.workflows.run import run_participants

    run = partial(run_participants, dry_run=args.dry_run)
    try:
        return (rebuild_reports if args.reports_only else run)(
            settings,
            voice.say,
            verbosity=args.verbose,
            step=voice.step,
            tell=voice.tell,
            board=voice.board,
        )
    except BaseException:
        if voice.board.counts:
            write(f"so far: {tally(voice.board.counts)}", sys.stderr)
        raise


def _group(settings: Settings) -> str:
    """Run the group level; what it wrote."""
    from legseg_bids.group.level import write_group

    result = write_group(settings.output_dir, settings.participants, settings.bids_dir)
    gathered = result.gathered
    for note in (*gathered.notes, *result.notes):
        print(f"NOTE: {note}")
    for participant in gathered.missing:
        print(f"MISSING: {participant}: no finished image")
    images = sum(gathered.images.values())
    tables = f"{gathered.wide} and {gathered.long}"
    return f"{result.page}, {tables} written from {images} image(s)"


def _stopped(stop: Stop) -> tuple[ExitCode, str]:
    code = stop.code or ExitCode.INTERRUPTED
    return code, f"{REASONS[code]}; finished images are kept, run again to go on"


def _unforeseen(error: Exception) -> tuple[ExitCode, str]:
    """An error that is not ours: of the system, with its hint; or a mistake of ours, in full."""
    from legseg_bids.workflows.causes import explain_error

    if not isinstance(error, OSError | MemoryError):
        traceback.print_exception(error)
    return ExitCode.FAILED, explain_error(error)


def _limit_threads(threads: int) -> None:
    """Libraries read these when they are loaded, here and in every worker."""
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, str(threads))


if __name__ == "__main__":
    sys.exit(entry_point())
