"""What the desk answers where it cannot do what was asked: a class for each kind of answer."""

from __future__ import annotations

from legseg_bids.errors import LegsegError


class Refused(LegsegError):
    """Anything that is told to the page; `status` is that of HTTP, `more` goes beside the text."""

    status = 400

    def __init__(self, message: str, **more: object) -> None:
        super().__init__(message)
        self.more = more


class NoSession(Refused):
    """Nobody has shown the token yet."""

    status = 401


class Forbidden(Refused):
    """From another page, another name of this machine, or another person."""

    status = 403


class NotThere(Refused):
    """No such project, image or file."""

    status = 404


class Conflict(Refused):
    """Somebody else was quicker, or is at work."""

    status = 409


class TooLarge(Refused):
    """More than the limits allow."""

    status = 413


class Unfit(Refused):
    """It was read, and it is not what was expected."""

    status = 422


class NoRevision(Refused):
    """A change that does not say on what it was based."""

    status = 428


class TooMany(Refused):
    """Too many tries, or too much at the same time."""

    status = 429


class NoSpace(Refused):
    """The disk is full, or would be."""

    status = 507
