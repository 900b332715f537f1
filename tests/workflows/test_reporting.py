"""Which pages a run writes, and what becomes of those that fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reported import Study, write_image, write_study

from legseg_bids.settings import Settings
from legseg_bids.workflows.context import Run
from legseg_bids.workflows.outcomes import Outcome, Status
from legseg_bids.workflows.reporting import (
    init_reporting_wf,
    memory_gb,
    report_name,
    write_reports,
)
from legseg_bids.workflows.station import Networks


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = write_study(tmp_path, chunks=(1,))
    (made.output_dir / "dataset_description.json").write_text("{}")
    return made


def a_run(study: Study, lines: list[str] | None = None, **changes: Any) -> Run:
    settings = replace(Settings(study.bids_dir, study.output_dir), **changes)
    work = study.output_dir.parent / "work"
    said = [] if lines is None else lines
    return Run(settings, Networks(work, "openvino", "cpu", "ab"), work, said.append)


def page(study: Study, subject: str = "01") -> Path:
    return study.output_dir / f"sub-{subject}.html"


def test_a_page_is_written_once(study: Study) -> None:
    lines: list[str] = []
    run = a_run(study, lines)
    assert write_reports(["01", "01"], run) == []
    assert lines == ["sub-01: writing the report"]
    before = page(study).stat().st_mtime_ns
    assert write_reports(["01"], run) == []
    assert (len(lines), page(study).stat().st_mtime_ns) == (1, before)
    assert not (run.work_dir / "reporting_wf").exists()


def test_who_has_nothing_gets_no_page(study: Study) -> None:
    assert write_reports(["07"], a_run(study)) == []
    assert not page(study, "07").exists()


def test_failures_of_this_run_are_told_in_the_page(study: Study) -> None:
    outcomes = [
        Outcome("sub-07/anat/a.nii.gz", Status.FAILED, "is empty"),
        Outcome("sub-08/anat/b.nii.gz", Status.FAILED, "of somebody else"),
    ]
    assert write_reports(["07"], a_run(study), outcomes) == []
    text = page(study, "07").read_text(encoding="utf-8")
    assert "is empty" in text
    assert "of somebody else" not in text


def test_a_page_that_cannot_be_written_is_told_and_the_others_come(study: Study) -> None:
    write_study(study.output_dir.parent / "more", "02", chunks=(1,))
    (study.output_dir.parent / "more/out/sub-02").rename(study.output_dir / "sub-02")
    page(study).mkdir()
    (page(study) / "in the way").touch()
    (failed,) = write_reports(["01", "02"], a_run(study))
    assert (failed.image, failed.status) == ("sub-01: report", Status.FAILED)
    assert "sub-01.html cannot be written" in failed.message
    assert page(study, "02").is_file()


def test_a_derivative_without_its_dataset_has_pages(study: Study) -> None:
    run = a_run(study, bids_dir=Path("-"))
    assert write_reports(["01"], run) == []
    assert "run with BIDS_DIR" in page(study).read_text(encoding="utf-8")


def test_steps_are_independent_and_know_where_crashes_go(study: Study) -> None:
    settings = a_run(study).settings
    workflow = init_reporting_wf(["01", "x/../y"], settings, study.output_dir.parent)
    names = workflow.list_node_names()
    assert len(names) == 2
    assert "report_01_wf.report" in names
    assert not workflow._graph.edges
    node = workflow.get_node("report_01_wf.report")
    assert node.config["execution"]["crashdump_dir"].endswith("logs/sub-01")


def test_memory_grows_with_the_largest_image(study: Study) -> None:
    small = memory_gb(study.output_dir, "01")
    stem = "sub-01/anat/sub-01_acq-opp_chunk-2_seg-muscles"
    write_image(study.output_dir, stem, np.eye(4), np.zeros((200, 200, 100), np.uint8))
    assert memory_gb(study.output_dir, "01") > small + 0.03
    (study.output_dir / f"{stem}_dseg.nii.gz").write_bytes(b"no image")
    assert memory_gb(study.output_dir, "01") == small


@pytest.mark.parametrize("label", ["a b", "é", "a/b", "x" * 200, "\udcff"])
def test_any_label_has_a_name_of_its_own(label: str) -> None:
    assert report_name(label).isidentifier()
    assert report_name(label) != report_name(f"{label}2")
