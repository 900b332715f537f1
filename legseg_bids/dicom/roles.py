"""Roles: what an image is taken as, by which name, and what must be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from legseg_bids.dicom.contrasts import CONTRASTS, UNCLEAR, read_table
from legseg_bids.dicom.found import Found
from legseg_bids.imaging.dixon import choose_opposed_echo

LEAVE_OUT = "leave_out"
ASK = "?"
ECHOES: Mapping[str, str] = MappingProxyType(
    {
        "magnitude": "echo",
        "phase": "echo_phase",
        "real": "echo_real",
        "imaginary": "echo_imaginary",
    }
)
FEWEST_SLICES = 3


@dataclass(frozen=True)
class Role:
    """One line of ``data/roles.tsv``.

    Attributes
    ----------
    name : str
        As in the mapping file.
    acq : str
        Its word in ``acq-``.
    suffix : str
        Of BIDS.
    part : str
        Value of ``part-``, empty for images that are not complex.
    meaning : str
        For people.
    """

    name: str
    acq: str
    suffix: str
    part: str
    meaning: str


@dataclass(frozen=True)
class Guess:
    """What is proposed for an image.

    Attributes
    ----------
    role : str
        A role, or ``?``.
    guess : str
        What it probably is, where it must be asked.
    question : str
        What must be answered, or why it is left out; else empty.
    """

    role: str
    guess: str = ""
    question: str = ""


@cache
def load_roles() -> Mapping[str, Role]:
    """All roles by name.

    Examples
    --------
    >>> load_roles()["opposed"].acq, load_roles()["echo_phase"].part
    ('outphase', 'phase')
    """
    return MappingProxyType(
        {
            row["role"]: Role(row["role"], row["acq"], row["suffix"], row["part"], row["meaning"])
            for row in read_table("roles.tsv")
        }
    )


def guess_role(image: Found, echoes: int) -> Guess:
    """Propose a role from the headers; what they do not say is asked.

    Parameters
    ----------
    image : Found
        The image.
    echoes : int
        How many echo times its series has on the same grid.
    """
    facts = image.facts
    if image.problem or image.grid is None:
        return Guess(LEAVE_OUT, question=f"left out: {image.problem}")
    unwanted = _unwanted(image)
    if unwanted:
        return Guess(LEAVE_OUT, question=f"left out: {unwanted}")
    if facts.shows == UNCLEAR:
        return Guess(ASK, "", f"{facts.because}; which is right?")
    if facts.shows in CONTRASTS and facts.part == "magnitude":
        return _of_contrast(image)
    return _of_echo(image, echoes)


def _unwanted(image: Found) -> str:
    """Why nobody would want it, or nothing."""
    facts, grid = image.facts, image.grid
    assert grid is not None
    if facts.shows == "localizer":
        return f"a localizer ({facts.because})"
    if facts.shows == "other":
        return f"a map or a computed view ({facts.because})"
    if grid.shape[2] < FEWEST_SLICES:
        return f"too few slices ({grid.shape[2]}; expected {FEWEST_SLICES} at least)"
    if facts.shows in CONTRASTS and facts.part != "magnitude":
        return f"the {facts.part} of a reconstructed image"
    spin = "SE" in facts.sequence or "IR" in facts.sequence
    if facts.shows not in CONTRASTS and spin and "GR" not in facts.sequence:
        return "a spin echo without water and fat"
    return ""


def _of_contrast(image: Found) -> Guess:
    shows = image.facts.shows
    if "SE" in image.facts.sequence and "GR" not in image.facts.sequence:
        text = (
            f"{shows}, but of a spin echo, while the networks know gradient echoes; "
            f"{shows} or {LEAVE_OUT}?"
        )
        return Guess(ASK, LEAVE_OUT, text)
    return Guess(shows)


def _of_echo(image: Found, echoes: int) -> Guess:
    """An image that does not say what it shows: an echo of several, or a question."""
    facts = image.facts
    role = ECHOES[facts.part]
    gradient = "GR" in facts.sequence
    timed = facts.echo_time is not None and facts.field_strength is not None
    if gradient and timed and echoes > 1:
        return Guess(role)
    if facts.part != "magnitude":
        return Guess(LEAVE_OUT, question=f"left out: {facts.part} without several echoes")
    if gradient and timed:
        return _by_time(image)
    if facts.shows == "dixon" or gradient or echoes > 1:
        return Guess(ASK, "", f"the headers do not say what it shows; {_choices()}?")
    return Guess(LEAVE_OUT, question="left out: neither a gradient echo nor a Dixon image")


def _by_time(image: Found) -> Guess:
    """A gradient echo alone: its time tells whether it is worth a question."""
    facts = image.facts
    assert facts.echo_time is not None
    assert facts.field_strength is not None
    told = f"TE {facts.echo_time * 1e3:.2f} ms at {facts.field_strength:g} T"
    try:
        choose_opposed_echo([facts.echo_time], facts.field_strength)
    except ValueError:
        if facts.shows != "dixon":
            return Guess(LEAVE_OUT, question=f"left out: one gradient echo, {told}")
        return Guess(ASK, "", f"the headers do not say what it shows ({told}); {_choices()}?")
    text = f"the headers do not say what it shows; {told} is opposed phase; {_choices()}?"
    return Guess(ASK, "opposed", text)


def _choices() -> str:
    return ", ".join(CONTRASTS) + f" or {LEAVE_OUT}"
