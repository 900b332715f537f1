"""Rounds of a run: the graph of some sets of stations, then their merging, then the reports."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterable, Sequence
from functools import partial
from pathlib import Path
from traceback import format_exception_only
from typing import Any

from legseg_bids.bids.manual import has_corrections
from legseg_bids.bids.places import require_output
from legseg_bids.bids.sets import StationSet, first_of_each_name
from legseg_bids.bids.stations import Station
from legseg_bids.errors import LegsegError
from legseg_bids.workflows.causes import crash_reason
from legseg_bids.workflows.context import Run as Run
from legseg_bids.workflows.execution import choose_plugin
from legseg_bids.workflows.graph_files import write_graph
from legseg_bids.workflows.joining import merge_sets
from legseg_bids.workflows.judging import judge_station, judge_unclear
from legseg_bids.workflows.monitor import OnStatus, start_table
from legseg_bids.workflows.nipype_settings import configure_nipype
from legseg_bids.workflows.outcomes import Outcome
from legseg_bids.workflows.progress import Progress, Verdicts, both, workflow_and_step
from legseg_bids.workflows.station import (
    LOOKING,
    STEPS,
    init_legseg_wf,
    station_folders,
    station_name,
)

GRAPH = "legseg_wf"
LOUDEST_STEP = "segment"
KEPT_STEP = "classify"
"""Its result, a few numbers, may still be needed by the neighbours of a finished station."""


def run_rounds(
    sets: Sequence[StationSet], todo: Container[str], run: Run
) -> tuple[dict[str, Outcome], list[Outcome]]:
    """Segment the stations that are to do, merge the sets, report; tell of each as it ends.

    Parameters
    ----------
    sets : sequence of StationSet
        All sets of the run, also those in which nothing is to do.
    todo : container of str
        Output names of the stations to segment.
    run : Run

    Returns
    -------
    made : dict of str to Outcome
        What became of each station to do, by its output name.
    others : list of Outcome
        What became of each merged image, and of each report that failed.
    """
    configure_nipype(run.verbosity)
    _write_extras(sets, todo, run)
    stations = _StationsToDo(sets, todo, run)
    named = first_of_each_name(sets)
    graphs = parts(sets, run)
    last = {members.subject: number for number, part in enumerate(graphs) for members in part}
    problem, others = "", []
    for number, part in enumerate(graphs):
        require_output(run.settings.output_dir)
        run.board.stage = "segmenting"
        found = stations.segment(part)
        problem = found or problem
        if found and run.settings.stop_on_first_crash:
            break
        stations.close(part, found)
        if run.settings.merge_stations:
            require_output(run.settings.output_dir)
            run.board.stage = "merging"
            others += merge_sets(part, named, run)
            take_up_corrections({members.subject for members in part}, run)
        others += report([subject for subject, end in last.items() if end == number], run)
    stations.close(sets, problem)
    return stations.made(), others


def parts(sets: Sequence[StationSet], run: Run) -> list[Sequence[StationSet]]:
    """What makes one graph: everything, or one set after another.

    nipype's serial plug-in takes the same step of all stations before the next step; set by
    set, the first result is there early, and what is finished stays if the rest fails.
    """
    return [sets] if run.parallel else [[members] for members in sets]


def take_up_corrections(subjects: Iterable[str], run: Run) -> None:
    """Merge anew, beside what was merged just now, with what people corrected in stations."""
    for subject in sorted(subjects):
        if not has_corrections(run.settings.output_dir, subject):
            continue
        from legseg_bids.workflows.remerging import remerge

        try:
            for path in remerge(run.settings.output_dir, subject):
                run.say(f"sub-{subject}: corrections by hand taken up in {path.name}")
        except LegsegError as error:
            run.say(f"sub-{subject}: corrections by hand are not in the merged image: {error}")


def report(subjects: Sequence[str], run: Run) -> list[Outcome]:
    """Write the pages of participants of whom something changed; those that failed."""
    if not subjects or not run.settings.write_reports:
        return []
    from legseg_bids.workflows.reporting import write_reports

    run.board.stage = "writing reports"
    failed = write_reports(subjects, run, run.outcomes)
    for outcome in failed:
        # A line of progress first: it ends a run that was told to stop, and none has failed then.
        (run.step or run.say)(f"{outcome.image} FAILED")
        run.tell(outcome)
    return failed


class _StationsToDo:
    """The stations that are to segment, what is told of them, and their graphs."""

    def __init__(self, sets: Sequence[StationSet], todo: Container[str], run: Run) -> None:
        self._run, self._todo = run, todo
        self._stations: dict[str, tuple[Station, StationSet]] = {
            station_name(station): (station, members)
            for members in sets
            for station in members.stations
            if station.output_name in todo
        }
        logs = {run.log_dir(station.subject) for station, _ in self._stations.values()}
        self._old = {path for folder in logs for path in folder.glob("crash-*.txt")}
        names = {name: station.stem for name, (station, _) in self._stations.items()}
        self._progress = Progress(names, run.step or run.say, run.verbosity, run.board)
        judges = {
            name: partial(judge_station, station, run, self._old)
            for name, (station, _) in self._stations.items()
        }
        self._told = Verdicts(judges, run.tell)

    def segment(self, part: Sequence[StationSet]) -> str:
        """Run the graph of these sets; the text of an error, empty if there was none."""
        chosen = [m for m in part if any(s.output_name in self._todo for s in m.stations)]
        if not chosen:
            return ""
        run = self._run
        on_status = both(self._told, self._progress, _remover(chosen, run))
        count = sum(name in self._stations for name in _names(chosen))
        plugin = choose_plugin(run.settings, count, on_status, run.verbosity, run.monitor)
        workflow = init_legseg_wf(
            chosen, run.settings, run.networks, run.work_dir, run.id, GRAPH, self._todo
        )
        if run.board.shown:
            _keep_quiet(workflow)
        try:
            workflow.run(plugin=plugin)
        except Exception as error:  # noqa: BLE001 - images that failed left their crash files
            return crash_reason("".join(format_exception_only(error)))
        finally:
            self._told.settle()
            _tidy(chosen, run)
        return ""

    def close(self, part: Sequence[StationSet], problem: str) -> None:
        """Tell of those of these sets of which nothing could be told while their graph ran."""

        def unclear(name: str) -> Outcome:
            return judge_unclear(*self._stations[name], self._run, self._old, problem)

        self._told.close([name for name in _names(part) if name in self._stations], unclear)

    def made(self) -> dict[str, Outcome]:
        """What became of each, by its output name."""
        return {s.output_name: self._told.made[name] for name, (s, _) in self._stations.items()}


def _names(sets: Iterable[StationSet]) -> list[str]:
    return [station_name(station) for members in sets for station in members.stations]


def _keep_quiet(workflow: Any) -> None:
    """Steps that tell of themselves shall not: they would write across the display."""
    from nipype.interfaces.base import Undefined

    for name in workflow.list_node_names():
        if name.endswith(f".{LOUDEST_STEP}"):
            workflow.get_node(name).inputs.title = Undefined


def _remover(sets: Sequence[StationSet], run: Run) -> OnStatus:
    """Remove the intermediate files of each station when it is through, unless they are kept."""
    folders = {
        station_name(station): station_folders(run.work_dir / GRAPH, members, station)
        for members in sets
        for station in members.stations
    }

    def remove(node: Any, status: str) -> None:
        workflow, step = workflow_and_step(node)
        if (step, status) == (STEPS[-1], "end") and not run.keeps_work:
            for folder in folders[workflow]:
                _remove_steps(folder)

    return remove


def _write_extras(sets: Sequence[StationSet], todo: Container[str], run: Run) -> None:
    """The drawing of the graph and the head of the table of costs, if they are wanted."""
    if run.monitor is not None:
        start_table(run.monitor)
    if run.settings.write_graph:
        workflow = init_legseg_wf(
            sets, run.settings, run.networks, run.work_dir, run.id, GRAPH, todo
        )
        stem = run.settings.output_dir / "logs" / f"{run.id}_graph"
        write_graph(workflow, stem, run.say)


def _remove_steps(folder: Path) -> None:
    """Remove the intermediate files of a station, but for what its neighbours may need."""
    for step in folder.glob("*"):
        if step.is_dir() and step.name != KEPT_STEP:
            shutil.rmtree(step, ignore_errors=True)


def _tidy(sets: Sequence[StationSet], run: Run) -> None:
    """Remove what no later run may use: all, or what is finished, or recorded problems.

    A problem (no memory, an image that was damaged) may be gone the next time.
    """
    home = run.work_dir / GRAPH
    for members in sets:
        for station in members.stations:
            folders = station_folders(home, members, station)
            if any(any(folder.glob("*/problem.json")) for folder in folders):
                for step in LOOKING:
                    shutil.rmtree(folders[0] / step, ignore_errors=True)
            if run.settings.work_dir is None or (not run.keeps_work and _went_through(folders)):
                for folder in folders:
                    shutil.rmtree(folder, ignore_errors=True)


def _went_through(folders: Iterable[Path]) -> bool:
    """Whether nothing failed in a station's graph: no step but those of looking is left."""
    left = {step.name for folder in folders for step in folder.glob("*") if step.is_dir()}
    return left <= set(LOOKING)
