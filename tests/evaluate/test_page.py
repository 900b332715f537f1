"""The page: whole, safe, bounded, and careful in what it says."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from pathlib import Path

import pytest
from evaluations import Simulated, evaluated, simulate, table, write_evaluation, write_participants
from parsed import EVIL, Parsed

from legseg_bids.evaluate import page, sheets, wording, worst
from legseg_bids.evaluate.comparing import Compared, compare
from legseg_bids.evaluate.observations import load_metrics
from legseg_bids.evaluate.page import render, write_page
from legseg_bids.group.statistics import Interval

THREE = Simulated(models={"good": 0.9, "same": 0.9, "bad": 0.8}, participants=15, noise=0.02)


def figure(folder: Path, name: str = "evaluation_box_dice.png") -> Path:
    from PIL import Image

    path = folder / "figures" / name
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (3000, 600), "white").save(path)
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Compared]:
    folder = write_evaluation(tmp_path_factory.mktemp("page"), THREE, more=True)
    raters = write_evaluation(folder / "raters", Simulated(models={"second": 0.9}, participants=9))
    people = write_participants(folder, 15)
    return folder, compare(folder, participants=people, operators=raters)


def test_it_needs_nothing_else(found: tuple[Path, Compared]) -> None:
    folder, compared = found
    text = write_page(folder, compared, [figure(folder)]).read_text()
    parsed = Parsed(text)
    assert "link" not in parsed.tags
    assert [link for link in parsed.links if not link.startswith(("#", "data:"))] == []
    assert "http" not in text.replace("http-equiv", "")
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)
    assert {"overview", "look", "models", "agreement", "operators", "groups"} <= set(parsed.ids)


def test_only_its_own_script_may_run(found: tuple[Path, Compared]) -> None:
    text = render(found[1])
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = map(unescape, re.findall(r'Content-Security-Policy" content="([^"]*)"', text))
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == f"'sha256-{digest}'"
    assert allowed["img-src"] == "data:"


def test_figures_are_small_copies(found: tuple[Path, Compared]) -> None:
    folder, compared = found
    text = write_page(
        folder, compared, [figure(folder), figure(folder).with_suffix(".svg")]
    ).read_text()
    assert text.count("<img ") == 1
    assert f'width="{page.WIDTH}" height="300"' in text
    assert "figures/evaluation_box_dice.png" in text


def test_every_figure_has_a_caption(found: tuple[Path, Compared]) -> None:
    for name in ("box_dice", "mean_hd95", "radar_dice", "groups_x", "operators_dice",
                 "blandaltman_all", "blandaltman_model-2", "slices_all", "slices_structures",
                 "confusion_model-3"):  # fmt: skip
        title, caption = page._told(name, found[1])
        assert title != name
        assert caption.endswith(".")
    assert page._told("confusion_model-3", found[1])[0].endswith("bad")


def test_nothing_that_others_wrote_becomes_part_of_the_page(tmp_path: Path) -> None:
    rows = [
        evaluated(f"{model}{EVIL}", f"sub-{n}{EVIL}", f"{s}{EVIL}", 0.5 + n / 50, side=EVIL,
                  image=EVIL, session_id=EVIL, status=EVIL)
        for model in "AB" for n in range(8) for s in "xy"
    ]  # fmt: skip
    folder = write_evaluation(tmp_path, rows=rows)
    columns = ("model", "image", "problem")
    trouble = dict.fromkeys(columns, EVIL)
    (folder / "troubles.tsv").write_text(table(columns, [trouble]))
    people = folder / "participants.tsv"
    people.write_text(table(
        ("participant_id", EVIL),
        [{"participant_id": f"sub-{n}{EVIL}", EVIL: "ab"[n % 2] + EVIL} for n in range(8)],
    ))  # fmt: skip
    text = write_page(folder, compare(folder, participants=people), []).read_text()
    parsed = Parsed(text)
    assert "img" not in parsed.tags
    assert not any(name.startswith("on") for name in parsed.attributes)
    assert parsed.tags.count("script") == 1
    assert EVIL in parsed.said


def test_the_worst_come_first(tmp_path: Path) -> None:
    rows = simulate(Simulated(models={"A": 0.9}, participants=9))
    rows[7].update(dice=0.11, reference_cm3=5.0)
    rows[20].update(status="prediction_empty", dice=0.0, hd95="n/a", reference_cm3=20.0,
                    predicted_cm3=0.0)  # fmt: skip
    rows[21].update(status="prediction_empty", dice=0.0, reference_cm3=90.0, predicted_cm3=0.0)
    found = worst.worst(compare(write_evaluation(tmp_path, rows=rows)))
    assert found.total == len(rows)
    first = [dict(zip(found.columns, (cell.text for cell in row), strict=True))
             for row in found.rows[:3]]  # fmt: skip
    assert [row["Dice"] for row in first] == ["0.000", "0.000", "0.110"]
    assert [row["Reference (cm³)"] for row in first] == ["90.0", "20.0", "5.0"]
    assert [row["Note"] for row in first] == ["not found", "not found", ""]
    assert first[2]["Participant"] == rows[7]["participant_id"]
    assert float(first[2]["usual for it"]) == pytest.approx(0.9, abs=0.1)


def test_its_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room, name, most in (
        (sheets, "MAX_ROWS", 6), (worst, "MAX_WORST", 4), (sheets, "MAX_TROUBLES", 3)
    ):  # fmt: skip
        monkeypatch.setattr(room, name, most)
    monkeypatch.setattr(page, "MAX_FIGURES", 1)
    folder = write_evaluation(tmp_path, THREE)
    trouble = [{"problem": f"trouble {n}"} for n in range(50)]
    (folder / "troubles.tsv").write_text(table(("problem",), trouble))
    shown = [figure(folder, f"evaluation_box_{name}.png") for name in ("dice", "hd95")]
    parsed = Parsed(write_page(folder, compare(folder), shown).read_text())
    assert parsed.tags.count("tr") < 250
    assert parsed.tags.count("img") == 1
    assert "50 trouble(s)" in parsed.said
    assert "trouble 2" in parsed.said
    assert "trouble 3" not in parsed.said
    assert "12 of 270 rows" in parsed.said


def test_what_was_not_shown_is_not_said_to_be_equal(found: tuple[Path, Compared]) -> None:
    said = [text for _, sentences in wording.about_models(found[1]) for text in sentences]
    (same,) = [text for text in said if re.match(r"good less same: [+-]0\.0", text)]
    assert "No difference shown" in same
    assert "no proof of equality" in same
    (worse,) = [text for text in said if text.startswith("good less bad: +0.")]
    assert "Better: good (p < 0.001 after Holm over 3 tests)" in worse
    assert "n = 15" in worse


def test_lower_is_better_where_it_is(found: tuple[Path, Compared]) -> None:
    titled = dict(wording.about_models(found[1]))
    (worse,) = [text for text in titled["HD95"] if text.startswith("good less bad: -")]
    assert "Better: good" in worse
    assert "mm" in worse


def test_families_too_large_for_the_participants_are_told(tmp_path: Path) -> None:
    wanted = Simulated(
        models={"A": 0.9, "B": 0.5}, participants=7, structures=[f"s{k}" for k in range(9)]
    )
    found = compare(write_evaluation(tmp_path, wanted))
    (first, *_) = wording.about_models(found)
    assert any("no single structure can reach" in text for text in first[1])
    assert not any(t.significant for t in found.tests if t.structure != "all")


@pytest.mark.parametrize(
    "rows",
    [
        [evaluated("A", "sub-1", "RF", 0.9)],
        [evaluated("A", "sub-1", "RF", 0.9), evaluated("B", "sub-2", "VL", 0.9)],
        [{**evaluated("A", "sub-1", "RF", 0.0), "dice": "n/a", "status": "both_empty"}],
        [evaluated("A", f"sub-{n}", "RF", 1.0, volume=0.0) for n in range(7)],
    ],
)
def test_tiny_evaluations(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    parsed = Parsed(render(compare(write_evaluation(tmp_path, rows=rows))))
    assert not re.search(r"\b(nan|inf|None)\b", parsed.said)
    assert "overview" in parsed.ids


def test_the_same_evaluation_gives_the_same_page(found: tuple[Path, Compared]) -> None:
    assert render(found[1]) == render(found[1])


def test_references_are_cited(found: tuple[Path, Compared]) -> None:
    keys = [row["key"] for row in page.references()]
    source = page._source("evaluation.html.j2")
    assert len(set(keys)) == len(keys)
    assert set(re.findall(r"cite\.(\w+)", source)) == set(keys)
    assert all(row["doi"] == "n/a" or row["doi"].startswith("10.") for row in page.references())


def test_intervals_are_spelled_in_the_unit_for_people() -> None:
    error = load_metrics()["abs_relative_volume_error"]
    assert wording.interval_text(error, Interval(0.1, -0.05, 0.2)) == "+10.0 [-5.0, +20.0]"
    assert wording.interval_text(error, None) == "n/a"
