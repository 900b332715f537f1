"""The report in a real browser: it draws, reads the right names, and is quiet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import opened_in
from PIL import Image, ImageColor
from reported import affine_of, label_image, write_image, write_sidecar, write_study

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.interfaces.report import Sources
from legseg_bids.report.subject import write_subject_report

Z = 7
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = write_study(tmp_path_factory.mktemp("study"))
    sources = Sources(study.output_dir, study.bids_dir)
    return write_subject_report(study.output_dir, "01", sources)


@pytest.fixture
def fresh(open_page: Any, report: Path) -> Iterator[Any]:
    """A page of a test's own."""
    found = open_page(report)
    yield found
    assert_quiet(found, report)


@pytest.fixture(scope="module")
def shared(browser: Any, report: Path) -> Iterator[Any]:
    """A page of all tests that leave it as it was: to start a viewer takes seconds."""
    found = opened_in(browser, report)
    yield found
    found.page.close()


@pytest.fixture
def opened(shared: Any, report: Path) -> Iterator[Any]:
    yield shared
    assert_quiet(shared, report)


def assert_quiet(found: Any, report: Path) -> None:
    assert found.errors == []
    assert found.dialogs == []
    assert [url for url in found.requests if not url.startswith(("data:", "blob:"))] == [
        report.resolve().as_uri()
    ]


def station(opened: Any) -> Any:
    """The section of the first station."""
    return opened.page.locator("#sub-01_acq-opp_chunk-1_seg-muscles")


def start(opened: Any, view: str = "slice", opacity: int = 100) -> Any:
    """Open the viewer of the first station; its element."""
    viewer = station(opened).locator(".viewer")
    if viewer.locator(".open").is_visible():
        viewer.locator(".open").click()
    opened.page.wait_for_function("element => element.viewer.nv", arg=viewer.element_handle())
    viewer.locator(f"input[value={view}]").check()
    viewer.locator(".labels").check()
    viewer.locator(".edges").uncheck()
    viewer.locator(".opacity").fill(str(opacity))
    return viewer


def at(viewer: Any, voxel: tuple[int, int, int]) -> tuple[float, float]:
    """Where a voxel is drawn, in pixels of the page from the corner of the canvas."""
    script = """(element, voxel) => {
        const { nv } = element.viewer;
        return nv.frac2canvasPos(nv.vox2frac(voxel)).map((v) => v / nv.uiData.dpr);
    }"""
    x, y = viewer.evaluate(script, list(voxel))
    return x, y


def picture(viewer: Any) -> np.ndarray:
    """What the canvas shows (rows, columns, RGB)."""
    shot = viewer.locator("canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def readout(viewer: Any) -> str:
    return str(viewer.locator(".readout output").inner_text())


def voxels(viewer: Any) -> np.ndarray:
    """The labels as the viewer holds them (x, y, z)."""
    script = "({viewer}) => [viewer.labels.dimsRAS.slice(1, 4), [...viewer.labels.img]]"
    shape, values = viewer.evaluate(script)
    return np.array(values, np.uint8).reshape(shape, order="F")


def inside(labels: np.ndarray, value: int, z: int = Z) -> tuple[int, int, int]:
    """A voxel in the middle of a disc."""
    x, y = np.argwhere(labels[..., z] == value).mean(axis=0).round().astype(int)
    return int(x), int(y), z


def test_viewer_draws_labels_in_their_colours_and_in_their_places(opened: Any) -> None:
    viewer = start(opened)
    labels = voxels(viewer)
    assert sorted(np.unique(labels)) == sorted(np.unique(label_image()))
    viewer.locator(".at").fill(str(Z + 1))
    drawn = picture(viewer)
    colours = {v: ImageColor.getrgb(label_by_index(v).color) for v in (61, 62, 35, 36, 9)}
    for value in colours:
        here = inside(labels, value)
        beside = 0 if value == 9 else 2  # the cross-hair runs through the large discs
        x, y = at(viewer, (here[0] + beside, here[1] + beside, here[2]))
        away = np.abs(np.array(list(colours.values())) - drawn[int(y), int(x)]).max(axis=1)
        assert list(colours)[int(away.argmin())] == value
        assert away.min() <= (70 if value == 9 else 12)  # a single slice is drawn softly
        left = label_by_index(value).side == "left"
        assert (x > drawn.shape[1] / 2) == left
    assert at(viewer, inside(labels, 61))[1] < at(viewer, inside(labels, 35))[1]  # front on top


def test_labels_can_be_faded_hidden_and_outlined(opened: Any) -> None:
    viewer = start(opened)
    full = picture(viewer)
    viewer.locator(".opacity").fill("30")
    faded = picture(viewer)
    viewer.locator(".labels").uncheck()
    hidden = picture(viewer)
    viewer.locator(".labels").check()
    viewer.locator(".edges").check()
    outlined = picture(viewer)

    def colour(shown: np.ndarray) -> float:
        return float((shown.max(axis=2) - shown.min(axis=2)).mean())

    assert colour(full) > 2 * colour(faded) > 2 * colour(hidden)
    assert hidden.max() > 150  # the image is still there
    assert colour(hidden) < colour(outlined) < 1.01 * colour(full)
    assert np.abs(outlined - faded).max() > 30


@pytest.mark.parametrize("value", [62, 35, 9])
def test_a_click_reads_the_name_of_what_is_there(opened: Any, value: int) -> None:
    viewer = start(opened)
    viewer.locator(".at").fill(str(Z + 1))
    x, y = at(viewer, inside(voxels(viewer), value))
    viewer.locator("canvas").click(position={"x": x, "y": y})
    assert readout(viewer) == f"{label_by_index(value).name} · slice {Z + 1} of 9"


def test_pointing_reads_and_leaving_returns(opened: Any) -> None:
    viewer = start(opened)
    viewer.locator(".at").fill(str(Z + 1))
    before = readout(viewer)
    x, y = at(viewer, inside(voxels(viewer), 36))
    viewer.locator("canvas").hover(position={"x": x, "y": y})
    assert "Semimembranosus right" in readout(viewer)
    viewer.locator("canvas").hover(position={"x": 3, "y": 3})
    opened.page.mouse.move(1, 1)
    assert readout(viewer) == before


def test_everything_works_from_the_keyboard(fresh: Any) -> None:
    page = fresh.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    viewer = station(fresh).locator(".viewer")
    viewer.locator(".open").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("element => element.viewer.nv", arg=viewer.element_handle())
    page.wait_for_function("() => document.activeElement.tagName === 'CANVAS'")
    here = viewer.evaluate("element => element.viewer.here()")
    for key, step in (("PageUp", (0, 0, 1)), ("ArrowLeft", (1, 0, 0)), ("ArrowUp", (0, 1, 0))):
        page.keyboard.press(key)
        now = viewer.evaluate("element => element.viewer.here()")
        assert tuple(np.subtract(now, here)) == step, key
        here = now
    assert f"slice {here[2] + 1} of 9" in readout(viewer)
    slider = viewer.locator(".at")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert viewer.evaluate("element => element.viewer.here()")[2] == here[2] - 1
    assert f"{here[2]} of 9" in slider.get_attribute("aria-valuetext")
    viewer.locator(".close").focus()
    page.keyboard.press("Enter")
    assert viewer.locator(".open").is_visible()
    assert page.evaluate("document.activeElement.className") == "open"


def test_the_table_leads_into_the_viewer(opened: Any) -> None:
    station(opened).locator("button.show[data-key=POP_L]").click()
    viewer = station(opened).locator(".viewer")
    opened.page.wait_for_function("element => element.viewer.nv", arg=viewer.element_handle())
    opened.page.wait_for_function(
        "element => element.querySelector('.readout output').textContent.includes('Popliteus')",
        arg=viewer.element_handle(),
    )
    assert "Popliteus left · slice 8 of 9" in readout(viewer)
    viewer.locator(".go").select_option("SM_R")
    assert "Semimembranosus right" in readout(viewer)


def test_three_dimensions_show_labels_and_one_viewer_is_open_at_a_time(opened: Any) -> None:
    viewer = start(opened, view="solid")
    drawn = picture(viewer)
    assert (drawn.max(axis=2) - drawn.min(axis=2) > 60).mean() > 0.01
    other = opened.page.locator(".viewer").first
    other.locator(".open").click()
    opened.page.wait_for_function("element => element.viewer.nv", arg=other.element_handle())
    assert viewer.evaluate("element => element.viewer.nv") is None


def test_tables_sort_by_a_click_and_turn_by_another(opened: Any) -> None:
    table = station(opened).locator("table.measures").first
    heading = table.locator("thead th", has_text="Volume").first
    column = heading.evaluate("cell => cell.cellIndex + 1")

    def values() -> list[float]:
        cells = table.locator(f"tbody tr > :nth-child({column})")
        return [float(text) for text in cells.all_inner_texts()]

    before = values()
    heading.locator("button").click()
    assert values() == sorted(before) != before
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert values() == sorted(before, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


def test_names_and_outlines_can_be_hidden(opened: Any) -> None:
    name = station(opened).locator(".names text").first
    outline = station(opened).locator(".outlines path").first
    assert name.is_visible()
    opened.page.locator("#names").uncheck()
    opened.page.locator("#outlines").uncheck()
    assert not name.is_visible()
    assert not outline.is_visible()
    opened.page.locator("#names").check()
    opened.page.locator("#outlines").check()
    assert name.is_visible()


def test_methods_can_be_copied(opened: Any) -> None:
    opened.page.locator("#copy").click()
    opened.page.wait_for_function("() => document.querySelector('#copied').textContent")
    assert opened.page.locator("#copied").inner_text() in ("copied", "selected: press Ctrl+C")


def test_print_has_pictures_instead_of_the_viewer(opened: Any) -> None:
    page = opened.page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not station(opened).locator(".viewer").is_visible()
    assert not page.locator(".settings").is_visible()
    assert station(opened).locator(".picture").first.is_visible()
    assert station(opened).get_by_text("slices 1 to 9: thigh").is_visible()
    assert len(page.pdf(format="A4")) > 20_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.locator("section details[open]").count()
    page.emulate_media(media="screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(open_page: Any, report: Path, scheme: str) -> None:
    page = open_page(report, color_scheme=scheme).page
    script = """(selector) => {
        const element = document.querySelector(selector);
        const light = (text) => {
            const rgb = text.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255);
            const flat = rgb.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * flat[0] + 0.7152 * flat[1] + 0.0722 * flat[2];
        };
        const card = element.closest(".card");
        const pair = [getComputedStyle(element).color, getComputedStyle(card).backgroundColor];
        const [a, b] = pair.map(light).sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    }"""
    for selector in (".card h2", ".card .hint", ".card td", ".card figcaption"):
        assert page.evaluate(script, selector) >= 4.5, selector  # WCAG 2.1, 1.4.3


def test_a_browser_that_is_too_old_is_told_so(open_page: Any, report: Path) -> None:
    found = open_page(report)
    found.page.evaluate("delete globalThis.DecompressionStream")
    viewer = station(found).locator(".viewer")
    viewer.locator(".open").click()
    viewer.locator(".failure").wait_for(state="visible")
    assert "The pictures above show the same." in viewer.locator(".failure").inner_text()


def test_hostile_words_do_nothing(open_page: Any, tmp_path: Path) -> None:
    study = write_study(tmp_path, chunks=(1,))
    stem = "sub-01/anat/sub-01_acq-opp_chunk-1_seg-muscles"
    write_image(study.output_dir, stem, affine_of(), extra={"quality_reasons": HOSTILE})
    write_sidecar(study.output_dir, stem, [f"bids:raw:{HOSTILE}"], Warnings=[HOSTILE])
    found = open_page(
        write_subject_report(study.output_dir, "01", Sources(study.output_dir, None))
    )
    assert found.page.get_by_text(HOSTILE).first.is_visible()
    start(found)
    assert (found.dialogs, found.errors) == ([], [])


def test_the_page_may_not_reach_out(open_page: Any, report: Path) -> None:
    """What the page's own policy says, the browser does."""
    found = open_page(report)
    script = """async () => {
        const image = new Image();
        const seen = await Promise.allSettled([
            fetch("https://example.org/x"),
            new Promise((done, failed) => {
                Object.assign(image, { onload: done, onerror: failed });
                image.src = "https://example.org/y";
            }),
        ]);
        const script = document.createElement("script");
        script.textContent = "globalThis.ran = true";
        document.body.append(script);
        return [...seen.map((result) => result.status), globalThis.ran ?? false];
    }"""
    assert found.page.evaluate(script) == ["rejected", "rejected", False]
    refused = " ".join(found.errors)
    assert all(rule in refused for rule in ("connect-src", "img-src", "script-src"))
