"""What the requests have in common: the desk, the project, bodies that are JSON, answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from legseg_bids.desk.core import Desk
from legseg_bids.desk.project import Project
from legseg_bids.desk.refusals import Refused, TooLarge


def desk_of(request: Request) -> Desk:
    """The desk that a request is for."""
    desk: Desk = request.app.state.desk
    return desk


def project_of(request: Request) -> Project:
    """The project that a request names.

    Raises
    ------
    NotThere
        If there is none.
    """
    return desk_of(request).project(request.path_params["id"])


async def json_of(request: Request) -> dict[str, Any]:
    """The body of a request, a JSON object; an empty one is an empty object.

    Raises
    ------
    TooLarge
        If it is too large.
    Refused
        If it is something else.
    """
    most = desk_of(request).limits.request_json
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise TooLarge(f"the request is larger than {most} bytes; expected a short one")
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refused(f"the request is no JSON ({error}); load the page again") from error
    if not isinstance(content, dict):
        raise Refused("the request is no JSON object; expected one; load the page again")
    return content


def switches(given: object, known: Mapping[str, bool]) -> dict[str, bool]:
    """Options that are on or off.

    Raises
    ------
    Refused
        If one is unknown, or neither on nor off.

    Examples
    --------
    >>> switches({"reports": False}, {"reports": True, "validate": True})
    {'reports': False, 'validate': True}
    """
    chosen = {} if given is None else given
    if not isinstance(chosen, Mapping):
        raise Refused("options are no JSON object; expected one; load the page again")
    for key, value in chosen.items():
        if key not in known or not isinstance(value, bool):
            raise Refused(
                f"option {str(key)[:40]!r} cannot be set like that; expected true or false for "
                f"one of {', '.join(known)}"
            )
    return {**known, **chosen}


def whole_number(request: Request, header: str) -> int | None:
    """The whole number in a header, perhaps in quotes; None if there is none."""
    text = request.headers.get(header, "").strip().strip('"')
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def told(content: object, status: int = 200) -> JSONResponse:
    """An answer as JSON."""
    return JSONResponse(content, status)
