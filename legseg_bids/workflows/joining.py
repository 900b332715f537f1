"""Merging in a run: which sets are to merge, the graph that does it, and what became of each."""

from __future__ import annotations

import shutil
from collections.abc import Container, Mapping, Sequence
from functools import partial
from traceback import format_exception_only
from typing import Any

from legseg_bids.bids.merged import remove_merged
from legseg_bids.bids.sets import StationSet, first_of_each_name, merged_paths
from legseg_bids.workflows.causes import crash_reason, explain_error
from legseg_bids.workflows.context import Run
from legseg_bids.workflows.execution import choose_plugin
from legseg_bids.workflows.judging import judge_merged, merged
from legseg_bids.workflows.ledger import Ledger
from legseg_bids.workflows.merging import MergePlan, init_merging_wf, plan_merge
from legseg_bids.workflows.monitor import OnStatus
from legseg_bids.workflows.nipype_settings import configure_nipype
from legseg_bids.workflows.outcomes import Outcome, Status
from legseg_bids.workflows.progress import DOING, Verdicts, both, workflow_and_step


def merge_sets(
    sets: Sequence[StationSet], named: Mapping[str, StationSet], run: Run
) -> list[Outcome]:
    """Merge the stations of each set that has several, and tell what became of it.

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
            plan = plan_set(members, ledger, run)
        except Exception as error:  # noqa: BLE001 - one set must not stop the others
            made.append(Outcome(_title(members), Status.FAILED, explain_error(error)))
            continue
        if plan is None:
            # Of these stations no whole leg can be made: nor does that of an earlier run hold.
            paths = merged_paths(run.settings.output_dir, members.merged_name)
            remove_merged(paths)
        else:
            plans.append(plan)
    done = [plan for plan in plans if not run.settings.overwrite and _is_done(plan, run)]
    made += [merged(plan, run, Status.DONE) for plan in done]
    for outcome in made:
        run.tell(outcome)
    todo = [plan for plan in plans if plan not in done]
    return [*made, *(_merge(todo, run) if todo else [])]


def merged_state(
    sets: Sequence[StationSet], todo: Container[str], ledger: Ledger, run: Run
) -> list[tuple[MergePlan, bool]]:
    """Of the sets in which no station is to do: what is merged of them, and whether it is done.

    A set whose merging would fail is left out: what is wrong is said when it is merged.

    Parameters
    ----------
    sets : sequence of StationSet
        All sets of the run.
    todo : container of str
        Output names of the stations that are to segment.
    ledger : Ledger
        Of the same sets.
    run : Run
    """
    found: list[tuple[MergePlan, bool]] = []
    for members in first_of_each_name(sets).values():
        if any(station.output_name in todo for station in members.stations):
            continue
        try:
            plan = plan_set(members, ledger, run)
        except Exception:  # noqa: BLE001 - nothing is merged here
            continue
        if plan is not None:
            found.append((plan, _is_done(plan, run)))
    return found


def plan_set(members: StationSet, ledger: Ledger, run: Run) -> MergePlan | None:
    """Which stations of a set can be merged now; None if fewer than two.

    Raises
    ------
    ImageError
        If the stations span more than a leg, or a result cannot be read.
    """
    from legseg_bids.interfaces.whole_leg import station_grid

    done = [station for station in members.stations if ledger.done(station)]
    return plan_merge(members, done, run.settings.output_dir, station_grid)


def _merge(plans: Sequence[MergePlan], run: Run) -> list[Outcome]:
    """Run the graph of what is not merged yet."""
    old = {path for plan in plans for path in run.log_dir(plan.members.subject).glob("crash-*")}
    told = Verdicts(
        {plan.workflow: partial(judge_merged, plan, run, old) for plan in plans}, run.tell
    )
    for plan in plans:
        (run.step or run.say)(f"{plan.members.place}: merging {len(plan.stations)} stations")
    problem = _run_graph(plans, both(_watcher(plans, run), told), run)
    message = "not reached, because the run stopped before it" + f": {problem}" * bool(problem)
    titles = {plan.workflow: plan.title for plan in plans}
    told.close(titles, lambda name: Outcome(titles[name], Status.FAILED, message))
    return [told.made[plan.workflow] for plan in plans]


def _run_graph(plans: Sequence[MergePlan], on_status: OnStatus, run: Run) -> str:
    """Run it; the text of an error, empty if there was none."""
    configure_nipype(run.verbosity)
    plugin = choose_plugin(run.settings, len(plans), on_status, run.verbosity, run.monitor)
    workflow = init_merging_wf(plans, run.settings, run.networks.config_hash, run.work_dir, run.id)
    try:
        workflow.run(plugin=plugin)
    except Exception as error:  # noqa: BLE001 - what failed left its crash file
        return crash_reason("".join(format_exception_only(error)))
    finally:
        if not run.keeps_work:
            shutil.rmtree(run.work_dir / workflow.name, ignore_errors=True)
    return ""


def _watcher(plans: Sequence[MergePlan], run: Run) -> OnStatus:
    """Note on the board what is merged at the moment, and say what failed."""
    titles = {plan.workflow: plan.title for plan in plans}

    def note(node: Any, status: str) -> None:
        workflow, step = workflow_and_step(node)
        if status == "start":
            run.board.begin(workflow, titles[workflow], DOING[step], run.board.now())
        elif status in ("end", "exception"):
            run.board.drop(workflow, run.board.now())
        if status == "exception":
            (run.step or run.say)(f"{titles[workflow]}: {DOING[step]} FAILED")

    return note


def _is_done(plan: MergePlan, run: Run) -> bool:
    return plan.is_done(run.settings.output_dir, run.networks.config_hash)


def _same_name(members: StationSet, first: StationSet) -> Outcome:
    one, other = members.stations[0].output_name, first.stations[0].output_name
    reason = (
        f"the merged image would have the name of that of {other} and its neighbours; rename "
        f"{one} and its neighbours so that they differ from them in acq- or run-"
    )
    return Outcome(_title(members), Status.SKIPPED, reason)


def _title(members: StationSet) -> str:
    return f"{members.place}: {len(members.stations)} stations merged"
