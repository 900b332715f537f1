"""The discovery table: which words and image types mean what, and which query comes first.

All of it stands in ``data/queries.json``; this module loads it and answers two questions, from
the words of a file name and the DICOM image type: what one image shows, and which part of the
complex signal it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


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
        BIDS suffixes (`TypeWords.suffix`) that may be used, the preferred one first.
    """

    name: str
    kind: str
    description: str
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class TypeWords:
    """The last words of a file name, without those of contrast and part: kind of image.

    Attributes
    ----------
    words : str
        As in the name, as ``T1w`` or ``megre_dix``; empty where the contrast says it all.
    suffix : str
        The BIDS suffix that they stand for.
    acq : str
        Word that tells this type from the commoner one of the same suffix, for output names.
    """

    words: str
    suffix: str
    acq: str = ""

    @property
    def family(self) -> str:
        """Empty for all BIDS suffixes: images that differ in one may be of one station."""
        return "" if self.words in {"", self.suffix} else self.words


@dataclass(frozen=True)
class PartWords:
    """How one part of complex data (magnitude, phase, real, imaginary) is spelt.

    Attributes
    ----------
    exact : frozenset of str
        Words, in small letters: value of ``part-``, or last word of a name.
    image_types : frozenset of str
        Values of ``ImageType``, in capitals.
    """

    exact: frozenset[str]
    image_types: frozenset[str]


@dataclass(frozen=True)
class RoleWords:
    """How one role (opposed, in_phase, water, fat) is spelt.

    Attributes
    ----------
    pattern : re.Pattern
        Finds the role's word in a label of ``acq-`` or ``rec-``.
    excluded : re.Pattern or None
        Longer words that contain it and mean something else, as ``fatsat``.
    exact : frozenset of str
        Words, in small letters, that mean it where they stand alone: value of ``part-``, or
        last word of a name.
    image_types : frozenset of str
        Values of ``ImageType``, in capitals.
    """

    pattern: re.Pattern[str]
    excluded: re.Pattern[str] | None
    exact: frozenset[str]
    image_types: frozenset[str]


@dataclass(frozen=True)
class QueryTable:
    """The whole of ``data/queries.json``.

    Attributes
    ----------
    folders : tuple of str
        Where images are looked for, below a participant or a session.
    types : mapping of str to TypeWords
        By their words.
    not_images : frozenset of str
        Words of a name that belong to label images and the like.
    roles : mapping of str to RoleWords
        Spellings by role.
    parts : mapping of str to PartWords
        Spellings by part.
    queries : tuple of Query
        In order: the first that matches a station wins.
    metadata : tuple of str
        Sidecar keys that are handed on; none of them identifies a person.
    """

    folders: tuple[str, ...]
    types: Mapping[str, TypeWords]
    not_images: frozenset[str]
    roles: Mapping[str, RoleWords]
    parts: Mapping[str, PartWords]
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
        The labels of ``acq-`` and ``rec-`` without the word of the role, in small letters: the
        same for all images of a station.
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


def role_of(
    acquisition: str,
    image_type: Sequence[str],
    table: QueryTable,
    *,
    reconstruction: str = "",
    exact: str = "",
) -> RoleMatch:
    """Tell what an image shows from the words of its name and from its image type.

    All that speak must agree; an in-phase image named ``outphase`` is neither.

    Parameters
    ----------
    acquisition, reconstruction : str
        Values of ``acq-`` and ``rec-``, empty when absent.
    image_type : sequence of str
        DICOM ``ImageType``, empty when absent.
    exact : str
        A contrast that stands alone, as in ``part-outphase_vibe`` or ``megre_dix_outph``.

    Examples
    --------
    >>> role_of("DIXONbodyOUT", [], load_queries())
    RoleMatch(role='opposed', because="acq-DIXONbodyOUT says 'OUT'", rest='dixonbody')
    >>> role_of("fatsat", [], load_queries()).role is None
    True
    >>> role_of("dixon", ["DERIVED", "PRIMARY", "WATER"], load_queries()).because
    'ImageType says WATER'
    """
    labels = {"acq": acquisition, "rec": reconstruction}
    said = {key: _words(label, table) for key, label in labels.items() if label}
    sources = [
        {role: f"{key}-{labels[key]} says {word!r}" for role, word in words.items()}
        for key, words in said.items()
    ]
    sources.append(dict.fromkeys(_exact_roles(exact, table), f"the name says {exact!r}"))
    types = _types(image_type, table)
    sources.append({role: f"ImageType says {value}" for role, value in types.items()})
    role, because = _agreement([source for source in sources if source])
    rests = [_without(label, said[key].get(role or "")) for key, label in labels.items() if label]
    return RoleMatch(role, because, "_".join(rests))


def part_of(label: str | None, image_type: Iterable[str], table: QueryTable) -> str:
    """Tell magnitude images from phase, real and imaginary ones.

    The name decides where it says something; else the image type does; else it is a magnitude.

    Parameters
    ----------
    label : str or None
        Value of ``part-``, or last word of the name.
    image_type : iterable of str
        DICOM ``ImageType``.

    Examples
    --------
    >>> part_of(None, ["ORIGINAL", "PRIMARY", "P", "ND"], load_queries())
    'phase'
    >>> part_of("mag", ["P"], load_queries())
    'magnitude'
    """
    if label is not None and is_part(label, table):
        return next(part for part, words in table.parts.items() if label.lower() in words.exact)
    types = {value.upper() for value in image_type}
    found = (part for part, words in table.parts.items() if types & words.image_types)
    return next(found, "magnitude")


def is_part(word: str, table: QueryTable) -> bool:
    """Tell whether a word names a part of complex data."""
    return any(word.lower() in words.exact for words in table.parts.values())


def is_contrast(word: str, table: QueryTable) -> bool:
    """Tell whether a word, standing alone, names what an image shows."""
    return bool(_exact_roles(word, table))


def _exact_roles(word: str, table: QueryTable) -> list[str]:
    return [role for role, words in table.roles.items() if word.lower() in words.exact]


def _agreement(sources: Sequence[Mapping[str, str]]) -> tuple[str | None, str]:
    """The one role that all sources allow, and what says so; or what contradicts what."""
    if not sources:
        return None, ""
    agreed = set(sources[0]).intersection(*sources[1:])
    if len(agreed) == 1:
        role = agreed.pop()
        return role, " and ".join(source[role] for source in sources)
    named = sorted({role for source in sources for role in source})
    return None, f"name and ImageType contradict themselves ({', '.join(named)})"


def _words(label: str, table: QueryTable) -> dict[str, str]:
    """Roles that a label names, with the word that names each."""
    found: dict[str, str] = {}
    for role, words in table.roles.items():
        match = words.pattern.search(words.excluded.sub("", label) if words.excluded else label)
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


def _without(label: str, word: str | None) -> str:
    return (label.replace(word, "", 1) if word else label).lower()


def _table(raw: Mapping[str, Any]) -> QueryTable:
    roles = {role: _role_words(words, raw["stems"]) for role, words in raw["roles"].items()}
    queries = tuple(
        Query(q["name"], q["kind"], q["description"], tuple(q["suffixes"])) for q in raw["queries"]
    )
    return QueryTable(
        folders=tuple(raw["folders"]),
        types={
            words: TypeWords(words, row["bids"], row.get("acq", ""))
            for words, row in raw["types"].items()
        },
        not_images=frozenset(raw["not_images"]),
        roles=roles,
        parts={
            part: PartWords(frozenset(words["exact"]), frozenset(words["image_type"]))
            for part, words in raw["parts"].items()
        },
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
        frozenset(words["exact"]),
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
