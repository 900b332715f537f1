"""Models against each other, and against the people who drew the reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from legseg_bids.evaluate.observations import (
    ALL,
    Metric,
    Observations,
    in_order,
    known_mean,
    load_metrics,
    with_all,
)
from legseg_bids.evaluate.outcomes import (
    FRIEDMAN,
    KENDALL_W,
    MODELS,
    OPERATORS,
    PAIR,
    Asked,
    Outcome,
    adjusted,
    independent_test,
    paired_test,
)
from legseg_bids.evaluate.paired_statistics import ALPHA, friedman, least_signed_rank
from legseg_bids.group.statistics import Floats

BY_OPERATORS = ("dice", "abs_relative_volume_error", "hd95")
"""Metrics in which models are compared with raters."""
RATERS = "operators"


def between_models(seen: Observations) -> list[Outcome]:
    """Compare all models (Friedman, from three on) and all pairs (Wilcoxon), with Holm.

    Every comparison is of participants of whom all models in question have a value, averaged
    over the same structures, sides and images.
    """
    found: list[Outcome] = []
    for metric in load_metrics().values():
        found += _overall(seen, metric)
        for pair in combinations(range(len(seen.models)), 2):
            found += _pair(seen, metric, *pair)
    return adjusted(found)


def with_operators(seen: Observations, raters: Observations) -> list[Outcome]:
    """Compare each model's error with the difference between raters, structure by structure.

    The same participants are compared in pairs if there are enough of them, otherwise those of
    the raters with other ones of the models, otherwise medians are told without a test. Several
    raters are averaged.

    Parameters
    ----------
    seen : Observations
        Models against the reference.
    raters : Observations
        A second rater against the first, evaluated in the same way.
    """
    structures = in_order(set(seen.structures) & set(raters.structures))
    found: list[Outcome] = []
    for name in BY_OPERATORS:
        metric = load_metrics()[name]
        theirs = _raters(raters, metric, structures)
        ours = _by_structure(seen, metric, structures)
        for at, model in enumerate(seen.models):
            columns = zip(
                (*structures, ALL),
                *_shared(seen, raters, ours[at], theirs),
                *_apart(seen, raters, ours[at], theirs),
                strict=True,
            )
            for structure, *values in columns:
                asked = Asked(OPERATORS, name, structure, model, model, RATERS)
                outcome = _same_or_other_people(asked, *values)
                found += [_judged(outcome, metric)] if outcome else []
    return adjusted(found)


def _overall(seen: Observations, metric: Metric) -> Iterator[Outcome]:
    if len(seen.models) < 3:
        return
    values = seen.paired(metric, range(len(seen.models)))
    for column, structure in enumerate((*seen.structures, ALL)):
        of_all = values[:, :, column].T
        of_all = of_all[np.isfinite(of_all).all(axis=1)]
        result = friedman(of_all)
        if result is not None:
            yield Outcome(
                kind=MODELS,
                metric=metric.name,
                structure=structure,
                model=", ".join(seen.models),
                first="",
                second="",
                test=FRIEDMAN,
                n=(result.n, result.n),
                medians=(np.nan, np.nan),
                means=(np.nan, np.nan),
                difference=None,
                effect=result.w,
                effect_name=KENDALL_W,
                statistic=result.statistic,
                p=result.p,
                method=result.method,
            )


def _pair(seen: Observations, metric: Metric, one: int, two: int) -> Iterator[Outcome]:
    first, second = seen.paired(metric, (one, two))
    for column, structure in enumerate((*seen.structures, ALL)):
        names = seen.models[one], seen.models[two]
        asked = Asked(PAIR, metric.name, structure, names[0], *names)
        outcome = paired_test(asked, first[:, column], second[:, column])
        if outcome is not None:
            yield outcome


def _by_structure(seen: Observations, metric: Metric, structures: tuple[str, ...]) -> Floats:
    """Participants' means, shape (models, participants, these structures)."""
    columns = [seen.structures.index(name) for name in structures]
    return seen.by_participant(seen.values(metric))[:, :, columns]


def _raters(raters: Observations, metric: Metric, structures: tuple[str, ...]) -> Floats:
    """Mean over raters, shape (participants, structures)."""
    return known_mean(_by_structure(raters, metric, structures), axis=0)


def _shared(
    seen: Observations, raters: Observations, ours: Floats, theirs: Floats
) -> tuple[Floats, Floats]:
    """Values of the participants that both have, for each structure and all that are shared.

    Returns
    -------
    ours, theirs : ndarray of float, shape (structures + 1, participants)
    """
    place = {name: at for at, name in enumerate(raters.participants)}
    common = [(at, place[name]) for at, name in enumerate(seen.participants) if name in place]
    both = np.array(common, np.intp).reshape(-1, 2).T
    first, second = ours[both[0]], theirs[both[1]]
    shared = np.isfinite(first) & np.isfinite(second)
    first, second = (with_all(np.where(shared, v, np.nan)) for v in (first, second))
    return first.T, second.T


def _apart(
    seen: Observations, raters: Observations, ours: Floats, theirs: Floats
) -> tuple[Floats, Floats]:
    """Values of the raters' participants, and of the model's other ones: independent groups."""
    other = [name not in set(raters.participants) for name in seen.participants]
    return with_all(ours[other]).T, with_all(theirs).T


def _same_or_other_people(
    asked: Asked, ours: Floats, theirs: Floats, ours_apart: Floats, theirs_apart: Floats
) -> Outcome | None:
    """Compare in pairs if there are enough, else between other people, else without a test."""
    pairs = int((np.isfinite(ours) & np.isfinite(theirs)).sum())
    if least_signed_rank(pairs) < ALPHA:
        return paired_test(asked, ours, theirs)
    apart = independent_test(asked, ours_apart, theirs_apart)
    if apart is not None and apart.p is not None:
        return apart
    return paired_test(asked, ours, theirs) or apart


def _judged(outcome: Outcome, metric: Metric) -> Outcome:
    ours, theirs = outcome.medians
    return replace(outcome, within=ours >= theirs if metric.better == "high" else ours <= theirs)
