"""The page of a study in a real browser: it draws, answers, leads on, and is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studies import measured, simulated

from legseg_bids.group.analysis import by_covariates, find_outliers, over_sessions
from legseg_bids.group.covariates import Covariate, Covariates
from legseg_bids.group.page import Content, write_page
from legseg_bids.group.study import Study, StudyBuilder

HOSTILE = "</script><img src=x onerror=alert(1)>'\"{{7*7}}"
CHARTS = ("all", "sides", "by", "time", "asymmetry", "forest", "change")


def write(root: Path, study: Study, *covariates: Covariate) -> Path:
    people = sorted({record.participant for record in study.records})
    findings = [*by_covariates(study, people, covariates), *over_sessions(study)]
    known = Covariates(covariates, source="participants.tsv of the dataset")
    images = dict.fromkeys(people, 1)
    content = Content(study, images, (), known, find_outliers(study), findings)
    return write_page(root, content)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    study = simulated(20, ["ses-1", "ses-2"])
    study.values["volume"][4, 1] = 5000
    for n in range(20):
        (root / f"sub-{n:02d}.html").write_text("<title>a report</title>")
    group = Covariate("group", "group", ("patient", "control"), np.array([0.0, 1] * 10))
    age = Covariate("age", "age (year)", (), np.arange(20.0))
    return write(root, study, group, age)


@pytest.fixture
def page(shared: Any, path: Path) -> Iterator[Any]:
    yield shared.page
    assert shared.errors == []
    assert shared.dialogs == []
    assert set(shared.requests) == {path.resolve().as_uri()}


@pytest.mark.parametrize("chart", CHARTS)
def test_every_chart_is_drawn_and_named(page: Any, chart: str) -> None:
    drawn = page.locator(f"#chart-{chart} svg")
    assert drawn.count() == 1
    assert drawn.get_attribute("aria-label")
    assert drawn.bounding_box()["height"] > 60


def test_no_number_is_missing_in_a_drawing(page: Any) -> None:
    assert "NaN" not in page.locator("main").inner_html()


def test_another_measure_and_scale_are_drawn(page: Any) -> None:
    axis = page.locator("#chart-all svg")
    page.select_option("#measure", "mean_fat_fraction")
    assert "Fat fraction" in axis.inner_html()
    page.select_option("#scale", "rel")
    assert "% of the median" in axis.inner_html()
    page.select_option("#scale", "abs")
    page.select_option("#measure", "volume")
    assert "Volume (mL)" in axis.inner_html()


def test_a_name_leads_to_its_structure(page: Any) -> None:
    page.select_option("#kind", "upper")
    page.locator("#chart-all .name", has_text="Rectus femoris").click()
    assert page.locator("#one option:checked").inner_text() == "Rectus femoris"


def test_a_dot_says_whose_it_is(page: Any) -> None:
    page.select_option("#kind", "lower")
    drawn = page.locator("#chart-all svg")
    drawn.scroll_into_view_if_needed()
    box = drawn.bounding_box()
    # The outlier: the only dot at the right end.
    for share in np.linspace(0.99, 0.9, 40):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.5)
        if "5000" in page.locator("#tip").inner_text():
            break
    assert page.locator("#tip").inner_text() == "sub-02 ses-1: Soleus right 5000 mL"


def test_effects_follow_the_choice(page: Any) -> None:
    choices = page.locator("#by option").all_inner_texts()
    assert choices == ["group: patient − control", "age"]
    page.select_option("#by", index=1)
    assert "Spearman" in page.locator("#chart-forest svg").inner_html()
    assert page.locator("#table-forest tbody tr").count() == 3
    page.select_option("#by", index=0)
    assert "Hedges" in page.locator("#chart-forest svg").inner_html()


def test_tables_can_be_sorted(page: Any) -> None:
    head = page.locator("#outliers th", has_text="Robust z")
    cells = page.locator("#outliers tbody tr td:last-child")
    for order in ("descending", "ascending"):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        values = [float(text) for text in cells.all_inner_texts()]
        assert values == sorted(values, reverse=order == "descending")


def test_outliers_lead_into_the_reports(page: Any) -> None:
    links = page.locator("#outliers tbody a")
    found = {link.get_attribute("href") for link in links.all()}
    assert "sub-02.html#ses-1_seg-muscles-SOL_R" in found


def test_it_can_be_used_with_the_keyboard(page: Any) -> None:
    name = page.locator("#chart-forest .name").first
    name.focus()
    page.keyboard.press("Enter")
    assert page.locator("#one option:checked").inner_text() == name.inner_html()


def test_hostile_text_stays_text(tmp_path: Path, open_page: Any) -> None:
    builder = StudyBuilder()
    for n in range(12):
        rows = [
            measured("RF_L", 100 + n * (5 if session == HOSTILE else 1), f"ses-{session}")
            for session in ("1", HOSTILE)
        ]
        builder.add(f"sub-{n:02d}{HOSTILE}", rows)
    group = Covariate(HOSTILE, HOSTILE, (HOSTILE, "b"), np.array([0.0, 1] * 6))
    found = open_page(write(tmp_path, builder.build(), group))
    assert found.errors == []
    assert found.dialogs == []
    assert len(set(found.requests)) == 1
    assert found.page.locator("img").count() == 0
    assert HOSTILE in found.page.locator("#by option").first.inner_text()


def test_a_study_of_nothing(tmp_path: Path, open_page: Any) -> None:
    builder = StudyBuilder()
    builder.add("sub-1", [measured("RF_L", "n/a")])
    found = open_page(write(tmp_path, builder.build()))
    assert found.errors == []
    assert found.page.locator("#groups-empty").is_visible()
    assert found.page.locator("#change-empty").is_visible()
