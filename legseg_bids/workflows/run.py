"""A run of the participant level: from settings to what became of each image."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from legseg_bids import __version__
from legseg_bids.bids.dataset import index
from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.discover import discover
from legseg_bids.bids.filters import filter_counts, read_filters
from legseg_bids.bids.names import assert_unique, output_paths
from legseg_bids.bids.places import check_places, prepare_output, sweep, work_folder
from legseg_bids.bids.plan import plan_lines
from legseg_bids.bids.runlog import write_run_log
from legseg_bids.bids.sets import StationSet, find_sets
from legseg_bids.bids.stations import Discovery, Station
from legseg_bids.bids.validate import require_valid
from legseg_bids.imaging.dixon import choose_in_phase_echoes, choose_opposed_echo
from legseg_bids.segment.engines import choose
from legseg_bids.segment.models import METADATA, find_models_dir, load_model
from legseg_bids.segment.pipeline import bundles_in
from legseg_bids.settings import Settings, config_hash
from legseg_bids.workflows.board import Board
from legseg_bids.workflows.context import Run
from legseg_bids.workflows.execution import is_parallel
from legseg_bids.workflows.joining import merged_state
from legseg_bids.workflows.judging import finished, left_out, merged
from legseg_bids.workflows.ledger import Ledger
from legseg_bids.workflows.locks import Claims, claim
from legseg_bids.workflows.outcomes import Outcome, Status, log_outcomes
from legseg_bids.workflows.progress import Say, Tell
from legseg_bids.workflows.rounds import report, run_rounds
from legseg_bids.workflows.station import Networks, preload


def run_participants(
    settings: Settings,
    say: Say,
    *,
    dry_run: bool = False,
    verbosity: int = 0,
    step: Say | None = None,
    tell: Tell | None = None,
    board: Board | None = None,
) -> tuple[Outcome, ...]:
    """Segment every image that the settings select and that is not done yet.

    Parameters
    ----------
    settings : Settings
        What to do.
    say : callable
        Takes one line that everybody should read.
    dry_run : bool
        Say what would be done, and write nothing.
    verbosity : int
        How often ``-v`` was given.
    step : callable
        Takes one line about a step of an image; by default as `say`.
    tell : callable
        Takes what became of an image, as soon as it is known; nothing in a dry run.
    board : Board
        What the run is at, for a display.

    Returns
    -------
    tuple of Outcome
        One for each station, in the order of participants, for each merged image, and for each
        that is left out.

    Raises
    ------
    UsageError
        If folders or devices make no sense.
    ValidationError
        If the input is not valid BIDS.
    NoFilterMatch
        If participant or session labels select nothing.
    NoInput
        If no image can be segmented.
    ModelError
        If a model file is missing or damaged.
    OutputError
        If the output or the work folder cannot be written.
    """
    board = board or Board()
    check_places(settings.bids_dir, settings.output_dir, settings.work_dir)
    board.stage = "checking the networks"
    networks = choose_networks(settings)
    with work_folder(None if dry_run else settings.work_dir) as work:
        run = Run(
            settings,
            networks,
            work,
            say,
            verbosity,
            is_parallel(settings),
            step=step,
            listener=tell,
            board=board,
        )
        discovery = find_stations(run)
        if dry_run and not discovery.stations:
            # The error below has room for the first reasons only.
            print(*plan_lines(discovery, {}), sep="\n", flush=True)
        stations = discovery.require_stations()
        assert_unique(output_paths(settings.output_dir, s.output_name).labels for s in stations)
        board.stage = "looking for what is done already"
        return (_plan if dry_run else _carry_out)(discovery, find_sets(stations), run)


def _plan(discovery: Discovery, sets: Sequence[StationSet], run: Run) -> tuple[Outcome, ...]:
    """Show what would be done; the plan is the result of a dry run: it goes where results go."""
    ledger = run.ledger(sets)
    todo = {s.output_name for s in stations_to_do(sets, ledger, run)}
    _tell_why_again([s for s in discovery.stations if s.output_name in todo], ledger, run)
    plans = merged_state(sets, todo, ledger, run) if run.settings.merge_stations else []
    to_merge = [plan for plan, is_done in plans if not is_done]
    states = dict.fromkeys((s.output_name for s in discovery.stations), "done")
    states |= {s.output_name: "to merge" for plan in to_merge for s in plan.members.stations}
    states |= dict.fromkeys(todo, "to do")
    print(*plan_lines(discovery, states), sep="\n", flush=True)
    made = [
        Outcome(s.source_name, Status.PLANNED)
        if s.output_name in todo
        else finished(s, run, Status.DONE)
        for s in discovery.stations
    ]
    made += [Outcome(plan.title, Status.TO_MERGE) for plan in to_merge]
    return (*made, *map(left_out, discovery.skipped))


def _carry_out(discovery: Discovery, sets: Sequence[StationSet], run: Run) -> tuple[Outcome, ...]:
    """Segment and merge what no other run is at work on; tell what became of each image."""
    output = run.settings.output_dir
    ledger = run.ledger(sets)
    todo = stations_to_do(sets, ledger, run)
    _tell_why_again(todo, ledger, run)
    prepare_output(output)
    before = write_dataset_files(output, run.settings.bids_dir)
    if before:
        run.say(f"{output} also holds results of version {before}")
    subjects = {station.subject for station in todo}
    if run.settings.merge_stations:
        subjects |= {members.subject for members in sets if members.is_several}
    with claim(output, subjects, run.say) as claims:
        sweep(output, claims.mine)
        mine = [members for members in sets if members.subject in claims.mine]
        # Once more: another run may have finished some before this one could claim them.
        todo_now = stations_to_do(mine, run.ledger(mine), run)
        busy = [station for station in todo if station.subject in claims.busy]
        waiting = {station.output_name for station in (*todo_now, *busy)}
        made = {
            s.output_name: finished(s, run, Status.DONE)
            for s in discovery.stations
            if s.output_name not in waiting
        }
        elsewhere = _left_to_others(sets, busy, claims, ledger, run)
        skipped = [left_out(skip) for skip in discovery.skipped]
        for outcome in (*made.values(), *skipped, *elsewhere):
            run.tell(outcome)
        _write_logs(todo_now, run)
        segmented, others = run_rounds(mine, {s.output_name for s in todo_now}, run)
        known = {station.subject for station in discovery.stations}
        others += report(sorted(known - claims.mine - claims.busy.keys()), run)
    made |= segmented
    in_order = [made[s.output_name] for s in discovery.stations if s.output_name in made]
    outcomes = (*in_order, *others, *elsewhere, *skipped)
    log_outcomes(output, run.id, outcomes, {station.subject for station in todo_now}, run.say)
    return outcomes


def _left_to_others(
    sets: Sequence[StationSet],
    busy: Sequence[Station],
    claims: Claims,
    ledger: Ledger,
    run: Run,
) -> list[Outcome]:
    """The stations that another run has claimed, and what of its participants is only to merge."""

    def outcome(image: str, subject: str) -> Outcome:
        who = f"{claims.busy[subject]}; run again when it has ended"
        return Outcome(image, Status.ELSEWHERE, who)

    made = [outcome(station.source_name, station.subject) for station in busy]
    if run.settings.merge_stations:
        theirs = [members for members in sets if members.subject in claims.busy]
        names = {station.output_name for station in busy}
        made += [
            merged(plan, run, Status.DONE)
            if is_done
            else outcome(plan.title, plan.members.subject)
            for plan, is_done in merged_state(theirs, names, ledger, run)
        ]
    return made


def stations_to_do(sets: Sequence[StationSet], ledger: Ledger, run: Run) -> list[Station]:
    """Stations without a result that still holds; all of them if results are to be replaced."""
    everything = run.settings.overwrite
    return [s for m in sets for s in m.stations if everything or not ledger.done(s)]


def _tell_why_again(todo: Sequence[Station], ledger: Ledger, run: Run) -> None:
    """Say of stations that seemed to be finished why they are not."""
    if run.settings.overwrite:
        return
    for station in todo:
        if output_paths(run.settings.output_dir, station.output_name).sidecar.exists():
            run.say(f"{station.stem}: to be segmented again, because {ledger.why_not(station)}")


def choose_networks(settings: Settings) -> Networks:
    """Verify all model files, and decide what runs them.

    Raises
    ------
    ModelError
        If a file is missing or damaged.
    UsageError
        If engine and device do not go together.
    """
    engine, device = choose(settings.engine, settings.device)
    folder = find_models_dir(settings.models_dir)
    models = [load_model(folder, name) for name in bundles_in(folder)]
    sums = {
        f"{model.name}/{file}": digest for model in models for file, digest in model.sha256.items()
    }
    sums |= {f"{model.name}/{METADATA}": repr(model.spec) for model in models}
    return Networks(folder, engine, device, config_hash(__version__, sums))


def find_stations(run: Run) -> Discovery:
    """Validate the input, and say which file is taken as what, and why.

    Raises
    ------
    UsageError, ValidationError, NoFilterMatch, NoInput
        See :func:`run_participants`.
    """
    settings = run.settings
    filters = read_filters(settings.filter_file) if settings.filter_file else None
    run.board.stage = "looking for images"
    dataset = index(settings.bids_dir, settings.participants, settings.sessions, filters)
    if not settings.skip_bids_validation:
        run.board.stage = "validating the input"
        # The validator is a process of its own: time to import what comes next.
        with ThreadPoolExecutor(1) as pool:
            verdict = pool.submit(require_valid, settings.bids_dir, settings.participants)
            preload()
            verdict.result()
    if filters:
        images = [path.relative_to(dataset.root) for path in dataset.offered]
        for line in filter_counts(images, filters):
            run.say(line)
    discovery = discover(dataset, choose_opposed_echo, filters, choose_in_phase_echoes)
    for station in discovery.stations:
        (run.step or run.say)(f"sub-{station.subject}: {station.reason}")
    return discovery


def _write_logs(stations: Sequence[Station], run: Run) -> None:
    """One file for each participant: what this run was asked to do, with what, on what."""
    for subject in sorted({station.subject for station in stations}):
        mine = [station for station in stations if station.subject == subject]
        facts: dict[str, Any] = {
            "id": run.id,
            "version": __version__,
            "python": platform.python_version(),
            "engine": run.networks.engine,
            "device": run.networks.device,
            "models": str(run.networks.folder),
            "config_hash": run.networks.config_hash,
            "images": [station.reason for station in mine],
        }
        sections = {"run": facts, "settings": run.settings.as_dict()}
        write_run_log(run.settings.output_dir, subject, run.id, sections)
