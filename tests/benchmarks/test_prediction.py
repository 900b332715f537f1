"""The table that predicts a Dice coefficient from a mean probability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.command import main
from benchmarks.accuracy.prediction import LEVELS, answered, predicted

HEAD = "factor\tvalue\tperson\trows\tconfidence\tdice\n"


def rows(pairs: np.ndarray) -> list[dict[str, float]]:
    return [{"confidence": sure, "dice": dice} for sure, dice in pairs]


def test_a_straight_line_is_found_and_noise_does_not_make_it_fall() -> None:
    draw = np.random.default_rng(0)
    sure = draw.uniform(0.4, 1.0, 4000)
    dice = np.clip(1.5 * sure - 0.5 + draw.normal(0, 0.1, 4000), 0, 1)
    found = predicted(rows(np.column_stack([sure, dice])))
    assert np.all(np.diff(found) >= 0)
    inner = (LEVELS >= 0.5) & (LEVELS <= 0.9)
    np.testing.assert_allclose(found[inner], 1.5 * LEVELS[inner] - 0.5, atol=0.03)


def test_levels_without_a_muscle_lie_between_those_beside_them() -> None:
    found = predicted(rows(np.array([[0.5, 0.2], [0.7, 0.6]])))
    told = dict(zip(LEVELS.tolist(), found.tolist(), strict=True))
    assert told[0.35] == told[0.5] == pytest.approx(0.2)
    assert told[0.6] == pytest.approx(0.4)
    assert told[0.7] == told[1.0] == pytest.approx(0.6)


def test_muscles_that_were_not_found_and_limbs_without_one_predict_nothing() -> None:
    found = rows(np.array([[0.5, 0.2], [np.nan, 0.0]]))
    assert answered([*found, {"volume": 0.0}]) == found[:1]


def test_all_networks_tables_are_taken_together(tmp_path: Path) -> None:
    for name, sure, dice in (("thigh", 0.9, 0.8), ("hip", 0.5, 0.1)):
        text = f"{HEAD}mixed\tx\t0\t2\t{sure}\t{dice}\nmixed\tx\t0\t2\tnan\t0.0\n"
        (tmp_path / f"trust-{name}.tsv").write_text(text)
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "p.tsv")]) == 0
    lines = (tmp_path / "p.tsv").read_text().splitlines()
    assert lines[0] == "confidence\tdice"
    assert "0.50\t0.10" in lines
    assert lines[-1] == "1.00\t0.80"


def test_no_table_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "p.tsv")]) == 1
    assert "trust first" in capsys.readouterr().err
