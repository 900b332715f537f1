from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from studies import measured, simulated

from legseg_bids.group.analysis import by_covariates, find_outliers, over_sessions
from legseg_bids.group.covariates import Covariate
from legseg_bids.group.findings import load_tables, write_findings
from legseg_bids.group.study import StudyBuilder


def everything(root: Path) -> tuple[Path, ...]:
    study = simulated(12, ["ses-1", "ses-2"])
    study.values["volume"][3, 0] = 9999
    people = [f"sub-{n:02d}" for n in range(12)]
    covariates = [
        Covariate("group", "group", ("a", "b"), np.array([0.0, 1] * 6)),
        Covariate("age", "age", (), np.arange(12.0)),
    ]
    findings = [*by_covariates(study, people, covariates), *over_sessions(study)]
    return write_findings(root, study, find_outliers(study), findings)


def test_every_table_and_every_column_is_described(tmp_path: Path) -> None:
    written = everything(tmp_path)
    assert [path.stem for path in written] == list(load_tables())
    for path in written:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        described = json.loads(path.with_suffix(".json").read_text())
        assert list(rows[0]) == [name for name in described if name != "Description"]
        assert rows
        for column in rows[0]:
            assert any(row[column] != "n/a" for row in rows), (path.name, column)
        assert all(
            text["Description"] for name, text in described.items() if name != "Description"
        )


def test_tables_without_rows_go_away(tmp_path: Path) -> None:
    everything(tmp_path)
    assert write_findings(tmp_path, simulated(3), [], []) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_percent_that_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    builder = StudyBuilder()
    for n in range(5):
        rows = [measured("RF_L", 0, "ses-1"), measured("RF_L", n, "ses-2")]
        builder.add(f"sub-{n}", rows)
    study = builder.build()
    (path,) = write_findings(tmp_path, study, [], over_sessions(study))
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    assert (row["percent"], row["difference"]) == ("n/a", "2")
