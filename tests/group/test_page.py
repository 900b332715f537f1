"""The page: whole, safe, and bounded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parsed import EVIL, Parsed
from studies import measured, simulated

from legseg_bids.group import page
from legseg_bids.group.analysis import by_covariates, find_outliers, over_sessions
from legseg_bids.group.covariates import Covariate, Covariates
from legseg_bids.group.page import Content, render, shown_records, write_page
from legseg_bids.group.study import Study, StudyBuilder


def content(study: Study, covariates: tuple[Covariate, ...] = (), **changes: Any) -> Content:
    there = sorted({record.participant for record in study.records})
    people = sorted(changes.get("images", there))
    known: dict[str, Any] = {
        "study": study,
        "images": dict.fromkeys(people, 1),
        "notes": (),
        "covariates": Covariates(covariates, source="participants.tsv" if covariates else ""),
        "outliers": find_outliers(study),
        "findings": [*by_covariates(study, people, covariates), *over_sessions(study)],
    }
    return Content(**(known | changes))


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def test_it_needs_nothing_else(tmp_path: Path) -> None:
    group = Covariate("group", "group", ("a", "b"), np.array([0.0, 1] * 10))
    path = write_page(tmp_path, content(simulated(20), (group,), figure=b"png"))
    text = path.read_text()
    parsed = Parsed(text)
    assert "link" not in parsed.tags
    outside = [link for link in parsed.links if not link.startswith(("#", "data:"))]
    assert outside == []
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert len(parsed.ids) == len(set(parsed.ids))
    asked = set(re.findall(r'\$\("([a-z-]+)"\)', text))
    assert asked <= set(parsed.ids)


def test_outliers_lead_to_their_place_in_the_report(tmp_path: Path) -> None:
    study = simulated(12)
    assert study.structures[1].key == "SOL_R"
    study.values["volume"][4, 1] = 5000
    (tmp_path / "sub-04.html").touch()
    parsed = Parsed(write_page(tmp_path, content(study)).read_text())
    assert "sub-04.html#a_seg-muscles-SOL_R" in parsed.links


def test_without_a_report_there_is_no_link() -> None:
    study = simulated(12)
    study.values["volume"][4, 1] = 5000
    text = render(content(study))
    assert "sub-04" in text
    assert not any("sub-04" in link for link in Parsed(text).links)


def test_nothing_that_others_wrote_becomes_part_of_the_page() -> None:
    builder = StudyBuilder()
    for n in range(12):
        changes = {"image": f"x/{EVIL}_dseg.nii.gz", "quality_reasons": EVIL}
        value = 9999 if n == 3 else 100 + n
        rows = [measured("RF_L", value, "ses-1", **changes),
                measured("RF_L", 120 - n, f"ses-{EVIL}", **changes)]  # fmt: skip
        builder.add(f"sub-{n}{EVIL}", rows)
    study = builder.build()
    group = Covariate(EVIL, EVIL, (EVIL, "b"), np.array([0.0, 1] * 6 + [1.0]))
    people = [record.participant for record in study.records]
    told = content(study, (group,), notes=(EVIL,), images=dict.fromkeys([*people, EVIL], 0))
    text = render(told, frozenset(people))
    parsed = Parsed(text)
    assert "img" not in parsed.tags
    assert not any(name.startswith("on") for name in parsed.attributes)
    assert parsed.tags.count("script") == 2
    data = data_of(text)
    assert data["covariates"][0]["title"] == EVIL
    assert EVIL in data["records"][0][0]
    assert "49" not in data["covariates"][0]["title"]


def test_the_data_are_those_of_the_study() -> None:
    study = simulated(10)
    study.words["quality"][2, 0] = "poor"
    study.whole[3:5, 0] = False
    study.peak[3, 0] = False
    data = data_of(render(content(study)))
    assert data["values"]["volume"][0] == pytest.approx(study.values["volume"][:, 0], rel=1e-3)
    assert data["flags"][0] == "wwpckwwwww"
    box = data["boxes"]["n/a"]["volume"][0]
    assert box[0] == 7
    assert box[3] == pytest.approx(np.nanmedian(study.usable("volume")[:, 0]), rel=1e-3)
    assert [s["base"] for s in data["structures"]] == ["SOL", "RF", "quadriceps"]


def test_its_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_SHOWN", 15)
    monkeypatch.setattr(page, "MAX_FINDINGS", 2)
    study = simulated(60)
    study.values["volume"][31, 0] = 9999
    group = Covariate("group", "group", ("a", "b"), np.array([0.0, 1] * 30))
    text = render(content(study, (group,)))
    data = data_of(text)
    assert 15 <= len(data["records"]) < 30
    assert 31 in shown_records(study, find_outliers(study))
    assert data["boxes"]["n/a"]["mean_fat_fraction"][0][0] == 60
    assert (len(data["findings"]), data["more_findings"]) == (2, 4)
    assert "of 60 records" in text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [measured("RF_L", "n/a")],
        [measured("RF_L", 5)],
        [measured("RF_L", 0), measured("RF_R", 0)],
        [measured("RF_L", 5, truncated="both", quality="poor")],
    ],
)
def test_tiny_studies(rows: list[dict[str, str]]) -> None:
    builder = StudyBuilder()
    builder.add("sub-1", rows)
    text = render(content(builder.build(), images={"sub-1": 1, "sub-2": 0}))
    assert "sub-2" in text
    assert "NaN" not in text.partition('id="data">')[2].partition("</script>")[0]


def test_the_same_study_gives_the_same_page() -> None:
    assert render(content(simulated(8))) == render(content(simulated(8)))
