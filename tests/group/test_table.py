from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from legseg_bids.group.level import write_tables
from legseg_bids.group.structures import KINDS
from legseg_bids.group.table import LONG_FIRST, write_participants


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_one_row_for_each_participant(finish, make_row, out: Path) -> None:
    finish("sub-2_acq-out_T1w", [make_row("RF_R", 7.0)])
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0), make_row("RF_R", 6.0)])
    rows = read(write_tables(out, ["1", "2", "3"]).wide)
    assert [row["participant_id"] for row in rows] == ["sub-1", "sub-2", "sub-3"]
    assert [row["RF_R_volume"] for row in rows] == ["6", "7", "n/a"]
    assert [row["RF_L_volume"] for row in rows] == ["5", "n/a", "n/a"]
    assert [row["RF_L_truncated"] for row in rows] == ["none", "n/a", "n/a"]
    assert [row["RF_asymmetry"] for row in rows] == ["-18.1818", "n/a", "n/a"]


def test_columns_follow_the_label_scheme_and_none_is_empty(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_R", 6.0), make_row("RF_L", 5.0)])
    assert list(read(write_tables(out).wide)[0]) == [
        "participant_id", "RF_L_volume", "RF_L_truncated", "RF_R_volume", "RF_R_truncated",
        "RF_asymmetry",
    ]  # fmt: skip
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 5.0, mean_fat_fraction=0.25)])
    assert read(write_tables(out).wide)[1]["RF_L_mean_fat_fraction"] == "0.25"


def test_sessions_have_columns_of_their_own(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    finish("sub-2_ses-a_acq-out_T1w", [make_row("RF_L", 2.0)])
    finish("sub-2_ses-b_acq-out_T1w", [make_row("RF_L", 3.0)])
    rows = read(write_tables(out).wide)
    names = ["RF_L_volume", "RF_L_volume_ses-a", "RF_L_volume_ses-b"]
    assert [[row[name] for name in names] for row in rows] == [
        ["1", "n/a", "n/a"],
        ["n/a", "2", "3"],
    ]


def test_stations_are_not_added_up(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_chunk-1_T1w", [make_row("RF_L", 40.0, truncated="proximal")])
    finish("sub-1_acq-out_chunk-2_T1w", [make_row("RF_L", 60.0, truncated="distal")])
    result = write_tables(out)
    assert read(result.wide)[0]["RF_L_volume"] == "60"
    assert read(result.wide)[0]["RF_L_truncated"] == "distal"
    assert [row["volume"] for row in read(result.long)] == ["40", "60"]


def test_all_columns_are_described(finish, make_row, out: Path) -> None:
    finish("sub-1_ses-a_acq-out_T1w", [make_row("RF_L", 5.0), make_row("RF_R", 4.0)])
    result = write_tables(out)
    described = json.loads(result.wide.with_suffix(".json").read_text())
    assert set(read(result.wide)[0]) - {"participant_id"} <= set(described)
    assert described["RF_L_volume_ses-a"]["Units"] == "mL"
    assert "Rectus femoris left (ses-a)" in described["RF_L_volume_ses-a"]["Description"]
    assert described["RF_asymmetry_ses-a"]["Units"] == "%"
    of_long = json.loads(result.long.with_suffix(".json").read_text())
    assert list(read(result.long)[0]) == [name for name in of_long if name != "Description"]
    assert all(text["Description"] for name, text in of_long.items() if name != "Description")


def test_a_study_without_a_number(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", None)])
    assert read(write_tables(out).wide) == [{"participant_id": "sub-1", "RF_L_truncated": "none"}]


def test_every_kind_is_described() -> None:
    assert set(LONG_FIRST["kind"]["Levels"]) == set(KINDS)


def test_what_others_wrote_of_the_participants_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tage\timages\tsex\nsub-1\t50\t3\tF\nsub-9\tn/a\t1\tn/a\n"
                    "sub-8\t70\t1\tM\n")  # fmt: skip
    path.with_suffix(".json").write_text('{"age": {"Units": "year"}, "gone": {}, "sex": 3}')
    write_participants(tmp_path, {"sub-1": 2, "sub-2": 0})
    assert path.read_text().splitlines() == [
        "participant_id\timages\tage\tsex",
        "sub-1\t2\t50\tF",
        "sub-2\t0\tn/a\tn/a",
        "sub-8\t0\t70\tM",
    ]
    described = json.loads(path.with_suffix(".json").read_text())
    assert list(described) == ["Description", "images", "age"]
    before = path.read_bytes()
    write_participants(tmp_path, {"sub-1": 2, "sub-2": 0})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "name\nx\n", "participant_id\nsub-1\tx\n", "\0"])
def test_a_spoilt_table_of_participants_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "participants.tsv"
    path.write_text(text)
    write_participants(tmp_path, {"sub-1": 2})
    assert path.read_text() == "participant_id\timages\nsub-1\t2\n"
