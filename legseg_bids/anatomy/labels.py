"""The label scheme: one number, name and colour for each structure of the leg.

The scheme is that of QMRITools (label set "Legs"): left structures are odd, their right
partners are the next even number, and unpaired structures have no partner. It stands in
``data/labels.tsv``; nothing in the code repeats it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

BACKGROUND = 0
NOT_APPLICABLE = "n/a"


@dataclass(frozen=True)
class Label:
    """One structure of the label scheme.

    Attributes
    ----------
    index : int
        Value in the label image.
    name, abbreviation : str
        For people and for column names; both are unique.
    side : str
        ``left``, ``right`` or ``n/a``.
    region : str
        ``lower``, ``upper``, ``hip`` or ``n/a``.
    tissue : str
        ``muscle``, ``bone`` or ``fat``.
    color : str
        ``#rrggbb``; the right partner is a darker shade of the left one.
    atlas, musclemap, thigh_partial : int or None
        Number of the same structure in the anatomy maps that training data are made
        from; ``None`` where a map does not have it.
    """

    index: int
    name: str
    abbreviation: str
    side: str
    region: str
    tissue: str
    color: str
    atlas: int | None = None
    musclemap: int | None = None
    thigh_partial: int | None = None


@cache
def load_labels() -> tuple[Label, ...]:
    """All labels, by rising index.

    Examples
    --------
    >>> load_labels()[0].name
    'Gastrocnemius lateralis left'
    """
    return tuple(_label(row) for row in read_table("labels.tsv"))


def label_by_index(index: int) -> Label:
    """Look up the label with this value in the label image.

    Raises
    ------
    KeyError
        If the scheme has no such label.

    Examples
    --------
    >>> label_by_index(61).abbreviation
    'RF_L'
    """
    try:
        return _by_index()[index]
    except KeyError:
        raise KeyError(
            f"label {index} is not in the scheme; expected one of anatomy/data/labels.tsv"
        ) from None


def mirror_index(index: int) -> int:
    """Give the same structure on the other side; unpaired ones and background stay.

    Raises
    ------
    KeyError
        If the scheme has no such label.

    Examples
    --------
    >>> mirror_index(61), mirror_index(62), mirror_index(151), mirror_index(0)
    (62, 61, 151, 0)
    """
    if index == BACKGROUND:
        return index
    side = label_by_index(index).side
    return index + {"left": 1, "right": -1}.get(side, 0)


def structure_names(indices: Iterable[int]) -> list[str]:
    """Abbreviations of structures without their side, each once, by label.

    Parameters
    ----------
    indices : iterable of int
        Labels; background is left out.

    Examples
    --------
    >>> structure_names([0, 61, 62, 151])
    ['RF', 'SAT']
    """
    labels = [label_by_index(index) for index in sorted(indices) if index != BACKGROUND]
    return list(dict.fromkeys(unsided(label) for label in labels))


def labels_of_structures(names: Iterable[str]) -> list[Label]:
    """Labels, of either side, of structures; names that nobody knows are left out.

    Examples
    --------
    >>> [label.index for label in labels_of_structures(["RF", "SAT", "?"])]
    [61, 62, 151]
    """
    wanted = set(names)
    return [label for label in load_labels() if unsided(label) in wanted]


def unsided(label: Label) -> str:
    """Abbreviation of a structure without its side.

    Examples
    --------
    >>> unsided(label_by_index(1)), unsided(label_by_index(121))
    ('LG', 'SAC')
    """
    ending = {"left": "_L", "right": "_R"}.get(label.side, "")
    return label.abbreviation.removesuffix(ending)


def right_of(left_index: int) -> int:
    """Give the right partner of a left structure; unpaired ones and background stay.

    Raises
    ------
    KeyError
        If the scheme has no such label.
    ValueError
        If the label is itself one of the right side.

    Examples
    --------
    >>> right_of(5), right_of(151)
    (6, 151)
    """
    if left_index != BACKGROUND and label_by_index(left_index).side == "right":
        raise ValueError(
            f"label {left_index} is on the right already; expected a left or unpaired label"
        )
    return mirror_index(left_index)


def combined_with(index: int) -> str | None:
    """Name the structures that this label also covers (abbreviations), or None.

    The anatomy that the networks learn from draws fibularis longus and brevis as one
    structure, and extensor digitorum longus together with fibularis tertius
    (Andreassen et al., Scientific Data 10:34, 2023).

    Examples
    --------
    >>> combined_with(17), combined_with(5)
    ('FB_L', None)
    """
    return _combined().get(index)


@cache
def _by_index() -> Mapping[int, Label]:
    return MappingProxyType({label.index: label for label in load_labels()})


@cache
def _combined() -> Mapping[int, str]:
    rows = read_table("combined.tsv")
    return MappingProxyType({int(row["index"]): row["includes"] for row in rows})


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of one of this room's tab-separated tables.

    Parameters
    ----------
    name : str
        File name in ``data``.
    """
    text = resources.files(__package__).joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def _label(row: Mapping[str, str]) -> Label:
    return Label(
        index=int(row["index"]),
        name=row["name"],
        abbreviation=row["abbreviation"],
        side=row["side"],
        region=row["region"],
        tissue=row["tissue"],
        color=row["color"],
        atlas=_optional_int(row["atlas"]),
        musclemap=_optional_int(row["musclemap"]),
        thigh_partial=_optional_int(row["thigh_partial"]),
    )


def _optional_int(text: str) -> int | None:
    return int(text) if text else None
