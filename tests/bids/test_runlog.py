from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.runlog import run_id, to_toml, write_outcomes, write_run_log

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = TEXT | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False)


@given(st.dictionaries(TEXT, st.dictionaries(TEXT, PLAIN | st.lists(TEXT)), max_size=3))
def test_toml_comes_back(sections: dict[str, dict[str, object]]) -> None:
    assert tomllib.loads(to_toml(sections)) == sections


def test_paths_are_text_and_none_is_left_out() -> None:
    found = tomllib.loads(to_toml({"run": {"out": Path("a/b"), "work": None, "ids": ("1",)}}))
    assert found == {"run": {"out": "a/b", "ids": ["1"]}}


def test_other_values_are_refused() -> None:
    with pytest.raises(TypeError, match="a dict in the run log"):
        to_toml({"run": {"x": {}}})


def test_a_log_for_each_participant_and_run(tmp_path: Path) -> None:
    runs = {run_id() for _ in range(5)}
    assert len(runs) == 5
    paths = {write_run_log(tmp_path, "01", run, {"run": {"device": "cpu"}}) for run in runs}
    assert {path.parent for path in paths} == {tmp_path / "logs/sub-01"}
    assert all(path.suffix == ".toml" for path in paths)


def test_outcomes_are_a_table_beside_the_settings(tmp_path: Path) -> None:
    rows = [("a.nii", "failed", "it is empty"), ("b.nii", "segmented", "", "look", "twice")]
    path = write_outcomes(tmp_path, "01", "x", 1, rows)
    assert path == tmp_path / "logs" / "sub-01" / "x_outcome.tsv"
    assert [line.split("\t") for line in path.read_text().splitlines()] == [
        ["image", "status", "message", "warnings", "exit_code"],
        ["a.nii", "failed", "it is empty", "n/a", "1"],
        ["b.nii", "segmented", "n/a", "look | twice", "1"],
    ]
