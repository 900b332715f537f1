"""The page of an evaluation in a real browser: it sorts, filters, opens, and is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evaluations import Simulated, evaluated, write_evaluation, write_participants

from legseg_bids.evaluate.comparing import compare, write_comparison
from legseg_bids.evaluate.page import write_page
from legseg_bids.group import figures

HOSTILE = "</script><img src=x onerror=alert(1)>'\"{{7*7}}"
THREE = Simulated(models={"good": 0.9, "same": 0.9, "bad": 0.8}, participants=12, noise=0.02)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_evaluation(tmp_path_factory.mktemp("evaluated"), THREE, more=True)
    raters = write_evaluation(
        folder / "raters", Simulated(models={"second": 0.88}, participants=9)
    )
    coarse = {name: {**how, "dpi": 40} for name, how in figures.FORMATS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FORMATS", coarse)
        people = write_participants(folder, 12)
        *_, page = write_comparison(folder, participants=people, operators=raters)
    return page


@pytest.fixture
def page(shared: Any, path: Path) -> Iterator[Any]:
    yield shared.page
    assert shared.errors == []
    assert shared.dialogs == []
    outside = {url for url in shared.requests if not url.startswith("data:image/png")}
    assert outside == {path.resolve().as_uri()}


def test_figures_are_seen(page: Any) -> None:
    images = page.locator("main img")
    assert images.count() >= 15
    sizes = images.evaluate_all("all => all.map((i) => [i.complete, i.naturalWidth])")
    assert all(complete and width > 50 for complete, width in sizes)
    assert all(images.evaluate_all("all => all.map((i) => i.alt.length > 20)"))


def test_every_link_of_the_page_has_its_place(page: Any) -> None:
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1


@pytest.mark.parametrize(("table", "column"), [("look", "Dice"), ("agreement", "n")])
def test_numbers_are_sorted_as_numbers(page: Any, table: str, column: str) -> None:
    sheet = page.locator(f"#{table} table").first
    titles = sheet.locator("th").all_inner_texts()
    place = next(k for k, title in enumerate(titles) if title.strip(" ▲▼") == column)
    head = sheet.locator("th").nth(place)
    for order in ("ascending", "descending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        cells = sheet.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()
        values = [float(text) for text in cells if text != "n/a"]
        assert len(values) > 3
        assert values == sorted(values, reverse=order == "descending")


def test_small_p_values_and_missing_ones_have_their_place(page: Any) -> None:
    page.locator("#models details > summary", has_text="Structure by structure").click()
    sheet = page.locator("#table-pair-each")
    sheet.locator("th").nth(-2).locator("button").click()
    cells = sheet.locator("tbody tr td:nth-last-child(2)").all_inner_texts()
    assert cells[0] == "< 0.001"
    known = [0.0 if text.startswith("<") else float(text) for text in cells if text != "n/a"]
    assert known == sorted(known)


def test_words_are_sorted_too(page: Any) -> None:
    head = page.locator("#look table").first.locator("th", has_text="Structure")
    head.locator("button").click()
    cells = page.locator("#look table").first.locator("tbody tr td:nth-child(4)").all_inner_texts()
    assert cells == sorted(cells)


def test_rows_can_be_filtered(page: Any) -> None:
    box = page.locator('input[data-table="worst"]')
    rows = page.locator("#table-worst tbody tr")
    before = rows.count()
    box.fill("bad rectus")
    shown = page.locator("#table-worst tbody tr:visible").all_inner_texts()
    assert 0 < len(shown) < before
    assert all("bad" in text and "Rectus femoris" in text for text in shown)
    assert page.locator('output[data-count="worst"]').inner_text() == f"{len(shown)} rows"
    box.fill("")
    assert page.locator('output[data-count="worst"]').inner_text() == f"{before} rows"


def test_it_can_be_used_with_the_keyboard(page: Any) -> None:
    head = page.locator("#overview th", has_text="Dice").locator("button")
    head.focus()
    page.keyboard.press("Enter")
    first = page.locator("#overview tbody tr").first.inner_text()
    assert first.startswith("bad")


def test_a_link_into_a_closed_part_opens_it(page: Any) -> None:
    place = page.locator("#figure-radar_dice")
    assert not place.is_visible()
    page.evaluate("location.hash = 'figure-radar_dice'")
    place.wait_for(state="visible")


def test_it_is_readable_in_the_dark(path: Path, open_page: Any) -> None:
    found = open_page(path, color_scheme="dark")
    paper, ink = (
        found.page.evaluate(f"getComputedStyle(document.querySelector('section')).{what}")
        for what in ("backgroundColor", "color")
    )

    def light(color: str) -> float:
        return sum(int(part) for part in color.strip("rgb()").split(",")) / 3

    assert light(paper) < 60
    assert light(ink) > 200
    assert found.errors == []


def test_a_small_screen_does_not_scroll_sideways(path: Path, open_page: Any) -> None:
    found = open_page(path)
    found.page.set_viewport_size({"width": 400, "height": 800})
    assert found.page.evaluate("document.documentElement.scrollWidth") <= 400


def test_hostile_text_stays_text(tmp_path: Path, open_page: Any) -> None:
    rows = [
        evaluated(f"{m}{HOSTILE}", f"sub-{n}{HOSTILE}", f"x{HOSTILE}", 0.5 + n / 50, image=HOSTILE)
        for m in "AB" for n in range(8)
    ]  # fmt: skip
    folder = write_evaluation(tmp_path, rows=rows)
    found = open_page(write_page(folder, compare(folder), []))
    assert found.errors == []
    assert found.dialogs == []
    assert len(set(found.requests)) == 1
    assert found.page.locator("img").count() == 0
    assert HOSTILE in found.page.locator("#table-overview tbody tr").first.inner_text()
