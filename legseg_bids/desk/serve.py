"""From a command to a server on this machine alone, and to its end."""

from __future__ import annotations

import asyncio
import html
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from legseg_bids.bids.write import write_text
from legseg_bids.desk.access import Access, Attempts
from legseg_bids.desk.limits import load_limits
from legseg_bids.desk.peers import HOST, is_ours
from legseg_bids.desk.workspace import Workspace
from legseg_bids.errors import ExitCode, UsageError

Say = Callable[[str], None]
DOOR_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={address}"><title>legseg desk</title></head>
<body><p><a href="{address}" rel="noreferrer">Open legseg desk</a></p></body></html>
"""
SCREENS = frozenset({"DISPLAY", "WAYLAND_DISPLAY"})
GOODBYE = 5
"""Seconds that requests have to end after Ctrl-C; a second Ctrl-C does not wait."""


def serve(
    root: Path,
    port: int = 0,
    models: Path | None = None,
    *,
    browser: bool = True,
    say: Say = print,
) -> None:
    """Serve the desk until Ctrl-C.

    Parameters
    ----------
    root : Path
        The workspace; made if need be.
    port : int
        Where to listen, on 127.0.0.1 alone; 0 takes any free one.
    models : Path or None
        Folder of the networks.
    browser : bool
        Whether to open a browser.
    say : callable
        Takes a line for the person at the terminal.

    Raises
    ------
    LegsegError
        If the workspace or the port cannot be used.
    """
    # What is made here, also by the processes that are started, is for its owner alone.
    os.umask(0o077)
    if threading.current_thread() is threading.main_thread():
        # After the end of the server, too, things are put in order first.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(ExitCode.TERMINATED)))
    workspace = Workspace(root)
    claimed = workspace.claim()
    if claimed is None:
        say(f"legseg-desk is running already in {workspace.root}; its page: {workspace.door}")
        open_browser(workspace.door, browser)
        return
    with listening_socket(port) as listener:
        limits = load_limits()
        attempts = Attempts(limits.token_tries, limits.token_refill)
        access = Access(listener.getsockname()[1], attempts)
        page = DOOR_PAGE.format(address=html.escape(access.address))
        write_text(workspace.door, page)
        workspace.door.chmod(0o600)
        say(f"legseg-desk: {access.address}")
        say(f"workspace: {workspace.root}; Ctrl-C ends it")
        open_browser(workspace.door, browser)
        try:
            _run(workspace, access, models, listener)
        finally:
            workspace.door.unlink(missing_ok=True)
            os.close(claimed)


def listening_socket(port: int) -> socket.socket:
    """A socket that hears this machine alone.

    Raises
    ------
    UsageError
        If the port cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # From now on a browser that is quicker than the server waits, and is not turned away.
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(
            f"port {port} of {HOST} cannot be used ({error}); expected a free one; choose another "
            "with --port, or leave that out"
        ) from error
    return listener


def open_browser(door: Path, wanted: bool) -> None:
    """Lead a browser to the desk by a file: an address would stand in the list of processes."""
    # Without a screen, it would be one of those that take the terminal, and nobody would serve.
    screen = not sys.platform.startswith("linux") or SCREENS & os.environ.keys()
    if wanted and screen:
        webbrowser.open(door.as_uri())


def _run(
    workspace: Workspace, access: Access, models: Path | None, listener: socket.socket
) -> None:
    import uvicorn

    from legseg_bids.desk.app import create_app
    from legseg_bids.desk.core import Desk

    desk = Desk(workspace, access, load_limits(), models)
    protocol, ours = _watched(access.port)

    class Server(uvicorn.Server):
        """Ends the jobs and the streams of events first, or it would wait for them."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            ending = asyncio.ensure_future(desk.end())
            while not ending.done() and not self.force_exit:
                await asyncio.wait([ending], timeout=0.1)
            ending.cancel()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        create_app(desk, lambda client: ours.get(client, False)),
        loop="asyncio",
        http=protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        # A log of requests would hold the token; and nobody speaks for somebody else here.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=GOODBYE,
    )
    # uvicorn ends well, and then hands Ctrl-C on.
    with suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listener])


def _watched(port: int) -> tuple[type[asyncio.Protocol], dict[tuple[str, int], bool]]:
    """How connections are spoken with, and of each that is open whether it is ours.

    The system is asked once for each connection: its answer takes longer than most requests.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    ours: dict[tuple[str, int], bool] = {}

    class Watched(H11Protocol):
        """Looks whose a connection is when it begins."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client:
                ours[self.client] = is_ours(self.client, port)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client:
                ours.pop(self.client, None)
            super().connection_lost(exc)

    return Watched, ours
