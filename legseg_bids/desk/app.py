"""The application: which request goes where, and what is told where something goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from legseg_bids.desk import api_projects as projects
from legseg_bids.desk import api_results as results
from legseg_bids.desk.core import Desk
from legseg_bids.desk.guard import Guard, IsOurs
from legseg_bids.desk.refusals import NotThere, Refused
from legseg_bids.errors import Busy, LegsegError, OutputError

PROJECT = "/api/projects/{id}"
RESULT = f"{PROJECT}/results/{{rid}}"
NIIVUE = "vendor/niivue.umd.js"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
Endpoint = Callable[[Request], Awaitable[Response]]
ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/api/session", projects.session),
    ("GET", "/api/folders", projects.folders),
    ("GET", "/api/projects", projects.projects),
    ("POST", "/api/projects", projects.create),
    ("GET", PROJECT, projects.describe),
    ("DELETE", PROJECT, projects.remove),
    ("PUT", f"{PROJECT}/files", projects.upload),
    ("POST", f"{PROJECT}/uploaded", projects.uploaded),
    ("PUT", f"{PROJECT}/answers", projects.answers),
    ("POST", f"{PROJECT}/run", projects.run),
    ("POST", f"{PROJECT}/cancel", projects.cancel),
    ("GET", f"{PROJECT}/events", projects.events),
    ("GET", f"{PROJECT}/results", results.results),
    ("GET", f"{RESULT}/image.nii.gz", results.image),
    ("GET", f"{RESULT}/labels.nii.gz", results.labels),
    ("GET", f"{RESULT}/overlay.png", results.overlay),
    ("GET", f"{RESULT}/report", results.report),
    ("GET", f"{RESULT}/measures", results.measured),
    ("GET", f"{RESULT}/draft", results.draft),
    ("PUT", f"{RESULT}/draft", results.save_draft),
    ("DELETE", f"{RESULT}/draft", results.discard_draft),
    ("POST", f"{RESULT}/correction", results.correct),
    ("DELETE", f"{RESULT}/correction", results.undo),
    ("GET", f"{PROJECT}/export", results.export),
)
"""Everything that the page may ask for, beside itself."""


def create_app(desk: Desk, is_ours: IsOurs) -> Starlette:
    """The application of one start of the desk.

    Parameters
    ----------
    desk : Desk
        What it works on.
    is_ours : callable
        Whether a connection comes from our own user.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await desk.begin()
        yield
        await desk.end()

    routes = [
        Route("/", _page, methods=["GET"]),
        Route("/open", _open, methods=["GET"]),
        Route("/static/{name:path}", _static, methods=["GET"]),
        *(Route(path, call, methods=[method]) for method, path, call in ROUTES),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, access=desk.access, is_ours=is_ours)],
        exception_handlers={
            LegsegError: _refused,
            HTTPException: _http,
            ClientDisconnect: _gone,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.desk = desk
    return app


async def _page(_: Request) -> Response:
    return _packaged("index.html")


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name == NIIVUE:
        from legseg_bids.report.page import viewer_bundle

        packed, digest = viewer_bundle()
        headers = {"content-encoding": "gzip", "etag": f'"{digest}"', "cache-control": "no-cache"}
        return Response(packed, media_type=KINDS[".js"], headers=headers)
    return _packaged(name)


def _packaged(name: str) -> Response:
    """A file of the page, if it is one of those that belong to it.

    Raises
    ------
    NotThere
        If it is not.
    """
    folder = Path(str(resources.files(__package__).joinpath("static")))
    known = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    path = known.get(name)
    if path is None or path.suffix not in KINDS or not path.is_file():
        raise NotThere(f"the page has no file {name[:80]!r}; load the page again")
    return FileResponse(path, media_type=KINDS[path.suffix], headers={"cache-control": "no-cache"})


async def _open(request: Request) -> Response:
    """The door: a session for whoever has the token."""
    access = request.app.state.desk.access
    session = access.open(request.query_params.get("token", ""))
    answer = RedirectResponse("/", 303)
    answer.set_cookie(access.cookie_name, session.cookie, httponly=True, samesite="strict")
    return answer


def _refused(_: Request, error: Exception) -> Response:
    """Something that can be explained."""
    if isinstance(error, Refused):
        return JSONResponse({"error": str(error), **error.more}, error.status)
    status = 409 if isinstance(error, Busy) else 507 if isinstance(error, OutputError) else 422
    return JSONResponse({"error": str(error)}, status)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; load the page again"
    return JSONResponse({"error": message}, error.status_code)


def _gone(_: Request, __: Exception) -> Response:
    """Nobody waits for the answer any more."""
    return Response(status_code=400)
