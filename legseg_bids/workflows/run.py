"""A run of the participant level: from settings to what became of each image."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from legseg_bids import __version__
from legseg_bids.bids.dataset import index
from legseg_bids.bids.derivative import is_done, read_legseg
from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.discover import discover
from legseg_bids.bids.names import assert_unique, log_dir, output_paths
from legseg_bids.bids.places import check_places, prepare_output
from legseg_bids.bids.runlog import run_id, write_run_log
from legseg_bids.bids.stations import Discovery, Skipped, Station
from legseg_bids.bids.validate import require_valid
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.segment.engines import choose
from legseg_bids.segment.models import find_models_dir, load_model
from legseg_bids.segment.pipeline import LOCATOR, NETWORKS
from legseg_bids.settings import Settings, config_hash
from legseg_bids.workflows.execution import Progress, Say, choose_plugin, configure_nipype
from legseg_bids.workflows.outcomes import Outcome, Status, crash_reason, find_crash
from legseg_bids.workflows.station import Networks, init_legseg_wf, station_name


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
    with _work_folder(settings.work_dir) as work:
        settings = replace(settings, work_dir=work)
        discovery = find_stations(settings, say)
        stations = discovery.require_stations()
        assert_unique(output_paths(settings.output_dir, s.source_name).labels for s in stations)
        todo = [s for s in stations if settings.overwrite or not _done(s, settings, networks)]
        made = {s.source_name: _finished(s, settings, Status.DONE) for s in stations}
        if dry_run:
            made |= {s.source_name: Outcome(s.source_name, Status.PLANNED) for s in todo}
        else:
            made |= _segment(todo, settings, networks, say, verbosity)
    return (*made.values(), *map(_left_out, discovery.skipped))


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
    ValidationError, NoFilterMatch, NoInput
        See :func:`run_participants`.
    """
    dataset = index(settings.bids_dir, settings.participants, settings.sessions)
    if not settings.skip_bids_validation:
        require_valid(settings.bids_dir, settings.participants)
    discovery = discover(dataset, choose_opposed_echo)
    for station in discovery.stations:
        say(f"sub-{station.subject}: {station.reason}")
    return discovery


def _segment(
    stations: Sequence[Station],
    settings: Settings,
    networks: Networks,
    say: Say,
    verbosity: int,
) -> dict[str, Outcome]:
    """Run the graph of these stations; what became of each, by the name of its source."""
    run = run_id()
    prepare_output(settings.output_dir)
    before = write_dataset_files(settings.output_dir, settings.bids_dir)
    if before:
        say(f"{settings.output_dir} also holds results of version {before}")
    _write_logs(stations, settings, networks, run)
    old = {s.subject: _crashes(s, settings) for s in stations}
    problem = _run_graph(stations, settings, networks, run, say, verbosity) if stations else ""
    return {
        s.source_name: _outcome(s, settings, networks, old[s.subject], problem) for s in stations
    }


def _run_graph(
    stations: Sequence[Station],
    settings: Settings,
    networks: Networks,
    run: str,
    say: Say,
    verbosity: int,
) -> str:
    """Run the graph; the text of an error that is not that of a single image."""
    configure_nipype(verbosity)
    names = {station_name(station): station.stem for station in stations}
    progress = Progress(names, say, verbosity)
    problem = ""
    for part in _parts(stations, settings):
        plugin = choose_plugin(settings, len(part), progress, verbosity)
        try:
            init_legseg_wf(part, settings, networks, run).run(plugin=plugin)
        except Exception as error:  # noqa: BLE001 - images that failed left their crash files
            problem = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            if settings.stop_on_first_crash:
                break
    return problem


def _parts(stations: Sequence[Station], settings: Settings) -> list[Sequence[Station]]:
    """What makes one graph: everything, or one station after another.

    nipype's serial plug-in takes the same step of all stations before the next step; station
    by station, the first result is there early, and what is finished stays if the rest fails.
    """
    parallel = min(settings.nprocs, len(stations)) > 1
    return [stations] if parallel else [[station] for station in stations]


def _outcome(
    station: Station, settings: Settings, networks: Networks, old: set[Path], problem: str
) -> Outcome:
    """What became of a station that the graph was to segment."""
    folder = log_dir(settings.output_dir, station.subject)
    crash = find_crash(folder, station_name(station), old)
    if crash is not None:
        reason = crash_reason(crash.read_text(encoding="utf-8", errors="replace"))
        message = f"{reason} (details: {crash})"
        return Outcome(station.source_name, Status.FAILED, message)
    if _done(station, settings, networks):
        return _finished(station, settings, Status.SEGMENTED)
    message = "not reached, because the run stopped before it" + f": {problem}" * bool(problem)
    return Outcome(station.source_name, Status.FAILED, message)


def _finished(station: Station, settings: Settings, status: Status) -> Outcome:
    """A station with a result, and the warnings that its sidecar holds."""
    paths = output_paths(settings.output_dir, station.source_name)
    warnings = read_legseg(paths.sidecar).get("Warnings", [])
    message = paths.labels.relative_to(settings.output_dir).as_posix()
    return Outcome(station.source_name, status, message, tuple(map(str, warnings)))


def _left_out(skipped: Skipped) -> Outcome:
    names = ", ".join(path.name for path in skipped.files) or f"sub-{skipped.subject}"
    return Outcome(names, Status.SKIPPED, skipped.reason)


def _done(station: Station, settings: Settings, networks: Networks) -> bool:
    return is_done(
        settings.output_dir,
        station,
        networks.config_hash,
        probabilities=settings.write_probabilities,
        figure=True,
    )


def _crashes(station: Station, settings: Settings) -> set[Path]:
    return set(log_dir(settings.output_dir, station.subject).glob("crash-*.txt"))


def _write_logs(
    stations: Sequence[Station], settings: Settings, networks: Networks, run: str
) -> None:
    """One file for each participant: what this run was asked to do, with what, on what."""
    for subject in sorted({station.subject for station in stations}):
        mine = [station for station in stations if station.subject == subject]
        facts: dict[str, Any] = {
            "id": run,
            "version": __version__,
            "python": platform.python_version(),
            "engine": networks.engine,
            "device": networks.device,
            "models": str(networks.folder),
            "config_hash": networks.config_hash,
            "images": [station.reason for station in mine],
        }
        sections = {"run": facts, "settings": settings.as_dict()}
        write_run_log(settings.output_dir, subject, run, sections)


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
