"""The requests about results: looking at them, correcting them, taking them away."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from legseg_bids.desk import drafts, stages
from legseg_bids.desk.asking import desk_of, json_of, project_of, told, whole_number
from legseg_bids.desk.children import ask_worker
from legseg_bids.desk.exports import archive, chosen_files
from legseg_bids.desk.guard import REPORT_POLICY
from legseg_bids.desk.names import folder_name, line_of_text
from legseg_bids.desk.refusals import NoRevision, NotThere
from legseg_bids.desk.results import Result, all_results, described, find_result, measures
from legseg_bids.desk.uploads import receive
from legseg_bids.desk.viewing import picture_path, problem_of

NIFTI = "application/gzip"
LONGEST_AUTHOR = 200


async def results(request: Request) -> JSONResponse:
    """All finished images of a project."""
    desk, project = desk_of(request), project_of(request)
    output, folder = desk.output(project), desk.folder(project, "drafts")

    def collect() -> list[dict[str, object]]:
        kept = drafts.all_latest(folder)
        nothing = drafts.Draft()
        return [
            {
                **described(result),
                "revision": kept.get(result.id, nothing).revision,
                "draft": kept.get(result.id, nothing).path is not None,
            }
            for result in all_results(output)
        ]

    return told(await to_thread.run_sync(collect))


async def image(request: Request) -> Response:
    """What the labels were drawn on, on their grid."""
    desk, project = desk_of(request), project_of(request)
    result = await _result(request)
    cache = desk.folder(project, "cache")
    path = await to_thread.run_sync(picture_path, result, cache)
    async with desk.lock(project, f"picture {result.id}"):
        if not path.is_file():
            await stages.make_picture(desk, project, result.id)
    problem = await to_thread.run_sync(problem_of, path)
    return _file(path, NIFTI, {"x-problem": quote(problem)[:2000]} if problem else None)


async def labels(request: Request) -> Response:
    """The label image: the correction if there is one, unless the original is asked for."""
    result = await _result(request)
    return _file(result.labels(original=_original(request)), NIFTI)


async def overlay(request: Request) -> Response:
    """The picture of a result."""
    return _file((await _result(request)).figure, "image/png")


async def report(request: Request) -> Response:
    """The page of the participant."""
    page = (await _result(request)).report
    headers = {
        "content-security-policy": REPORT_POLICY,
        # A page in an origin of its own may not ask for this too (WHATWG HTML, 7.1.3).
        "cross-origin-opener-policy": "unsafe-none",
    }
    return _file(page, "text/html; charset=utf-8", headers)


async def measured(request: Request) -> JSONResponse:
    """The measurements of a result."""
    result = await _result(request)
    return told(await to_thread.run_sync(partial(measures, result, original=_original(request))))


# ------------------------------------------------------------------------------- drafts


async def draft(request: Request) -> Response:
    """The correction that is not finished, if there is one."""
    desk, project = desk_of(request), project_of(request)
    result, folder = await _result(request), desk.folder(project, "drafts")
    async with desk.lock(project, f"draft {result.id}"):
        kept = await to_thread.run_sync(drafts.latest, folder, result.id)
        # Read here: a later revision removes the file.
        content = await to_thread.run_sync(kept.path.read_bytes) if kept.path else b""
    headers = {"x-revision": str(kept.revision)}
    if kept.path is None:
        return Response(status_code=204, headers=headers)
    return Response(content, media_type=NIFTI, headers=headers)


async def save_draft(request: Request) -> JSONResponse:
    """Keep a new revision of a correction."""
    desk, project = desk_of(request), project_of(request)
    based_on = _based_on(request)
    result = await _result(request)
    passing, limits = desk.folder(project, "uploading"), desk.limits
    part = await receive(request.stream(), passing, limits.request_draft, limits, None)
    try:
        async with desk.lock(project, f"draft {result.id}"):
            revision = await to_thread.run_sync(
                drafts.save,
                desk.folder(project, "drafts"),
                result.id,
                based_on,
                part,
                result.original,
            )
    finally:
        part.unlink(missing_ok=True)
    return told({"revision": revision})


async def discard_draft(request: Request) -> JSONResponse:
    """Throw a correction away that is not finished."""
    desk, project = desk_of(request), project_of(request)
    based_on, result = _based_on(request), await _result(request)
    async with desk.lock(project, f"draft {result.id}"):
        revision = await to_thread.run_sync(
            drafts.discard, desk.folder(project, "drafts"), result.id, based_on
        )
    return told({"revision": revision})


async def correct(request: Request) -> JSONResponse:
    """Take the draft as the result."""
    desk, project = desk_of(request), project_of(request)
    asked, limits = await json_of(request), desk.limits
    author = line_of_text(asked.get("author") or "", LONGEST_AUTHOR, "the author")
    note = line_of_text(asked.get("note") or "", limits.request_text, "the note")
    result, folder = await _result(request), desk.folder(project)
    async with desk.lock(project), desk.lock(project, f"draft {result.id}"):
        desk.require_idle(project)
        based_on = whole_number(request, "if-match")
        if based_on is not None:
            await to_thread.run_sync(drafts.require, folder / "drafts", result.id, based_on)
        kept = await to_thread.run_sync(drafts.latest, folder / "drafts", result.id)
        if kept.path is None:
            raise NotThere("there is no draft of this result; expected one; save one first")
        words = ["correct", str(desk.output(project)), str(kept.path), "--of", result.name]
        words += [f"--author={author}", f"--note={note}", "--bids", str(desk.bids(project))]
        made = await ask_worker(folder, folder / "tmp", *words)
        revision = await to_thread.run_sync(
            drafts.discard, folder / "drafts", result.id, kept.revision
        )
    desk.changed(project)
    return told({**made, "revision": revision})


async def undo(request: Request) -> JSONResponse:
    """Remove a correction: the original counts again."""
    desk, project = desk_of(request), project_of(request)
    result, folder = await _result(request), desk.folder(project)
    async with desk.lock(project), desk.lock(project, f"draft {result.id}"):
        desk.require_idle(project)
        words = ["undo", str(desk.output(project)), "--of", result.name]
        made = await ask_worker(folder, folder / "tmp", *words, "--bids", str(desk.bids(project)))
    desk.changed(project)
    return told(made)


# ------------------------------------------------------------------------------- export


async def export(request: Request) -> StreamingResponse:
    """Results as an archive."""
    desk, project = desk_of(request), project_of(request)
    what, output = request.query_params.get("what", ""), desk.output(project)
    files = await to_thread.run_sync(chosen_files, output, what)
    root = f"{folder_name(project.name)}-{what}"
    return StreamingResponse(
        archive(output, files, root),
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="{root}.zip"'},
    )


async def _result(request: Request) -> Result:
    desk, project = desk_of(request), project_of(request)
    return await to_thread.run_sync(find_result, desk.output(project), request.path_params["rid"])


def _original(request: Request) -> bool:
    return request.query_params.get("original") == "1"


def _based_on(request: Request) -> int:
    revision = whole_number(request, "if-match")
    if revision is None:
        raise NoRevision(
            "the request does not say which revision it is based on (If-Match); expected the "
            "number of the draft that was loaded, 0 at first; load the page again"
        )
    return revision


def _file(path: Path, kind: str, headers: dict[str, str] | None = None) -> Response:
    """A file of a result.

    Raises
    ------
    NotThere
        If there is none.
    """
    with suppress(OSError):
        if path.is_file() and not path.is_symlink():
            return FileResponse(path, media_type=kind, headers=headers)
    raise NotThere(
        f"{path.name} is not there; expected it to be made by the run; run again, with reports"
    )
