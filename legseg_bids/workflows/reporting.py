"""Pages of a run: which participants need a new one, the graph that writes it, what became of it.

A page that cannot be written takes nothing from the images: it is told as failed, and the run
goes on.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from traceback import format_exception_only
from typing import Any

from legseg_bids.bids.names import log_dir
from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.causes import crash_reason, explain_error
from legseg_bids.workflows.context import Run
from legseg_bids.workflows.execution import choose_plugin
from legseg_bids.workflows.nipype_settings import configure_nipype
from legseg_bids.workflows.outcomes import Outcome, Status, find_crash

GRAPH = "reporting_wf"
BASELINE_GB = 0.1
BYTES_PER_VOXEL = 17
"""Of the largest image of a participant, beyond the baseline: a page has one image in memory at a
time. Measured: 0.09 GiB at rest, 0.59 for 33.6 million voxels (a leg), 0.17 for 4.2 million."""


def write_reports(
    subjects: Sequence[str], run: Run, outcomes: Iterable[Outcome] = ()
) -> list[Outcome]:
    """Write the pages of these participants that are missing or out of date.

    Parameters
    ----------
    subjects : sequence of str
        Labels without ``sub-``.
    run : Run
        Settings, and where to say what.
    outcomes : iterable of Outcome
        What became of images in this run so far; those that are not given are taken from the
        logs of runs.

    Returns
    -------
    list of Outcome
        One for each page that could not be written, and for no other.
    """
    now = list(outcomes)
    failed: list[Outcome] = []
    todo: list[str] = []
    for subject in dict.fromkeys(subjects):
        try:
            if _is_wanted(subject, run, now):
                todo.append(subject)
        except Exception as error:  # noqa: BLE001 - one participant must not stop the others
            failed.append(_failed(subject, explain_error(error)))
    return [*failed, *(_write(todo, run, now) if todo else [])]


def init_reporting_wf(
    subjects: Sequence[str],
    settings: Settings,
    work_dir: Path,
    outcomes: Sequence[Outcome] = (),
    name: str = GRAPH,
) -> Any:
    """Graph of the pages: one step for each participant, independent of the others.

    Parameters
    ----------
    subjects : sequence of str
        Labels without ``sub-``.
    settings : Settings
        Dataset and output folder.
    work_dir : Path
        Folder of the intermediate files.
    outcomes : sequence of Outcome
        What became of images in this run.
    name : str
        Of the graph.

    Outputs
    -------
    None: the ``report`` nodes write to the output folder.
    """
    from nipype.pipeline.engine import Node, Workflow

    from legseg_bids.interfaces.report import WriteReport

    workflow = Workflow(name=name, base_dir=str(work_dir))
    for subject in subjects:
        inner = Workflow(name=report_name(subject))
        step = WriteReport(
            subject=subject,
            output_dir=str(settings.output_dir),
            bids_dir=_dataset(settings),
            troubles=_as_values(subject, outcomes),
        )
        node = Node(step, name="report", mem_gb=memory_gb(settings.output_dir, subject))
        folder = log_dir(settings.output_dir, subject)
        node.config = {"execution": {"crashdump_dir": str(folder)}}
        inner.add_nodes([node])
        workflow.add_nodes([inner])
    return workflow


def memory_gb(output_dir: Path, subject: str) -> float:
    """What a page will need, by the headers of the label images."""
    import nibabel as nib

    from legseg_bids.bids.finished import finished_images

    voxels = [0]
    for image in finished_images(output_dir, subject):
        # One that cannot be read costs nothing: the page says so.
        with suppress(Exception):
            loaded: Any = nib.load(image.paths.labels)
            voxels.append(math.prod(loaded.shape))
    return BASELINE_GB + BYTES_PER_VOXEL * max(voxels) / GIB


def report_name(subject: str) -> str:
    """Name of a participant's graph; labels that are no plain words get a hash.

    Examples
    --------
    >>> report_name("01")
    'report_01_wf'
    """
    if re.fullmatch(r"[A-Za-z0-9]{1,60}", subject):
        return f"report_{subject}_wf"
    return f"report_x{sha256(subject.encode(errors='surrogateescape')).hexdigest()[:12]}_wf"


def _is_wanted(subject: str, run: Run, outcomes: Sequence[Outcome]) -> bool:
    """Whether there is something to tell that the page does not tell yet."""
    from legseg_bids.interfaces.report import Sources
    from legseg_bids.report.subject import has_content, is_current
    from legseg_bids.report.troubles import Trouble

    output, dataset = run.settings.output_dir, _dataset(run.settings)
    now = [Trouble(**values) for values in _as_values(subject, outcomes)]
    sources = Sources(output, Path(dataset) if dataset else None)
    # In this order a page that holds, as most do in a second run, costs one look at the results.
    return not is_current(output, subject, sources, now) and has_content(output, subject, now)


def _write(subjects: Sequence[str], run: Run, outcomes: Sequence[Outcome]) -> list[Outcome]:
    old = {path for subject in subjects for path in run.log_dir(subject).glob("crash-*")}
    for subject in subjects:
        (run.step or run.say)(f"sub-{subject}: writing the report")
    problem = _run_graph(subjects, run, outcomes)
    return [outcome for subject in subjects for outcome in _judge(subject, run, old, problem)]


def _run_graph(subjects: Sequence[str], run: Run, outcomes: Sequence[Outcome]) -> str:
    """Run it; the text of an error, empty if there was none."""
    configure_nipype(run.verbosity)
    plugin = choose_plugin(
        run.settings, len(subjects), lambda *_: None, run.verbosity, run.monitor
    )
    workflow = init_reporting_wf(subjects, run.settings, run.work_dir, outcomes)
    try:
        workflow.run(plugin=plugin)
    except Exception as error:  # noqa: BLE001 - what failed left its crash file
        return crash_reason("".join(format_exception_only(error)))
    finally:
        # Nothing in there is worth keeping: a page knows itself whether it holds.
        shutil.rmtree(run.work_dir / workflow.name, ignore_errors=True)
    return ""


def _judge(subject: str, run: Run, old: set[Path], problem: str) -> list[Outcome]:
    """The failure of a page, if it failed."""
    from legseg_bids.report.subject import report_path

    crash = find_crash(run.log_dir(subject), report_name(subject), old)
    if crash is not None:
        reason = crash_reason(crash.read_text(encoding="utf-8", errors="replace"))
        return [_failed(subject, f"{reason} (details: {crash})")]
    if report_path(run.settings.output_dir, subject).is_file():
        return []
    message = "not reached, because the run stopped before it" + f": {problem}" * bool(problem)
    return [_failed(subject, message)]


def _failed(subject: str, message: str) -> Outcome:
    return Outcome(f"sub-{subject}: report", Status.FAILED, message)


def _as_values(subject: str, outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    """Outcomes of a participant's images, as plain values; merged images are not sources."""
    return [
        {"image": outcome.image, "status": str(outcome.status), "message": outcome.message}
        for outcome in outcomes
        if outcome.subject == subject and ": report" not in outcome.image
    ]


def _dataset(settings: Settings) -> str:
    """The dataset, if it is at hand: a report needs none."""
    return str(settings.bids_dir) if settings.bids_dir.is_dir() else ""
