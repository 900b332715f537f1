"""The pages' tables are those that the command wrote."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from legseg_bids.errors import UsageError
from legseg_bids.evaluate.reproductions.experiments import experiment_names, load_experiment
from legseg_bids.evaluate.reproductions.judging import ALL
from legseg_bids.evaluate.reproductions.reproduce import update_page
from legseg_bids.evaluate.reproductions.running import ALL_TESTS
from legseg_bids.evaluate.reproductions.structures import parts, structure_set
from legseg_bids.evaluate.reproductions.tables import COLUMNS, MARKS, inserted

DOCS = Path(__file__).parents[3] / "docs"


def page(name: str) -> str:
    return (DOCS / "reproductions" / f"{name}.md").read_text(encoding="utf-8")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def dice_tables(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Test → title of the arm → heading → cell."""
    out = {}
    for test, title in ALL_TESTS.items():
        found = re.search(rf"### Dice, {re.escape(title)}\n\n((?:\|.*\n)+)", text)
        if found:
            head, _, *rows = (cells(line) for line in found.group(1).splitlines())
            out[test] = {
                row[0].removesuffix(" (reference)"): dict(zip(head, row, strict=True))
                for row in rows
            }
    return out


@pytest.mark.parametrize("name", experiment_names())
def test_page_shows_what_the_table_beside_it_holds(name: str) -> None:
    experiment, shown = load_experiment(name), dice_tables(page(name))
    with (DOCS / "reproductions" / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(rows[0]) == COLUMNS
    told = {(r["test"], r["arm"], r["part"]): r for r in rows if r["fat"] == ALL}
    titles = {arm.name: arm.title for arm in experiment.arms}
    checked = 0
    for (test, arm, part), row in told.items():
        cell = shown[test][titles[arm]][f"{part}: Dice"]
        assert float(cell.split(" ± ")[0]) == pytest.approx(float(row["dice"]), abs=6e-4)
        checked += 1
    wanted = sum(len(table) for table in shown.values())
    assert checked == wanted * len(parts(structure_set(experiment.structures)))


@pytest.mark.parametrize("name", experiment_names())
def test_index_leads_to_every_page_and_pages_to_their_pictures(name: str) -> None:
    index = (DOCS / "reproductions.md").read_text(encoding="utf-8")
    assert f"(reproductions/{name}.md)" in index
    pictures = re.findall(r"\]\(\.\./(images/[^)]+)\)", page(name))
    assert pictures
    assert all((DOCS / picture).is_file() for picture in pictures)


@pytest.mark.parametrize(
    "text", ["", MARKS[0], MARKS[1] + MARKS[0], MARKS[0] + MARKS[1] + MARKS[0], MARKS[0] * 2]
)
def test_a_page_without_a_place_for_tables_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="once each"):
        inserted(text, "tables\n")


def test_a_page_keeps_all_but_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    update_page(path, "new\n")
    update_page(path, "newer\n")
    assert path.read_text() == f"before\n{MARKS[0]}\nnewer\n{MARKS[1]}\nafter\n"


def test_a_page_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a page"):
        update_page(tmp_path / "none.md", "tables\n")
