"""The page on clusters: its BABS configuration works, and what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from skeleton import outphase_dataset

from legseg_bids.cli.hpc_parser import parser
from legseg_bids.cli.parser import parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/hpc.md").read_text(encoding="utf-8")


def babs() -> dict:
    yaml = pytest.importorskip("yaml")
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return yaml.safe_load(text)


def babs_words(temporary: str, label: str = "sub-01") -> list[str]:
    """The options as BABS makes them; the label, with its prefix, comes last."""
    found = dict(babs()["bids_app_args"])
    flag = found.pop("$SUBJECT_SELECTION_FLAG")
    found["-w"] = found["-w"].replace("$BABS_TMPDIR", temporary)
    words = [word for pair in found.items() for word in pair if word]
    return [*words, flag, label]


def test_babs_options_are_known() -> None:
    args = parse(["data", "out", "participant", *babs_words("/tmp/work")])
    assert args.participant_label == ["sub-01"]
    assert (args.nprocs, args.omp_nthreads, args.mem_mb) == (2, 2, "2000")
    assert args.skip_bids_validation
    words = ["data", "out", "participant", "--session-label", "ses-01"]
    assert parse(words).session_label == ["ses-01"]


def test_a_call_as_babs_makes_it(tmp_path: Path, tiny_models: Path) -> None:
    """From the folder of the job: relative folders, work folder below, inside a repository."""
    outphase_dataset(tmp_path / "inputs/data/BIDS")
    temporary = f"{tmp_path}/.git/tmp/wkdir"
    words = ["inputs/data/BIDS", "outputs/legseg", "participant", *babs_words(temporary)]
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", *words, "--models", tiny_models, "--device", "cpu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    zipped = babs()["zip_foldernames"]
    assert {f"outputs/{name}" for name in zipped} == {"outputs/legseg"}
    assert list((tmp_path / "outputs/legseg/sub-01/anat").glob("*_dseg.nii.gz"))


def test_what_failed_is_found_by_the_alerts_of_babs(tmp_path: Path, tiny_models: Path) -> None:
    bids = outphase_dataset(tmp_path / "BIDS")
    next(bids.glob("sub-01/anat/*.nii.gz")).write_bytes(b"")
    words = [bids, tmp_path / "out", "participant", *babs_words(f"{tmp_path}/work")]
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", *words, "--models", tiny_models, "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    for alert in babs()["alert_log_messages"]["stdout"]:
        assert alert in done.stdout


def test_what_the_page_names_exists() -> None:
    for path in re.findall(r"`((?:tests|benchmarks|docs|hpc)/[\w/]*\.\w+)`", PAGE):
        assert (ROOT / path).is_file(), path


def test_options_of_the_page_exist() -> None:
    """Words of the page that look like options are those of legseg-hpc, legseg or others."""
    text = parser().format_help()
    mine = ("--throttle", "--max-array", "--max-mem", "--participants-per-task", "--check")
    for option in (*mine, "--group", "--sbatch", "--image", "--submit", "--minutes", "--gpu"):
        assert option in PAGE
        assert option in text
