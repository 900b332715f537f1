"""Names that come from outside: which may become a file here.

The rules are those of all systems together, so that a project can be copied anywhere: nothing
that leaves its folder, that a terminal or a person would misread, or that Windows keeps for
itself.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from legseg_bids.bids.names import printable
from legseg_bids.desk.limits import Limits, load_limits
from legseg_bids.desk.refusals import Refused

#: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.I)
SPECIAL = frozenset('\\:*?"<>|')
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: control and format characters (as those that turn the direction of
writing), lone surrogates, private and unassigned ones, breaks of line and paragraph."""
LOST = "\ufffd"
"""Stands where bytes were no UTF-8."""


def safe_path(text: str, limits: Limits | None = None) -> PurePosixPath:
    """A relative path that may be made inside a folder of ours.

    Parameters
    ----------
    text : str
        With forward slashes.
    limits : Limits, optional
        How long and how deep it may be.

    Raises
    ------
    Refused
        If it is empty, absolute, too long or too deep, climbs, or holds a name that is not safe.

    Examples
    --------
    >>> safe_path("scans/leg 1.dcm").as_posix()
    'scans/leg 1.dcm'
    >>> safe_path("../leg.dcm")
    Traceback (most recent call last):
        ...
    legseg_bids.desk.refusals.Refused: path '../leg.dcm' holds '..', ...
    """
    limits = limits or load_limits()
    shown = printable(text[:80]) + ("…" if len(text) > 80 else "")
    parts = text.split("/")
    problem = (
        _too_long(text, parts, limits)
        or ("is absolute" if text.startswith("/") else "")
        or next(filter(None, (_problem(part) for part in parts)), "")
    )
    if problem:
        raise Refused(
            f"path '{shown}' {problem}, which is not allowed; expected a plain path inside the "
            "project; rename the file"
        )
    return PurePosixPath(*parts)


def _too_long(text: str, parts: list[str], limits: Limits) -> str:
    if len(text.encode(errors="surrogatepass")) > limits.name_path:
        return f"is longer than {limits.name_path} bytes"
    if any(len(part.encode(errors="surrogatepass")) > limits.name_part for part in parts):
        return f"has a name longer than {limits.name_part} bytes"
    return f"is deeper than {limits.name_depth}" if len(parts) > limits.name_depth else ""


def _problem(part: str) -> str:
    """What is wrong with one name; empty if nothing is."""
    folded = unicodedata.normalize("NFKC", part)
    if part in ("", ".", "..") or folded in (".", ".."):
        return f"holds '{printable(part)}'"
    if LOST in part or any(unicodedata.category(char) in INVISIBLE for char in part):
        return "holds a character that cannot be seen"
    found = sorted(SPECIAL & {*part, *folded}) or ["/"] * ("/" in folded)
    if found:
        return f"holds {found[0]}"
    if part != part.strip() or part.endswith("."):
        return "has a name that begins or ends with a space, or ends with a dot"
    return "has a name that Windows keeps for itself" if RESERVED.fullmatch(part) else ""


def folder_name(text: str) -> str:
    """Lower-case letters, digits and hyphens of a name, to begin the name of a folder.

    Examples
    --------
    >>> folder_name("Thighs, 2nd visit"), folder_name("腿")
    ('thighs-2nd-visit', 'project')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:30].strip("-") or "project"


def line_of_text(text: object, longest: int, what: str) -> str:
    """A text of a person, on one line, without anything that cannot be seen.

    Raises
    ------
    Refused
        If it is no text, or longer than `longest` characters.
    """
    if not isinstance(text, str) or len(text) > longest:
        raise Refused(
            f"{what} is {type(text).__name__} of {len(str(text))} characters; expected text of at "
            f"most {longest}; shorten it"
        )
    seen = (" " if unicodedata.category(c) in INVISIBLE else c for c in text)
    return " ".join("".join(seen).split())
