"""What the jobs do: look at the images, convert them, segment them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from legseg_bids.desk.children import ask_worker
from legseg_bids.desk.core import Desk
from legseg_bids.desk.folders import source_of
from legseg_bids.desk.project import Project
from legseg_bids.desk.refusals import Conflict, Refused, Unfit
from legseg_bids.desk.shifts import Shift
from legseg_bids.errors import ExitCode

APP = "legseg_bids.cli.main"
BIDSIFY = "legseg_bids.cli.bidsify"
if TYPE_CHECKING:
    from legseg_bids.dicom.mapping import Row

KEYS = ("series", "written", "kept", "problems")
MAPPING, REPORT = "mapping.tsv", "survey.json"
LONGEST_ANSWER = 100
NOTHING = (
    "no images were found; expected DICOM files, NIfTI files (.nii, .nii.gz) or a BIDS dataset; "
    "choose another folder, or add files"
)


# ------------------------------------------------------------------------------- survey


async def survey(shift: Shift) -> None:
    """Look at the images of a project; convert them if nothing needs to be asked."""
    project, desk = shift.project, shift.desk
    shift.job.line = "looking at the files"
    desk.changed(project)
    folder = Path(project.path) if project.path else desk.folder(project, "incoming")
    project.kind, root = await to_thread.run_sync(source_of, folder, desk.limits)
    project.found, project.questions, project.bids = None, [], None
    if not project.kind:
        raise Unfit(NOTHING)
    if project.kind == "bids":
        project.bids = str(root)
        await _look(shift)
    else:
        await _convert(shift, root)


async def convert(shift: Shift) -> None:
    """Convert images, now that the questions about them are answered."""
    project, desk = shift.project, shift.desk
    await _convert(shift, Path(project.path) if project.path else desk.folder(project, "incoming"))


async def _convert(shift: Shift, source: Path) -> None:
    """What an earlier draft says, answers among it, stands."""
    project, desk = shift.project, shift.desk
    bids, report = desk.folder(project, "bids"), desk.folder(project, REPORT)
    report.unlink(missing_ok=True)
    words = [str(source), str(bids), "--report", str(report)]
    words += ["--draft", str(desk.folder(project, MAPPING))]
    words += ["--nifti"] if project.kind == "nifti" else []
    code = await shift.run(BIDSIFY, *words)
    told = await to_thread.run_sync(_read_report, report)
    if told["series"]:
        series = (one for one in told["series"] if not one.get("decided", True))
        project.questions = [_question(one) for one in series]
    project.notes = [*dict.fromkeys([*project.notes, *told["problems"]])]
    if code == ExitCode.UNDECIDED:
        project.state = "questions"
        shift.job.end("done", f"{len(project.questions)} series need an answer")
        return
    if code != ExitCode.OK and not (told["written"] or told["kept"]):
        raise Unfit(shift.last_words)
    project.questions, project.bids = [], str(bids)
    await _look(shift)


async def _look(shift: Shift) -> None:
    """Find out which stations the dataset has."""
    project, desk = shift.project, shift.desk
    shift.job.line = "looking for stations"
    desk.changed(project)
    project.found = await shift.ask("look", str(project.bids))
    if not project.found["stations"]:
        raise Unfit(
            "no image that can be segmented was found; expected an opposed-phase image, echoes, "
            "or water and fat images; the list of problems says why of each"
        )
    project.state = "ready"
    shift.job.end("done", "ready to run")


def _read_report(path: Path) -> dict[str, Any]:
    """What `legseg-bidsify` has told; empty if it has not."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    return {key: list(told.get(key) or ()) for key in KEYS}


def _question(series: Mapping[str, Any]) -> dict[str, Any]:
    from legseg_bids.dicom.mapping import ANSWERS
    from legseg_bids.dicom.roles import ASK

    given = {key: "" if series.get(key) in (None, ASK) else str(series[key]) for key in ANSWERS}
    guess = {**given, "role": given["role"] or str(series.get("guess") or "")}
    return {
        "id": str(series.get("id", "")),
        "description": str(series.get("description") or ""),
        "vendor": str(series.get("vendor") or ""),
        "guess": guess,
        "question": str(series.get("question") or "what is this series?"),
        "images": series.get("images"),
    }


# ------------------------------------------------------------------------------ answers


async def answer(desk: Desk, project: Project, given: Sequence[Mapping[str, Any]]) -> None:
    """Write answers into the mapping file, and convert.

    Raises
    ------
    Conflict
        If nothing was asked.
    LegsegError
        If an answer is none.
    """
    desk.require_idle(project)
    path = desk.folder(project, MAPPING)
    if not project.questions or not path.is_file():
        raise Conflict("nothing was asked; expected questions; load the page again")
    await to_thread.run_sync(_write_answers, path, given)
    desk.start(project, "convert", "surveying", convert)


def answered(rows: Iterable[Row], given: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of a mapping with answers filled in.

    Parameters
    ----------
    rows : iterable of Row
        The mapping.
    given : iterable of mapping
        ``id``, and any of ``participant``, ``session``, ``role`` and ``station``.

    Raises
    ------
    Refused
        If there is no such row, or an answer is no plain text.

    Examples
    --------
    >>> from legseg_bids.dicom.mapping import Row
    >>> [row.role for row in answered([Row("7", "01")], [{"id": "7", "role": "water"}])]
    ['water']
    """
    from legseg_bids.dicom.mapping import ANSWERS

    found = {row.id: row for row in rows}
    for one in given:
        key = str(one.get("id"))
        if key not in found:
            raise Refused(
                f"there is no series {key[:60]!r}; expected one that was asked about; load the "
                "page again"
            )
        cells: dict[str, Any] = {
            name: _cell(one[name]) for name in ANSWERS if one.get(name) is not None
        }
        found[key] = replace(found[key], **cells)
    return list(found.values())


def _write_answers(path: Path, given: Iterable[Mapping[str, Any]]) -> None:
    """Write a mapping whose answers can be read back; else the old one stands.

    Raises
    ------
    LegsegError
        If they cannot.
    """
    from legseg_bids.dicom.mapping import read_mapping, write_mapping

    candidate = path.with_name(f"answers-{path.name}")
    try:
        write_mapping(candidate, answered(read_mapping(path), given))
        read_mapping(candidate)
        candidate.replace(path)
    finally:
        candidate.unlink(missing_ok=True)


def _cell(value: object) -> str:
    text = str(value).strip()
    if not isinstance(value, str | int) or not text.isprintable() or len(text) > LONGEST_ANSWER:
        raise Refused("an answer is no plain text; expected a few letters; type it again")
    return text


# --------------------------------------------------------------------------------- run


async def run(shift: Shift, options: Mapping[str, bool]) -> None:
    """Segment what is not segmented yet, as the command line does."""
    project, desk = shift.project, shift.desk
    words = [str(desk.bids(project)), str(desk.output(project)), "participant"]
    words += [] if options.get("reports", True) else ["--no-reports"]
    words += [] if options.get("validate", True) else ["--skip-bids-validation"]
    words += ["--overwrite"] if options.get("overwrite", False) else []
    words += ["--models", str(desk.models)] if desk.models else []
    code = await shift.run(APP, *words)
    if code == ExitCode.OK:
        project.state = "done"
        shift.job.end("done", shift.last_words)
        # What the viewer shows is made ready, so that nobody waits for it.
        desk.in_background(make_picture(desk, project))
    else:
        project.state = "failed"
        shift.job.end("failed", shift.last_words)


async def make_picture(desk: Desk, project: Project, result: str = "") -> None:
    """Write the image below the labels of one result, or of all.

    Raises
    ------
    Refused
        If it cannot be done.
    """
    folder = desk.folder(project)
    only = ["--only", result] if result else []
    words = [str(desk.output(project)), str(desk.bids(project)), str(folder / "cache"), *only]
    async with desk.views:
        await ask_worker(folder, folder / "tmp", "pictures", *words)
