"""Jobs: what they run, how far they are, how they are stopped; the application is a stand-in."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from desks import InHand, desk_in_hand
from skeleton import outphase_dataset, tree

from legseg_bids.bids.description import GENERATOR

FAKE_RUN = """
import os, pathlib, signal, sys, time
where = pathlib.Path(os.environ["FAKE"])
(where / f"words-{os.getpid()}").write_text(repr(sys.argv[1:]))
how = (where / "how").read_text() if (where / "how").exists() else ""
print("[0:00:01] (1/2) sub-01_T1w: segmenting", file=sys.stderr, flush=True)
print("[0:00:02] (1/2) sub-01_T1w: done in 0:00:01; 1 of 2 images done, about 0:01:00 left",
      file=sys.stderr, flush=True)
print("SEGMENTED: sub-01/anat/a.nii.gz: b.nii.gz\\n  warning: look", flush=True)
if "deaf" in how:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
(where / "at-work").touch()
if "wait" in how:
    try:
        time.sleep(100)
    except KeyboardInterrupt:
        print("legseg-bids: exit code 130: interrupted", flush=True)
        sys.exit(130)
if "die" in how:
    os.kill(os.getpid(), signal.SIGKILL)
if "loud" in how:
    sys.stderr.write("x" * 5_000_000)
if "invalid" in how:
    print("legseg-bids: exit code 16: no valid BIDS", flush=True)
    sys.exit(16)
print("legseg-bids: exit code 0: 2 segmented", flush=True)
"""
FAKE_BIDSIFY = """
import argparse, json, os, pathlib, sys
from legseg_bids.dicom.mapping import Row, read_mapping, undecided, write_mapping
parser = argparse.ArgumentParser()
parser.add_argument("source", type=pathlib.Path)
parser.add_argument("bids", type=pathlib.Path)
parser.add_argument("--draft", type=pathlib.Path)
parser.add_argument("--report", type=pathlib.Path)
parser.add_argument("--nifti", action="store_true")
options = parser.parse_args()
asked = Row("2", "01", guess="water", question="which?")
known = {"1": Row("1", "01", role="opposed"), "2": asked}
if options.draft.exists():
    known |= {row.id: row for row in read_mapping(options.draft)}
open_ones = undecided(known.values())
write_mapping(options.draft, known.values())
written = []
if not open_ones:
    from skeleton import outphase_dataset
    outphase_dataset(options.bids)
    written = ["sub-01/anat/sub-01_acq-outphase_T1w.nii.gz"]
keys = ("id", "participant", "session", "station", "role", "guess", "question", "decided",
        "vendor", "description")
options.report.write_text(json.dumps({
    "series": [{key: getattr(row, key) for key in keys} for row in known.values()],
    "written": written, "problems": ["one file is no image"],
}))
print("[1/1] t1", flush=True)
sys.exit(65 if open_ones else 0)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stand-ins for the application and for legseg-bidsify."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "fake_run.py").write_text(FAKE_RUN)
    (folder / "fake_bidsify.py").write_text(FAKE_BIDSIFY)
    support = Path(__file__).parents[1] / "support"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(support)]))
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setattr("legseg_bids.desk.stages.APP", "fake_run")
    monkeypatch.setattr("legseg_bids.desk.stages.BIDSIFY", "fake_bidsify")
    return folder


@pytest.fixture
def project(hand: InHand, fake: Path, tmp_path: Path) -> str:
    """A project of a folder, ready to run."""
    made = hand.project(path=outphase_dataset(tmp_path / "scans", 2))
    assert hand.wait(made, "ready", "failed")["state"] == "ready"
    return made


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.01)


def run(hand: InHand, project: str, **options: bool):
    return hand.change("POST", f"/api/projects/{project}/run", json={"options": options})


def test_a_dataset_on_this_machine(hand: InHand, project: str, tmp_path: Path) -> None:
    told = hand.client.get(f"/api/projects/{project}").json()
    assert told["bids"] == told["path"] == str(tmp_path / "scans")
    assert (told["found"]["kind"], told["found"]["participants"]) == ("bids", 2)
    (station, _) = told["found"]["stations"]
    assert (station["participant"], station["session"]) == ("01", None)
    assert station["images"] == [{"role": "opposed", "name": "sub-01_acq-outphase_T1w.nii.gz"}]
    assert (told["job"]["kind"], told["job"]["state"]) == ("survey", "done")


def test_a_run(hand: InHand, project: str, fake: Path, tmp_path: Path) -> None:
    before = tree(tmp_path / "scans")
    answer = run(hand, project, reports=False, validate=False, overwrite=True)
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    job = hand.wait(project, "done", "failed")["job"]
    assert (job["state"], job["exit_code"], job["line"]) == ("done", 0, "2 segmented")
    assert (job["done"], job["total"], job["seconds_left"]) == (2, 2, None)
    assert job["outcomes"] == [
        {"image": "sub-01/anat/a.nii.gz", "status": "segmented", "message": "b.nii.gz",
         "warnings": ["look"]}
    ]  # fmt: skip
    (words,) = [eval(path.read_text()) for path in fake.glob("words-*")]
    output = hand.folder(project) / "derivatives/legseg"
    assert words[:3] == [str(tmp_path / "scans"), str(output), "participant"]
    assert set(words[3:]) == {"--no-reports", "--skip-bids-validation", "--overwrite"}
    assert tree(tmp_path / "scans") == before
    file = hand.folder(project) / "project.json"
    until(lambda: json.loads(file.read_text())["state"] == "done")
    assert json.loads(file.read_text())["job"]["state"] == "done"


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [("invalid", 16, "no valid BIDS"), ("die", -9, "sub-01_T1w")],
)
def test_a_run_that_fails(
    hand: InHand, project: str, fake: Path, how: str, code: int, line: str
) -> None:
    (fake / "how").write_text(how)
    run(hand, project)
    told = hand.wait(project, "done", "failed")
    assert (told["state"], told["job"]["state"], told["job"]["exit_code"]) == (
        "failed", "failed", code,
    )  # fmt: skip
    assert line in told["job"]["line"]
    (fake / "how").unlink()
    run(hand, project)
    assert hand.wait(project, "done", "failed")["state"] == "done"


def test_a_line_that_never_ends_fills_no_memory_and_no_page(
    hand: InHand, project: str, fake: Path
) -> None:
    (fake / "how").write_text("loud")
    run(hand, project)
    told = hand.wait(project, "done", "failed")
    assert told["state"] == "done"
    assert len(json.dumps(told)) < 10_000


@pytest.mark.parametrize("how", ["wait", "wait deaf"])
def test_cancelling(
    hand: InHand, project: str, fake: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "legseg_bids.desk.children.PATIENCE", (0.2, 0.2) if "deaf" in how else (20, 1)
    )
    (fake / "how").write_text(how)
    made = hand.folder(project) / "derivatives/legseg/sub-01/anat/sub-01_seg-muscles_dseg.json"
    made.parent.mkdir(parents=True)
    made.touch()
    run(hand, project)
    until((fake / "at-work").exists)
    until(lambda: hand.client.get(f"/api/projects/{project}").json()["results"] == 1)
    assert hand.change("DELETE", f"/api/projects/{project}").status_code == 409
    assert run(hand, project).status_code == 409
    assert hand.upload(project, "a", b"x").status_code == 409
    told = hand.change("POST", f"/api/projects/{project}/cancel").json()
    assert (told["state"], told["job"]["state"]) == ("ready", "cancelled")
    assert "run again to go on" in told["job"]["line"]
    assert told["job"]["exit_code"] == (-9 if "deaf" in how else 130)
    assert hand.change("POST", f"/api/projects/{project}/cancel").status_code == 409


def test_one_run_at_a_time(hand: InHand, project: str, fake: Path, tmp_path: Path) -> None:
    second = hand.project(path=tmp_path / "scans")
    hand.wait(second, "ready")
    (fake / "how").write_text("wait")
    run(hand, project)
    until((fake / "at-work").exists)
    run(hand, second)
    while not (told := hand.wait(second, "running"))["job"]["queued"]:
        time.sleep(0.01)
    assert "another project" in told["job"]["line"]
    assert len(list(fake.glob("words-*"))) == 1
    told = hand.change("POST", f"/api/projects/{second}/cancel").json()
    assert (told["state"], told["job"]["state"]) == ("ready", "cancelled")
    run(hand, second)
    (fake / "how").unlink()
    hand.change("POST", f"/api/projects/{project}/cancel")
    assert hand.wait(second, "done", "failed")["state"] == "done"


def test_news_follow_every_change(hand: InHand, project: str, fake: Path) -> None:
    lines: list[str] = []

    def listen() -> None:
        with hand.client.stream("GET", f"/api/projects/{project}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines.extend(line for line in stream.iter_lines() if line)

    listener = threading.Thread(target=listen)
    listener.start()
    run(hand, project)
    hand.wait(project, "done")
    # TestClient hands on a stream when it has ended: so it does when the project goes.
    time.sleep(0.6)
    assert hand.change("DELETE", f"/api/projects/{project}").status_code == 204
    listener.join(30)
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data")]
    assert lines[0] == "retry: 2000"
    assert told[0]["state"] == "ready" or told[0]["state"] == "running"
    assert told[-1]["state"] == "done"
    assert (
        told[-1].keys() == told[0].keys() >= {"id", "name", "state", "found", "questions", "job"}
    )
    assert hand.desk.listening.inside == 0


def test_more_listeners_than_allowed(tmp_path: Path) -> None:
    with desk_in_hand(tmp_path / "desk", request_events=0) as hand:
        project = hand.project()
        assert hand.client.get(f"/api/projects/{project}/events").status_code == 429


def test_the_end_of_the_server_interrupts(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from desks import worker_here

    monkeypatch.setattr("legseg_bids.desk.shifts.ask_worker", worker_here)
    (fake / "how").write_text("wait")
    with desk_in_hand(tmp_path / "desk") as hand:
        project = hand.project(path=outphase_dataset(tmp_path / "scans"))
        hand.wait(project, "ready")
        run(hand, project)
        until((fake / "at-work").exists)
    with desk_in_hand(tmp_path / "desk") as hand:
        told = hand.client.get(f"/api/projects/{project}").json()
        assert (told["state"], told["job"]["state"]) == ("failed", "failed")
        assert told["job"]["interrupted"]
        assert told["job"]["line"].startswith("interrupted; finished images are kept")
        (fake / "how").unlink()
        run(hand, project)
        assert hand.wait(project, "done", "failed")["state"] == "done"


@pytest.mark.parametrize(
    "options", [{"reports": "yes"}, {"unknown": True}, {"reports": None}, [], "reports"]
)
def test_options_that_are_none(hand: InHand, project: str, options: object) -> None:
    answer = hand.change("POST", f"/api/projects/{project}/run", json={"options": options})
    assert answer.status_code == 400


def test_nothing_to_run(hand: InHand) -> None:
    project = hand.project()
    assert run(hand, project).status_code == 409
    assert hand.change("POST", f"/api/projects/{project}/uploaded").status_code == 409
    assert (
        hand.change("PUT", f"/api/projects/{project}/answers", json={"rows": []}).status_code
        == 409
    )
    hand.upload(project, "a.txt", b"x")
    hand.change("POST", f"/api/projects/{project}/uploaded")
    told = hand.wait(project, "failed")
    assert "no images were found" in told["job"]["line"]


# -------------------------------------------------------------------------- questions


def test_questions_and_answers(hand: InHand, fake: Path) -> None:
    project = hand.project()
    hand.upload(project, "scans/IM1", bytes(128) + b"DICM")
    assert hand.change("POST", f"/api/projects/{project}/uploaded").status_code == 202
    told = hand.wait(project, "questions", "failed")
    (question,) = told["questions"]
    assert (question["id"], question["question"], question["guess"]["role"]) == (
        "2", "which?", "water",
    )  # fmt: skip
    assert "one file is no image" in told["found"]["problems"]
    address = f"/api/projects/{project}/answers"
    for rows in (
        [{"id": "9", "role": "water"}],
        [{"id": "2", "role": "nonsense"}],
        [{"id": "2", "role": ["water"]}],
        [{"id": "2", "role": "water\tx"}],
        [{"id": "2", "role": "water", "participant": "../../x"}],
        ["water"],
        "water",
    ):
        answer = hand.change("PUT", address, json={"rows": rows})
        assert answer.status_code in (400, 422), rows
        assert hand.client.get(f"/api/projects/{project}").json()["state"] == "questions"
    row = {"id": "2", "participant": "01", "session": "", "role": "water", "station": "2"}
    answer = hand.change("PUT", address, json={"rows": [row]})
    assert (answer.status_code, answer.json()["state"]) == (202, "surveying")
    told = hand.wait(project, "ready", "failed", "questions")
    assert (told["state"], told["questions"], told["job"]["kind"]) == ("ready", [], "convert")
    assert told["bids"] == str(hand.folder(project) / "bids")
    assert len(told["found"]["stations"]) == 1
    mapping = (hand.folder(project) / "mapping.tsv").read_text().splitlines()
    assert mapping[2].split("\t")[:5] == ["2", "sub-01", "n/a", "water", "2"]


def test_questions_that_stay_open(hand: InHand, fake: Path) -> None:
    project = hand.project()
    hand.upload(project, "a.nii.gz", b"x")
    hand.change("POST", f"/api/projects/{project}/uploaded")
    hand.wait(project, "questions")
    rows = [{"id": "2", "station": "1"}]
    hand.change("PUT", f"/api/projects/{project}/answers", json={"rows": rows})
    told = hand.wait(project, "questions", "failed")
    assert (told["state"], len(told["questions"])) == ("questions", 1)


# --------------------------------------------------------------------------- processes


def test_nothing_is_imported_from_the_folder_of_the_data(
    hand: InHand, project: str, fake: Path
) -> None:
    (hand.folder(project) / "json.py").write_text("raise SystemExit('imported')")
    (hand.folder(project) / "legseg_bids").mkdir()
    (hand.folder(project) / "legseg_bids/__init__.py").write_text("raise SystemExit('imported')")
    run(hand, project)
    assert hand.wait(project, "done", "failed")["state"] == "done"


def test_a_correction_that_was_decided_is_finished_at_the_next_start(tmp_path: Path) -> None:
    """As `legseg-correct` leaves it when it is killed between its decision and its last file."""
    with desk_in_hand(tmp_path / "desk") as hand:
        project, study, _ = hand.with_results(chunks=(1,))
    about = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    about["GeneratedBy"] = [{"Name": GENERATOR}]
    (study.output_dir / "dataset_description.json").write_text(json.dumps(about))
    change = study.output_dir / "logs/sub-01/.change"
    (change / "0").mkdir(parents=True)
    (change / "0/new.tsv").write_text("new")
    decided = {"moved": ["sub-01/anat/new.tsv"], "removed": []}
    (change / "journal.json").write_text(json.dumps(decided))
    with desk_in_hand(tmp_path / "desk") as hand:
        until((study.output_dir / "sub-01/anat/new.tsv").exists)
        until(lambda: not change.exists())
        assert hand.client.get(f"/api/projects/{project}/results").status_code == 200
