"""The discovery table: which words and image types mean what, and which query comes first.

All of it stands in ``data/queries.json``; this module loads it and answers one question,
what one image shows, from its acquisition label and its DICOM image type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

KINDS = ("opposed", "echoes", "water_fat")


@dataclass(frozen=True)
class Query:
    """One way to get an opposed-phase image out of a station.

    Attributes
    ----------
    name, description : str
        For people.
    kind : str
        ``opposed`` (one image), ``echoes`` (choose by echo time) or ``water_fat``.
    suffixes : tuple of str
        BIDS suffixes that may be used, the preferred one first.
    """

    name: str
    kind: str
    description: str
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class RoleWords:
    """How one role (opposed, in_phase, water, fat) is spelt.

    Attributes
    ----------
    pattern : re.Pattern
        Finds the role's word in an acquisition label.
    excluded : re.Pattern or None
        Longer words that contain it and mean something else, as ``fatsat``.
    image_types : frozenset of str
        Values of ``ImageType``, in capitals.
    """

    pattern: re.Pattern[str]
    excluded: re.Pattern[str] | None
    image_types: frozenset[str]


@dataclass(frozen=True)
class QueryTable:
    """The whole of ``data/queries.json``.

    Attributes
    ----------
    datatypes, suffixes : tuple of str
        What is looked at, at all.
    roles : mapping of str to RoleWords
        Spellings by role.
    not_magnitude_parts, not_magnitude_types : frozenset of str
        Values of ``part-`` and of ``ImageType`` of images that are not magnitudes.
    queries : tuple of Query
        In order: the first that matches a station wins.
    metadata : tuple of str
        Sidecar keys that are handed on; none of them identifies a person.
    """

    datatypes: tuple[str, ...]
    suffixes: tuple[str, ...]
    roles: Mapping[str, RoleWords]
    not_magnitude_parts: frozenset[str]
    not_magnitude_types: frozenset[str]
    queries: tuple[Query, ...]
    metadata: tuple[str, ...]


@dataclass(frozen=True)
class RoleMatch:
    """What one image shows.

    Attributes
    ----------
    role : str or None
        ``opposed``, ``in_phase``, ``water``, ``fat``; None when unknown or contradictory.
    because : str
        What says so, or what contradicts what; empty when nothing is known.
    rest : str
        The acquisition label without the word of the role, in small letters: the same for
        all images of a station.
    """

    role: str | None
    because: str
    rest: str


@cache
def load_queries() -> QueryTable:
    """Load the table that the package ships.

    Examples
    --------
    >>> [query.kind for query in load_queries().queries]
    ['opposed', 'echoes', 'water_fat']
    """
    text = resources.files(__package__).joinpath("data", "queries.json").read_text("utf-8")
    return _table(json.loads(text))


def role_of(acquisition: str, image_type: Sequence[str], table: QueryTable) -> RoleMatch:
    """Tell what an image shows from its acquisition label and its image type.

    Where both speak they must agree; an in-phase image named ``outphase`` is neither.

    Parameters
    ----------
    acquisition : str
        Value of ``acq-``, empty when absent.
    image_type : sequence of str
        DICOM ``ImageType``, empty when absent.

    Examples
    --------
    >>> role_of("DIXONbodyOUT", [], load_queries())
    RoleMatch(role='opposed', because="acq-DIXONbodyOUT says 'OUT'", rest='dixonbody')
    >>> role_of("fatsat", [], load_queries()).role is None
    True
    >>> role_of("dixon", ["DERIVED", "PRIMARY", "WATER"], load_queries()).because
    'ImageType says WATER'
    """
    words = _words(acquisition, table)
    types = _types(image_type, table)
    agreed = (words.keys() & types.keys()) if words and types else (words.keys() | types.keys())
    if len(agreed) != 1:
        return RoleMatch(None, _contradiction(acquisition, words, types), acquisition.lower())
    role = next(iter(agreed))
    return RoleMatch(role, _because(acquisition, words.get(role), types.get(role)),
                     _without(acquisition, words.get(role)))  # fmt: skip


def is_magnitude(part: str | None, image_type: Iterable[str], table: QueryTable) -> bool:
    """Tell magnitude images from phase, real and imaginary ones.

    ``part-`` decides where it is given; else the image type does.

    Examples
    --------
    >>> is_magnitude(None, ["ORIGINAL", "PRIMARY", "P", "ND"], load_queries())
    False
    """
    if part is not None:
        return part.lower() not in table.not_magnitude_parts
    return not table.not_magnitude_types & {value.upper() for value in image_type}


def _words(acquisition: str, table: QueryTable) -> dict[str, str]:
    """Roles that the acquisition label names, with the word that names each."""
    found: dict[str, str] = {}
    for role, words in table.roles.items():
        label = words.excluded.sub("", acquisition) if words.excluded else acquisition
        match = words.pattern.search(label)
        if match:
            found[role] = match.group()
    return found


def _types(image_type: Iterable[str], table: QueryTable) -> dict[str, str]:
    """Roles that the image type names, with the value that names each."""
    found: dict[str, str] = {}
    for role, words in table.roles.items():
        hits = [value for value in image_type if value.upper() in words.image_types]
        if hits:
            found[role] = hits[0]
    return found


def _because(acquisition: str, word: str | None, image_type: str | None) -> str:
    said = [f"acq-{acquisition} says {word!r}"] if word else []
    return " and ".join(said + ([f"ImageType says {image_type}"] if image_type else []))


def _contradiction(acquisition: str, words: Mapping[str, str], types: Mapping[str, str]) -> str:
    if not words and not types:
        return ""
    named = sorted({*words, *types})
    return f"acq-{acquisition} and ImageType contradict themselves ({', '.join(named)})"


def _without(acquisition: str, word: str | None) -> str:
    return (acquisition.replace(word, "", 1) if word else acquisition).lower()


def _table(raw: Mapping[str, Any]) -> QueryTable:
    roles = {role: _role_words(words, raw["stems"]) for role, words in raw["roles"].items()}
    queries = tuple(
        Query(q["name"], q["kind"], q["description"], tuple(q["suffixes"])) for q in raw["queries"]
    )
    return QueryTable(
        datatypes=tuple(raw["datatypes"]),
        suffixes=tuple(raw["suffixes"]),
        roles=roles,
        not_magnitude_parts=frozenset(raw["not_magnitude"]["part"]),
        not_magnitude_types=frozenset(raw["not_magnitude"]["image_type"]),
        queries=queries,
        metadata=tuple(raw["metadata"]),
    )


def _role_words(words: Mapping[str, list[str]], stems: Sequence[str]) -> RoleWords:
    alternatives = [f"(?i:{re.escape(word)})" for word in words.get("anywhere", ())]
    for end, key in (("(?![a-z])", "word"), ("$", "last")):
        for word in words.get(key, ()):
            alternatives += _short_word(word, end, stems)
    excluded = "|".join(map(re.escape, words.get("not", ())))
    return RoleWords(
        re.compile("|".join(alternatives)),
        re.compile(excluded, re.IGNORECASE) if excluded else None,
        frozenset(words["image_type"]),
    )


def _short_word(word: str, end: str, stems: Sequence[str]) -> list[str]:
    """Patterns for a word too short to be looked for anywhere (``out`` is in ``scout``).

    It counts at the start of the label, after a known stem, or as a CamelCase word.
    """
    before = "|".join(["^", *(f"(?<=(?i:{stem}))" for stem in stems)])
    return [
        f"(?:{before})(?i:{word}){end}",
        f"(?<=[a-z0-9])(?:{word.upper()}|{word.capitalize()}){end}",
    ]
