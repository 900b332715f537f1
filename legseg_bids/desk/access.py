"""Who may use the desk: whoever has the token of this start, in a browser on this machine.

The token is shown in the terminal and stands in a file that only its owner can read. Whoever
shows it gets a session: a cookie for the browser, and a second secret that the page sends along
with everything that changes something.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from legseg_bids.desk.refusals import Forbidden, NoSession, TooMany

BYTES = 32
"""Of chance in each secret: 256 bits."""
HEADER = "x-legseg-desk"
"""Name of the header that carries the second secret."""
MOST_SESSIONS = 100
CHANGES = frozenset({"POST", "PUT", "DELETE"})
READS = frozenset({"GET", "HEAD"})


def same(first: str, second: str) -> bool:
    """Compare two secrets in a time that does not depend on how much of them is equal."""
    return hmac.compare_digest(first.encode(errors="replace"), second.encode(errors="replace"))


class Attempts:
    """Counts wrong tries: a few at once, then one at a time.

    Parameters
    ----------
    most : int
        Wrong tries in a row that are answered at once.
    refill : float
        Seconds after which one more is.
    clock : callable
        Gives seconds.

    Examples
    --------
    >>> now = [0.0]
    >>> attempts = Attempts(1, 30, lambda: now[0])
    >>> attempts.wait()
    0.0
    >>> attempts.failed(); attempts.wait()
    30.0
    >>> now[0] = 40.0; attempts.wait()
    0.0
    """

    def __init__(
        self, most: int, refill: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._refill, self._clock = most, refill, clock
        self._left, self._since = float(most), clock()

    def wait(self) -> float:
        """Seconds until another try is answered; 0 if it is now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._since) / self._refill)
        self._since = now
        return max(0.0, 1 - self._left) * self._refill

    def failed(self) -> None:
        """Note a wrong try."""
        self.wait()
        self._left = max(0.0, self._left - 1)


@dataclass(frozen=True)
class Session:
    """What a browser got for the token: the value of its cookie, and the second secret."""

    cookie: str
    csrf: str


@dataclass
class Access:
    """The secrets of one start of the desk.

    Attributes
    ----------
    port : int
        The desk's own.
    attempts : Attempts
        Wrong tokens so far.
    token : str
        What the terminal shows.
    """

    port: int
    attempts: Attempts
    token: str = field(default_factory=lambda: secrets.token_urlsafe(BYTES), repr=False)
    _sessions: dict[str, Session] = field(default_factory=dict, repr=False)

    @property
    def cookie_name(self) -> str:
        """One for each port: browsers keep the cookies of a machine together."""
        return f"legseg-desk-{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """By which names a browser may ask for the desk."""
        return frozenset(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))

    @property
    def address(self) -> str:
        """Where the desk is, token and all."""
        return f"http://127.0.0.1:{self.port}/open?token={self.token}"

    def open(self, token: str) -> Session:
        """Begin a session for whoever has the token.

        Raises
        ------
        TooMany
            If too many wrong ones were tried before.
        Forbidden
            If it is wrong.
        """
        wait = self.attempts.wait()
        if wait:
            raise TooMany(
                f"too many wrong tokens were tried; expected the one that legseg-desk printed; "
                f"wait {wait:.0f} s and try again"
            )
        if not same(token, self.token):
            self.attempts.failed()
            raise Forbidden(
                "the address has a wrong or an old token; expected that of the running "
                "legseg-desk; open the address that it has printed in the terminal"
            )
        session = Session(secrets.token_urlsafe(BYTES), secrets.token_urlsafe(BYTES))
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session.cookie] = session
        return session

    def session(self, headers: Mapping[str, str]) -> Session:
        """The session of a request.

        Raises
        ------
        NoSession
            If it has none of this start.
        """
        cookie = _cookie(headers.get("cookie", ""), self.cookie_name)
        found = [one for key, one in self._sessions.items() if same(key, cookie)]
        if not found:
            raise NoSession(
                "this browser has no session with the running legseg-desk; expected one that was "
                "begun with its token; open the address that it has printed in the terminal"
            )
        return found[0]

    def check_change(self, session: Session, headers: Mapping[str, str]) -> None:
        """Make sure that a change was asked for by our own page.

        Raises
        ------
        Forbidden
            If the second secret is missing or wrong.
        """
        if not same(headers.get(HEADER, ""), session.csrf):
            raise Forbidden(
                f"a change was asked for without the header {HEADER}, or with a wrong one; "
                "expected that of this session; load the page again"
            )

    def check_source(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Make sure that a request was meant for the desk, and comes from its own page.

        Raises
        ------
        Forbidden
            If it names another host (a name that was made to lead here), or comes from another
            page. Only the door and the empty page may be opened from elsewhere, by a click.
        """
        host = headers.get("host", "")
        if host not in self.hosts:
            raise Forbidden(
                f"the request is for another host; expected {' or '.join(sorted(self.hosts))}; "
                "open the address that legseg-desk has printed in the terminal"
            )
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            raise _from_elsewhere()
        site = headers.get("sec-fetch-site", "none")
        clicked = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        door = path in ("/", "/open") and clicked and headers.get("sec-fetch-dest") == "document"
        if site not in ("same-origin", "none") and not door:
            raise _from_elsewhere()


def _from_elsewhere() -> Forbidden:
    return Forbidden(
        "the request comes from another page; expected the page of legseg-desk; open the address "
        "that it has printed in the terminal"
    )


def _cookie(header: str, name: str) -> str:
    """Value of a cookie; empty if there is none."""
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
