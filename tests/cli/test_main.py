"""The application as its users meet it: what it writes, prints, and returns."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from running import Ended, Legseg, run_legseg
from skeleton import opposed, outphase_dataset, tree, write_dataset, write_image
from tiny_models import damage, write_models

from legseg_bids.bids.validate import find_command
from legseg_bids.cli.main import Stop
from legseg_bids.workflows.station import STEPS

STEM = "sub-01/anat/sub-01_acq-outphase_"
IMAGE = f"{STEM}T1w.nii.gz"
MANIFEST = [
    ".bidsignore",
    "README.md",
    "dataset_description.json",
    "logs/sub-01/RUN.toml",
    "logs/sub-01/RUN_outcome.tsv",
    f"{STEM}label-leg_mask.json",
    f"{STEM}label-leg_mask.nii.gz",
    f"{STEM}seg-muscles_desc-confidence_probseg.json",
    f"{STEM}seg-muscles_desc-confidence_probseg.nii.gz",
    f"{STEM}seg-muscles_dseg.json",
    f"{STEM}seg-muscles_dseg.nii.gz",
    f"{STEM}seg-muscles_dseg.tsv",
    *(
        f"{STEM}seg-muscles_desc-{table}_dseg.{kind}"
        for table in ("compartments", "limbs", "profiles")
        for kind in ("json", "tsv")
    ),
    "sub-01/figures/sub-01_acq-outphase_seg-muscles_dseg.png",
]
PROBABILITIES = [f"{STEM}seg-muscles_probseg.json", f"{STEM}seg-muscles_probseg.nii.gz"]
GROUP = [
    *(
        f"figures/group_{measure}.{kind}"
        for measure in ("length", "max_csa", "volume")
        for kind in ("png", "svg")
    ),
    "group.html",
    "group_volumes.json",
    "group_volumes.tsv",
    "logs/group_cache.jsonl.gz",
    "logs/group_figures.json",
    "participants.json",
    "participants.tsv",
    "phenotype/legseg.json",
    "phenotype/legseg.tsv",
]


def manifest(out: Path) -> list[str]:
    """All files, with the run's name taken out of the log's."""
    run = r"\d{8}-\d{6}_[0-9a-f-]{36}"
    return sorted(re.sub(run, "RUN", path) for path in tree(out))


def stamps(out: Path) -> dict[str, int]:
    """When each file but the logs was written."""
    return {path: (out / path).stat().st_mtime_ns for path in tree(out) if "logs/" not in path}


@dataclass(frozen=True)
class FirstRun:
    """One run on a fresh dataset, looked at by many tests; nobody changes it."""

    bids: Path
    out: Path
    ended: Ended
    input_before: dict[str, int]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> FirstRun:
    root = tmp_path_factory.mktemp("first")
    bids = outphase_dataset(root / "bids")
    before = stamps(bids)
    options = ["--models", tiny_models, "--skip-bids-validation", "--nprocs", "1"]
    options += ["--participant-label", "sub-01", "--mem", "1GiB", "--device", "cpu"]
    ended = run_legseg(bids, root / "out", "participant", *options)
    return FirstRun(bids, root / "out", ended, before)


class TestFirstRun:
    def test_writes_these_files_and_no_other(self, first: FirstRun) -> None:
        assert manifest(first.out) == sorted([*MANIFEST, "sub-01.html"])

    def test_says_what_was_taken_what_became_of_it_and_why_it_ends_so(
        self, first: FirstRun
    ) -> None:
        assert first.ended.code == 0
        assert "acq-outphase_T1w.nii.gz as opposed (query opposed" in first.ended.progress
        assert first.ended.progress.count("(1/1) sub-01_acq-outphase_T1w: ") >= 3
        assert "sub-01_acq-outphase_T1w: thigh network, 2 limb(s)" in first.ended.progress
        assert first.ended.lines == [
            f"SEGMENTED: {IMAGE}: {STEM}seg-muscles_dseg.nii.gz",
            "legseg-bids: exit code 0: 1 segmented",
        ]

    def test_labels_lie_on_the_grid_of_the_source(self, first: FirstRun) -> None:
        source = nib.load(first.bids / IMAGE)
        labels = nib.load(first.out / f"{STEM}seg-muscles_dseg.nii.gz")
        assert labels.shape == source.shape
        assert set(np.unique(np.asarray(labels.dataobj))) == {0, 31, 32, 33, 34}
        for field in ("qform_code", "sform_code", "srow_x", "xyzt_units"):
            np.testing.assert_array_equal(labels.header[field], source.header[field])

    def test_the_input_is_not_touched(self, first: FirstRun) -> None:
        assert stamps(first.bids) == first.input_before

    def test_the_log_holds_the_settings(self, first: FirstRun) -> None:
        (log,) = (first.out / "logs" / "sub-01").glob("*.toml")
        content = tomllib.loads(log.read_text())
        assert content["settings"]["participants"] == ["01"]
        assert content["settings"]["memory"] == 1024**3
        assert content["run"]["engine"] == "openvino"
        sidecar = json.loads((first.out / f"{STEM}seg-muscles_dseg.json").read_text())
        assert sidecar["Legseg"]["RunUUID"] == content["run"]["id"] == log.stem
        assert sidecar["Legseg"]["ConfigHash"] == content["run"]["config_hash"]


class TestOptions:
    def test_output_with_probabilities_and_group_is_valid_bids(
        self, legseg: Legseg, tmp_path: Path
    ) -> None:
        legseg("--write-probabilities")
        legseg(level="group")
        assert manifest(tmp_path / "out") == sorted(MANIFEST + PROBABILITIES + GROUP)
        done = subprocess.run(
            [str(find_command()), "--format", "json", str(tmp_path / "out")],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DENO_DIR": str(tmp_path / "deno")},
        )
        issues = json.loads(done.stdout)["issues"]["issues"]
        assert [issue for issue in issues if issue["severity"] == "error"] == []
        assert done.returncode == 0

    def test_temporary_files_are_removed(
        self, legseg: Legseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        legseg()
        assert tree(tmp_path / "tmp") == []

    def test_the_work_folder_is_kept_and_used_again(self, legseg: Legseg, tmp_path: Path) -> None:
        work = tmp_path / "work"
        legseg("-w", str(work))
        (prepared,) = work.rglob("prepared.npz")
        before = prepared.stat().st_mtime_ns
        shutil.rmtree(tmp_path / "out")
        assert legseg("-w", str(work)).code == 0
        assert prepared.stat().st_mtime_ns == before
        assert manifest(tmp_path / "out") == sorted(MANIFEST)

    def test_a_dry_run_writes_nothing(self, legseg: Legseg, tmp_path: Path) -> None:
        ended = legseg("--dry-run")
        assert ended.code == 0
        heading, row, last = ended.lines
        assert heading.split() == [
            "participant",
            "session",
            "file",
            "taken",
            "as",
            "output",
            "state",
        ]
        assert row.split()[:2] == ["sub-01", "-"]
        assert f"{STEM}seg-muscles_dseg.nii.gz" in row
        assert row.endswith("to do")
        assert last == "legseg-bids: exit code 0: 1 would be segmented"
        assert not (tmp_path / "out").exists()
        legseg()
        assert legseg("--dry-run").lines[1].endswith("done")

    def test_a_dry_run_makes_no_work_folder(self, legseg: Legseg, tmp_path: Path) -> None:
        assert legseg("--dry-run", "-w", str(tmp_path / "work")).code == 0
        assert not (tmp_path / "work").exists()

    def test_a_dry_run_says_of_each_file_why_it_is_left_out(
        self, legseg: Legseg, tmp_path: Path
    ) -> None:
        """Also where that is so of all of them, and of more than an error has room for."""
        names = [f"sub-{n:02d}/anat/sub-{n:02d}_acq-in_T1w" for n in range(1, 13)]
        bids = write_dataset(tmp_path / "in", dict.fromkeys(names, opposed()))
        ended = legseg("--dry-run", bids=bids)
        assert ended.code == 66
        rows = [line for line in ended.lines if "is in phase" in line and line.startswith("sub-")]
        assert len(rows) == 12


class TestSecondRun:
    def test_recomputes_nothing(self, legseg: Legseg, tmp_path: Path) -> None:
        legseg()
        before = stamps(tmp_path / "out")
        ended = legseg()
        assert stamps(tmp_path / "out") == before
        assert ended.code == 0
        assert ended.line(IMAGE).startswith("DONE ALREADY")

    @pytest.mark.parametrize("name", ["dseg.json", "dseg.tsv", "dseg.nii.gz", "dseg.png"])
    def test_writes_again_what_is_missing(self, legseg: Legseg, tmp_path: Path, name: str) -> None:
        legseg()
        next((tmp_path / "out").rglob(f"*{name}")).unlink()
        assert legseg().line(IMAGE).startswith("SEGMENTED")
        assert manifest(tmp_path / "out").count("logs/sub-01/RUN.toml") == 2

    @pytest.mark.parametrize("change", ["--overwrite", "--write-probabilities", "image", "models"])
    def test_segments_again_what_changed(
        self, legseg: Legseg, tmp_path: Path, bids_dir: Path, tiny_models: Path, change: str
    ) -> None:
        legseg()
        options = [change] if change.startswith("--") else []
        models = tiny_models
        if change == "image":
            write_image(bids_dir / f"{STEM}T1w", opposed(seed=99))
        if change == "models":
            models = write_models(tmp_path / "models", side="left")
        assert legseg(*options, models=models).line(IMAGE).startswith("SEGMENTED")


def bids_with(root: Path, name: str, text: str) -> Path:
    """The small dataset with a file more, or with another text in a file."""
    (root / "bids" / name).parent.mkdir(parents=True, exist_ok=True)
    (root / "bids" / name).write_text(text)
    return root / "bids"


def empty_bids(root: Path) -> Path:
    shutil.rmtree(root / "bids" / "sub-01")
    return root / "bids"


def renamed_bids(root: Path, word: str) -> Path:
    """The only image says that it is of another contrast."""
    for path in (root / "bids" / "sub-01" / "anat").iterdir():
        path.rename(path.with_name(path.name.replace("outphase", word)))
    return root / "bids"


def bids_of_session_a(root: Path) -> Path:
    image = {"sub-1/ses-a/anat/sub-1_ses-a_acq-opp_T1w": opposed()}
    return write_dataset(root / "sessions", image)


def models_without(root: Path, name: str) -> Path:
    (write_models(root / "models") / name).unlink()
    return root / "models"


def damaged_models(root: Path) -> Path:
    damage(write_models(root / "models") / "lower_leg")
    return root / "models"


def other_dataset(root: Path) -> Path:
    (root / "out").mkdir()
    text = json.dumps({"Name": "fMRIPrep", "GeneratedBy": [{"Name": "fMRIPrep"}]})
    (root / "out" / "dataset_description.json").write_text(text)
    return root / "out"


def file_instead_of_folder(root: Path) -> Path:
    (root / "file").write_text("not a folder")
    return root / "file" / "out"


ONNX = "thigh/models/model.onnx"
Given = Callable[[Path], dict[str, Any]]
TROUBLES: dict[str, tuple[Given, int, str]] = {
    "input does not exist": (lambda r: {"bids": r / "nowhere"}, 66, "is not a folder"),
    "input is no dataset": (lambda r: {"bids": r / "bids" / "sub-01"}, 16, "no dataset_descr"),
    "input is not valid": (
        lambda r: {"bids": bids_with(r, "sub-01/anat/sub-01_x.txt", ""), "validate": True},
        16,
        "is not valid BIDS",
    ),
    "input without participants": (lambda r: {"bids": empty_bids(r)}, 66, "no sub-"),
    "unknown participant": (
        lambda r: {"options": ["--participant-label", "9"]},
        18,
        "9 not found",
    ),
    "unknown session": (
        lambda r: {"bids": bids_of_session_a(r), "options": ["--session-label", "b"]},
        18,
        "session b not found",
    ),
    "in-phase image only": (lambda r: {"bids": renamed_bids(r, "inphase")}, 66, "in phase"),
    "water image only": (lambda r: {"bids": renamed_bids(r, "water")}, 66, "without its fat"),
    "image of no known contrast": (lambda r: {"bids": renamed_bids(r, "x")}, 66, "no image that"),
    "output is the input": (lambda r: {"out": r / "bids"}, 2, "is the input dataset"),
    "output inside the input": (lambda r: {"out": r / "bids" / "out"}, 2, "inside the input"),
    "work inside the output": (
        lambda r: {"options": ["-w", str(r / "out" / "work")]},
        2,
        "inside the output",
    ),
    "work folder cannot be written": (
        lambda r: {"options": ["-w", str(file_instead_of_folder(r))]},
        73,
        "choose another one with -w",
    ),
    "work inside the input": (
        lambda r: {"options": ["-w", str(r / "bids" / "work")]},
        2,
        "inside the input",
    ),
    "output cannot be written": (
        lambda r: {"out": file_instead_of_folder(r)},
        73,
        "cannot be written",
    ),
    "output is another dataset": (lambda r: {"out": other_dataset(r)}, 73, "fMRIPrep"),
    "model is missing": (lambda r: {"models": models_without(r, ONNX)}, 1, "does not exist"),
    "model is damaged": (lambda r: {"models": damaged_models(r)}, 1, "has SHA-256"),
    "no models": (lambda r: {"models": r / "nowhere"}, 1, "no folder of models"),
    "memory without unit": (lambda r: {"options": ["--mem", "8"]}, 2, "with a unit"),
    "device for another engine": (
        lambda r: {"options": ["--engine", "openvino", "--device", "cuda"]},
        2,
        "cuda",
    ),
    "group without results": (lambda r: {"level": "group"}, 66, "run the participant level"),
}


@pytest.mark.parametrize(("given", "code", "said"), TROUBLES.values(), ids=list(TROUBLES))
def test_trouble_ends_with_its_exit_code_and_reason(
    legseg: Legseg, tmp_path: Path, given: Given, code: int, said: str
) -> None:
    arguments = given(tmp_path)
    ended = legseg(*arguments.pop("options", []), **arguments)
    assert ended.code == code
    assert any(line.startswith(f"legseg-bids: exit code {code}: ") for line in ended.lines)
    assert said in "\n".join(ended.lines)
    assert not list(tmp_path.rglob("*_dseg.nii.gz"))
    assert "Traceback" not in ended.progress


def test_an_interrupted_run_says_so(legseg: Legseg, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("legseg_bids.workflows.run.discover", interrupt)
    ended = legseg()
    assert ended.code == 130
    assert "interrupted" in ended.lines[-1]


def test_group_table_has_a_row_for_each_participant(legseg: Legseg, tmp_path: Path) -> None:
    bids = outphase_dataset(tmp_path / "two", 2)
    legseg(bids=bids)
    ended = legseg(bids=Path("-"), level="group")
    assert ended.code == 0
    assert "written from 2 image(s)" in ended.lines[-1]
    rows = (tmp_path / "out" / "phenotype" / "legseg.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["participant_id", "sub-01", "sub-02"]


def test_group_names_who_is_missing(legseg: Legseg) -> None:
    legseg()
    ended = legseg("--participant-label", "01", "02", level="group")
    assert "MISSING: sub-02: no finished image" in ended.lines


def test_group_says_what_chooses_nothing(legseg: Legseg) -> None:
    legseg()
    ended = legseg("--exclude-participant-label", "01", level="group", bids=Path("-"))
    assert ended.code == 0
    assert ended.lines[0].startswith("NOTE: --exclude-participant-label chooses nothing here")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
)
def test_a_swallowed_stop_ends_at_the_next_line_of_progress(
    legseg: Legseg, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """Libraries may catch what the signal's handler raises, or make another error of it."""
    stop = Stop()

    def run(settings: object, say: Callable[[str], None], **_: object) -> None:
        say("going")
        with contextlib.suppress(KeyboardInterrupt):
            stop(number, None)
        with pytest.raises(KeyboardInterrupt):
            say("still going")
        raise RuntimeError("made of it")

    monkeypatch.setattr("legseg_bids.workflows.run.run_participants", run)
    ended = legseg(stop=stop)
    assert ended.code == code
    assert "finished images are kept" in ended.lines[-1]
    assert "still going" not in ended.progress


def test_a_signal_that_was_shut_off_stays_shut_off() -> None:
    """As by nohup, or for a job in the background of a shell script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    other = signal.getsignal(signal.SIGTERM)
    try:
        stop = Stop()
        stop.listen()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, other)


@pytest.mark.parametrize(
    ("error", "said", "shown"),
    [
        (OSError(116, "Stale file handle"), "mount it again", False),
        (ZeroDivisionError("a mistake of ours"), "ZeroDivisionError: a mistake of ours", True),
    ],
)
def test_an_error_that_nobody_foresaw_ends_with_its_reason_as_the_last_line(
    legseg: Legseg, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str, shown: bool
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("legseg_bids.workflows.run.discover", fail)
    ended = legseg()
    assert ended.code == 1
    assert ended.lines[-1].startswith("legseg-bids: exit code 1: ")
    assert said in ended.lines[-1]
    assert ("Traceback" in ended.progress) == shown


def test_the_resources_are_told_and_where_each_limit_comes_from(legseg: Legseg) -> None:
    line = legseg("--mem", "1TB").progress.splitlines()[0]
    assert "1 image(s) at a time" in line
    assert re.search(r"allowed: \d+ processor\(s\) \(.+\), [\d.]+ GiB \(.+\)", line)
    assert "more memory than is allowed" in line


class TestReports:
    def test_they_alone_are_made_anew(self, legseg: Legseg, tmp_path: Path) -> None:
        """Also where the dataset is gone."""
        legseg()
        page, elsewhere = tmp_path / "out" / "sub-01.html", tmp_path / "gone"
        before = stamps(tmp_path / "out")
        assert not page.exists()
        ended = legseg("--reports-only", bids=elsewhere)
        assert (ended.code, ended.lines) == (
            0,
            [
                "REPORTED: sub-01: report: sub-01.html",
                "legseg-bids: exit code 0: 1 reported",
            ],
        )
        assert page.is_file()
        assert stamps(tmp_path / "out").items() >= before.items()
        again = legseg("--reports-only", bids=elsewhere)
        assert again.lines[0] == "DONE ALREADY: sub-01: report: sub-01.html"

    def test_a_participant_without_results_is_told(self, legseg: Legseg) -> None:
        legseg()
        ended = legseg("--reports-only", "--participant-label", "01", "02")
        assert ended.code == 1
        assert "no finished image" in ended.line("sub-02")
        assert ended.line("sub-01").startswith("REPORTED")
        ended = legseg("--reports-only", "--participant-label", "02")
        assert ended.code == 18

    def test_nothing_to_report_on(self, legseg: Legseg, tmp_path: Path) -> None:
        ended = legseg("--reports-only")
        assert ended.code == 66
        assert not (tmp_path / "out").exists()

    def test_a_participant_of_another_run_is_left_to_it(
        self, legseg: Legseg, tmp_path: Path
    ) -> None:
        from legseg_bids.workflows.locks import claim

        legseg()
        with claim(tmp_path / "out", ["01"]):
            ended = legseg("--reports-only")
        assert ended.code == 75
        assert not (tmp_path / "out" / "sub-01.html").exists()

    def test_options_that_choose_nothing_are_named(self, legseg: Legseg) -> None:
        legseg()
        ended = legseg("--reports-only", "--session-label", "a")
        assert ended.lines[0].startswith("NOTE: --session-label chooses nothing here")

    def test_one_that_fails_takes_nothing_from_the_images(
        self, legseg: Legseg, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("legseg_bids.interfaces.report.write_subject_report", fail)
        ended = legseg("--reports")
        assert [line.split(":")[0] for line in ended.lines[:2]] == ["SEGMENTED", "FAILED"]
        assert "sub-01: report" in ended.lines[1]
        assert "No space left" in ended.lines[1]
        assert ended.code == 1


class TestLogs:
    def test_the_log_runs_the_same_again(self, legseg: Legseg, tmp_path: Path) -> None:
        """On an empty output the files are those of the first run."""
        legseg("--participant-label", "01", "--no-merge-stations", "--mem", "1GiB")
        (log,) = (tmp_path / "out" / "logs").rglob("*.toml")
        saved = shutil.copy(log, tmp_path / "saved.toml")
        before = manifest(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
        ended = run_legseg("--config-file", saved)
        assert ended.code == 0
        assert manifest(tmp_path / "out") == before
        (again,) = (tmp_path / "out" / "logs").rglob("*.toml")
        settings = [tomllib.loads(Path(path).read_text())["settings"] for path in (saved, again)]
        assert settings[0] == settings[1]

    def test_what_became_of_each_image_stands_beside_the_settings(
        self, legseg: Legseg, tmp_path: Path
    ) -> None:
        bids = outphase_dataset(tmp_path / "two", 2)
        (bids / "sub-02/anat/sub-02_acq-outphase_T1w.nii.gz").write_bytes(b"")
        legseg(bids=bids)
        rows = {}
        for path in (tmp_path / "out" / "logs").rglob("*_outcome.tsv"):
            _, row = path.read_text().splitlines()
            rows[path.parent.name] = row.split("\t")
        assert [rows[f"sub-0{n}"][1] for n in (1, 2)] == ["segmented", "failed"]
        assert [rows[f"sub-0{n}"][-1] for n in (1, 2)] == ["1", "1"]

    def test_the_resource_monitor_has_a_row_for_each_step(
        self, legseg: Legseg, tmp_path: Path
    ) -> None:
        legseg("--resource-monitor")
        (table,) = (tmp_path / "out" / "logs").glob("*_resources.tsv")
        heading, *rows = (line.split("\t") for line in table.read_text().splitlines())
        assert heading == ["node", "start", "seconds", "cpu_percent", "peak_rss_mib"]
        steps = [row[0].rpartition(".")[2] for row in rows]
        assert steps == list(STEPS)
        assert all(float(row[2]) >= 0 and float(row[4]) > 20 for row in rows)

    def test_a_plugin_file_is_used(self, legseg: Legseg, tmp_path: Path) -> None:
        path = tmp_path / "plugin.json"
        path.write_text('{"plugin": "Linear"}')
        assert legseg("--use-plugin", str(path), "--resource-monitor").code == 0
        path.write_text('{"plugin": "Linnear"}')
        ended = legseg("--use-plugin", str(path))
        assert ended.code == 2
        assert "did you mean Linear" in ended.lines[-1]

    def test_the_graph_is_drawn(self, legseg: Legseg, tmp_path: Path) -> None:
        assert legseg("--write-graph").code == 0
        (drawing,) = (tmp_path / "out" / "logs").glob("*_graph.dot")
        text = drawing.read_text()
        assert all(f'[label="{step}"]' in text for step in STEPS)


class TestWorkFolder:
    def test_is_cleaned_of_what_went_well(self, legseg: Legseg, tmp_path: Path) -> None:
        work = tmp_path / "work"
        (work / "of somebody else").mkdir(parents=True)
        legseg("-w", str(work), "--clean-workdir")
        assert not list(work.rglob("*.npz"))
        assert (work / "of somebody else").is_dir()

    def test_keeps_what_is_needed_to_find_out_why_it_failed(
        self, legseg: Legseg, tmp_path: Path
    ) -> None:
        bids = outphase_dataset(tmp_path / "two", 2)
        (bids / "sub-02/anat/sub-02_acq-outphase_T1w.nii.gz").write_bytes(b"")
        work = tmp_path / "work"
        legseg("-w", str(work), "--clean-workdir", bids=bids)
        left = {path.name for path in work.glob("legseg_wf/sub_*")}
        assert left == {"sub_02__acq_outphase__T1w_wf"}


class TestFilterFile:
    def run(self, legseg: Legseg, tmp_path: Path, rules: object, *options: str) -> Ended:
        images = {
            f"sub-1/ses-{session}/anat/sub-1_ses-{session}_acq-{acq}_T1w": opposed()
            for session in "ab"
            for acq in ("outphase", "secondoutphase")
        }
        path = tmp_path / "filter.json"
        path.write_text(json.dumps(rules))
        bids = write_dataset(tmp_path / "sessions", images)
        return legseg("--dry-run", "--bids-filter-file", str(path), *options, bids=bids)

    def test_combines_with_the_session_label_as_intersection(
        self, legseg: Legseg, tmp_path: Path
    ) -> None:
        rules = {"Opposed": {"acquisition": "secondoutphase"}}
        ended = self.run(legseg, tmp_path, rules, "--session-label", "b")
        taken = [line for line in ended.lines[1:-1] if "to do" in line]
        assert len(taken) == 1
        assert "sub-1_ses-b_acq-secondoutphase_T1w.nii.gz" in taken[0]

    def test_that_leaves_nothing_has_an_exit_code(self, legseg: Legseg, tmp_path: Path) -> None:
        rules = {"opposed": {"session": "a"}}
        assert self.run(legseg, tmp_path, rules, "--session-label", "b").code in (18, 66)

    @pytest.mark.parametrize("rules", [{"bold": {}}, {"opposed": {"colour": "red"}}, [1]])
    def test_with_an_unknown_word_is_refused(
        self, legseg: Legseg, tmp_path: Path, rules: object
    ) -> None:
        assert self.run(legseg, tmp_path, rules).code == 2
