"""What the numbers of a label image mean: from the table beside it to the label scheme."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND, Label, label_by_index, load_labels
from legseg_bids.errors import UsageError
from legseg_bids.train.losses.truth import IGNORE

#: Code of what was drawn and has no number in the scheme.
OTHER = 250
#: Regions of the label scheme that belong to the part of the leg that a network knows.
REGIONS = MappingProxyType(
    {
        "upper": ("upper", "hip"),
        "lower": ("lower",),
        "hip": ("upper", "hip"),
        "whole": ("lower", "upper", "hip"),
    }
)
#: What a name may stand for beside a structure.
WORDS = MappingProxyType({"background": BACKGROUND, "other": OTHER, "ignore": IGNORE})


@dataclass(frozen=True)
class Meaning:
    """What one number of a label image is.

    Attributes
    ----------
    code : int
        Label of the left structure, 0 for background, :data:`OTHER`, or -1 for not looked at.
    side : str
        ``left``, ``right``, or empty: whichever limb it lies in.
    """

    code: int
    side: str = ""


def meaning_of(name: str, names: Mapping[str, str], where: str = "the table") -> Meaning:
    """Find a structure by what a laboratory calls it.

    Parameters
    ----------
    name : str
        A name or an abbreviation of the scheme, with its side or (if one number stands for both
        limbs) without; or a key of ``names``. Capitals and underscores do not matter.
    names : mapping of str to str
        The laboratory's own names: a name of the scheme for each, or ``background``, ``other``
        (drawn, but none of the scheme), ``ignore`` (not to be counted).
    where : str
        The file, for the message.

    Raises
    ------
    UsageError
        If nobody knows the name; the message says the nearest ones.

    Examples
    --------
    >>> meaning_of("VL_R", {}), meaning_of("vastus lateralis", {}), meaning_of("fascia lata",
    ...     {"Fascia lata": "other"})
    (Meaning(code=55, side='right'), Meaning(code=55, side=''), Meaning(code=250, side=''))
    """
    found = _found(name, names)
    if found is None:
        raise _unknown([name], names, where)
    return found


def _found(name: str, names: Mapping[str, str]) -> Meaning | None:
    """A meaning by the laboratory's names, then by those of the scheme; None if there is none."""
    wanted = _plain(_told(name, names))
    return Meaning(WORDS[wanted]) if wanted in WORDS else _known_names().get(wanted)


def _told(name: str, names: Mapping[str, str]) -> str:
    """What the recipe says that a name stands for; the name itself if it says nothing."""
    own = {_plain(key): value for key, value in names.items()}
    return own.get(_plain(name), name)


def _unknown(unknown: Sequence[str], names: Mapping[str, str], where: str) -> UsageError:
    hints = []
    for name in unknown:
        told = _told(name, names)
        near = difflib.get_close_matches(_plain(told), _known_names(), n=2, cutoff=0.5)
        hint = f" (nearest: {', '.join(near)})" if near else ""
        hints.append(f"{name!r}{f', by the recipe {told!r}' if told != name else ''}{hint}")
    words = " or ".join(repr(word) for word in WORDS)
    return UsageError(
        f"{where} names what is not in the label scheme: {'; '.join(hints)}; expected names or "
        f"abbreviations of it; say in [data.names] which they are, or {words}"
    )


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


@cache
def _known_names() -> Mapping[str, Meaning]:
    out: dict[str, Meaning] = {}
    for label in load_labels():
        code = label.index - 1 if label.side == "right" else label.index
        side = label.side if label.side in ("left", "right") else ""
        for name in (label.name, label.abbreviation):
            out[_plain(name)] = Meaning(code, side)
            if side == "left":
                out.setdefault(_without_side(name), Meaning(code))
    return MappingProxyType(out)


def _without_side(name: str) -> str:
    """``VL_L`` and ``Vastus lateralis left`` without their last word."""
    return _plain(name).rpartition(" ")[0]


def read_table(path: Path, names: Mapping[str, str]) -> dict[int, Meaning]:
    """What each number means, from the table of a label image.

    Parameters
    ----------
    path : Path
        Tab-separated, with the columns ``index`` and ``name`` of BIDS; if there is one,
        ``abbreviation`` is tried where the name is unknown.
    names : mapping of str to str
        See :func:`meaning_of`.

    Raises
    ------
    UsageError
        If it cannot be read, lacks a column, or names what nobody knows (all such names are told).
    """
    try:
        rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines(), delimiter="\t"))
        found = {int(float(row["index"])): row for row in rows}
        meanings = {number: _of_row(row, names) for number, row in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be used as a table of labels ({error!r}); expected the columns index "
            "and name, separated by tabs"
        ) from error
    if unknown := [found[number]["name"] for number, m in meanings.items() if m is None]:
        raise _unknown(unknown, names, str(path))
    return {number: meaning for number, meaning in meanings.items() if meaning is not None}


def _of_row(row: Mapping[str, str], names: Mapping[str, str]) -> Meaning | None:
    """By the name, or else by the abbreviation."""
    return _found(row["name"], names) or _found(row.get("abbreviation") or "", names)


def codes_of_limb(
    labels: NDArray[np.integer], meanings: Mapping[int, Meaning], side: str
) -> NDArray[np.int16]:
    """Codes of one limb, as those of a left one; structures of the other limb are background.

    Raises
    ------
    UsageError
        If a number is in the image and not in the table.
    """
    out = np.zeros(labels.shape, np.int16)
    for value in np.unique(labels).tolist():
        if value == BACKGROUND and value not in meanings:
            continue
        if value not in meanings:
            raise UsageError(
                f"{value} is in the image and not in its table; expected every number"
            )
        meaning = meanings[value]
        if meaning.side in ("", side):
            out[labels == value] = meaning.code
    return out


def side_of_limb(labels: NDArray[np.integer], meanings: Mapping[int, Meaning]) -> str:
    """Side that most labelled voxels of a limb name; empty if none names one."""
    votes = dict.fromkeys(("left", "right"), 0)
    values, counts = np.unique(labels, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        side = meanings.get(value, Meaning(BACKGROUND)).side
        if side:
            votes[side] += count
    if not any(votes.values()):
        return ""
    return max(votes, key=lambda side: votes[side])


def drawn_on(meanings: Iterable[Meaning], side: str) -> frozenset[int]:
    """Codes that somebody drew on one side, by the tables of a dataset."""
    return frozenset(m.code for m in meanings if m.side in ("", side))


def in_region(code: int, region: str) -> bool:
    """Whether a code is a structure whose slices belong to a region.

    Examples
    --------
    >>> in_region(55, "upper"), in_region(5, "upper"), in_region(OTHER, "upper")
    (True, False, False)
    """
    if code <= BACKGROUND or code == OTHER:
        return False
    return label_by_index(code).region in REGIONS[region]


def choose_classes(wanted: Sequence[str], drawn: Collection[int], region: str) -> tuple[int, ...]:
    """Codes of the classes, background first.

    Parameters
    ----------
    wanted : sequence of str
        Names of structures without their side, or ``("all",)``.
    drawn : collection of int
        Codes that somebody drew, for ``all``.
    region : str
        ``upper``, ``lower`` or ``whole``.

    Raises
    ------
    UsageError
        If a name is unknown, is no structure, or occurs twice.

    Examples
    --------
    >>> choose_classes(["VL", "Femur"], [], "upper")
    (0, 55, 103)
    """
    if tuple(wanted) == ("all",):
        return (BACKGROUND, *sorted(code for code in drawn if in_region(code, region)))
    codes = [meaning_of(name, {}, "the recipe (classes)").code for name in wanted]
    for name, code in zip(wanted, codes, strict=True):
        if code <= BACKGROUND or code == OTHER or codes.count(code) > 1:
            raise UsageError(
                f"classes of the recipe name {name!r}, which is no structure or is there twice; "
                "expected each structure of the label scheme once, without its side"
            )
    return (BACKGROUND, *codes)


def class_name(code: int) -> str:
    """A code in words, without its side.

    Examples
    --------
    >>> class_name(55), class_name(0), class_name(-1)
    ('Vastus lateralis', 'background', 'other structures')
    """
    if code <= BACKGROUND:
        return "background" if code == BACKGROUND else "other structures"
    label: Label = label_by_index(code)
    return label.name.removesuffix(" left")
