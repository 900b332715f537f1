"""What each model achieved, and how well its volumes agree with the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legseg_bids.evaluate.agreement_statistics import Coefficients, Limits, bland_altman, icc
from legseg_bids.evaluate.groups import Grouping
from legseg_bids.evaluate.observations import (
    ALL,
    BOTH_EMPTY,
    MUSCLES,
    PREDICTION_EMPTY,
    REFERENCE_EMPTY,
    VOLUMES,
    Metric,
    Observations,
    known_mean,
    load_metrics,
    muscles_among,
)
from legseg_bids.evaluate.paired_statistics import mean_interval
from legseg_bids.group.statistics import Floats, Interval


@dataclass(frozen=True)
class Summary:
    """One metric of one structure by one model.

    Attributes
    ----------
    model, structure, metric : str
        ``all`` structures: the mean over each participant's structures; ``muscles``: over the
        muscles alone, where there are others.
    by, group : str
        Covariate and group; empty for everybody.
    n, values : int
        Participants with a value, and structures in images behind them.
    mean : Interval or None
        Over participants; None of fewer than three.
    average, sd, median, first, third, low, high : float
        Mean, standard deviation (n − 1), median, quartiles, smallest and largest value.
    missed, spurious : int
        Structures in images that only the reference has, and that only the model has.
    """

    model: str
    structure: str
    metric: str
    by: str
    group: str
    n: int
    values: int
    mean: Interval | None
    average: float
    sd: float
    median: float
    first: float
    third: float
    low: float
    high: float
    missed: int
    spurious: int


@dataclass(frozen=True)
class Agreed:
    """Volumes of one structure by one model against the reference, cm³."""

    model: str
    structure: str
    limits: Limits
    coefficients: Coefficients | None


def summarise(seen: Observations, groupings: Sequence[Grouping] = ()) -> list[Summary]:
    """Summaries of every model, structure and metric: of everybody, then of each group."""
    found: list[Summary] = []
    everybody = np.ones(len(seen.participants), bool)
    chosen = [("", "", everybody)] + [
        (grouping.name, level, grouping.member == at)
        for grouping in groupings
        for at, level in enumerate(grouping.levels)
    ]
    for by, group, people in chosen:
        for metric in load_metrics().values():
            found += _of_metric(seen, metric, people, by, group)
    return found


def volumes(seen: Observations, model: int) -> tuple[Floats, Floats]:
    """Volumes that a model and the reference give each participant, cm³.

    Averaged over sides and images; of all structures together the sum of those that were
    compared in this participant. What neither has does not count.

    Returns
    -------
    measured, reference : ndarray of float, shape (participants, structures + 1)
    """
    both = np.stack([seen.numbers[name][model] for name in VOLUMES])
    keep = np.isfinite(both).all(axis=0) & (seen.status[model] != BOTH_EMPTY)
    means = seen.by_participant(both, keep)
    there = np.isfinite(means).any(axis=-1, keepdims=True)
    total = np.where(there, np.nansum(means, axis=-1, keepdims=True), np.nan)
    measured, reference = np.concatenate([means, total], axis=-1)
    return measured, reference


def agree(seen: Observations) -> list[Agreed]:
    """Agreement of volumes, for each model and structure, and for all structures together."""
    found = []
    for at, model in enumerate(seen.models):
        measured, reference = volumes(seen, at)
        for column, structure in enumerate((*seen.structures, ALL)):
            there = np.isfinite(measured[:, column])
            one, two = measured[there, column], reference[there, column]
            limits = bland_altman(one, two)
            if limits is not None:
                found.append(Agreed(model, structure, limits, icc(np.column_stack([one, two]))))
    return found


def _of_metric(
    seen: Observations, metric: Metric, people: NDArray[np.bool_], by: str, group: str
) -> Iterator[Summary]:
    of_all, chosen = seen.single(metric), people[seen.person]
    names, muscles = (*seen.structures, ALL), muscles_among(seen.structures)
    where = {column: chosen & (seen.structure == column) for column in range(len(names) - 1)}
    where[len(names) - 1] = chosen
    if muscles:
        of_all = np.concatenate(
            [of_all, known_mean(of_all[..., muscles], axis=-1)[..., None]], axis=-1
        )
        where[len(names)] = chosen & np.isin(seen.structure, muscles)
        names = (*names, MUSCLES)
    raw = seen.values(metric)
    for at, model in enumerate(seen.models):
        for column, structure in enumerate(names):
            known = of_all[at, people, column]
            known = known[np.isfinite(known)]
            here = where[column]
            counts = _counts(seen.status[at, here], raw[at, here])
            if len(known) or counts[1]:
                yield Summary(model, structure, metric.name, by, group, *_told(known, *counts))


def _counts(status: NDArray[np.str_], values: Floats) -> tuple[int, int, int]:
    empty = (PREDICTION_EMPTY, REFERENCE_EMPTY)
    missed, spurious = (int((status == word).sum()) for word in empty)
    return int(np.isfinite(values).sum()), missed, spurious


def _told(
    known: Floats, values: int, missed: int, spurious: int
) -> tuple[int, int, Interval | None, float, float, float, float, float, float, float, int, int]:
    n = len(known)
    if not n:
        return (0, values, None, *(np.nan,) * 7, missed, spurious)
    first, median, third = (float(q) for q in np.quantile(known, (0.25, 0.5, 0.75)))
    sd = float(known.std(ddof=1)) if n > 1 else np.nan
    ends = float(known.min()), float(known.max())
    spread = (float(known.mean()), sd, median, first, third, *ends)
    return (n, values, mean_interval(known), *spread, missed, spurious)
