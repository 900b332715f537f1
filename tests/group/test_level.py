from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from legseg_bids.bids.validate import find_command
from legseg_bids.errors import NoInput, OutputError
from legseg_bids.group import figures
from legseg_bids.group.level import write_group, write_tables


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = {name: {**how, "dpi": 40} for name, how in figures.FORMATS.items()}
    monkeypatch.setattr(figures, "FORMATS", coarse)


def files(out: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.parent.name != "logs"
    }


def test_everything_is_written(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0)])
    result = write_group(out)
    for path in (result.page, result.gathered.wide, result.gathered.long, *result.figures):
        assert path.is_file()
    assert result.gathered.images == {"sub-1": 1}
    assert result.gathered.missing == ()
    assert result.findings == ()


def test_a_second_write_gives_the_same_bytes(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0)])
    write_group(out)
    before = files(out)
    write_group(out)
    assert files(out) == before


def test_the_covariates_of_the_dataset_are_used_and_not_copied(
    finish, make_row, out: Path, tmp_path: Path
) -> None:
    rows = ["participant_id\tgroup"]
    for n in range(8):
        finish(f"sub-{n}_acq-out_T1w", [make_row("RF_L", 5.0 + n)])
        rows.append(f"sub-{n}\t{'secret' if n % 2 else 'open'}")
    bids = tmp_path / "bids"
    bids.mkdir()
    (bids / "participants.tsv").write_text("\n".join(rows) + "\n")
    result = write_group(out, (), bids)
    assert [path.name for path in result.findings] == ["group_comparisons.tsv"]
    assert "secret" not in (out / "participants.tsv").read_text()


def test_who_was_expected_is_missing(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0)])
    assert write_tables(out, ["1", "sub-4"]).missing == ("sub-4",)


def test_nothing_to_collect(tmp_path: Path) -> None:
    with pytest.raises(NoInput, match="run the participant level"):
        write_group(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "sub-1" / "anat").mkdir(parents=True)
    with pytest.raises(NoInput, match="run the participant level"):
        write_group(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_output_that_cannot_be_written(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 5.0)])
    (out / "phenotype").write_text("in the way")
    with pytest.raises(OutputError, match="phenotype"):
        write_group(out)


@pytest.mark.skipif(find_command() is None, reason="no bids-validator-deno")
def test_the_whole_tree_is_valid_bids(finish, make_row, out: Path, tmp_path: Path) -> None:
    for n in range(8):
        finish(f"sub-{n}_acq-out_T1w", [make_row("RF_L", 5.0 + n % 3, color="#112233")])
    rows = [make_row("RF_R", 5.0, mean_fat_fraction=0.1)]
    finish("sub-9_ses-a_acq-out_chunk-1_T1w", rows)
    people = ["participant_id\tage\tgroup", *(f"sub-{n}\t{n + 20}\t{n % 2}" for n in range(8))]
    (tmp_path / "participants.tsv").write_text("\n".join(people) + "\n")
    result = write_group(out, ["1", "2", "x3"], tmp_path)
    assert len(result.findings) == 2
    (out / "logs" / "sub-1").mkdir(parents=True)
    (out / "logs" / "sub-1" / "x.toml").touch()
    command = [str(find_command()), "--format", "json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}
    assert done.returncode == 0
