from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest

from legseg_bids.bids.validate import find_command
from legseg_bids.errors import NoInput, OutputError
from legseg_bids.group.table import choose_row, write_group


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_one_row_for_each_participant(finish, make_row, out: Path) -> None:
    finish("sub-2_acq-out_T1w", [make_row("RF_R", 7.0)])
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0), make_row("RF_R", 6.0)])
    rows = read(write_group(out, ["1", "2", "3"]).wide)
    assert [row["participant_id"] for row in rows] == ["sub-1", "sub-2", "sub-3"]
    assert [row["RF_R_volume"] for row in rows] == ["6", "7", "n/a"]
    assert [row["RF_L_volume"] for row in rows] == ["5", "n/a", "n/a"]
    assert [row["RF_L_truncated"] for row in rows] == ["none", "n/a", "n/a"]


def test_columns_follow_the_label_scheme_and_fat_fraction_is_there_if_known(
    finish, make_row, out: Path
) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_R", 6.0), make_row("RF_L", 5.0)])
    assert list(read(write_group(out).wide)[0]) == [
        "participant_id",
        "RF_L_volume",
        "RF_L_truncated",
        "RF_R_volume",
        "RF_R_truncated",
    ]
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 5.0, mean_fat_fraction=0.25)])
    assert read(write_group(out).wide)[1]["RF_L_mean_fat_fraction"] == "0.25"


def test_sessions_have_columns_of_their_own(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    finish("sub-2_ses-a_acq-out_T1w", [make_row("RF_L", 2.0)])
    finish("sub-2_ses-b_acq-out_T1w", [make_row("RF_L", 3.0)])
    rows = read(write_group(out).wide)
    names = ["RF_L_volume", "RF_L_volume_ses-a", "RF_L_volume_ses-b"]
    assert [[row[name] for name in names] for row in rows] == [
        ["1", "n/a", "n/a"],
        ["n/a", "2", "3"],
    ]


WHOLE = {"truncated": "none", "cut_in_plane": "false", "volume": "9"}


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([{**WHOLE, "truncated": "distal", "volume": "30"}], "not truncated beats larger"),
        ([{**WHOLE, "cut_in_plane": "true", "volume": "30"}], "not cut in plane beats larger"),
        ([{**WHOLE, "volume": "3"}, {**WHOLE, "volume": "n/a"}], "larger wins"),
        ([], "alone"),
    ],
)
def test_which_measurement_counts(others: list[dict[str, str]], why: str) -> None:
    assert choose_row([*others, WHOLE]) is WHOLE, why


def test_stations_are_not_added_up(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_chunk-1_T1w", [make_row("RF_L", 40.0, truncated="proximal")])
    finish("sub-1_acq-out_chunk-2_T1w", [make_row("RF_L", 60.0, truncated="distal")])
    result = write_group(out)
    assert read(result.wide)[0]["RF_L_volume"] == "60"
    assert read(result.wide)[0]["RF_L_truncated"] == "distal"
    assert [row["volume"] for row in read(result.long)] == ["40", "60"]


def test_all_columns_are_described(finish, make_row, out: Path) -> None:
    finish("sub-1_ses-a_acq-out_T1w", [make_row("RF_L", 5.0)])
    wide = write_group(out).wide
    described = json.loads(wide.with_suffix(".json").read_text())
    assert set(read(wide)[0]) - {"participant_id"} <= set(described)
    assert described["RF_L_volume_ses-a"]["Units"] == "mL"
    assert "Rectus femoris left (ses-a)" in described["RF_L_volume_ses-a"]["Description"]


def test_a_second_write_gives_the_same_bytes(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0)])
    write_group(out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    write_group(out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_nothing_to_collect(tmp_path: Path) -> None:
    with pytest.raises(NoInput, match="run the participant level"):
        write_group(tmp_path)


def test_an_output_that_cannot_be_written(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0)])
    (out / "phenotype").write_text("in the way")
    with pytest.raises(OutputError, match="phenotype"):
        write_group(out)


@pytest.mark.skipif(find_command() is None, reason="no bids-validator-deno")
def test_the_whole_tree_is_valid_bids(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0, color="#112233")])
    finish("sub-2_ses-a_acq-out_chunk-1_T1w", [make_row("RF_R", 5.0, mean_fat_fraction=0.1)])
    write_group(out, ["1", "2", "3"])
    (out / "sub-1" / "figures").mkdir()
    (out / "sub-1" / "figures" / "sub-1_acq-out_seg-muscles_dseg.png").touch()
    (out / "logs" / "sub-1").mkdir(parents=True)
    (out / "logs" / "sub-1" / "x.toml").touch()
    command = [str(find_command()), "--format", "json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}
    assert done.returncode == 0
