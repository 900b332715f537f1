from __future__ import annotations

import pytest

from legseg_bids.bids.sidecars import load_columns
from legseg_bids.report.tables import (
    SPARK_HEIGHT,
    SPARK_WIDTH,
    muscle_table,
    other_table,
    shown_columns,
    sparklines,
)

OLD = {"index": "61", "name": "x", "abbreviation": "RF_L", "side": "left", "volume": "250.04"}
NEW = {
    **OLD,
    "max_csa": "1234.5",
    "mean_fat_fraction": "0.0816",
    "asymmetry": "-3.21",
    "truncated": "distal",
    "cut_in_plane": "true",
    "quality": "check",
    "quality_reasons": "truncated distal; asymmetric",
}


def texts(row: dict[str, str]) -> dict[str, str]:
    table = muscle_table([row], {})
    pairs = zip(table.columns, table.lines[0].cells, strict=True)
    return {column.key: cell.text for column, cell in pairs}


def test_numbers_are_rounded_and_have_their_units() -> None:
    shown = texts(NEW)
    assert shown["volume"] == "250.0"
    assert shown["mean_fat_fraction"] == "8.2"
    assert shown["asymmetry"] == "−3.2"
    assert shown["truncated"] == "lower end"
    units = {column.key: column.unit for column in shown_columns()}
    assert (units["volume"], units["mean_fat_fraction"]) == ("mL", "%")


def test_a_cut_at_the_edge_of_the_picture_is_told_beside_the_ends() -> None:
    column = [c.key for c in muscle_table([NEW], {}).columns].index("truncated")
    assert "edge of the picture" in muscle_table([NEW], {}).lines[0].cells[column].more
    whole = {**NEW, "truncated": "none", "cut_in_plane": "false"}
    cell = muscle_table([whole], {}).lines[0].cells[column]
    assert (cell.text, cell.kind, cell.more) == ("not cut", "", "")


def test_an_old_table_lacks_columns_and_is_shown() -> None:
    assert texts(OLD) == {"volume": "250.0"}


def test_what_nobody_knows_has_no_column_and_what_some_know_a_dash() -> None:
    table = muscle_table([NEW, {**OLD, "abbreviation": "RF_R", "max_csa": "n/a"}], {})
    keys = [column.key for column in table.columns]
    assert "length" not in keys
    cell = table.lines[1].cells[keys.index("max_csa")]
    assert (cell.text, cell.sort, cell.more) == ("–", "", "not available")


def test_quality_has_a_sign_a_word_and_its_reasons() -> None:
    cell = muscle_table([NEW], {}).lines[0].cells[0]
    assert (cell.text, cell.mark, cell.more) == ("check", "!", "truncated distal; asymmetric")


def test_names_and_colours_are_those_of_the_scheme() -> None:
    (line,) = muscle_table([{**OLD, "color": "red;} *{display:none"}], {}).lines
    assert (line.name, line.color) == ("Rectus femoris left", "#9be071")
    (line,) = muscle_table([{**OLD, "abbreviation": "NEW", "name": "A new one"}], {}).lines
    assert (line.name, line.color) == ("A new one", "")


def test_columns_say_what_the_sidecar_says_they_mean() -> None:
    own = {"volume": {"Description": "as the sidecar has it"}}
    assert muscle_table([OLD], own).columns[0].description == "as the sidecar has it"
    fallback = load_columns()["volume"]["Description"]
    assert muscle_table([OLD], {"volume": "odd"}).columns[0].description in ("", fallback)


def test_rows_of_compartments_of_two_sides_have_names_of_their_own() -> None:
    rows = [
        {"compartment": "triceps_surae", "side": side, "volume": "9", "complete": "true"}
        for side in ("left", "right")
    ]
    table = other_table("compartments", "compartment", rows, {})
    assert [line.name for line in table.lines] == ["Triceps surae", "Triceps surae"]
    assert len({line.key for line in table.lines}) == 2
    assert "yes" in [cell.text for cell in table.lines[0].cells]
    assert not other_table("limbs", "side", [], {}).lines


@pytest.mark.parametrize("rows", [[], [{"slice": "3", "csa": "2", "structure": "a"}], [{"x": ""}]])
def test_profiles_without_an_extent_have_no_line(rows: list[dict[str, str]]) -> None:
    assert sparklines(rows) == {}


def test_lines_share_one_width_and_have_their_own_height() -> None:
    rows = [
        {"structure": name, "side": "left", "slice": str(z), "csa": str(area)}
        for name, first, areas in (("a", 0, (1, 2, 1)), ("b", 2, (500, 1000, 250)))
        for z, area in enumerate(areas, start=first)
    ]
    lines = sparklines(rows)
    points = {
        key[0]: [tuple(map(float, pair.split(","))) for pair in text.split()]
        for key, text in lines.items()
    }
    assert points["a"][0][0] == 0
    assert points["b"][-1][0] == SPARK_WIDTH
    assert points["a"][-1][0] == points["b"][0][0] == SPARK_WIDTH / 2
    assert min(y for _, y in points["a"]) == min(y for _, y in points["b"])
    assert all(0 <= y <= SPARK_HEIGHT for line in points.values() for _, y in line)
    assert muscle_table([OLD], {}, [{**rows[0], "structure": "RF_L"}, rows[1]]).sparks
