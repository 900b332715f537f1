"""What is there is not computed again, and equal trials are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from benchmarks.accuracy import working
from benchmarks.accuracy.bench import Source
from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.factors import FACTORS, PLAIN
from benchmarks.accuracy.studies import STUDIES
from benchmarks.accuracy.tables import Row, Table

SOURCE = Source("thigh", Path(), Path())
CURVES = STUDIES["curves"]


class FakeBench:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def rows(self, case: Case, number: int, also: str | None = None) -> list[Row]:
        self.asked.append((case.name, number))
        return [{"fat": 0.1, "label": 55, "volume": 9.0, "found": 9.0, "dice": 0.5}]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    one = FakeBench()
    monkeypatch.setattr(working, "_begin", lambda _: None)
    monkeypatch.setattr(working, "_BENCH", [one])
    return one


def filled(path: Path, tasks: Sequence) -> Table:
    table = Table(path, CURVES.columns, {"Cases": CURVES.digests()})
    working.fill(table, "curves", tasks, None, SOURCE, workers=1)
    return table


def test_equal_trials_are_computed_once(bench: FakeBench, tmp_path: Path) -> None:
    tasks = CURVES.tasks(2)
    table = filled(tmp_path / "curves.tsv", tasks)
    assert [(r["factor"], r["value"], r["person"]) for r in table.rows] == [
        (t.factor, t.value, t.person) for t in tasks
    ]
    plain = [task for task in tasks if CURVES.same(task) == (PLAIN, 0)]
    assert {task.factor for task in plain} >= {"pixel", "noise", "stored", "slices", "child"}
    assert len(bench.asked) == len(tasks) - 2 * (len(plain) - 1)


def test_an_interrupted_benchmark_goes_on(
    bench: FakeBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = CURVES.tasks(1)
    filled(tmp_path / "curves.tsv", tasks[:5])
    before = len(bench.asked)
    table = filled(tmp_path / "curves.tsv", tasks)
    assert not set(bench.asked[before:]) & set(bench.asked[:before])
    assert len(table.rows) == len(tasks)
    assert "5 of" in capsys.readouterr().err
    filled(tmp_path / "curves.tsv", tasks)
    assert len(bench.asked) == len({CURVES.same(task) for task in tasks})


def test_more_people_need_only_those(bench: FakeBench, tmp_path: Path) -> None:
    filled(tmp_path / "curves.tsv", CURVES.tasks(1))
    before = len(bench.asked)
    filled(tmp_path / "curves.tsv", CURVES.tasks(2))
    assert {number for _, number in bench.asked[before:]} == {1}


def test_cases_have_names_of_their_own() -> None:
    for study in STUDIES.values():
        assert len(study.digests()) == len(study.cases)
    assert len({factor.name for factor in FACTORS}) == len(FACTORS)


def test_who_is_mixed_is_drawn_for_each_person() -> None:
    seen = []
    bench = SimpleNamespace(rows=lambda case, number, also: seen.append((case, also)) or [])
    study = STUDIES["trust"]
    for task in study.tasks(3):
        study.rows(bench, study.case(task), task.person, None)  # type: ignore[arg-type]
    assert len({case.setting for case, _ in seen}) == 3
    assert [also for _, also in seen] == [None, "in_phase", None]
