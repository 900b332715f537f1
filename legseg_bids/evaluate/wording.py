"""What statistics say, in plain words, and not more than they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.evaluate.observations import ALL, PREDICTION_EMPTY, Metric, load_metrics
from legseg_bids.evaluate.outcomes import (
    GROUPS,
    MANN_WHITNEY,
    MODELS,
    OPERATORS,
    PAIR,
    Outcome,
)
from legseg_bids.evaluate.paired_statistics import (
    ALPHA,
    least_friedman,
    least_rank_sum,
    least_signed_rank,
)
from legseg_bids.group.statistics import Interval

if TYPE_CHECKING:
    from legseg_bids.evaluate.compared import Compared

MAX_SENTENCES = 12
SLOPE = 0.05
"""p-value below which a slope is mentioned."""


def p_text(p: float | None) -> str:
    """Spell a p-value.

    Examples
    --------
    >>> p_text(0.0421), p_text(1e-9), p_text(None)
    ('0.042', '< 0.001', 'n/a')
    """
    if p is None:
        return NOT_AVAILABLE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equal(p: float) -> str:
    """Spell a p-value after the letter p.

    Examples
    --------
    >>> p_equal(0.0421), p_equal(1e-9)
    ('= 0.042', '< 0.001')
    """
    return p_text(p) if p < 0.001 else f"= {p_text(p)}"


def interval_text(metric: Metric, interval: Interval | None) -> str:
    """Spell an estimate and its interval in the unit of the metric.

    Examples
    --------
    >>> interval_text(load_metrics()["dice"], Interval(0.02, 0.01, 0.03))
    '+0.020 [+0.010, +0.030]'
    """
    if interval is None:
        return NOT_AVAILABLE
    return bracketed(interval, f"+.{metric.digits}f", metric.scale)


def bracketed(interval: Interval, how: str, scale: float = 1.0) -> str:
    """Spell an estimate and its interval.

    Parameters
    ----------
    interval : Interval
    how : str
        How a number is formatted.
    scale : float
        By which all three are multiplied.

    Examples
    --------
    >>> bracketed(Interval(0.5, 0.25, 0.75), ".2f")
    '0.50 [0.25, 0.75]'
    """
    value, low, high = (
        format(scale * number, how) for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def about_models(compared: Compared) -> list[tuple[str, list[str]]]:
    """Sentences about differences between models, all structures together.

    Returns
    -------
    list of (str, list of str)
        Title and sentences; first, without a title, what the data cannot show.
    """
    if len(compared.seen.models) < 2:
        return [("", ["One model was evaluated: there is nothing to compare it with."])]
    limits = _limits_of_data(compared.tests, (MODELS, PAIR), len(compared.seen.models))
    found = [("", list(limits))]
    for name in ("dice", "hd95", "abs_relative_volume_error"):
        metric = load_metrics()[name]
        chosen = [t for t in compared.tests if t.metric == name]
        pairs = [t for t in chosen if t.kind == PAIR]
        found.append((metric.title, [*_friedman(chosen), *_pairs(metric, pairs)]))
    return found


def about_agreement(compared: Compared) -> list[str]:
    """Sentences about volumes, for each model."""
    found = []
    for agreed in (a for a in compared.agreed if a.structure == ALL):
        limits, both = agreed.limits, agreed.coefficients
        bias = _percent(limits.bias, limits.mean)
        apart = not limits.bias.low <= 0 <= limits.bias.high
        found.append(
            f"{agreed.model}: over all structures of {limits.n} participants the volume differs "
            f"from the reference by {bias} on average"
            f"{'' if apart else ', which chance alone can explain'}; for 95 % of participants "
            f"like these a difference between {_share(limits.lower.value, limits.mean)} and "
            f"{_share(limits.upper.value, limits.mean)} is expected"
            + (f". ICC(2,1) {bracketed(both.agreement, '.3f')}" if both else "")
            + "."
        )
        if limits.p_slope < SLOPE:
            grows = "grows" if limits.slope.value > 0 else "falls"
            found.append(
                f"{agreed.model}: the difference {grows} with the size by "
                f"{100 * limits.slope.value:.1f} % of it (p {p_text(limits.p_slope)}, not "
                "corrected): a single number for the bias does not describe it well."
            )
    if found:
        found.append(
            "Intraclass correlations depend on how different the participants are: the same "
            "errors give a higher value in a mixed group than in a uniform one. Limits of "
            "agreement do not."
        )
    return found


def about_operators(compared: Compared) -> list[str]:
    """Sentences about what the comparison of models and raters can show."""
    tests = [t for t in compared.tests if t.kind == OPERATORS]
    found = list(_limits_of_data(tests, (OPERATORS,)))
    if any(t.test == MANN_WHITNEY for t in tests):
        found.append(
            "Some structures were compared between different people, since too few participants "
            "were drawn by both: differences between people are in these comparisons, too."
        )
    return found


def about_groups(compared: Compared) -> list[str]:
    """Sentences about groups, for each model: Dice of all structures together."""
    metric = load_metrics()["dice"]
    tests = [t for t in compared.tests if t.kind == GROUPS and t.metric == metric.name]
    found = list(_limits_of_data(tests, (GROUPS,)))
    for outcome in (t for t in tests if t.structure == ALL):
        first, second = (metric.text(median) for median in outcome.medians)
        said = (
            f"{outcome.model}, {outcome.by}: median Dice {first} in {outcome.first} "
            f"(n = {outcome.n[0]}) and {second} in {outcome.second} (n = {outcome.n[1]}); "
            f"Cliff's δ {outcome.effect:+.2f}"
        )
        found.append(f"{said}. {_verdict(outcome, metric)}")
    if found:
        found.append(
            "Groups were not assigned by chance: what goes with them (age, body size, scanner) "
            "may be what makes the difference."
        )
    return found[: 4 * MAX_SENTENCES]


def _limits_of_data(
    tests: Sequence[Outcome], kinds: tuple[str, ...], models: int = 0
) -> Iterator[str]:
    """What so few participants cannot show, whatever they show."""
    per_structure = [t for t in tests if t.kind in kinds and t.structure != ALL]
    overall = [t for t in tests if t.kind in kinds and t.structure == ALL]
    n = max((min(t.n) for t in per_structure + overall), default=0)
    if overall and all(t.p is None for t in overall):
        yield (
            f"With {n} participants, no test can give a p-value below {ALPHA}, whatever the "
            "data: medians are shown, nothing is tested."
        )
        return
    hopeless = [t for t in per_structure if t.p is None or _least(t, models) * t.family >= ALPHA]
    if per_structure and len(hopeless) == len(per_structure):
        family = max(t.family for t in per_structure)
        yield (
            f"With {n} participants and {family} tests at once, no single structure can reach a "
            f"corrected p-value below {ALPHA}, whatever the data: read estimates and intervals "
            "there, and the tests over all structures."
        )


def _least(outcome: Outcome, models: int) -> float:
    """Smallest p-value that a test could have had."""
    if outcome.test == MANN_WHITNEY:
        return least_rank_sum(*outcome.n)
    if outcome.kind == MODELS:
        return least_friedman(outcome.n[0], models)
    return least_signed_rank(outcome.n[0])


def _friedman(tests: Sequence[Outcome]) -> Iterator[str]:
    for outcome in (t for t in tests if t.kind == MODELS and t.structure == ALL):
        if outcome.p is not None:
            differ = "The models differ" if outcome.significant else "No difference was shown"
            yield (
                f"{differ} (Friedman, {outcome.n[0]} participants, χ² = {outcome.statistic:.1f}, "
                f"p {p_equal(outcome.p)}, Kendall's W {outcome.effect:.2f})."
            )


def _pairs(metric: Metric, tests: Sequence[Outcome]) -> Iterator[str]:
    overall = [t for t in tests if t.structure == ALL]
    for outcome in overall[:MAX_SENTENCES]:
        unit = f" {metric.unit}" if metric.unit else ""
        if outcome.difference is None:
            first, second = (metric.text(median) for median in outcome.medians)
            yield (
                f"{outcome.first} {first}, {outcome.second} {second}{unit} (medians, n = "
                f"{outcome.n[0]}): too few participants for a test or an interval."
            )
            continue
        yield (
            f"{outcome.first} less {outcome.second}: "
            f"{interval_text(metric, outcome.difference)}{unit}, n = {outcome.n[0]}. "
            f"{_verdict(outcome, metric)} {_by_structure(outcome, metric, tests)}"
        ).strip()
    if len(overall) > MAX_SENTENCES:
        yield f"{len(overall) - MAX_SENTENCES} more pairs stand in the table."


def _by_structure(pair: Outcome, metric: Metric, tests: Sequence[Outcome]) -> str:
    """In how many structures the same pair differs."""
    same = [
        t for t in tests
        if t.structure != ALL and (t.first, t.second) == (pair.first, pair.second)
        and t.p is not None
    ]  # fmt: skip
    if len(same) < 2:
        return ""
    better = sum(t.significant and _is_better(t, metric) for t in same)
    worse = sum(t.significant and not _is_better(t, metric) for t in same)
    return (
        f"By structure: {pair.first} better in {better}, worse in {worse}, no difference shown "
        f"in {len(same) - better - worse} of {len(same)} (Holm over {same[0].family} tests)."
    )


def _verdict(outcome: Outcome, metric: Metric) -> str:
    if outcome.p_holm is None:
        return "Too few participants for a test."
    over = f" after Holm over {outcome.family} tests" if outcome.family > 1 else ""
    p = f"p {p_equal(outcome.p_holm)}{over}"
    if not outcome.significant:
        return f"No difference shown ({p}), which is no proof of equality."
    return f"Better: {outcome.first if _is_better(outcome, metric) else outcome.second} ({p})."


def _is_better(outcome: Outcome, metric: Metric) -> bool:
    """Whether the first has the better values."""
    return (outcome.effect > 0) == (metric.better == "high")


def _percent(interval: Interval, mean: float) -> str:
    if not mean:
        return NOT_AVAILABLE
    low, high = (_share(end, mean) for end in (interval.low, interval.high))
    return f"{_share(interval.value, mean)} [{low}, {high}]"


def _share(value: float, mean: float) -> str:
    return f"{100 * value / mean:+.1f} %" if mean else NOT_AVAILABLE


def about_data(compared: Compared) -> list[str]:
    """What a reader must know of the data before anything else."""
    seen, found = compared.seen, []
    there = seen.status != ""
    counts = there.sum(axis=1)
    if len(set(counts.tolist())) > 1:
        told = ", ".join(f"{m} {n}" for m, n in zip(seen.models, counts.tolist(), strict=True))
        found.append(
            f"Models were not evaluated on the same structures of the same images ({told}): "
            "tables of single models are not comparable, comparisons use what they share."
        )
    if len(seen.participants) < 10:
        found.append(
            f"{len(seen.participants)} participants: means and intervals of so few say little "
            "about others."
        )
    lost = np.array([(row == PREDICTION_EMPTY).sum() for row in seen.status])
    if lost.any():
        told = ", ".join(f"{m} {n}" for m, n in zip(seen.models, lost.tolist(), strict=True) if n)
        found.append(
            f"Structures that a model did not find at all: {told}. Their Dice is 0; distances do "
            "not exist and are left out, which favours a model that misses what is difficult."
        )
    return [*found, *compared.groupings.notes]
