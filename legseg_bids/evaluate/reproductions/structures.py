"""Which structures each experiment tells apart: sets of labels, in groups, from a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Structure:
    """One class of a network.

    Attributes
    ----------
    name : str
    part : str
        Group in whose mean it counts, such as ``muscle`` or ``thigh``.
    labels : tuple of int
        Left labels of the scheme that it is made of.
    """

    name: str
    part: str
    labels: tuple[int, ...]


def structure_set(name: str) -> tuple[Structure, ...]:
    """The structures of a set, in the order of the classes from 1 on.

    Raises
    ------
    KeyError
        If there is no such set.

    Examples
    --------
    >>> [s.name for s in structure_set("bones")]
    ['hip bone', 'femur', 'tibia', 'fibula']
    """
    text = resources.files(__package__).joinpath("data", "structures.tsv").read_text("utf-8")
    rows = [r for r in csv.DictReader(text.splitlines(), delimiter="\t") if r["set"] == name]
    if not rows:
        raise KeyError(name)
    return tuple(
        Structure(r["structure"], r["part"], tuple(int(n) for n in r["labels"].split(",")))
        for r in rows
    )


def class_table(structures: Sequence[Structure]) -> NDArray[np.uint8]:
    """Look-up from labels of the scheme to classes; all else is background. Shape (256,).

    Examples
    --------
    >>> class_table(structure_set("bones"))[[0, 61, 101, 103]].tolist()
    [0, 0, 1, 2]
    """
    table = np.zeros(256, np.uint8)
    for number, structure in enumerate(structures, start=1):
        table[list(structure.labels)] = number
    return table


def parts(structures: Sequence[Structure]) -> tuple[str, ...]:
    """Names of the groups, each once, in the order of the table."""
    return tuple(dict.fromkeys(s.part for s in structures))
