"""What every request goes through before anything looks at it, and every answer after that."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from legseg_bids.desk.access import CHANGES, READS, Access
from legseg_bids.desk.refusals import Forbidden, Refused

LOG = logging.getLogger("legseg_bids.desk")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self' blob: data:; worker-src 'self' blob:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups allow-downloads; default-src 'none'; "
    "script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""A report is a page with data in it: it runs in an origin of its own, where no cookie goes and
nothing can be asked for. Which of its scripts may run, its own policy says by their hashes."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
"""Of every answer, unless it has its own."""

IsOurs = Callable[[tuple[str, int]], bool]


class Guard:
    """Middleware: lets in what comes from our own page in the browser of our own user.

    Parameters
    ----------
    app : callable
        What is guarded.
    access : Access
        Secrets of this start.
    is_ours : callable
        Whether a connection from this address and port comes from our own user.
    """

    def __init__(self, app: ASGIApp, access: Access, is_ours: IsOurs) -> None:
        self._app, self._access, self._is_ours = app, access, is_ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", POLICY)
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_safely)
        except Refused as refused:
            answer = JSONResponse({"error": str(refused), **refused.more}, refused.status)
            # What is still coming is not waited for.
            answer.headers["connection"] = "close"
            await answer(scope, receive, send_safely)
        except Exception as error:
            LOG.error("%s %s", scope["method"], scope["path"], exc_info=error)
            if not started:
                await _failed(error)(scope, receive, send_safely)

    def _check(self, scope: Scope) -> None:
        """Let a request pass, or not.

        Raises
        ------
        Refused
        """
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if method not in READS | CHANGES:
            raise Forbidden(f"the method {method[:20]} is not used here; load the page again")
        client = scope.get("client")
        if client is None or not self._is_ours((client[0], client[1])):
            raise Forbidden(
                "the connection comes from another user of this machine; expected the user who "
                "started legseg-desk; start one of your own"
            )
        if any(len(headers.getlist(name)) > 1 for name in ("host", "origin", "cookie")):
            raise Forbidden("a header stands twice in the request; load the page again")
        self._access.check_source(method, path, headers)
        if path.startswith("/api/"):
            session = self._access.session(headers)
            if method in CHANGES:
                self._access.check_change(session, headers)
            scope["state"] = {**scope.get("state", {}), "session": session}


def _failed(error: Exception) -> JSONResponse:
    """A mistake of ours, or of the system."""
    message = (
        f"this could not be done ({type(error).__name__}); expected it to work; try again, and "
        "look at what legseg-desk has printed in the terminal"
    )
    return JSONResponse({"error": message}, 500)
