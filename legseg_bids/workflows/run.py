"""A run of the participant level: from settings to what became of each image."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
from legseg_bids.workflows.execution import Progress, Say, choose_plugin
from legseg_bids.workflows.nipype_settings import configure_nipype
from legseg_bids.workflows.outcomes import Outcome, Status, crash_reason, find_crash
from legseg_bids.workflows.station import (
    STEPS,
    Networks,
    init_legseg_wf,
    preload,
    station_name,
)


@dataclass(frozen=True)
class _Run:
    """What all steps of a run share."""

    settings: Settings
    networks: Networks
    work_dir: Path
    say: Say
    verbosity: int
    id: str = field(default_factory=run_id)

    @property
    def keeps_work(self) -> bool:
        return self.settings.work_dir is not None

    @property
    def parallel(self) -> bool:
        return self.settings.nprocs > 1


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
        run = _Run(settings, networks, work, say, verbosity)
        discovery = find_stations(settings, say)
        stations = discovery.require_stations()
        assert_unique(output_paths(settings.output_dir, s.source_name).labels for s in stations)
        todo = [s for s in stations if settings.overwrite or not _done(s, run)]
        made = {s.source_name: _finished(s, run, Status.DONE) for s in stations}
        if dry_run:
            made |= {s.source_name: Outcome(s.source_name, Status.PLANNED) for s in todo}
        else:
            made |= _segment(todo, run)
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
        # The validator is a process of its own: time to import what comes next.
        with ThreadPoolExecutor(1) as pool:
            verdict = pool.submit(require_valid, settings.bids_dir, settings.participants)
            preload()
            verdict.result()
    discovery = discover(dataset, choose_opposed_echo)
    for station in discovery.stations:
        say(f"sub-{station.subject}: {station.reason}")
    return discovery


def _segment(stations: Sequence[Station], run: _Run) -> dict[str, Outcome]:
    """Run the graph of these stations; what became of each, by the name of its source."""
    output = run.settings.output_dir
    prepare_output(output)
    before = write_dataset_files(output, run.settings.bids_dir)
    if before:
        run.say(f"{output} also holds results of version {before}")
    _write_logs(stations, run)
    old = {path for s in stations for path in _log_dir(s, run).glob("crash-*.txt")}
    problem = _run_graph(stations, run) if stations else ""
    return {s.source_name: _outcome(s, run, old, problem) for s in stations}


def _run_graph(stations: Sequence[Station], run: _Run) -> str:
    """Run the graph; the text of the last error, whether of an image or of the run."""
    configure_nipype(run.verbosity)
    names = {station_name(station): station.stem for station in stations}
    progress = Progress(names, run.say, run.verbosity)
    problem = ""

    def on_status(node: Any, status: str) -> None:
        progress(node, status)
        if (node.name, status) == (STEPS[-1], "end") and not run.keeps_work:
            shutil.rmtree(Path(node.output_dir()).parent, ignore_errors=True)

    for part in _parts(stations, run):
        plugin = choose_plugin(run.settings, len(part), on_status, run.verbosity)
        workflow = init_legseg_wf(part, run.settings, run.networks, run.work_dir, run.id)
        try:
            workflow.run(plugin=plugin)
        except Exception as error:  # noqa: BLE001 - images that failed left their crash files
            problem = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            if run.settings.stop_on_first_crash:
                break
    return problem


def _parts(stations: Sequence[Station], run: _Run) -> list[Sequence[Station]]:
    """What makes one graph: everything, or one station after another.

    nipype's serial plug-in takes the same step of all stations before the next step; station
    by station, the first result is there early, and what is finished stays if the rest fails.
    """
    return [stations] if run.parallel else [[station] for station in stations]


def _outcome(station: Station, run: _Run, old: set[Path], problem: str) -> Outcome:
    """What became of a station that the graph was to segment."""
    crash = find_crash(_log_dir(station, run), station_name(station), old)
    if crash is not None:
        reason = crash_reason(crash.read_text(encoding="utf-8", errors="replace"))
        message = f"{reason} (details: {crash})"
        return Outcome(station.source_name, Status.FAILED, message)
    if _done(station, run):
        return _finished(station, run, Status.SEGMENTED)
    message = "not reached, because the run stopped before it" + f": {problem}" * bool(problem)
    return Outcome(station.source_name, Status.FAILED, message)


def _finished(station: Station, run: _Run, status: Status) -> Outcome:
    """A station with a result, and the warnings that its sidecar holds."""
    output = run.settings.output_dir
    paths = output_paths(output, station.source_name)
    warnings = read_legseg(paths.sidecar).get("Warnings", [])
    message = paths.labels.relative_to(output).as_posix()
    return Outcome(station.source_name, status, message, tuple(map(str, warnings)))


def _left_out(skipped: Skipped) -> Outcome:
    names = ", ".join(path.name for path in skipped.files) or f"sub-{skipped.subject}"
    return Outcome(names, Status.SKIPPED, skipped.reason)


def _done(station: Station, run: _Run) -> bool:
    return is_done(
        run.settings.output_dir,
        station,
        run.networks.config_hash,
        probabilities=run.settings.write_probabilities,
        figure=True,
    )


def _log_dir(station: Station, run: _Run) -> Path:
    return log_dir(run.settings.output_dir, station.subject)


def _write_logs(stations: Sequence[Station], run: _Run) -> None:
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
