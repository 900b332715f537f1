"""The page as a file: what is in it, what cannot get in, and when it is made again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from reported import (
    Study,
    affine_of,
    grey_image,
    label_image,
    write_image,
    write_sidecar,
    write_study,
)

from legseg_bids.bids.finished import FinishedImage
from legseg_bids.errors import ImageError
from legseg_bids.report.methods import references
from legseg_bids.report.page import viewer_text
from legseg_bids.report.scene import Scene, grey_levels
from legseg_bids.report.subject import (
    has_content,
    is_current,
    report_path,
    stamp_of,
    write_subject_report,
)
from legseg_bids.report.troubles import Trouble

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'</style>&{{7*7}}"
VOID = {"meta", "img", "br", "input", "link", "hr", "image", "use", "rect", "path", "polyline"}


@dataclass
class Reader:
    """Reads scenes from the label files alone, or fails."""

    grey: bool = True
    there: int = 1
    broken: bool = False
    read_before: list[str] = field(default_factory=list)

    def available(self, image: FinishedImage) -> int:
        return self.there

    def read(self, image: FinishedImage) -> Scene:
        self.read_before.append(image.stem)
        if self.broken:
            raise ImageError(f"{HOSTILE} cannot be read")
        labels: Any = nib.load(image.paths.labels)
        data = np.asarray(labels.dataobj).astype(np.uint8)
        grey = (
            grey_levels(grey_image()) if self.grey and data.shape == label_image().shape else None
        )
        return Scene(data, labels.affine, grey, "" if self.grey else "no image")


class Page(HTMLParser):
    """A page taken apart: elements with attributes, texts, whether all is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((self.elements[-1][1], ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        else:
            self.texts.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [a for t, a in self.elements if t == tag and wanted.items() <= a.items()]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(study: Study, reader: Reader | None = None, now: tuple[Trouble, ...] = ()) -> Page:
    path = write_subject_report(study.output_dir, study.subject, reader or Reader(), now)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path)


@pytest.fixture
def single(tmp_path: Path) -> Study:
    """One station: quicker, where the number of images is not the point."""
    return write_study(tmp_path, chunks=(1,))


def test_page_has_the_whole_leg_its_stations_and_their_rows(study: Study) -> None:
    page = page_of(study)
    sections = [a["id"] for a in page.all("section") if "image" in a.get("class", "")]
    assert sections == [
        "sub-01_acq-opp_seg-muscles_desc-merged",
        "sub-01_acq-opp_chunk-1_seg-muscles",
        "sub-01_acq-opp_chunk-2_seg-muscles",
    ]
    assert "sub-01_acq-opp_chunk-2_seg-muscles-RF_L" in page.ids
    assert len(page.ids) == len(set(page.ids))
    assert "Whole leg, 2 stations merged" in page.text
    assert "superseded by those of the whole leg" in page.text
    assert "5 of 5 muscles are cut" in page.text
    assert "legseg-bids 0.1.0, a BIDS App" in page.text
    assert all(row["doi"] in page.text for row in references())


def test_links_inside_the_page_lead_somewhere(study: Study) -> None:
    page = page_of(study)
    targets = [a["href"][1:] for t, a in page.elements if t in ("a", "use")]
    assert targets
    assert set(targets) <= set(page.ids)


def test_viewers_have_their_data_and_the_bundle_is_there_once(study: Study) -> None:
    page = page_of(study)
    data = [json.loads(text) for a, text in page.scripts if a.get("type") == "application/json"]
    assert len(data) == 3
    assert all(item["names"]["61"] == "Rectus femoris left" for item in data)
    assert len([a for a, _ in page.scripts if a.get("id") == "niivue"]) == 1


def test_every_control_has_a_name(single: Study) -> None:
    text = write_subject_report(single.output_dir, "01", Reader()).read_text(encoding="utf-8")
    for control in re.findall(r"<(?:input|select)[^>]*>", text):
        before = text[: text.index(control)]
        assert before.rfind("<label>") > before.rfind("</label>"), control
    page = Page(text)
    assert page.all("html", lang="en")
    assert page.all("a", **{"class": "skip"})
    assert all("aria-label" in a for a in page.all("svg") if a.get("role") == "img")
    assert all("scope" in a for a in page.all("th"))


def test_nothing_is_loaded_from_anywhere(single: Study) -> None:
    page = page_of(single)
    for tag, attributes in page.elements:
        for key in ("src", "href", "data", "action", "poster", "srcset", "xlink:href"):
            value = attributes.get(key, "#")
            assert value.startswith(("#", "data:image/jpeg;base64,")), (tag, key, value[:80])
        assert not any(key.startswith("on") for key in attributes)
    assert "link" not in {tag for tag, _ in page.elements}
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().split(" ", 1) for rule in policy["content"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "data: blob:"
    assert "unsafe" not in rules["script-src"]
    assert "@import" not in " ".join(page.texts)


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    label = "x<b>&'"
    study = write_study(tmp_path, label, chunks=(1,))
    stem = f"sub-{label}/anat/sub-{label}_acq-opp_chunk-1_seg-muscles"
    write_image(
        study.output_dir,
        stem,
        affine_of(),
        extra={
            "quality": "poor",
            "quality_reasons": HOSTILE,
            "includes": HOSTILE,
            "length": HOSTILE,
        },
    )
    table = study.output_dir / f"{stem}_dseg.tsv"
    table.write_text(table.read_text().replace("Popliteus left\tPOP_L", f"{HOSTILE}\t{HOSTILE}"))
    write_sidecar(
        study.output_dir,
        stem,
        [f"bids:raw:{HOSTILE}"],
        Warnings=[HOSTILE],
        Version=HOSTILE,
        Models=[{"Name": HOSTILE, "Version": HOSTILE}],
        Regions=[{"Name": HOSTILE, "Side": HOSTILE}],
        Parts=[HOSTILE],
    )
    page = page_of(study, Reader(), (Trouble(HOSTILE, "failed", HOSTILE),))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "b", "iframe", "object"}
    assert len(page.scripts) == 3  # the data, NiiVue, and our own
    assert not any(key.startswith("on") for _, a in page.elements for key in a)
    assert page.text.count("alert(1)") >= 10
    assert "{{7*7}}" in page.text
    assert "sub-x<b>&'" in page.text


def test_data_cannot_end_their_script(study: Study) -> None:
    study = write_study(study.output_dir / "more", "02", chunks=(1,))
    write_image(
        study.output_dir,
        "sub-02/anat/sub-02_acq-opp_chunk-1_seg-muscles",
        affine_of(),
        np.where(label_image() == 9, 250, label_image()),
    )
    text = write_subject_report(study.output_dir, "02", Reader()).read_text(encoding="utf-8")
    body = re.search(r'<script type="application/json" class="volumes">(.*?)</script>', text)
    assert body
    assert not set(body[1]) & set("<>&'")


def test_without_sources_labels_and_tables_come(study: Study) -> None:
    page = page_of(study, Reader(grey=False))
    assert page.text.count("no image") >= 3
    assert not page.all("image")
    assert len(page.all("path")) > 20


def test_an_image_that_cannot_be_read_keeps_its_table(study: Study) -> None:
    page = page_of(study, Reader(broken=True))
    assert "no pictures: " in page.text
    assert not page.all("svg", role="img")
    assert "Rectus femoris left" in page.text


def test_a_damaged_table_is_told(study: Study) -> None:
    stem = study.output_dir / "sub-01/anat/sub-01_acq-opp_chunk-1_seg-muscles"
    Path(f"{stem}_dseg.tsv").write_text("a\tb\n1\n")
    Path(f"{stem}_desc-limbs_dseg.tsv").write_text("a\tb\n1\n")
    page = page_of(study)
    assert page.text.count("cannot be used") >= 2
    assert "There is no table that can be read." in page.text


def test_other_tables_are_shown_where_they_are(single: Study) -> None:
    stem = single.output_dir / "sub-01/anat/sub-01_acq-opp_chunk-1_seg-muscles"
    Path(f"{stem}_desc-limbs_dseg.tsv").write_text("side\tlimb_volume\nleft\t5000.4\n")
    Path(f"{stem}_desc-limbs_dseg.json").write_text(
        json.dumps({"limb_volume": {"Description": "All of it"}})
    )
    Path(f"{stem}_desc-compartments_dseg.tsv").write_text(
        "compartment\tside\tvolume\nquadriceps\tleft\t700\nquadriceps\tright\t710\n"
    )
    Path(f"{stem}_desc-profiles_dseg.tsv").write_text(
        "structure\tside\tslice\tcsa\nRF_L\tleft\t0\t100\nRF_L\tleft\t1\t200\n"
    )
    page = page_of(single)
    assert "5000" in page.text
    assert "Quadriceps" in page.text
    assert page.all("th", title="All of it")
    assert len(page.all("polyline")) == 1


def test_a_participant_with_nothing_but_failures_has_a_page(tmp_path: Path) -> None:
    now = (Trouble("sub-09/anat/a.nii.gz", "failed", "is empty (0 bytes)"),)
    assert has_content(tmp_path, "09", now)
    assert not has_content(tmp_path, "09")
    page = page_of(Study(tmp_path, tmp_path, "09"), None, now)
    assert "Images without a result" in page.text
    assert "is empty (0 bytes)" in page.text
    assert "No image of this participant is finished." in page.text
    assert "niivue" not in page.ids  # a viewer of nothing need not be carried along


def test_a_page_is_the_same_again_and_is_not_written_again(single: Study) -> None:
    reader = Reader()
    path = write_subject_report(single.output_dir, "01", reader)
    first, before = path.read_bytes(), path.stat().st_mtime_ns
    assert is_current(single.output_dir, "01", reader)
    reader.read_before.clear()
    write_subject_report(single.output_dir, "01", reader)
    assert (path.stat().st_mtime_ns, reader.read_before) == (before, [])
    path.unlink()
    assert write_subject_report(single.output_dir, "01", reader).read_bytes() == first


@pytest.mark.parametrize("change", ["table", "sidecar", "source", "trouble", "page"])
def test_what_changes_makes_the_page_anew(single: Study, change: str) -> None:
    path, now = write_subject_report(single.output_dir, "01", Reader()), ()
    stem = single.output_dir / "sub-01/anat/sub-01_acq-opp_chunk-1_seg-muscles_dseg"
    if change in ("table", "sidecar"):
        file = stem.with_name(stem.name + {"table": ".tsv", "sidecar": ".json"}[change])
        file.write_text(file.read_text() + "\n")
    if change == "page":
        path.write_text("somebody's own")
        assert stamp_of(path) == ("", 0)
    if change == "trouble":
        now = (Trouble("a", "failed", "b"),)
    reader = Reader(there=2 if change == "source" else 1)
    assert not is_current(single.output_dir, "01", reader, now)
    write_subject_report(single.output_dir, "01", reader, now)
    assert is_current(single.output_dir, "01", reader, now)


def test_pictures_are_kept_when_the_sources_have_gone(single: Study) -> None:
    path = write_subject_report(single.output_dir, "01", Reader())
    before = path.read_bytes()
    write_subject_report(single.output_dir, "01", Reader(grey=False, there=0))
    assert path.read_bytes() == before


def test_page_lies_beside_the_participants() -> None:
    assert report_path(Path("out"), "01") == Path("out/sub-01.html")
    assert stamp_of(Path("nowhere.html")) == ("", 0)


def test_a_large_leg_in_two_stations_stays_small(tmp_path: Path) -> None:
    """Noise, which cannot be packed, in the numbers of voxels of real stations."""
    study = write_study(tmp_path)
    rng = np.random.default_rng(0)

    class Large(Reader):
        def read(self, image: FinishedImage) -> Scene:
            slices = 50 if image.merged else 31
            labels = np.kron(label_image()[:, :, :1], np.ones((5, 5, slices), np.uint8))
            noise = rng.integers(60, 255, labels.shape, np.uint8)
            return Scene(labels, np.diag([1.3, 1.3, 6.0, 1.0]), noise)

    path = write_subject_report(study.output_dir, "01", Large())
    assert path.stat().st_size < 6_000_000


def test_the_bundle_has_no_way_to_end_its_script() -> None:
    """It is put into the page as base64, and run as the text of a script that is made there."""
    assert "</script" not in viewer_text().lower()
