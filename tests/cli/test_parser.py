from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from legseg_bids.cli.parser import build_parser, settings_from
from legseg_bids.errors import LegsegError, NoFilterMatch, UsageError
from legseg_bids.settings import GIB, Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("01", "02", "03"):
        (tmp_path / "bids" / f"sub-{label}").mkdir(parents=True)
    return tmp_path


def settings(folder: Path, *options: str) -> Settings:
    words = [str(folder / "bids"), str(folder / "out"), "participant", *options]
    return settings_from(build_parser().parse_args(words))


def test_defaults(folder: Path) -> None:
    made = settings(folder)
    expected = Settings(folder / "bids", folder / "out")
    varying = {"nprocs": 1, "omp_nthreads": 1, "memory": 1}
    assert dataclasses.replace(made, **varying) == dataclasses.replace(expected, **varying)


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        (["--participant-label", "sub-01", "02"], "participants", ("01", "02")),
        (["--participant_label", "01", "sub-01"], "participants", ("01",)),
        (["--exclude-participant-label", "02"], "participants", ("01", "03")),
        (
            ["--participant-label", "01", "02", "--exclude-participant-label", "sub-01"],
            "participants",
            ("02",),
        ),
        (["--session-label", "ses-a", "b"], "sessions", ("a", "b")),
        (["--session-id", "a"], "sessions", ("a",)),
        (["--skip_bids_validation"], "skip_bids_validation", True),
        (["--skip-bids-validator"], "skip_bids_validation", True),
        (["--nprocs", "8", "--omp-nthreads", "2"], "nprocs", 4),
        (["--n_cpus", "8", "--omp_nthreads", "2"], "omp_nthreads", 2),
        (["--nthreads", "1"], "omp_nthreads", 1),
        (["--nprocs", "1", "--mem", "3GiB"], "memory", 3 * GIB),
        (["--nprocs", "1", "--mem-gb", "3"], "memory", 3_000_000_000),
        (["--nprocs", "1", "--mem_mb", "3000"], "memory", 3_000_000_000),
        (["--nprocs", "4", "--omp-nthreads", "2", "--mem", "3GiB"], "memory", 3 * GIB // 2),
        (["--device", "cuda:1"], "device", "cuda:1"),
        (["--engine", "torch"], "engine", "torch"),
        (["--overwrite"], "overwrite", True),
        (["--no-overwrite"], "overwrite", False),
        (["--write-probabilities"], "write_probabilities", True),
        (["--stop-on-first-crash"], "stop_on_first_crash", True),
        (["--notrack"], "overwrite", False),
    ],
)
def test_options(folder: Path, options: list[str], field: str, expected: object) -> None:
    assert getattr(settings(folder, *options), field) == expected


def test_relative_paths_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = ["bids", "out", "participant", "-w", "work", "--models", "models"]
    made = settings_from(build_parser().parse_args(words))
    found = [made.bids_dir, made.output_dir, made.work_dir, made.models_dir]
    assert found == [folder / name for name in ("bids", "out", "work", "models")]


def test_labels_from_a_text_file(folder: Path) -> None:
    (folder / "labels.txt").write_text("sub-03\n01\n\n")
    made = settings(folder, "--participant-label", str(folder / "labels.txt"))
    assert made.participants == ("03", "01")


def test_memory_without_a_unit(folder: Path) -> None:
    with pytest.raises(UsageError, match="with a unit"):
        settings(folder, "--mem", "8")


def test_excluding_everybody(folder: Path) -> None:
    with pytest.raises(NoFilterMatch, match="excluded"):
        settings(folder, "--exclude-participant-label", "01", "02", "03")


def test_group_needs_no_input(folder: Path) -> None:
    words = [str(folder / "nowhere"), str(folder / "out"), "group"]
    assert settings_from(build_parser().parse_args(words)).output_dir == folder / "out"


@pytest.mark.parametrize(
    "words",
    [
        ["bids", "out"],
        ["bids", "out", "study"],
        ["bids", "out", "participant", "--nprocs", "0"],
        ["bids", "out", "participant", "--nprocs", "two"],
        ["bids", "out", "participant", "--device", "gpu"],
        ["bids", "out", "participant", "--engine", "tensorflow"],
        ["bids", "out", "participant", "--mem", "1GB", "--mem-gb", "1"],
        ["bids", "out", "participant", "--particip", "01"],
    ],
)
def test_words_that_cannot_be_parsed_end_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(words)
    assert stop.value.code == 2
    assert "usage: legseg" in capsys.readouterr().err


def test_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    codes = {cls.exit_code for cls in LegsegError.__subclasses__()} | {0}
    assert all(f"\n  {code} " in text for code in codes)
