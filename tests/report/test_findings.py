from __future__ import annotations

import json
from pathlib import Path

import pytest
from reported import write_sidecar, write_study

from legseg_bids.bids.finished import FinishedImage, finished_images
from legseg_bids.report.findings import network, read_findings, read_sidecar
from legseg_bids.report.troubles import Trouble, troubles

STEM = "sub-01/anat/sub-01_acq-opp_chunk-1"
SOURCE = f"{STEM}_T1w.nii.gz"
HEADER = "image\tstatus\tmessage\twarnings\texit_code\n"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_study(tmp_path, chunks=(1,)).output_dir


def the_image(out: Path) -> FinishedImage:
    (image,) = finished_images(out, "01")
    return image


def test_the_sidecar_is_told_in_words(out: Path) -> None:
    write_sidecar(
        out,
        f"{STEM}_seg-muscles",
        [f"bids:raw:{SOURCE}"],
        Parts=["upper", "upper", "knee"],
        SideProbabilities=[0.01, 0.02, 0.97],
        Regions=[
            {"Name": "upper", "Side": "left", "FirstSlice": 0, "LastSlice": 8, "Score": 0.93}
        ],
        Models=[
            {"Name": "thigh", "Version": "0.1.0", "Engine": "openvino", "SHA256": {"a": "12" * 32}}
        ],
        Warnings=["slices differ"],
    )
    found = read_findings(out, the_image(out))
    assert found.parts == ("slices 1 to 2: thigh", "slice 3: knee")
    assert found.sides == "both limbs (97 %)"
    assert (found.regions[0].slices, found.regions[0].score) == ("1 to 9", "0.93")
    assert found.networks == ("thigh 0.1.0, openvino, SHA-256 121212121212…",)
    assert found.sources == (f"bids:raw:{SOURCE}",)
    assert found.warnings == ("slices differ",)
    assert found.what == "Leg muscles, segmented on an opposed-phase image"


def test_the_log_says_why_a_file_was_taken(out: Path) -> None:
    log = out / "logs" / "sub-01" / "20260101-000000_x.toml"
    log.parent.mkdir(parents=True)
    name = SOURCE.rpartition("/")[2]
    log.write_text(f'[run]\nimages = ["{name} as opposed (query a)", "other.nii.gz as water"]\n')
    assert read_findings(out, the_image(out)).reasons == (f"{name} as opposed (query a)",)
    log.write_text("[run\n")
    assert read_findings(out, the_image(out)).reasons == ()


@pytest.mark.parametrize(
    "legseg",
    [
        {"Parts": 3, "Regions": "x", "Models": [1, None], "SideProbabilities": ["a"]},
        {"Regions": [{}], "Models": [{}], "Stations": [{}], "RunUUID": "../../etc/passwd"},
        {"Regions": [{"FirstSlice": None, "Score": "high"}], "Warnings": [None, {"a": 1}]},
    ],
)
def test_a_sidecar_of_anything_is_read(out: Path, legseg: dict) -> None:
    write_sidecar(out, f"{STEM}_seg-muscles", [], **legseg)
    read_findings(out, the_image(out))


def test_no_sidecar_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "bad.json").write_text("{")
    for name in ("list.json", "bad.json", "none.json"):
        assert read_sidecar(tmp_path / name) == {}


def test_a_network_tells_its_voxels_and_device() -> None:
    text = network(
        {"Name": "thigh", "Version": "2", "Engine": "e", "Device": "cpu", "ResampledTo": [1, 2.5]}
    )
    assert text == "thigh 2, e on cpu, voxels of 1 × 2.5 mm"


def log(out: Path, run: str, *rows: str) -> None:
    folder = out / "logs" / "sub-01"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run}_outcome.tsv").write_text(HEADER + "".join(f"{row}\n" for row in rows))


def test_the_last_run_that_tried_an_image_counts(out: Path) -> None:
    log(
        out,
        "20250101-000000_a",
        "sub-01/anat/b\tfailed\told\tn/a\t1",
        "c\tskipped\tno sidecar\tn/a\t1",
    )
    log(out, "20250102-000000_b", "sub-01/anat/b\tsegmented\tfine\tn/a\t0")
    assert troubles(out, "01", ()) == (Trouble("c", "skipped", "no sidecar"),)


def test_what_this_run_says_counts_more(out: Path) -> None:
    log(out, "20250101-000000_a", "b\tfailed\told\tn/a\t1", "c\tfailed\told\tn/a\t1")
    now = [Trouble("b", "FAILED", "new"), Trouble("c", "segmented"), Trouble("d", "done already")]
    assert troubles(out, "01", (), now) == (Trouble("b", "FAILED", "new"),)


def test_a_failure_before_the_result_is_over(out: Path) -> None:
    images = finished_images(out, "01")
    log(out, "20250101-000000_a", f"{SOURCE}\tfailed\told\tn/a\t1")
    assert troubles(out, "01", images) == ()
    log(out, "20270101-000000_a", f"{SOURCE}\tfailed\tnewer\tn/a\t1")
    assert [trouble.message for trouble in troubles(out, "01", images)] == ["newer"]


def test_logs_of_anything_are_stepped_over(out: Path) -> None:
    folder = out / "logs" / "sub-01"
    folder.mkdir(parents=True)
    (folder / "a_outcome.tsv").write_bytes(b"\xff\xfe")
    (folder / "b_outcome.tsv").mkdir()
    (folder / "c_outcome.tsv").write_text(json.dumps({"no": "table"}))
    assert troubles(out, "01", ()) == ()
