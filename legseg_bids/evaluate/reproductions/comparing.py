"""Means over people and seeds, and paired tests between arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from legseg_bids.evaluate.reproductions.judging import ALL, Result, person_means
from legseg_bids.group.statistics import MIN_PAIRS, holm

#: seed → person → mean Dice
BySeed = Mapping[int, Mapping[int, float]]


@dataclass(frozen=True)
class Row:
    """One line of the table of results.

    Attributes
    ----------
    arm, test, part, fat : str
    seeds, people : int
    dice : float
        Mean over seeds and people.
    sd_people : float
        Standard deviation of the people's means over seeds.
    sd_seeds : float
        Standard deviation of the seeds' means over people; NaN for one seed.
    difference : float
        To the arm of reference, mean over people.
    p : float
        Wilcoxon's signed-rank test of the people's means against the arm of reference, adjusted
        by Holm over the arms; NaN for that arm itself and for fewer than five people.
    """

    arm: str
    test: str
    part: str
    fat: str
    seeds: int
    people: int
    dice: float
    sd_people: float
    sd_seeds: float
    difference: float
    p: float


def by_person(values: BySeed) -> dict[int, float]:
    """Mean over the seeds of each person whom all seeds have.

    Examples
    --------
    >>> by_person({0: {1: 0.5, 2: 0.8}, 1: {1: 0.7}})
    {1: 0.6}
    """
    everyone = sorted(set.intersection(*(set(v) for v in values.values())))
    return {p: float(np.mean([v[p] for v in values.values()])) for p in everyone}


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[float, float]:
    """Mean difference of the people whom both have, and p of Wilcoxon's test.

    Examples
    --------
    >>> paired({1: 0.5, 2: 0.75}, {1: 0.25, 2: 0.75, 3: 1.0})
    (0.125, nan)
    """
    both = sorted(set(first) & set(second))
    change = np.array([first[p] - second[p] for p in both])
    if not len(both):
        return float("nan"), float("nan")
    if len(both) < MIN_PAIRS or not np.any(change):
        return float(change.mean()), float("nan")
    return float(change.mean()), float(stats.wilcoxon(change).pvalue)


def spread(values: Sequence[float]) -> float:
    """Standard deviation; NaN for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def rows_of(
    results: Sequence[Result], arms: Sequence[str], reference: str, test: str, part: str, fat: str
) -> list[Row]:
    """One row for each arm that has results."""
    means = person_means(results, test, part, fat)
    people = {arm: by_person(means[arm]) for arm in arms if arm in means}
    pairs = {
        arm: paired(people[arm], people[reference]) if reference in people else (np.nan, np.nan)
        for arm in people
    }
    tested = [arm for arm in pairs if arm != reference and np.isfinite(pairs[arm][1])]
    adjusted = dict(zip(tested, holm([pairs[arm][1] for arm in tested]), strict=True))
    return [
        Row(
            arm=arm,
            test=test,
            part=part,
            fat=fat,
            seeds=len(means[arm]),
            people=len(own),
            dice=float(np.mean(list(own.values()))) if own else float("nan"),
            sd_people=spread(list(own.values())),
            sd_seeds=spread([float(np.mean(list(v.values()))) for v in means[arm].values()]),
            difference=float(pairs[arm][0]),
            p=float(adjusted.get(arm, np.nan)),
        )
        for arm, own in people.items()
    ]


def friedman(results: Sequence[Result], test: str, part: str) -> tuple[int, float] | None:
    """Friedman's test of all arms that share people: number of people and p.

    None with fewer than three arms or five people.
    """
    people = [by_person(v) for v in person_means(results, test, part, ALL).values()]
    everyone = sorted(set.intersection(*(set(p) for p in people))) if people else []
    if len(people) < 3 or len(everyone) < MIN_PAIRS:
        return None
    return len(everyone), float(
        stats.friedmanchisquare(*([p[e] for e in everyone] for p in people)).pvalue
    )
