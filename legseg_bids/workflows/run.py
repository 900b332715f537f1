"""A run of the participant level: from settings to what became of each image."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from legseg_bids import __version__
from legseg_bids.bids.dataset import index
from legseg_bids.bids.derivative import read_legseg
from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.discover import discover
from legseg_bids.bids.filters import filter_counts, read_filters
from legseg_bids.bids.names import assert_unique, output_paths
from legseg_bids.bids.places import check_places, prepare_output, sweep
from legseg_bids.bids.plan import plan_lines
from legseg_bids.bids.runlog import write_run_log
from legseg_bids.bids.sets import StationSet, find_sets
from legseg_bids.bids.stations import Discovery, Skipped, Station
from legseg_bids.bids.validate import require_valid
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.segment.engines import choose
from legseg_bids.segment.models import find_models_dir, load_model
from legseg_bids.segment.pipeline import LOCATOR, NETWORKS
from legseg_bids.settings import Settings, config_hash
from legseg_bids.workflows.causes import crash_reason
from legseg_bids.workflows.execution import Say, is_parallel
from legseg_bids.workflows.ledger import Ledger
from legseg_bids.workflows.locks import claim
from legseg_bids.workflows.outcomes import (
    Outcome,
    Status,
    find_crash,
    log_outcomes,
    warnings_in,
)
from legseg_bids.workflows.rounds import Run, run_rounds
from legseg_bids.workflows.station import Networks, preload, station_name


def run_participants(
    settings: Settings, say: Say, *, dry_run: bool = False, verbosity: int = 0
) -> tuple[Outcome, ...]:
    """Segment every image that the settings select and that is not done yet.

    Parameters
    ----------
    settings : Settings
        What to do.
    say : callable
        Takes one line about the progress.
    dry_run : bool
        Say what would be done, and write nothing.
    verbosity : int
        How often ``-v`` was given.

    Returns
    -------
    tuple of Outcome
        One for each station, in the order of participants, and for each that is left out.

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
        If the output cannot be written.
    """
    check_places(settings.bids_dir, settings.output_dir, settings.work_dir)
    networks = choose_networks(settings)
    with _work_folder(None if dry_run else settings.work_dir) as work:
        run = Run(settings, networks, work, say, verbosity, is_parallel(settings))
        discovery = find_stations(settings, say)
        if dry_run and not discovery.stations:
            # The error below has room for the first reasons only.
            print(*plan_lines(discovery, {}), sep="\n", flush=True)
        stations = discovery.require_stations()
        assert_unique(output_paths(settings.output_dir, s.output_name).labels for s in stations)
        sets = find_sets(stations)
        ledger = run.ledger(sets)
        todo = stations_to_do(sets, ledger, run)
        _tell_why_again(todo, ledger, run)
        made = {s.output_name: _finished(s, run, Status.DONE) for s in stations}
        merged: list[Outcome] = []
        if dry_run:
            done = {s.output_name: s not in todo for s in stations}
            # The plan is the result of a dry run: it goes where results go.
            print(*plan_lines(discovery, done), sep="\n", flush=True)
            made |= {s.output_name: Outcome(s.source_name, Status.PLANNED) for s in todo}
        else:
            segmented, merged = _segment(sets, todo, ledger, run)
            made |= segmented
        outcomes = (*made.values(), *merged, *map(_left_out, discovery.skipped))
        mine = {s.subject for s in todo if made[s.output_name].status is not Status.ELSEWHERE}
        if not dry_run:
            log_outcomes(settings.output_dir, run.id, outcomes, mine, say)
    return outcomes


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
    models = [load_model(folder, name) for name in (LOCATOR, *NETWORKS.values())]
    sums = {
        f"{model.name}/{file}": digest for model in models for file, digest in model.sha256.items()
    }
    return Networks(folder, engine, device, config_hash(__version__, sums))


def find_stations(settings: Settings, say: Say) -> Discovery:
    """Validate the input, and say which file is taken as what, and why.

    Raises
    ------
    UsageError, ValidationError, NoFilterMatch, NoInput
        See :func:`run_participants`.
    """
    filters = read_filters(settings.filter_file) if settings.filter_file else None
    dataset = index(settings.bids_dir, settings.participants, settings.sessions, filters)
    if not settings.skip_bids_validation:
        # The validator is a process of its own: time to import what comes next.
        with ThreadPoolExecutor(1) as pool:
            verdict = pool.submit(require_valid, settings.bids_dir, settings.participants)
            preload()
            verdict.result()
    if filters:
        images = [path.relative_to(dataset.root) for path in dataset.images]
        for line in filter_counts(images, filters):
            say(line)
    discovery = discover(dataset, choose_opposed_echo, filters)
    for station in discovery.stations:
        say(f"sub-{station.subject}: {station.reason}")
    return discovery


def _segment(
    sets: Sequence[StationSet], todo: Sequence[Station], ledger: Ledger, run: Run
) -> tuple[dict[str, Outcome], list[Outcome]]:
    """Segment and merge what no other run is at work on.

    Returns
    -------
    dict of str to Outcome
        What became of each station to do, by its output name.
    list of Outcome
        What became of each merged image.
    """
    output = run.settings.output_dir
    prepare_output(output)
    before = write_dataset_files(output, run.settings.bids_dir)
    if before:
        run.say(f"{output} also holds results of version {before}")
    subjects = {station.subject for station in todo}
    if run.settings.merge_stations:
        subjects |= {members.subject for members in sets if members.is_several}
    with claim(output, subjects, run.say) as claims:
        sweep(output, claims.mine)
        made, merged = _segment_mine([m for m in sets if m.subject in claims.mine], ledger, run)
    for station in todo:
        if station.subject in claims.busy:
            who = f"{claims.busy[station.subject]}; run again when it has ended"
            outcome = Outcome(station.source_name, Status.ELSEWHERE, who)
            made[station.output_name] = outcome
    return made, merged


def _segment_mine(
    sets: Sequence[StationSet], ledger: Ledger, run: Run
) -> tuple[dict[str, Outcome], list[Outcome]]:
    """Segment and merge sets that nobody else can touch; see :func:`_segment`."""
    # Once more: another run may have finished some before this one could claim them.
    todo = stations_to_do(sets, ledger, run)
    _write_logs(todo, run)
    old = {path for s in todo for path in run.log_dir(s.subject).glob("crash-*.txt")}
    problem, merged = run_rounds(sets, {station.output_name for station in todo}, run)
    after = run.ledger(sets)
    set_of = {s.output_name: members for members in sets for s in members.stations}
    made = {
        s.output_name: _outcome(s, set_of[s.output_name], after, run, old, problem) for s in todo
    }
    return made, merged


def _outcome(
    station: Station, members: StationSet, ledger: Ledger, run: Run, old: set[Path], problem: str
) -> Outcome:
    """What became of a station that the graph was to segment."""
    failure = _failure(station, run, old)
    if failure:
        return Outcome(station.source_name, Status.FAILED, failure)
    # What this run wrote names this run: only else need the sources be read once more.
    if _written(station, run) or ledger.done(station):
        return _finished(station, run, Status.SEGMENTED)
    for other in members.others(station):
        failure = _failure(other, run, old)
        if failure:
            message = f"not reached, because {other.source_name} stopped its set: {failure}"
            return Outcome(station.source_name, Status.FAILED, message)
    message = "not reached, because the run stopped before it"
    message += " as it was asked to (--stop-on-first-crash)" * run.settings.stop_on_first_crash
    message += f": {problem}" * bool(problem)
    return Outcome(station.source_name, Status.FAILED, message)


def _written(station: Station, run: Run) -> bool:
    """Whether this run has a result, although the next run will not take it as it is.

    So it is where a neighbour could not be read for a reason that may pass.
    """
    paths = output_paths(run.settings.output_dir, station.output_name)
    return paths.figure.is_file() and read_legseg(paths.sidecar).get("RunUUID") == run.id


def _failure(station: Station, run: Run, old: set[Path]) -> str:
    """Why a station failed in this run; empty if it did not."""
    crash = find_crash(run.log_dir(station.subject), station_name(station), old)
    if crash is None:
        return ""
    reason = crash_reason(crash.read_text(encoding="utf-8", errors="replace"))
    return f"{reason} (details: {crash})"


def _finished(station: Station, run: Run, status: Status) -> Outcome:
    """A station with a result, and the warnings that its sidecar holds."""
    output = run.settings.output_dir
    paths = output_paths(output, station.output_name)
    message = paths.labels.relative_to(output).as_posix()
    return Outcome(station.source_name, status, message, warnings_in(paths.sidecar))


def _left_out(skipped: Skipped) -> Outcome:
    names = ", ".join(path.name for path in skipped.files) or f"sub-{skipped.subject}"
    return Outcome(names, Status.SKIPPED, skipped.reason)


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


@contextmanager
def _work_folder(asked: Path | None) -> Iterator[Path]:
    """The folder that was asked for, kept; or a private one that is removed at the end."""
    with ExitStack() as stack:
        if asked is None:
            private = tempfile.TemporaryDirectory(prefix="legseg-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(private))
        else:
            folder = asked
            folder.mkdir(parents=True, exist_ok=True)
        if "DENO_DIR" not in os.environ:
            # The validator caches compiled code: not in anybody's home.
            os.environ["DENO_DIR"] = str(folder / "deno")
            stack.callback(os.environ.pop, "DENO_DIR")
        yield folder
