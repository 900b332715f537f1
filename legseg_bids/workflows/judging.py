"""What became of an image, judged by what a run left on the disk: results and crash files."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

from legseg_bids.bids.derivative import read_legseg
from legseg_bids.bids.manual import older_result
from legseg_bids.bids.names import OutputPaths, output_paths
from legseg_bids.bids.sets import MergedPaths, StationSet
from legseg_bids.bids.stations import Skipped, Station
from legseg_bids.workflows.causes import crash_reason
from legseg_bids.workflows.merging import MergePlan
from legseg_bids.workflows.outcomes import Outcome, Status, find_crash, warnings_in
from legseg_bids.workflows.station import station_name

if TYPE_CHECKING:
    from legseg_bids.workflows.rounds import Run

STOPPED = KeyboardInterrupt.__name__


def judge_station(station: Station, run: Run, old: AbstractSet[Path]) -> Outcome | None:
    """What became of a station that is to segment; None where nothing of this run says so yet.

    Parameters
    ----------
    station : Station
    run : Run
    old : set of Path
        Crash files that were there before.
    """
    failure = _failure(station, run, old)
    if failure:
        return Outcome(station.source_name, Status.FAILED, failure)
    return finished(station, run, Status.SEGMENTED) if _written(station, run) else None


def judge_unclear(
    station: Station, members: StationSet, run: Run, old: AbstractSet[Path], problem: str
) -> Outcome:
    """What became of a station of which, at the end of its graph, :func:`judge_station` says None.

    Parameters
    ----------
    station, run, old
        As for :func:`judge_station`.
    members : StationSet
        The station's set.
    problem : str
        Text of the last error of the run; empty if there was none.
    """
    # A step that a kept work folder had finished before: its result names an earlier run.
    if run.ledger([members]).done(station):
        return finished(station, run, Status.SEGMENTED)
    for other in members.others(station):
        failure = _failure(other, run, old)
        if failure:
            message = f"not reached, because {other.source_name} stopped its set: {failure}"
            return Outcome(station.source_name, Status.FAILED, message)
    message = "not reached, because the run stopped before it"
    message += " as it was asked to (--stop-on-first-crash)" * run.settings.stop_on_first_crash
    message += f": {problem}" * bool(problem)
    return Outcome(station.source_name, Status.FAILED, message)


def judge_merged(plan: MergePlan, run: Run, old: AbstractSet[Path]) -> Outcome | None:
    """What became of a merged image that is to do; None where nothing says so yet."""
    reason = _crash(run.log_dir(plan.members.subject), plan.workflow, old)
    if reason:
        return Outcome(plan.title, Status.FAILED, reason)
    is_done = plan.is_done(run.settings.output_dir, run.networks.config_hash)
    return merged(plan, run, Status.MERGED) if is_done else None


def finished(station: Station, run: Run, status: Status) -> Outcome:
    """A station with a result, and the warnings that its sidecar holds."""
    paths = output_paths(run.settings.output_dir, station.output_name)
    return _with_result(station.source_name, paths, run, status)


def merged(plan: MergePlan, run: Run, status: Status) -> Outcome:
    """A merged image with a result, and the warnings that its sidecar holds."""
    return _with_result(plan.title, plan.paths(run.settings.output_dir), run, status)


def _with_result(name: str, paths: OutputPaths | MergedPaths, run: Run, status: Status) -> Outcome:
    output = run.settings.output_dir
    message = paths.labels.relative_to(output).as_posix()
    warnings = (*warnings_in(paths.sidecar), *older_result(output, paths.labels))
    return Outcome(name, status, message, warnings)


def left_out(skipped: Skipped) -> Outcome:
    """Files of which nothing can be made."""
    names = ", ".join(path.name for path in skipped.files) or f"sub-{skipped.subject}"
    return Outcome(names, Status.SKIPPED, skipped.reason)


def _written(station: Station, run: Run) -> bool:
    """Whether this run has a result, although the next run may not take it as it is.

    So it is where a neighbour could not be read for a reason that may pass. What this run wrote
    names this run: the sources need not be read once more.
    """
    paths = output_paths(run.settings.output_dir, station.output_name)
    return paths.figure.is_file() and read_legseg(paths.sidecar).get("RunUUID") == run.id


def _failure(station: Station, run: Run, old: AbstractSet[Path]) -> str:
    """Why a station failed in this run; empty if it did not."""
    return _crash(run.log_dir(station.subject), station_name(station), old)


def _crash(folder: Path, workflow: str, old: AbstractSet[Path]) -> str:
    crash = find_crash(folder, workflow, old)
    if crash is None:
        return ""
    reason = crash_reason(crash.read_text(encoding="utf-8", errors="replace"))
    # nipype makes a crash of Ctrl-C, too: the image did not fail, its run was stopped.
    return "" if reason == STOPPED else f"{reason} (details: {crash})"
