"""Dice of every structure of every test person, and their means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.evaluate.overlap import dice
from legseg_bids.evaluate.reproductions.structures import Structure

#: Structures with fewer pixels than this in all slices of a person are not judged.
LEAST_PIXELS = 30
#: Test people of all degrees of fat together.
ALL = "all"


@dataclass(frozen=True)
class Score:
    """One structure of one person.

    Attributes
    ----------
    test : str
        Split of the bank: ``known`` or ``new``.
    person : int
    fat : str
        Key of :data:`.bank.FAT`.
    part, structure : str
    dice : float
        Over all slices of the person.
    """

    test: str
    person: int
    fat: str
    part: str
    structure: str
    dice: float


@dataclass(frozen=True)
class Result:
    """One training of one arm: what it cost and how it answered."""

    arm: str
    seed: int
    facts: Mapping[str, float]
    scores: tuple[Score, ...]


def to_json(result: Result) -> dict[str, Any]:
    """As it is written."""
    rows = [list(asdict(score).values()) for score in result.scores]
    return {"arm": result.arm, "seed": result.seed, "facts": dict(result.facts), "scores": rows}


def from_json(content: Mapping[str, Any]) -> Result:
    """As :func:`to_json` wrote it.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is something else.
    """
    scores = tuple(Score(*row) for row in content["scores"])
    return Result(str(content["arm"]), int(content["seed"]), dict(content["facts"]), scores)


def judge(
    found: NDArray[np.uint8], truth: NDArray[Any], structures: Sequence[Structure]
) -> list[tuple[Structure, float]]:
    """Dice of the structures that a person has enough of.

    Parameters
    ----------
    found, truth : ndarray of int, shape (n, y, x)
        Classes in all slices of the person.
    structures : sequence of Structure
        Classes 1, 2, …
    """
    out = []
    for number, structure in enumerate(structures, start=1):
        there = truth == number
        if int(there.sum()) >= LEAST_PIXELS:
            out.append((structure, dice(found == number, there)))
    return out


def person_means(
    results: Iterable[Result], test: str, part: str, fat: str = ALL
) -> dict[str, dict[int, dict[int, float]]]:
    """Mean Dice over the structures of a group: arm → seed → person → mean."""
    out: dict[str, dict[int, dict[int, float]]] = {}
    for result in results:
        values: dict[int, list[float]] = {}
        for s in result.scores:
            if s.test == test and s.part == part and fat in (ALL, s.fat):
                values.setdefault(s.person, []).append(s.dice)
        means = {person: float(np.mean(v)) for person, v in values.items()}
        if means:
            out.setdefault(result.arm, {})[result.seed] = means
    return out
