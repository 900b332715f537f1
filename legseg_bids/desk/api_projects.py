"""The requests about projects: making them, filling them, answering questions, running them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path, PurePosixPath

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from legseg_bids import __version__
from legseg_bids.desk import stages
from legseg_bids.desk.archives import unpack
from legseg_bids.desk.asking import desk_of, json_of, project_of, switches, told
from legseg_bids.desk.core import Desk
from legseg_bids.desk.folders import checked, listing
from legseg_bids.desk.models import shown_models
from legseg_bids.desk.names import line_of_text, safe_path
from legseg_bids.desk.project import Project
from legseg_bids.desk.refusals import Conflict, Refused
from legseg_bids.desk.results import structures
from legseg_bids.desk.uploads import ARCHIVE, Room, measured, place_for, receive, settle

LONGEST_NAME = 200
OPTIONS = {"reports": True, "validate": True, "overwrite": False}
HEARTBEAT, PACE = 15.0, 0.25
"""Seconds: an empty line at least as often; news at most as often."""
FLOW = 400_000
"""Characters of news in a second, at most."""


async def session(request: Request) -> JSONResponse:
    """What the page needs to begin."""
    desk = desk_of(request)
    return told(
        {
            "version": __version__,
            "csrf": request.state.session.csrf,
            "workspace": str(desk.workspace.root),
            "models": await to_thread.run_sync(shown_models, desk.models),
            "structures": structures(),
        }
    )


async def folders(request: Request) -> JSONResponse:
    """The folders in a folder of this machine."""
    path = request.query_params.get("path")
    return told(await to_thread.run_sync(listing, path, desk_of(request).limits))


async def projects(request: Request) -> JSONResponse:
    """All projects, the newest first."""
    found = desk_of(request).projects.values()
    keys = ("id", "name", "created", "state")
    return told([{key: getattr(one, key) for key in keys} for one in reversed(found)])


async def create(request: Request) -> JSONResponse:
    """Make a project; one of a folder is looked at at once."""
    desk, asked = desk_of(request), await json_of(request)
    name = line_of_text(asked.get("name"), LONGEST_NAME, "the name of the project")
    if not name:
        raise Refused("the project has no name; expected one; type a few letters")
    path = asked.get("path")
    if path is not None:
        path = str(await to_thread.run_sync(_source, desk, path))
    project = await desk.create(name, path)
    if path is not None:
        desk.start(project, "survey", "surveying", stages.survey)
    return told(desk.described(project), 201)


async def describe(request: Request) -> JSONResponse:
    """A project as it is now."""
    return told(desk_of(request).described(project_of(request)))


async def remove(request: Request) -> Response:
    """Remove a project and its results."""
    await desk_of(request).remove(project_of(request))
    return Response(status_code=204)


async def upload(request: Request) -> JSONResponse:
    """Take a file; an archive is unpacked."""
    desk, project = desk_of(request), project_of(request)
    name = safe_path(request.query_params.get("path", ""), desk.limits)
    with desk.uploading:
        _require_open(desk, project)
        told_size = request.headers.get("content-length", "")
        size = int(told_size) if told_size.isascii() and told_size.isdigit() else None
        limits, passing = desk.limits, desk.folder(project, "uploading")
        room = _room(desk, project)
        largest = min(limits.upload_file, room.bytes)
        part = await receive(request.stream(), passing, largest, limits, size)
        try:
            async with desk.lock(project):
                _require_open(desk, project)
                await _keep(desk, project, name, part)
        finally:
            part.unlink(missing_ok=True)
    return told({"files": project.files, "bytes": project.bytes}, 201)


async def uploaded(request: Request) -> JSONResponse:
    """All files are there (or the folder has changed): look at them."""
    desk, project = desk_of(request), project_of(request)
    async with desk.lock(project):
        if project.path is None:
            incoming = desk.folder(project, "incoming")
            project.files, project.bytes = await to_thread.run_sync(measured, incoming)
            if not project.files:
                raise Conflict("no file was uploaded; expected some; add files first")
        desk.start(project, "survey", "surveying", stages.survey)
    return told(desk.described(project), 202)


async def answers(request: Request) -> JSONResponse:
    """Answers to the questions; then images are converted."""
    desk, project = desk_of(request), project_of(request)
    rows = (await json_of(request)).get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused("answers are no list of rows; expected one; load the page again")
    async with desk.lock(project):
        await stages.answer(desk, project, rows)
    return told(desk.described(project), 202)


async def run(request: Request) -> JSONResponse:
    """Segment."""
    desk, project = desk_of(request), project_of(request)
    options = switches((await json_of(request)).get("options"), OPTIONS)
    async with desk.lock(project):
        if not project.found or not project.found["stations"]:
            raise Conflict(
                "the project has no image that can be segmented yet; expected some; add images, "
                "or answer the questions about them"
            )
        desk.start(project, "run", "running", partial(stages.run, options=options))
    return told(desk.described(project), 202)


async def cancel(request: Request) -> JSONResponse:
    """Stop what is at work; the answer comes when it has ended."""
    desk, project = desk_of(request), project_of(request)
    await desk.cancel(project)
    return told(desk.described(project))


async def events(request: Request) -> StreamingResponse:
    """The project, now and after every change."""
    desk, project = desk_of(request), project_of(request)
    desk.listening.check()
    return StreamingResponse(
        _news(desk, project),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


async def _news(desk: Desk, project: Project) -> AsyncIterator[bytes]:
    """Server-sent events (WHATWG HTML, 9.2)."""
    with desk.listening:
        yield b"retry: 2000\n\n"
        version = -1
        while not desk.closing.is_set() and project.id in desk.projects:
            if desk.version(project) != version:
                version = desk.version(project)
                text = json.dumps(desk.described(project))
                yield f"data: {text}\n\n".encode()
                # Of a study of thousands less often: all of it is told each time.
                await asyncio.sleep(max(PACE, len(text) / FLOW))
            else:
                yield b": still there\n\n"
            await desk.news(project, version, HEARTBEAT)


async def _keep(desk: Desk, project: Project, name: PurePosixPath, part: Path) -> None:
    """Put a received file in its place."""
    incoming, passing = desk.folder(project, "incoming"), desk.folder(project, "uploading")
    if name.suffix.lower() == ARCHIVE:
        target = await to_thread.run_sync(place_for, incoming, name)
        room = _room(desk, project)
        files, size, left_out = await to_thread.run_sync(
            unpack, part, target, room, desk.limits, passing
        )
        project.notes += [
            f"{name.name}: {inside} is an archive itself and was left out; unpack it first"
            for inside in left_out[:20]
        ]
    else:
        files, size = 1, part.stat().st_size
        await to_thread.run_sync(settle, part, incoming, name)
    project.files += files
    project.bytes += size


def _require_open(desk: Desk, project: Project) -> None:
    """Make sure that files may be added.

    Raises
    ------
    Conflict
    """
    desk.require_idle(project)
    if project.path is not None:
        raise Conflict(
            "the images of this project lie in a folder on this machine; expected a project for "
            "uploads; make another one"
        )


def _room(desk: Desk, project: Project) -> Room:
    limits = desk.limits
    if project.files >= limits.upload_files:
        raise Conflict(
            f"the project has {project.files} files already; expected at most "
            f"{limits.upload_files}; make another project"
        )
    return Room(max(0, limits.upload_project - project.bytes), limits.upload_files - project.files)


def _source(desk: Desk, path: object) -> Path:
    """A folder on this machine that may be a project.

    Raises
    ------
    Refused
        If it is none, or holds the workspace, or is in it.
    """
    if not isinstance(path, str):
        raise Refused("the path is no text; expected that of a folder; choose one from the list")
    folder = checked(path)
    real, own = folder.resolve(), desk.workspace.root.resolve()
    if own == real or own.is_relative_to(real) or real.is_relative_to(own):
        raise Refused(
            f"{folder} holds the workspace of the desk, or is in it; expected the folder with the "
            "images alone; choose a folder further down"
        )
    return folder
