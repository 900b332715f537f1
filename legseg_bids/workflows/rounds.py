"""Rounds of a run: the graph of some sets of stations, then the merging of the same sets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_exception_only
from typing import Any

from legseg_bids.bids.merged import remove_merged
from legseg_bids.bids.names import log_dir
from legseg_bids.bids.places import require_output
from legseg_bids.bids.runlog import run_id
from legseg_bids.bids.sets import StationSet, first_of_each_name, merged_paths
from legseg_bids.settings import Settings
from legseg_bids.workflows.causes import crash_reason, explain_error
from legseg_bids.workflows.execution import Progress, Say, choose_plugin
from legseg_bids.workflows.graph_files import write_graph
from legseg_bids.workflows.ledger import Ledger
from legseg_bids.workflows.merging import MergePlan, init_merging_wf, plan_merge
from legseg_bids.workflows.monitor import start_table
from legseg_bids.workflows.nipype_settings import configure_nipype
from legseg_bids.workflows.outcomes import Outcome, Status, find_crash, warnings_in
from legseg_bids.workflows.station import (
    LOOKING,
    STEPS,
    Networks,
    init_legseg_wf,
    station_folders,
    station_name,
)

GRAPH = "legseg_wf"
KEPT_STEP = "classify"
"""Its result, a few numbers, may still be needed by the neighbours of a finished station."""


@dataclass(frozen=True)
class Run:
    """What all parts of a run share.

    Attributes
    ----------
    settings : Settings
        What to do.
    networks : Networks
        With what.
    work_dir : Path
        Where intermediate files go.
    say : callable
        Takes one line about the progress.
    verbosity : int
        How often ``-v`` was given.
    parallel : bool
        Whether one graph holds everything.
    id : str
        Identifier of the run.
    """

    settings: Settings
    networks: Networks
    work_dir: Path
    say: Say
    verbosity: int = 0
    parallel: bool = False
    id: str = field(default_factory=run_id)

    @property
    def keeps_work(self) -> bool:
        """Whether intermediate files stay for the next run."""
        return self.settings.work_dir is not None and not self.settings.clean_workdir

    def ledger(self, sets: Iterable[StationSet]) -> Ledger:
        """What is done at this moment."""
        return Ledger(self.settings, self.networks.config_hash, sets)

    @property
    def monitor(self) -> Path | None:
        """Table of what each step costs, if one is wanted."""
        table = self.settings.output_dir / "logs" / f"{self.id}_resources.tsv"
        return table if self.settings.resource_monitor else None

    def log_dir(self, subject: str) -> Path:
        """Where crash files of a participant go."""
        return log_dir(self.settings.output_dir, subject)


def run_rounds(
    sets: Sequence[StationSet], todo: Container[str], run: Run
) -> tuple[str, list[Outcome]]:
    """Segment the stations that are to do, and merge the sets.

    Parameters
    ----------
    sets : sequence of StationSet
        All sets of the run, also those in which nothing is to do.
    todo : container of str
        Output names of the stations to segment.
    run : Run

    Returns
    -------
    problem : str
        Text of the last error, whether of an image or of the run; empty if there was none.
    merged : list of Outcome
        What became of each merged image.
    """
    configure_nipype(run.verbosity)
    names = {
        station_name(station): station.stem
        for members in sets
        for station in members.stations
        if station.output_name in todo
    }
    progress = Progress(names, run.say, run.verbosity) if names else None
    _write_extras(sets, todo, run)
    named = first_of_each_name(sets)
    problem, merged = "", []
    for part in parts(sets, run):
        require_output(run.settings.output_dir)
        found = run_stations(part, todo, run, progress) if progress else ""
        problem = found or problem
        if found and run.settings.stop_on_first_crash:
            break
        if run.settings.merge_stations:
            require_output(run.settings.output_dir)
            merged += merge_sets(part, named, run)
    return problem, merged


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


def parts(sets: Sequence[StationSet], run: Run) -> list[Sequence[StationSet]]:
    """What makes one graph: everything, or one set after another.

    nipype's serial plug-in takes the same step of all stations before the next step; set by
    set, the first result is there early, and what is finished stays if the rest fails.
    """
    return [sets] if run.parallel else [[members] for members in sets]


def run_stations(
    sets: Sequence[StationSet],
    todo: Container[str],
    run: Run,
    progress: Callable[[Any, str], None],
) -> str:
    """Run the graph of these sets; the text of an error, empty if there was none."""
    chosen = [m for m in sets if any(s.output_name in todo for s in m.stations)]
    if not chosen:
        return ""
    count = sum(s.output_name in todo for members in chosen for s in members.stations)

    folders = {
        station_name(station): station_folders(run.work_dir / GRAPH, members, station)
        for members in chosen
        for station in members.stations
    }

    def on_status(node: Any, status: str) -> None:
        progress(node, status)
        if (node.name, status) == (STEPS[-1], "end") and not run.keeps_work:
            for folder in folders[node.fullname.split(".")[-2]]:
                _remove_steps(folder)

    plugin = choose_plugin(run.settings, count, on_status, run.verbosity, run.monitor)
    workflow = init_legseg_wf(
        chosen, run.settings, run.networks, run.work_dir, run.id, GRAPH, todo
    )
    try:
        workflow.run(plugin=plugin)
    except Exception as error:  # noqa: BLE001 - images that failed left their crash files
        return crash_reason("".join(format_exception_only(error)))
    finally:
        _tidy(chosen, run)
    return ""


def merge_sets(
    sets: Sequence[StationSet], named: Mapping[str, StationSet], run: Run
) -> list[Outcome]:
    """Merge the stations of each set that has several, and say what became of it.

    Parameters
    ----------
    sets : sequence of StationSet
        What to merge.
    named : mapping of str to StationSet
        Of the whole run, which set a name belongs to; see :func:`first_of_each_name`.
    run : Run
    """
    ledger = run.ledger(sets)
    made: list[Outcome] = []
    plans: list[MergePlan] = []
    for members in sets:
        if not members.is_several:
            continue
        if named[members.merged_name] is not members:
            made.append(_same_name(members, named[members.merged_name]))
            continue
        try:
            plan = _plan(members, ledger, run)
        except Exception as error:  # noqa: BLE001 - one set must not stop the others
            made.append(Outcome(_title(members), Status.FAILED, explain_error(error)))
            continue
        if plan is not None:
            plans.append(plan)
    return [*made, *_carry_out(plans, run)]


def _plan(members: StationSet, ledger: Ledger, run: Run) -> MergePlan | None:
    """What to merge; where nothing can be, a merged image of an earlier run is removed."""
    from legseg_bids.interfaces.whole_leg import station_grid

    output = run.settings.output_dir
    finished = [station for station in members.stations if ledger.done(station)]
    plan = plan_merge(members, finished, output, station_grid)
    if plan is None:
        remove_merged(merged_paths(output, members.merged_name))
    return plan


def _carry_out(plans: Sequence[MergePlan], run: Run) -> list[Outcome]:
    """Run the graph of all that is not merged yet."""
    output, settings = run.settings.output_dir, run.settings
    done = {
        plan.workflow
        for plan in plans
        if not settings.overwrite and plan.is_done(output, run.networks.config_hash)
    }
    todo = [plan for plan in plans if plan.workflow not in done]
    old = {path for plan in todo for path in run.log_dir(plan.members.subject).glob("crash-*")}
    if todo:
        for plan in todo:
            run.say(f"{plan.members.place}: merging {len(plan.stations)} stations")
        _run_merging(todo, run)
    return [
        _finished(plan, Status.DONE, run) if plan.workflow in done else _became(plan, old, run)
        for plan in plans
    ]


def _run_merging(plans: Sequence[MergePlan], run: Run) -> None:
    configure_nipype(run.verbosity)
    plugin = choose_plugin(run.settings, len(plans), lambda *_: None, run.verbosity, run.monitor)
    workflow = init_merging_wf(plans, run.settings, run.networks.config_hash, run.work_dir, run.id)
    try:
        workflow.run(plugin=plugin)
    except Exception as error:  # noqa: BLE001 - what failed left its crash file
        run.say(f"merging: {type(error).__name__}")
    finally:
        if not run.keeps_work:
            shutil.rmtree(run.work_dir / workflow.name, ignore_errors=True)


def _became(plan: MergePlan, old: set[Path], run: Run) -> Outcome:
    """What became of a merged image that was to do."""
    crash = find_crash(run.log_dir(plan.members.subject), plan.workflow, old)
    if crash is not None:
        reason = crash_reason(crash.read_text(encoding="utf-8", errors="replace"))
        return Outcome(plan.title, Status.FAILED, f"{reason} (details: {crash})")
    if plan.is_done(run.settings.output_dir, run.networks.config_hash):
        return _finished(plan, Status.MERGED, run)
    return Outcome(plan.title, Status.FAILED, "not reached, because the run stopped before it")


def _finished(plan: MergePlan, status: Status, run: Run) -> Outcome:
    output = run.settings.output_dir
    paths = plan.paths(output)
    message = paths.labels.relative_to(output).as_posix()
    return Outcome(plan.title, status, message, warnings_in(paths.sidecar))


def _same_name(members: StationSet, first: StationSet) -> Outcome:
    one, other = members.stations[0].output_name, first.stations[0].output_name
    reason = (
        f"the merged image would have the name of that of {other} and its neighbours; rename "
        f"{one} and its neighbours so that they differ from them in acq- or run-"
    )
    return Outcome(_title(members), Status.SKIPPED, reason)


def _title(members: StationSet) -> str:
    return f"{members.place}: {len(members.stations)} stations merged"


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
