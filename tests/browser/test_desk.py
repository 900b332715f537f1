"""The desk in a real browser and with its real server: from a folder to a saved correction."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from browsing import Opened
from desk_serving import Serving, serve
from skeleton import legs

from legseg_bids.anatomy.labels import load_labels

for package in ("starlette", "uvicorn", "pydicom", "dcm2niix"):
    pytest.importorskip(package)

from dicom_writing import Series, write_series

READY = ".bench[data-ready]"
SLICE = 2
ROW = [(x, 2, SLICE) for x in range(6, 15)]
"""Voxels in the air behind the legs: nobody's."""
KEPT = [(x, 38, 1) for x in range(6, 12)]
"""Voxels in the air in front of them, for what is saved for good."""


class Leaving(Opened):
    """Says yes when a page asks whether to leave it."""

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.accept()


@dataclass
class Visit:
    """A browser of its own, and all that its pages did."""

    serving: Serving
    context: Any
    opened: list[Opened] = field(default_factory=list)

    def page(self, place: str = "", size: tuple[int, int] = (1280, 800)) -> Any:
        """Another tab, at a place of the desk."""
        page = self.context.new_page()
        page.set_viewport_size({"width": size[0], "height": size[1]})
        found = Leaving(page)
        found.listen()
        self.opened.append(found)
        page.goto(f"{self.serving.origin}/{place}")
        return page

    def enter(self) -> None:
        """Open the link that the program printed."""
        page = self.context.new_page()
        page.goto(self.serving.link)
        page.close()

    def forgive(self, *expected: str) -> None:
        """Forget errors that a test has brought about."""
        for found in self.opened:
            found.errors[:] = [e for e in found.errors if not any(t in e for t in expected)]

    def check(self, *expected: str) -> None:
        """Nothing was asked of anybody else, and nothing went wrong that was not expected."""
        for found in self.opened:
            for url in found.requests:
                assert url.startswith((f"{self.serving.origin}/", "data:", "blob:")), url
            wrong = [e for e in found.errors if not any(text in e for text in expected)]
            assert wrong == []


@dataclass(frozen=True)
class Finished:
    """A project with one result."""

    place: str
    result: str
    output: Path
    seen: list[str]

    @property
    def original(self) -> Path:
        """The label image that was made first."""
        found = self.output.rglob("*_dseg.nii.gz")
        return next(path for path in found if "desc-manual" not in path.name)

    @property
    def manual(self) -> Path:
        """The correction."""
        return self.original.with_name(
            self.original.name.replace("_dseg.nii.gz", "_desc-manual_dseg.nii.gz")
        )


def voxels(path: Path) -> np.ndarray:
    """Labels on canonical axes."""
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


@pytest.fixture(scope="module")
def servings(
    tmp_path_factory: pytest.TempPathFactory, tiny_models: Path
) -> Iterator[list[Serving]]:
    """The desk that runs; a test that starts it anew says so here."""
    running = [serve(tmp_path_factory.mktemp("desk") / "workspace", tiny_models)]
    yield running
    running[0].stop()


@pytest.fixture(scope="module")
def visiting(browser: Any, servings: list[Serving]) -> Iterator[Callable[..., Visit]]:
    """Make visits; their browsers are closed at the end."""
    made: list[Visit] = []

    def visit(**options: Any) -> Visit:
        made.append(Visit(servings[0], browser.new_context(**options)))
        made[-1].enter()
        return made[-1]

    yield visit
    for one in made:
        one.context.close()


@pytest.fixture(scope="module")
def scanner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as from a scanner, of a series that does not say what it shows."""
    water, fat = legs((64, 40, 5))
    values = (np.abs(water - fat)[:, ::-1]).astype(np.uint16)
    folder = tmp_path_factory.mktemp("scanner") / "anna"
    unclear = Series(
        np.ascontiguousarray(values), image_type=("ORIGINAL", "PRIMARY", "M", "ND"),
        spacing=(3.0, 3.0, 10.0), echo=1.9,
    )  # fmt: skip
    write_series(unclear, folder / "series-5")
    return folder


@pytest.fixture(scope="module")
def finished(visiting: Callable[..., Visit], scanner: Path) -> Finished:
    """Choose a folder, answer, run: what a person sees on the way is taken down."""
    visit = visiting()
    page = visit.page()
    page.locator("#projects .hint").wait_for()
    seen = [page.locator("#projects").inner_text()]
    page.get_by_role("button", name="Choose a folder").click()
    page.get_by_label("Path of the folder").fill(str(scanner.parent))
    page.keyboard.press("Enter")
    page.locator(".entry", has_text="anna").click()
    page.wait_for_function(
        "path => document.querySelector('#path').value === path", arg=str(scanner)
    )
    page.get_by_role("button", name="Use this folder").click()
    form = page.locator("#questions")
    form.wait_for(timeout=60000)
    seen.append(form.inner_text())
    form.locator("select").select_option("opposed")
    form.locator("button[type=submit]").click()
    page.locator("#run").wait_for(timeout=60000)
    seen.append(page.locator("#stations").inner_text())
    page.locator("#reports").uncheck()
    page.locator("#run").click()
    page.locator("#progress-text").wait_for()
    seen.append(page.locator(".steps .now").inner_text())
    page.locator(".result").wait_for(timeout=120000)
    seen.append(page.locator("#results").inner_text())
    project = page.evaluate(
        "async () => (await fetch(`/api/projects/${location.hash.split('/')[2]}`)).json()"
    )
    link = page.locator(".result a.main")
    place, result = page.url.split("/", 3)[3], str(link.get_attribute("href"))
    visit.check()
    page.close()
    return Finished(place, result, Path(project["output"]), seen)


@pytest.fixture(scope="module")
def visit(visiting: Callable[..., Visit], finished: Finished) -> Visit:
    """The browser of somebody who corrects."""
    return visiting()


@pytest.fixture(scope="module")
def shared(visit: Visit, finished: Finished) -> Any:
    """A tab with the picture: to open one takes seconds where there is no graphics card."""
    return look(visit, finished)


@pytest.fixture
def page(visit: Visit, shared: Any) -> Iterator[Any]:
    """The tab, with nothing drawn since the labels were saved."""
    shared.bring_to_front()
    shared.evaluate(
        """async () => {
            const { desk } = document.querySelector(".bench");
            await desk.draft.read();
            await desk.draft.drop();
            await desk.reload();
            desk.structures.showAll();
            desk.tools.drawn.clear();
        }"""
    )
    shared.locator("#protect").check()
    shared.locator("#tab-structures").click()
    shared.locator("#search").fill("")
    yield shared
    visit.check("409")


def look(visit: Visit, finished: Finished, **options: Any) -> Any:
    """A tab with the picture of the result."""
    page = visit.page(finished.result, **options)
    page.locator(READY).wait_for(timeout=60000)
    return page


def choose(page: Any, name: str) -> None:
    """Choose a structure by its abbreviation, whether it is in the image or not."""
    page.locator("#all-structures").check()
    page.locator("#search").fill(name)
    page.keyboard.press("Enter")
    page.locator("#search").fill("")


def place(page: Any, voxel: tuple[int, int, int]) -> tuple[float, float]:
    """Where a voxel is drawn in the large picture, in pixels of the page."""
    script = """voxel => {
        const { viewer } = document.querySelector(".bench").desk;
        const box = viewer.canvas.getBoundingClientRect();
        const [x, y] = viewer.placeOf(voxel, 2);
        return [x + box.left, y + box.top];
    }"""
    x, y = page.evaluate(script, list(voxel))
    return x, y


def go_to_slice(page: Any, z: int) -> None:
    page.locator("#slice").fill(str(z + 1))
    settle(page)


def settle(page: Any) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def stroke(page: Any, way: list[tuple[int, int, int]]) -> None:
    """Draw through voxels with the mouse."""
    page.mouse.move(*place(page, way[0]))
    page.mouse.down()
    for voxel in way[1:]:
        page.mouse.move(*place(page, voxel), steps=2)
    page.mouse.up()
    settle(page)


def brush(page: Any, name: str = "SAR_L", z: int = SLICE) -> int:
    """Take the thinnest brush for a structure; its label."""
    choose(page, name)
    go_to_slice(page, z)
    page.locator("#size").fill("0")
    page.locator("#picture").focus()
    page.keyboard.press("b")
    return next(label.index for label in load_labels() if label.abbreviation == name)


def shown(page: Any) -> np.ndarray:
    """The labels as the page holds them."""
    script = """() => {
        const { viewer } = document.querySelector(".bench").desk;
        return [viewer.grid.size, [...viewer.labels]];
    }"""
    size, values = page.evaluate(script)
    return np.array(values, np.uint8).reshape(size, order="F")


def painted(labels: np.ndarray, value: int, way: list[tuple[int, int, int]]) -> np.ndarray:
    expected = labels.copy()
    expected[tuple(np.transpose(way))] = value
    return expected


def drafted(page: Any) -> None:
    page.locator("#draft", has_text="Draft saved").wait_for(timeout=20000)


def save(page: Any, author: str = "AB") -> None:
    """Save the correction, with the dialog."""
    page.locator("#save").click()
    page.get_by_label("Your name or initials").fill(author)
    page.locator("dialog button.main").click()
    page.locator("#told", has_text="Saved").wait_for(timeout=60000)


def test_from_a_folder_to_results(finished: Finished) -> None:
    nothing, question, stations, step, results = finished.seen
    assert "Nothing yet" in nothing
    assert "1 question about your images" in question
    assert "t1_vibe_dixon_tra" in question
    assert "TE 1.90 ms" in question
    assert "1 person, 1 station" in stations
    assert "opposed-phase image" in stations
    assert step in ("Run", "Results")  # the run may be over before anybody looks
    assert "Look and correct" in results
    assert finished.original.is_file()
    assert not finished.manual.exists()


def test_a_correction_is_saved_as_it_was_painted(
    page: Any, visit: Visit, finished: Finished
) -> None:
    before = voxels(finished.original)
    assert np.array_equal(shown(page), before)
    assert page.locator("#save").is_disabled()
    value = brush(page, z=1)
    stroke(page, [(20, 38, 1), (30, 38, 1)])
    assert page.locator("#save").is_enabled()
    page.keyboard.press("Control+z")
    settle(page)
    assert np.array_equal(shown(page), before)
    assert page.locator("#save").is_disabled()
    stroke(page, KEPT)
    expected = painted(before, value, KEPT)
    assert np.array_equal(shown(page), expected)
    assert page.locator("#readout").inner_text().startswith("Sartorius left")
    save(page)
    assert np.array_equal(voxels(finished.manual), expected)
    assert np.array_equal(voxels(finished.original), before)
    sidecar = json.loads(Path(str(finished.manual).replace(".nii.gz", ".json")).read_text())
    assert sidecar["Manual"] is True
    assert "AB" in json.dumps(sidecar)
    gallery = visit.page(finished.place)
    assert "corrected by hand" in gallery.locator(".result").inner_text()
    gallery.close()


def test_the_eraser_takes_away_what_the_brush_drew(page: Any) -> None:
    before = shown(page)
    value = brush(page)
    stroke(page, ROW)
    page.keyboard.press("e")
    stroke(page, ROW[3:6])
    assert np.array_equal(shown(page), painted(before, value, ROW[:3] + ROW[6:]))


def test_other_structures_are_protected_unless_the_person_says_so(page: Any) -> None:
    before = shown(page)
    inside = np.argwhere(before[..., SLICE] > 0)
    x, y = inside[len(inside) // 2].tolist()
    value = brush(page)
    stroke(page, [(x, y, SLICE)])
    assert np.array_equal(shown(page), before)
    assert "protected" in page.locator("#told").inner_text()
    page.locator("#protect").uncheck()
    stroke(page, [(x, y, SLICE)])
    assert np.array_equal(shown(page), painted(before, value, [(x, y, SLICE)]))


def test_a_closed_outline_is_filled_an_open_one_is_not(page: Any) -> None:
    before = shown(page)
    ring = [(x, y, SLICE) for x in range(6, 11) for y in (1, 5)]
    ring += [(x, y, SLICE) for x in (6, 10) for y in range(1, 6)]
    inner = [(x, y, SLICE) for x in range(7, 10) for y in range(2, 5)]
    assert not before[tuple(np.transpose(ring + inner))].any()
    value = brush(page)
    corners = [(6, 1, SLICE), (10, 1, SLICE), (10, 5, SLICE), (6, 5, SLICE)]
    stroke(page, corners)
    page.keyboard.press("f")
    page.mouse.click(*place(page, (8, 3, SLICE)))
    settle(page)
    assert "not closed" in page.locator("#told").inner_text()
    page.keyboard.press("b")
    stroke(page, [corners[3], corners[0]])
    page.keyboard.press("f")
    page.mouse.click(*place(page, (8, 3, SLICE)))
    settle(page)
    assert np.array_equal(shown(page), painted(before, value, ring + inner))


def test_slices_between_are_filled_in(page: Any) -> None:
    before = shown(page)
    value = brush(page)
    page.locator("#size").fill("10")  # a disc
    for z in (0, 4):
        go_to_slice(page, z)
        stroke(page, [(9, 4, z)])
    go_to_slice(page, SLICE)
    page.keyboard.press("i")
    numbers = page.locator("dialog input[type=number]")
    assert [numbers.nth(i).input_value() for i in (0, 1)] == ["1", "5"]
    page.locator("dialog button.main").click()
    settle(page)
    drawn = shown(page) == value
    assert drawn[..., 0].any()
    for z in range(1, 5):
        assert np.array_equal(drawn[..., z], drawn[..., 0] & (before[..., z] == 0))


def test_a_reload_keeps_what_was_drawn_and_its_undo(page: Any) -> None:
    before = shown(page)
    value = brush(page)
    stroke(page, ROW[:3])
    drafted(page)
    stroke(page, ROW[3:])
    page.reload()  # before the second stroke is with the program: the page itself remembers
    page.locator(READY).wait_for(timeout=60000)
    assert np.array_equal(shown(page), painted(before, value, ROW))
    for expected in (painted(before, value, ROW[:3]), before):
        page.locator("#undo").click()
        assert np.array_equal(shown(page), expected)
    page.locator("#redo").click()
    assert np.array_equal(shown(page), painted(before, value, ROW[:3]))


def test_two_tabs_never_overwrite_each_other_unasked(
    page: Any, visit: Visit, finished: Finished
) -> None:
    before = shown(page)
    other = look(visit, finished)
    page.bring_to_front()
    value = brush(page)
    stroke(page, ROW[:4])
    drafted(page)
    other.bring_to_front()
    brush(other)
    stroke(other, ROW[5:])
    question = other.locator("dialog", has_text="Changed in another window")
    question.wait_for(timeout=20000)
    question.get_by_role("button", name="Decide later").click()
    question.wait_for(state="detached")
    assert "Not saved" in other.locator("#draft").inner_text()
    other.locator("#save").click()
    question.get_by_role("button", name="Keep mine").click()
    drafted(other)
    assert np.array_equal(shown(other), painted(before, value, ROW[5:]))
    page.bring_to_front()
    stroke(page, [ROW[4]])
    question = page.locator("dialog", has_text="Changed in another window")
    question.wait_for(timeout=20000)
    question.get_by_role("button", name="Take the other one").click()
    drafted(page)
    assert np.array_equal(shown(page), painted(before, value, ROW[5:]))
    other.close()


def tab_to(page: Any, matches: str, most: int = 80) -> None:
    """Press Tab until something is reached."""
    for _ in range(most):
        if page.evaluate("s => Boolean(document.activeElement?.matches(s))", matches):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{matches} cannot be reached with Tab")


def test_everything_can_be_done_with_the_keyboard(
    page: Any, visit: Visit, finished: Finished
) -> None:
    before = shown(page)
    page = visit.page()
    page.locator(".projects a").wait_for()
    tab_to(page, ".projects a")
    page.keyboard.press("Enter")
    page.locator(".result").wait_for()
    tab_to(page, ".result a.main")
    page.keyboard.press("Enter")
    page.locator(READY).wait_for(timeout=60000)
    page.keyboard.press("?")
    assert "Brush" in page.locator("dialog").inner_text()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    tab_to(page, "#all-structures")
    page.keyboard.press("Space")
    page.keyboard.press("/")
    page.keyboard.type("semitendinosus left")
    page.keyboard.press("Enter")
    assert "Semitendinosus left" in page.locator("[aria-selected=true][role=option]").inner_text()
    page.keyboard.press("b")
    for _ in range(20):
        page.keyboard.press("[")
    page.evaluate("() => document.querySelector('.bench').desk.viewer.move([6, 38, 2])")
    tab_to(page, "#picture")
    page.keyboard.press("ArrowLeft")  # the patient's left is on the right of the picture
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    value = next(one.index for one in load_labels() if one.name == "Semitendinosus left")
    expected = painted(before, value, [(7, 39, 3)])
    assert np.array_equal(shown(page), expected)
    page.keyboard.press("Control+z")
    assert np.array_equal(shown(page), before)
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+s")
    page.locator("dialog").wait_for()
    tab_to(page, "dialog button.main")
    page.keyboard.press("Enter")
    page.locator("#told", has_text="Saved").wait_for(timeout=60000)
    assert np.array_equal(voxels(finished.manual), expected)
    page.close()


def test_structures_can_be_hidden_and_shown_alone(page: Any) -> None:
    lut = """() => {
        const { lut } = document.querySelector(".bench").desk.viewer.nv.drawLut;
        return [...lut].filter((_, i) => i % 4 === 3);
    }"""
    there = np.unique(shown(page))[1:].tolist()
    page.locator("#all-structures").uncheck()
    page.locator(f"#structure-{there[0]} .name").click()
    rows = page.locator("#structures [role=option]:visible")
    assert [int(row.get_attribute("data-index")) for row in rows.all()] == there
    page.locator("#solo").click()
    assert [i for i, alpha in enumerate(page.evaluate(lut)) if alpha] == there[:1]
    page.locator("#show-all").click()
    page.locator("#hide").click()
    assert [i for i in there if not page.evaluate(lut)[i]] == there[:1]
    page.locator("#search").fill("nothing is called that")
    assert rows.count() == 0
    page.locator("#tab-measures").click()
    assert page.locator("#panel-measures tbody tr").count() == len(there)


ROUND_TRIP = """voxel => {
    const { viewer } = document.querySelector(".bench").desk;
    return [2, 1, 0].map((axis) => {
        const place = viewer.placeOf(voxel, axis);
        const found = place && viewer.at(...place);
        return found && found.axis === axis && found.voxel;
    });
}"""


def test_the_picture_can_be_enlarged_and_moved(page: Any) -> None:
    voxel = (40, 25, SLICE)
    page.evaluate("at => document.querySelector('.bench').desk.viewer.move(at)", list(voxel))
    settle(page)
    assert page.evaluate(ROUND_TRIP, list(voxel)) == [list(voxel)] * 3
    before = place(page, voxel)
    page.mouse.move(*before)
    page.keyboard.down("Control")
    for _ in range(6):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    settle(page)
    zoom = "() => document.querySelector('.bench').desk.viewer.nv.scene.pan2Dxyzmm[3]"
    assert page.evaluate(zoom) > 2
    assert np.allclose(place(page, voxel), before, atol=2)  # what is pointed at stays
    assert page.evaluate(ROUND_TRIP, list(voxel))[0] == list(voxel)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(before[0] + 60, before[1] - 35, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    settle(page)
    assert np.allclose(place(page, voxel), np.add(before, (60, -35)), atol=2)
    page.locator("#picture").focus()
    for _ in range(34):
        page.keyboard.press("ArrowLeft")
    settle(page)
    here = page.evaluate("() => document.querySelector('.bench').desk.viewer.here()")
    assert here == [63, 25, SLICE]  # the border; the picture has followed
    assert page.evaluate(ROUND_TRIP, here)[0] == here
    page.keyboard.press("0")
    go_to_slice(page, SLICE)
    assert np.allclose(place(page, voxel), before, atol=2)


PICTURE = """async () => {
    const picture = await document.querySelector(".bench").desk.viewer.picture();
    return [...new Uint8Array(await picture.arrayBuffer())];
}"""


def test_what_was_saved_can_be_compared_with_what_is_drawn(page: Any) -> None:
    before = shown(page)
    value = brush(page)
    untouched = page.evaluate(PICTURE)
    stroke(page, ROW)
    go_to_slice(page, SLICE)
    drawn = page.evaluate(PICTURE)
    assert drawn != untouched
    page.locator("#picture").focus()
    for _ in range(3):  # as a key that is held
        page.keyboard.down("c")
    settle(page)
    compared = page.evaluate(PICTURE)
    assert compared != drawn
    page.keyboard.up("c")
    settle(page)
    assert page.evaluate(PICTURE) == drawn
    assert np.array_equal(shown(page), painted(before, value, ROW))


def test_brightness_follows_mouse_and_keys(page: Any) -> None:
    window = "() => document.querySelector('.bench').desk.viewer.window"
    low, high = page.evaluate(window)
    go_to_slice(page, SLICE)
    x, y = place(page, (30, 20, SLICE))
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x, y + 40, steps=3)
    page.mouse.up(button="right")
    dragged = page.evaluate(window)
    assert dragged[0] > low
    assert dragged[1] - dragged[0] == pytest.approx(high - low)
    page.keyboard.press("0")
    assert page.evaluate(window) == [low, high]
    page.keyboard.press("l")
    page.keyboard.press("m")
    lighter = page.evaluate(window)
    assert lighter[1] < high
    assert lighter[1] - lighter[0] < high - low
    page.keyboard.press("0")


def test_the_page_says_that_the_program_is_gone_and_goes_on_when_it_is_back(
    page: Any, visit: Visit, servings: list[Serving]
) -> None:
    before = shown(page)
    value = brush(page)
    servings[0].stop()
    stroke(page, ROW)
    page.locator("#line", has_text="does not answer").wait_for(timeout=20000)
    assert "Not saved yet" in page.locator("#draft").inner_text()
    servings[0] = visit.serving = servings[0].again()
    page.locator("#line", has_text="Open the link").wait_for(timeout=20000)
    visit.enter()
    page.locator("#line").wait_for(state="hidden", timeout=20000)
    drafted(page)
    page.evaluate("() => document.querySelector('.bench').desk.reload()")
    assert np.array_equal(shown(page), painted(before, value, ROW))
    visit.forgive("ERR_CONNECTION", "401", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE")


def test_a_page_without_the_link_says_where_to_find_it(
    browser: Any, servings: list[Serving]
) -> None:
    stranger = Visit(servings[0], browser.new_context())
    page = stranger.page()
    page.locator("#line", has_text="Open the link").wait_for()
    assert page.locator("main").inner_text() == ""
    stranger.check("401")
    stranger.context.close()


def test_a_wrong_folder_is_explained(visit: Visit, tmp_path: Path) -> None:
    page = visit.page()
    page.get_by_role("button", name="Choose a folder").click()
    page.get_by_label("Path of the folder").fill(str(tmp_path / "missing"))
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('dialog [role=alert]').textContent")
    assert "missing" in page.locator("dialog [role=alert]").inner_text()
    page.get_by_role("button", name="Cancel").click()
    page.locator("dialog").wait_for(state="detached")
    page.close()
    visit.forgive("404", "422", "400")


def test_files_can_be_copied_in(visit: Visit, scanner: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "scans"), "zip", scanner))
    page = visit.page()
    page.locator("#pick-files").set_input_files(str(packed))
    page.locator("#questions").wait_for(timeout=60000)
    assert page.locator("h1").inner_text() == "scans"
    page.locator("#trail a").click()
    row = page.locator(".projects li", has_text="scans")
    row.get_by_role("button", name="Remove the project scans").click()
    page.get_by_role("button", name="Remove it").click()
    row.wait_for(state="detached")
    page.close()
    visit.check("409")
