"""Means, spreads and paired tests of results."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")

from scipy import stats

from legseg_bids.evaluate.reproductions.comparing import by_person, friedman, paired, rows_of
from legseg_bids.evaluate.reproductions.judging import (
    LEAST_PIXELS,
    Result,
    Score,
    from_json,
    judge,
    person_means,
    to_json,
)
from legseg_bids.evaluate.reproductions.structures import structure_set

BONES = structure_set("bones")
FATS = ("none", "mild", "severe")


def result(arm: str, seed: int, dice: list[float]) -> Result:
    """One structure of each person."""
    scores = [Score("known", n, FATS[n % 3], "bone", "femur", d) for n, d in enumerate(dice)]
    return Result(arm, seed, {"steps": 4, "seconds": 1.5}, tuple(scores))


def people(count: int, shift: float, seed: int) -> list[float]:
    values = np.random.default_rng(seed).uniform(0.3, 0.6, count)
    return [float(v) for v in values + shift]


def test_results_survive_being_written() -> None:
    one = result("unet", 1, [0.5, 0.25])
    assert from_json(to_json(one)) == one


@pytest.mark.parametrize("content", [{}, {"arm": "a", "seed": 0, "facts": {}, "scores": [[1]]}])
def test_what_is_no_result_is_an_error(content: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        from_json(content)


def test_structures_that_are_hardly_there_are_not_judged() -> None:
    truth = np.zeros((1, 20, 20), int)
    truth[0, :, :10] = 2
    truth.flat[: LEAST_PIXELS - 1] = 1
    judged = {s.name: value for s, value in judge(truth.astype(np.uint8), truth, BONES)}
    assert judged == {"femur": 1.0}


def test_what_is_missed_counts_as_zero() -> None:
    truth = np.full((1, 10, 10), 3)
    ((structure, value),) = judge(np.zeros((1, 10, 10), np.uint8), truth, BONES)
    assert (structure.name, value) == ("tibia", 0.0)


def test_means_are_of_structures_then_people() -> None:
    scores = tuple(
        Score("known", 0, "none", "bone", name, d) for name, d in (("femur", 0.2), ("tibia", 0.6))
    )
    means = person_means([Result("unet", 0, {}, scores)], "known", "bone")
    assert means == {"unet": {0: {0: pytest.approx(0.4)}}}
    assert person_means([Result("unet", 0, {}, scores)], "known", "bone", "severe") == {}


def test_paired_test_is_wilcoxons() -> None:
    first, second = people(12, 0.05, 1), people(12, 0.0, 2)
    change, p = paired(dict(enumerate(first)), dict(enumerate(second)))
    assert change == pytest.approx(np.mean(first) - np.mean(second))
    assert p == pytest.approx(stats.wilcoxon(first, second).pvalue)


def test_rows_hold_spread_of_people_and_of_seeds() -> None:
    results = [result("unet", 0, [0.4, 0.6]), result("unet", 1, [0.6, 0.8])]
    (row,) = rows_of(results, ["unet", "other"], "unet", "known", "bone", "all")
    assert (row.seeds, row.people) == (2, 2)
    assert row.dice == pytest.approx(0.6)
    assert row.sd_people == pytest.approx(math.sqrt(0.02))
    assert row.sd_seeds == pytest.approx(math.sqrt(0.02))
    assert row.difference == 0.0
    assert math.isnan(row.p)


def test_p_values_are_adjusted_over_the_arms() -> None:
    base = people(10, 0.0, 5)
    better, best = [b + 0.1 + n / 100 for n, b in enumerate(base)], [b + 0.3 for b in base]
    results = [result(a, 0, v) for a, v in (("unet", base), ("a", better), ("b", best))]
    rows = {r.arm: r for r in rows_of(results, ["unet", "a", "b"], "unet", "known", "bone", "all")}
    plain = stats.wilcoxon(better, base).pvalue
    assert rows["a"].p == pytest.approx(2 * plain)
    assert rows["b"].difference == pytest.approx(0.3)


def test_an_arm_without_the_reference_has_no_difference() -> None:
    (row,) = rows_of([result("a", 0, [0.5])], ["unet", "a"], "unet", "known", "bone", "all")
    assert math.isnan(row.difference)


def test_only_people_of_all_seeds_are_averaged() -> None:
    assert by_person({0: {1: 0.5}, 1: {2: 0.5}}) == {}


def test_friedman_needs_three_arms() -> None:
    results = [result(a, 0, people(8, shift, 3)) for a, shift in (("a", 0), ("b", 0.1))]
    assert friedman(results, "known", "bone") is None
    found = friedman([*results, result("c", 0, people(8, 0.3, 4))], "known", "bone")
    assert found is not None
    assert found[0] == 8
    assert 0 <= found[1] < 0.05
