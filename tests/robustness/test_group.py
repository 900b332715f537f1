"""Tables and sidecars that somebody has spoilt cost the group level nothing but themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from legseg_bids.bids.sidecars import load_columns
from legseg_bids.errors import OutputError
from legseg_bids.group.collect import participants
from legseg_bids.group.level import write_tables

SIDECAR = json.dumps({"Legseg": {"ConfigHash": "ab", "Version": "1"}}).encode()
HEADER = "\t".join(load_columns())
ROW = "\t".join("RF_L" if name == "abbreviation" else "1" for name in load_columns())
TABLE = f"{HEADER}\n{ROW}\n".encode()


def finish(root: Path, subject: str, sidecar: bytes = SIDECAR, table: bytes = TABLE) -> None:
    stem = root / f"sub-{subject}/anat/sub-{subject}_acq-out_seg-muscles_dseg"
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_name(stem.name + ".json").write_bytes(sidecar)
    stem.with_name(stem.name + ".tsv").write_bytes(table)


def rows(root: Path) -> list[dict[str, str]]:
    return [row for participant in participants(root) for row in participant.rows]


def people(root: Path) -> set[str]:
    return {row["participant_id"] for row in rows(root)}


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"a\tb\n1\t2\n",
        TABLE + b"1\t2\n",
        TABLE + ROW.encode() + b"\tmore\n",
        TABLE + b"\xff\xfe",
        TABLE.replace(b"volume", b"weight"),
        TABLE + b"x" * 200_000,
        b"\0\0\0\n\0",
    ],
    ids=range(8),
)
def test_a_spoilt_table(tmp_path: Path, table: bytes) -> None:
    finish(tmp_path, "1")
    finish(tmp_path, "2", table=table)
    found = write_tables(tmp_path)
    assert {record.participant for record in found.study.records} == {"sub-1"}
    if table:  # an empty one is that of an image without labels
        assert "sub-2_acq-out_seg-muscles_dseg.tsv cannot be used" in found.notes[0]
        assert "--overwrite" in found.notes[0]


@pytest.mark.parametrize(
    "told",
    [
        {"ConfigHash": ["ab"]},
        {"ConfigHash": 1},
        {"ConfigHash": "ab", "StationSHA256": 7},
        {"ConfigHash": "ab", "StationSHA256": ["x"]},
        {},
        [],
    ],
)
def test_a_spoilt_sidecar(tmp_path: Path, told: object) -> None:
    finish(tmp_path, "1")
    finish(tmp_path, "2", sidecar=json.dumps({"Legseg": told}).encode())
    found = write_tables(tmp_path)
    assert people(tmp_path) == {"sub-1"}
    assert "has no finished sidecar" in found.notes[0]


@pytest.mark.parametrize("sums", [{"../../x": {}}, {"a\0b": {}}, {"a" * 5000: 1}, {"sub-1": None}])
def test_stations_of_a_merged_image_that_make_no_sense(tmp_path: Path, sums: object) -> None:
    finish(tmp_path, "1")
    legseg = {"Legseg": {"ConfigHash": "ab", "StationSHA256": sums}}
    finish(tmp_path, "2", sidecar=json.dumps(legseg).encode())
    assert people(tmp_path) == {"sub-1"}


def test_tables_are_not_written_through_a_link(tmp_path: Path) -> None:
    finish(tmp_path / "out", "1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/phenotype").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="phenotype is a link to"):
        write_tables(tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_table_cannot_speak_for_another_participant(tmp_path: Path) -> None:
    table = f"participant_id\t{HEADER}\nsub-9\t{ROW}\n".encode()
    finish(tmp_path, "1", table=table)
    assert rows(tmp_path)[0]["participant_id"] == "sub-1"


def test_no_cell_breaks_its_line(tmp_path: Path) -> None:
    row = ROW.replace("RF_L", "a\x1b[2Jb\x0bc\u2028d")
    finish(tmp_path, "1", table=f"{HEADER}\n{row}\n".encode())
    text = write_tables(tmp_path).long.read_text(encoding="utf-8")
    header, *rows = text.split("\n")
    assert [line.count("\t") for line in rows[:-1]] == [header.count("\t")]
    assert all(c.isprintable() for c in text.replace("\t", "").replace("\n", ""))
