from __future__ import annotations

import csv
from importlib import resources

import numpy as np
import pytest

from legseg_bids.measure.trust import predict_dice


@pytest.fixture
def table() -> list[tuple[float, float]]:
    source = resources.files("legseg_bids.measure") / "data" / "predicted_dice.tsv"
    with source.open() as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [(float(row["confidence"]), float(row["dice"])) for row in rows]


def test_the_table_rises_and_stays_within_bounds(table: list[tuple[float, float]]) -> None:
    levels, dice = np.array(table).T
    assert (np.diff(levels) > 0).all()
    assert (np.diff(dice) >= 0).all()
    assert 0 <= dice[0] < 0.1
    assert 0.95 < dice[-1] <= 1
    assert (dice[levels < 0.9] < levels[levels < 0.9]).all()  # surer than right


def test_levels_of_the_table_and_between(table: list[tuple[float, float]]) -> None:
    for level, dice in table:
        assert predict_dice(level) == pytest.approx(dice)
    (low, first), (high, second) = table[4:6]
    assert predict_dice((low + high) / 2) == pytest.approx((first + second) / 2)
    assert predict_dice(0.0) == table[0][1]


@pytest.mark.parametrize("confidence", [-0.01, 1.01, float("nan")])
def test_what_is_no_probability_is_an_error(confidence: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 1"):
        predict_dice(confidence)
