"""Tables of a benchmark: interrupted ones go on, those of other weights are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.accuracy.tables import Table, Task, read_table
from legseg_bids.errors import UsageError

COLUMNS = ("factor", "value", "person", "rows", "label", "volume", "dice")
FACTS = {"Weights": {"model.onnx": "a"}, "Cases": {"band 1": "x"}}
FIRST, SECOND = Task("band", "1", 0), Task("band", "1", 1)
ROWS = [{"label": 55, "dice": 0.9}, {"label": 57, "dice": float("nan")}]


def filled(path: Path) -> Table:
    table = Table(path, COLUMNS, FACTS)
    table.add(FIRST, ROWS)
    return table


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    filled(tmp_path / "bands.tsv")
    rows = Table(tmp_path / "bands.tsv", COLUMNS, FACTS).rows
    assert [(row["label"], row["rows"]) for row in rows] == [(55, 2), (57, 2)]
    assert rows[0]["dice"] == 0.9
    assert rows[0]["value"] == "1"


@pytest.mark.parametrize("torn", [4, 12])
def test_a_task_that_was_interrupted_is_computed_again(tmp_path: Path, torn: int) -> None:
    table = filled(tmp_path / "bands.tsv")
    table.add(SECOND, ROWS)
    table.path.write_text(table.path.read_text()[:-torn])
    again = Table(tmp_path / "bands.tsv", COLUMNS, FACTS)
    assert again.done == {FIRST}
    assert len(read_table(again.path)) == 2


def test_a_task_without_rows_is_done(tmp_path: Path) -> None:
    filled(tmp_path / "bands.tsv").add(SECOND, [])
    assert Table(tmp_path / "bands.tsv", COLUMNS, FACTS).done == {FIRST, SECOND}


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({**FACTS, "Weights": {"model.onnx": "b"}}, "Weights"),
        ({**FACTS, "Cases": {"band 1": "y"}}, "case 'band 1'"),
    ],
)
def test_other_weights_are_refused_or_moved_aside(tmp_path: Path, facts: dict, named: str) -> None:
    path = filled(tmp_path / "bands.tsv").path
    with pytest.raises(UsageError, match=named):
        Table(path, COLUMNS, facts)
    assert len(read_table(path)) == 2
    new = Table(path, COLUMNS, facts, replace=True)
    assert not new.rows
    assert (tmp_path / "bands.old1.tsv.txt").read_text().count("\n") == 3
    assert json.loads(path.with_suffix(".json").read_text()) == facts


def test_further_cases_are_welcome(tmp_path: Path) -> None:
    path = filled(tmp_path / "bands.tsv").path
    table = Table(path, COLUMNS, {**FACTS, "Cases": {"band 2": "z"}})
    assert table.done == {FIRST}
    assert json.loads(path.with_suffix(".json").read_text())["Cases"] == {
        "band 1": "x",
        "band 2": "z",
    }


def test_the_order_is_that_of_the_tasks(tmp_path: Path) -> None:
    table = Table(tmp_path / "bands.tsv", COLUMNS, FACTS)
    table.add(SECOND, ROWS)
    table.add(FIRST, ROWS)
    table.finish([FIRST, SECOND])
    assert [row["person"] for row in read_table(table.path)] == [0, 0, 1, 1]
