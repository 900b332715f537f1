"""``--reports-only``: the pages of participants, from what is in the output alone."""

from __future__ import annotations

from collections.abc import Sequence

from legseg_bids.bids.places import check_places, prepare_output, work_folder
from legseg_bids.errors import NoFilterMatch, NoInput
from legseg_bids.settings import Settings
from legseg_bids.workflows.board import Board
from legseg_bids.workflows.context import Run
from legseg_bids.workflows.execution import is_parallel
from legseg_bids.workflows.locks import claim
from legseg_bids.workflows.outcomes import Outcome, Status
from legseg_bids.workflows.progress import Say, Tell
from legseg_bids.workflows.station import Networks


def rebuild_reports(
    settings: Settings,
    say: Say,
    *,
    verbosity: int = 0,
    step: Say | None = None,
    tell: Tell | None = None,
    board: Board | None = None,
) -> tuple[Outcome, ...]:
    """Write the pages of participants that are missing or out of date.

    Parameters
    ----------
    settings : Settings
        Which participants; the dataset need not be at hand.
    say, verbosity, step, tell, board
        As for :func:`legseg_bids.workflows.run.run_participants`.

    Returns
    -------
    tuple of Outcome
        One for each participant.

    Raises
    ------
    UsageError
        If folders make no sense.
    NoInput
        If the output has no participant.
    NoFilterMatch
        If it has none of those that were asked for.
    OutputError
        If the output or the work folder cannot be written.
    """
    output = settings.output_dir
    check_places(settings.bids_dir, output, settings.work_dir)
    chosen, missing = _choose(settings)
    prepare_output(output)
    with work_folder(settings.work_dir) as work:
        run = Run(
            settings,
            # No network is looked at.
            Networks(work, "", "", ""),
            work,
            say,
            verbosity,
            is_parallel(settings),
            step=step,
            listener=tell,
            board=board or Board(),
        )
        for label in missing:
            run.tell(_nothing(label, settings))
        with claim(output, chosen, run.say) as claims:
            for label, who in claims.busy.items():
                message = f"{who}; run again when it has ended"
                run.tell(Outcome(_title(label), Status.ELSEWHERE, message))
            for part in _parts(sorted(claims.mine), run):
                _rebuild(part, run)
    return tuple(run.outcomes)


def _choose(settings: Settings) -> tuple[list[str], list[str]]:
    """Participants of the output that were asked for, and those that it does not have."""
    output = settings.output_dir
    folders = (*output.glob("sub-*"), *output.glob("logs/sub-*"))
    present = {path.name.removeprefix("sub-") for path in folders if path.is_dir()}
    if not present:
        raise NoInput(
            f"{output} has no participant; expected the output of earlier runs; run the "
            "participant level first"
        )
    wanted = settings.participants or sorted(present)
    chosen = [label for label in wanted if label in present]
    if not chosen:
        raise NoFilterMatch(
            f"participant {', '.join(wanted)} not found in {output}; expected one or more of its "
            "participants; check --participant-label"
        )
    return chosen, [label for label in wanted if label not in present]


def _parts(subjects: Sequence[str], run: Run) -> list[Sequence[str]]:
    """What is told together: one after the other, or all at once."""
    return [subjects] if run.parallel else [[subject] for subject in subjects]


def _rebuild(subjects: Sequence[str], run: Run) -> None:
    """Write what is missing or out of date, and tell what became of each."""
    from legseg_bids.report.subject import report_path
    from legseg_bids.workflows.reporting import write_reports

    run.board.stage = "writing reports"
    pages = {subject: report_path(run.settings.output_dir, subject) for subject in subjects}
    before = {s: page.stat().st_mtime_ns for s, page in pages.items() if page.is_file()}
    failed = {outcome.subject: outcome for outcome in write_reports(subjects, run)}
    for subject, page in pages.items():
        if subject in failed:
            run.tell(failed[subject])
        elif not page.is_file():
            run.tell(_nothing(subject, run.settings))
        else:
            is_new = before.get(subject) != page.stat().st_mtime_ns
            status = Status.REPORTED if is_new else Status.DONE
            run.tell(Outcome(_title(subject), status, page.name))


def _nothing(subject: str, settings: Settings) -> Outcome:
    """A participant without results: a failure where it was asked for by its label."""
    status = Status.FAILED if settings.participants else Status.SKIPPED
    reason = (
        f"no finished image in {settings.output_dir}; expected one; run the participant level "
        "on it first"
    )
    return Outcome(_title(subject), status, reason)


def _title(subject: str) -> str:
    return f"sub-{subject}: report"
