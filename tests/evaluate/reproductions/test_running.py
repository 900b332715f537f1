"""Every experiment from beginning to end on a phantom, in seconds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from legseg_bids.errors import UsageError
from legseg_bids.evaluate.reproductions import running, shipped
from legseg_bids.evaluate.reproductions.experiments import Arm, Experiment, load_experiment
from legseg_bids.evaluate.reproductions.judging import Result
from legseg_bids.evaluate.reproductions.reproduce import reproduce
from legseg_bids.evaluate.reproductions.running import (
    Order,
    affordable_steps,
    begin,
    perform,
    read_result,
    shortened,
)
from legseg_bids.evaluate.reproductions.tables import COLUMNS, PEOPLE_COLUMNS
from legseg_bids.evaluate.trials import Setting, Trial

FILES = {"results.tsv", "people.tsv", "results.md", "dice.png", "slices.png"}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped networks that know the truth, on a coarse grid."""

    def right(trial: Trial, *rest: Any) -> tuple[None, SimpleNamespace]:
        return None, SimpleNamespace(labels=trial.labels)

    monkeypatch.setattr(shipped, "answer", right)
    monkeypatch.setattr(shipped, "find_models_dir", lambda models: Path())
    monkeypatch.setattr(shipped, "load_model", lambda folder, name: None)
    monkeypatch.setattr(shipped, "load_engine", lambda model, threads: None)
    coarse = Setting(pixel=4.0, slice_distance=20.0, coverage=60.0)
    monkeypatch.setattr(shipped.shipped_scores, "__defaults__", (None, coarse))


@pytest.mark.parametrize(
    "name", ["partial-labels", "spatial-channel", "classifier-tree", "resnet-bones"]
)
def test_experiment_writes_its_tables_and_figures(name: str, order: Order) -> None:
    told: list[str] = []
    written = reproduce(name, order, told.append)
    assert {path.name for path in written} == FILES
    assert all(path.stat().st_size for path in written)
    rows, people = (table(order.out / name / f) for f in ("results.tsv", "people.tsv"))
    arms = {arm.name for arm in load_experiment(name).arms}
    assert {row["arm"] for row in rows} == {row["arm"] for row in people} == arms
    assert tuple(rows[0]) == COLUMNS
    assert tuple(people[0]) == PEOPLE_COLUMNS
    assert all(0 <= float(row["dice"]) <= 1 for row in people)
    assert any("min left" in line for line in told)


def test_shipped_networks_are_an_arm(order: Order, perfect: None) -> None:
    reproduce("fat-replacement", order, lambda line: None)
    rows = table(order.out / "fat-replacement" / "results.tsv")
    mine = [row for row in rows if row["arm"] == "shipped"]
    assert {row["part"] for row in mine} == {"thigh", "leg"}
    assert {float(row["dice"]) for row in mine} == {1.0}
    assert {row["fat"] for row in mine} == {"all", "none", "mild", "severe"}


def one_arm() -> Experiment:
    return shortened(load_experiment("partial-labels"), ("fn_plus_fp", "fn"))


def test_nothing_is_computed_twice(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    first = perform(begin(one_arm(), order, lambda line: None))

    def never(*rest: Any) -> Result:
        raise AssertionError(rest)

    monkeypatch.setattr(running, "train_and_judge", never)
    assert perform(begin(one_arm(), order, lambda line: None)) == first


@pytest.mark.parametrize("damage", ["", "{", '{"arm": "fn"}'])
def test_a_damaged_result_is_computed_again_and_is_the_same(order: Order, damage: str) -> None:
    run = begin(one_arm(), order, lambda line: None)
    before = perform(run)
    run.path("fn", 0).write_text(damage)
    assert read_result(run.path("fn", 0)) is None
    after = perform(run)
    assert [r.scores for r in after] == [r.scores for r in before]


def test_an_interrupted_run_keeps_what_it_has(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = running.train_and_judge

    def stopped(run: Any, arm: Arm, seed: int) -> Result:
        if arm.name == "fn_plus_fp":
            raise KeyboardInterrupt
        return real(run, arm, seed)

    run = begin(one_arm(), order, lambda line: None)
    monkeypatch.setattr(running, "train_and_judge", stopped)
    with pytest.raises(KeyboardInterrupt):
        perform(run)
    assert [r.arm for r in running.results_of(run)] == ["fn"]
    monkeypatch.setattr(running, "train_and_judge", real)
    assert [r.arm for r in perform(run)] == ["fn", "fn_plus_fp"]


def test_more_seeds_can_be_added(order: Order) -> None:
    perform(begin(one_arm(), order, lambda line: None))
    results = perform(begin(one_arm(), replace(order, seeds=2), lambda line: None))
    assert [(r.arm, r.seed) for r in results] == [
        ("fn", 0), ("fn_plus_fp", 0), ("fn", 1), ("fn_plus_fp", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["{", '{"steps": 4, "slices": {}}'])
def test_results_of_other_people_are_not_mixed(order: Order, damage: str) -> None:
    run = begin(one_arm(), order, lambda line: None)
    (run.folder / "plan.json").write_text(damage)
    with pytest.raises(UsageError, match="other simulated people"):
        begin(one_arm(), order, lambda line: None)


def test_plan_of_a_run_stays(order: Order) -> None:
    run = begin(one_arm(), order, lambda line: None)
    plan = json.loads((run.folder / "plan.json").read_text())
    plan["steps"] = 3
    (run.folder / "plan.json").write_text(json.dumps(plan))
    assert begin(one_arm(), order, lambda line: None).steps == 3


def test_more_minutes_afford_more_steps(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0.0, 1000.0, 1.0))
    monkeypatch.setattr(running.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(running, "train_arm", lambda *rest: None)
    monkeypatch.setattr(running, "_scores", lambda *rest: [])
    bank = begin(one_arm(), order, lambda line: None).bank
    # Both lengths take a second by this clock, so that a step costs next to nothing …
    most = affordable_steps(one_arm(), bank, 10.0, 2)
    assert most == one_arm().steps
    # … and without any time for steps, a training is as short as it may be.
    assert affordable_steps(one_arm(), bank, 0.01, 2) == running.FEWEST_STEPS
