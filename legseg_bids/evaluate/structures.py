"""What a name of a structure covers: one label of our scheme, both sides, or a group of muscles.

Two label schemes are compared by what their numbers cover. Names of structures and their
spellings are those of the import of other tools' networks; groups are the compartments of the
label scheme and those of ``data/groups.tsv``, under the names of ``data/structure_names.tsv``.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from legseg_bids.anatomy.compartments import load_compartments
from legseg_bids.anatomy.labels import NOT_APPLICABLE, label_by_index, load_labels, mirror_index
from legseg_bids.anatomy.synonyms import meaning_of, most_alike, words_and_side

SUFFIXES = MappingProxyType({"left": "_L", "right": "_R", NOT_APPLICABLE: ""})
#: Words that say that a number is no structure.
BACKGROUND_WORDS = frozenset({"background", "ignore"})

Covered = frozenset[int]


@cache
def covered_by(name: str) -> Covered | None:
    """Labels of our scheme that a name covers.

    Parameters
    ----------
    name : str
        Of a structure or a group, as other people write it, with its side or without.

    Returns
    -------
    frozenset of int or None
        Without a side: of both; empty for the background; None if nobody knows the name.

    Examples
    --------
    >>> sorted(covered_by("quadriceps_femoris_left"))
    [55, 57, 59, 61]
    >>> sorted(covered_by("12 Peroneus longus (R)")), sorted(covered_by("Rectus femoris"))
    ([18], [61, 62])
    >>> covered_by("left elbow") is None, covered_by("Clear Label")
    (True, frozenset())
    """
    words, side = words_and_side(name)
    if not words or name.strip().isdigit():
        return None
    if words <= BACKGROUND_WORDS:
        return frozenset()
    group = _groups_by_words().get(words)
    if group is not None:
        return _of_side(group, side)
    meaning = meaning_of(name)
    if meaning is None:
        return None
    return _of_side([meaning.index], meaning.side) if meaning.index else frozenset()


def near_names(name: str) -> tuple[str, ...]:
    """Names of structures and groups that look like this one, the closest first.

    Examples
    --------
    >>> near_names("quadriseps left")[0]
    'Quadriceps'
    """
    titles = [x.name.removesuffix(" left") for x in load_labels() if x.side != "right"]
    return most_alike(name, [*titles, *_groups_by_name()], 0.6)


def key_of(members: Collection[int]) -> str:
    """Short name of what is covered, with ``_L`` or ``_R`` where it is on one side.

    Examples
    --------
    >>> key_of([55, 57, 59, 61]), key_of([61, 62]), key_of([43, 45]), key_of([151])
    ('quadriceps_L', 'RF', 'AL+AB_L', 'SAT')
    >>> key_of([61, 56])
    'VL_R+RF_L'
    """
    bases = {side: _bases(members, side) for side in SUFFIXES}
    used = [side for side, names in bases.items() if names]
    if len(used) == 1:
        return _shortest(bases[used[0]]) + SUFFIXES[used[0]]
    if used == ["left", "right"] and bases["left"] == bases["right"]:
        return _shortest(bases["left"])
    return "+".join(label_by_index(index).abbreviation for index in sorted(members))


def side_of(members: Collection[int]) -> str:
    """``left`` or ``right``; ``n/a`` for both, or what has no side.

    Examples
    --------
    >>> side_of([61]), side_of([61, 62])
    ('left', 'n/a')
    """
    sides = {label_by_index(index).side for index in members}
    return sides.pop() if len(sides) == 1 else NOT_APPLICABLE


def with_parts(covered: Iterable[Covered]) -> tuple[Covered, ...]:
    """Add to each whole the part that its scheme does not tell apart.

    Who draws no adductor minimus has drawn it with the adductor magnus. The parts are those that
    ``data/parts.tsv`` names.

    Examples
    --------
    >>> with_parts([frozenset({39}), frozenset({61})])
    (frozenset({41, 39}), frozenset({61}))
    >>> with_parts([frozenset({39}), frozenset({41})])
    (frozenset({39}), frozenset({41}))
    """
    sets = tuple(covered)
    named = frozenset().union(*sets)
    missing = {whole: part for whole, part in _parts().items() if part not in named}
    return tuple(s | {missing[whole] for whole in s if whole in missing} for s in sets)


def is_part(index: int) -> bool:
    """Whether a structure is often drawn as a part of another one.

    Examples
    --------
    >>> is_part(41), is_part(39)
    (True, False)
    """
    return index in _parts().values()


def read_data(name: str) -> list[dict[str, str]]:
    """Rows of one of this room's tab-separated tables."""
    text = resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def _of_side(left: Iterable[int], side: str) -> Covered:
    """Left or unpaired labels, on the side that a name tells, or on both."""
    both = frozenset(left)
    mirrored = frozenset(mirror_index(index) for index in both)
    return {"right": mirrored, "": both | mirrored}.get(side, both)


def _bases(members: Collection[int], side: str) -> tuple[str, ...]:
    """Abbreviations without their side, of the labels of one side, by rising label."""
    labels = (label_by_index(index) for index in sorted(members))
    suffix = SUFFIXES[side]
    return tuple(x.abbreviation.removesuffix(suffix) for x in labels if x.side == side)


def _shortest(bases: tuple[str, ...]) -> str:
    """The name of a group, if these are its members but for parts; else a list."""
    if len(bases) > 1:
        for group, members in _groups().items():
            missing = members - set(bases)
            if set(bases) <= members and all(is_part(_by_base()[base]) for base in missing):
                return group
    return "+".join(bases)


@cache
def _by_base() -> Mapping[str, int]:
    """Left and unpaired labels by their abbreviation without the side."""
    labels = (label for label in load_labels() if label.side != "right")
    return MappingProxyType({x.abbreviation.removesuffix("_L"): x.index for x in labels})


@cache
def _groups() -> Mapping[str, frozenset[str]]:
    """Members of each group, without their side."""
    bases = {index: base for base, index in _by_base().items()}
    found = {
        c.key: frozenset(bases[index] for index in c.members)
        for c in load_compartments()
        if c.side == "left"
    }
    found |= {row["group"]: frozenset(row["members"].split()) for row in read_data("groups.tsv")}
    return MappingProxyType(found)


@cache
def _groups_by_name() -> Mapping[str, Covered]:
    """Left labels of each group, by its name."""
    titles = {c.name.removesuffix(" left"): c.key for c in load_compartments() if c.side == "left"}
    titles |= {row["name"]: row["group"] for row in read_data("groups.tsv")}
    return MappingProxyType({title: _left_of(key) for title, key in titles.items()})


@cache
def _groups_by_words() -> Mapping[frozenset[str], Covered]:
    """Left labels of each group, by the words of all its names."""
    names = dict(_groups_by_name())
    names |= {key: _left_of(key) for key in _groups()}
    names |= {row["name"]: _left_of(row["structure"]) for row in read_data("structure_names.tsv")}
    return MappingProxyType({words_and_side(name)[0]: left for name, left in names.items()})


def _left_of(key: str) -> Covered:
    """Left labels of a group, or of abbreviations with a plus between them."""
    members = _groups().get(key, key.split("+"))
    return frozenset(_by_base()[base] for base in members)


@cache
def _parts() -> Mapping[int, int]:
    """Whole → part, on both sides."""
    rows = ((_by_base()[r["whole"]], _by_base()[r["part"]]) for r in read_data("parts.tsv"))
    both = {mirror_index(whole): mirror_index(part) for whole, part in rows}
    return MappingProxyType(
        {**both, **{mirror_index(w): mirror_index(p) for w, p in both.items()}}
    )
