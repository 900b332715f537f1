"""Groups of muscles: which ones make the quadriceps, the triceps surae, and so on.

The groups stand in ``data/compartments.tsv``; they are those of the anatomical compartments of
thigh and lower leg (as in Gray's Anatomy), with the medial
compartment of the thigh called adductors. The sartorius lies in none of them, nor do the muscles
of the hip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from legseg_bids.anatomy.labels import combined_with, load_labels, read_table

SUFFIXES = MappingProxyType({"left": "_L", "right": "_R"})


@dataclass(frozen=True)
class Compartment:
    """One group of muscles on one side.

    Attributes
    ----------
    key : str
        As ``triceps_surae``.
    name : str
        For people, with the side.
    side, region : str
        ``left`` or ``right``; ``upper`` or ``lower``.
    members : tuple of int
        Label indices of all its muscles.
    required : frozenset of int
        Those without which it is not complete. A muscle that many people do not have
        (fibularis tertius), or that is a part of another one (adductor minimus), is not.
    """

    key: str
    name: str
    side: str
    region: str
    members: tuple[int, ...]
    required: frozenset[int]

    def is_complete(self, present: frozenset[int]) -> bool:
        """Whether all required muscles are there, alone or under another one's label.

        Examples
        --------
        >>> lateral = next(c for c in load_compartments() if c.key == "lateral")
        >>> lateral.is_complete(frozenset({17})), lateral.is_complete(frozenset({19}))
        (True, False)
        """
        return self.required <= present | _included(present)


@cache
def load_compartments() -> tuple[Compartment, ...]:
    """All groups, left before right.

    Examples
    --------
    >>> [c.key for c in load_compartments() if c.side == "left"]  # doctest: +NORMALIZE_WHITESPACE
    ['quadriceps', 'hamstrings', 'adductors', 'triceps_surae', 'anterior', 'lateral',
     'deep_posterior']
    """
    rows = read_table("compartments.tsv")
    keys = dict.fromkeys(row["compartment"] for row in rows)
    found = []
    for key in keys:
        own = [row for row in rows if row["compartment"] == key]
        for side, suffix in SUFFIXES.items():
            index = {row["member"]: _by_abbreviation()[row["member"] + suffix] for row in own}
            required = (index[row["member"]] for row in own if row["required"] == "true")
            name = f"{own[0]['name']} {side}"
            found.append(
                Compartment(
                    key, name, side, own[0]["region"], tuple(index.values()), frozenset(required)
                )
            )
    return tuple(found)


def _included(present: frozenset[int]) -> frozenset[int]:
    """Structures without a label of their own that these labels also cover."""
    covered = (combined_with(index) for index in present)
    return frozenset(_by_abbreviation()[name] for name in covered if name)


@cache
def _by_abbreviation() -> MappingProxyType[str, int]:
    return MappingProxyType({label.abbreviation: label.index for label in load_labels()})
