"""Other people's names of the structures of the leg, and ours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from legseg_bids.anatomy.labels import (
    BACKGROUND,
    NOT_APPLICABLE,
    Label,
    load_labels,
    mirror_index,
    read_table,
)

SIDES = {"left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right"}
FILLERS = {"muscle", "musculus", "m", "head", "caput", "of", "the", "and"}
NEAR = 3


@dataclass(frozen=True)
class Meaning:
    """What a name stands for.

    Attributes
    ----------
    index : int
        Label of the scheme: the left one of a pair, one without a partner, or 0.
    side : str
        ``left`` or ``right`` if the name says so, ``n/a`` for what has no side, else empty.
    """

    index: int
    side: str = ""

    @property
    def sided(self) -> int:
        """The label on the side that the name tells; the left one if it tells none."""
        return mirror_index(self.index) if self.side == "right" else self.index


def meaning_of(name: str) -> Meaning | None:
    """Find a name, an abbreviation or an index of our scheme, in other people's spelling.

    Parameters
    ----------
    name : str
        Such as ``Lateral gastrocnemius``, ``vastus_lateralis_right``, ``RF_L`` or ``61``.

    Returns
    -------
    Meaning or None
        ``None`` if nobody knows it.

    Examples
    --------
    >>> meaning_of("12 Peroneus longus (R)"), meaning_of("Subcutanious fat")
    (Meaning(index=17, side='right'), Meaning(index=151, side='n/a'))
    >>> meaning_of("61"), meaning_of("left elbow")
    (Meaning(index=61, side='left'), None)
    """
    if name.strip().isdigit():
        return _by_index().get(int(name))
    key, side = words_and_side(name)
    found = _by_key().get(key)
    return found if found is None or found.side else Meaning(found.index, side)


def near_misses(name: str) -> tuple[str, ...]:
    """Names of our scheme that look like this one, the closest first.

    Examples
    --------
    >>> near_misses("vastus latralis")[0]
    'Vastus lateralis'
    """
    return most_alike(name, map(_without_side, load_labels()), 0.5)


def most_alike(name: str, titles: Iterable[str], cutoff: float) -> tuple[str, ...]:
    """Those of some titles whose words look like the words of a name, the closest first.

    Parameters
    ----------
    name : str
        With its side or without.
    titles : iterable of str
    cutoff : float
        How alike they must be, 0 … 1, see :func:`difflib.get_close_matches`.

    Examples
    --------
    >>> most_alike("soleos left", ["Soleus", "Sartorius"], 0.6)
    ('Soleus',)
    """
    known = {_spelt(title): title for title in titles}
    near = difflib.get_close_matches(_spelt(name), known, NEAR, cutoff)
    return tuple(known[key] for key in near)


@cache
def _by_index() -> Mapping[int, Meaning]:
    known = {label.index: _meaning(label) for label in load_labels()}
    return MappingProxyType({BACKGROUND: Meaning(BACKGROUND, NOT_APPLICABLE), **known})


@cache
def _by_key() -> Mapping[frozenset[str], Meaning]:
    """Full names and abbreviations without their side."""
    known = {frozenset({"background"}): Meaning(BACKGROUND, NOT_APPLICABLE)}
    for label in load_labels():
        if label.side != "right":
            meaning = Meaning(label.index, NOT_APPLICABLE if label.side == NOT_APPLICABLE else "")
            for name in (label.name, label.abbreviation):
                known[words_and_side(name)[0]] = meaning
    return MappingProxyType(known)


def _meaning(label: Label) -> Meaning:
    left = mirror_index(label.index) if label.side == "right" else label.index
    return Meaning(left, label.side)


def _without_side(label: Label) -> str:
    return label.name.removesuffix(" left").removesuffix(" right")


def _spelt(name: str) -> str:
    """The words of a name that matter, in one order."""
    return " ".join(sorted(words_and_side(name)[0]))


def words_and_side(name: str) -> tuple[frozenset[str], str]:
    """The words of a name that matter, in our spelling, and its side.

    Examples
    --------
    >>> words, side = words_and_side("M. peroneus longus (R)")
    >>> sorted(words), side
    (['fibularis', 'longus'], 'right')
    """
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).split()
    if len(words) > 1 and words[0].isdigit():
        words = words[1:]
    sides = {SIDES[word] for word in words if word in SIDES}
    kept = " ".join(word for word in words if word not in SIDES and word not in FILLERS)
    for found, meant in _synonyms():
        kept = re.sub(rf"\b{found}\b", meant, kept)
    return frozenset(kept.split()), sides.pop() if len(sides) == 1 else ""


@cache
def _synonyms() -> tuple[tuple[str, str], ...]:
    """Spellings and what they mean, longest first."""
    pairs = [(row["found"], row["meant"]) for row in read_table("synonyms.tsv")]
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))
