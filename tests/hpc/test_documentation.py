"""The page on clusters: its BABS configuration works, and what it names exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import program
from skeleton import outphase_dataset

from legseg_bids import __version__
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


def as_babs_calls(folder: Path, tiny_models: Path) -> subprocess.CompletedProcess[str]:
    """Folders below that of the job, work folder in its repository."""
    words = [f"{folder}/inputs/data/BIDS", f"{folder}/outputs/legseg", "participant"]
    words += babs_words(f"{folder}/.git/tmp/wkdir")
    return subprocess.run(
        [sys.executable, ROOT / "run.py", *words, "--models", tiny_models, "--device", "cpu"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_call_as_babs_makes_it(tmp_path: Path, tiny_models: Path) -> None:
    outphase_dataset(tmp_path / "inputs/data/BIDS")
    done = as_babs_calls(tmp_path, tiny_models)
    assert done.returncode == 0, done.stderr
    zipped = babs()["zip_foldernames"]
    assert {f"outputs/{name}" for name in zipped} == {"outputs/legseg"}
    assert list((tmp_path / "outputs/legseg/sub-01/anat").glob("*_dseg.nii.gz"))


def test_what_failed_stops_the_script_of_babs(tmp_path: Path, tiny_models: Path) -> None:
    """It runs under ``set -e``, and knows of a failure by the exit code only."""
    bids = outphase_dataset(tmp_path / "inputs/data/BIDS")
    next(bids.glob("sub-01/anat/*.nii.gz")).write_bytes(b"")
    assert as_babs_calls(tmp_path, tiny_models).returncode == 1


def test_babs_version_is_ours() -> None:
    assert babs()["zip_foldernames"] == {"legseg": __version__.replace(".", "-")}
    assert f"legseg-{__version__.replace('.', '-')}" in PAGE


def test_babs_itself_makes_a_call_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script that BABS writes calls legseg with options that it knows."""
    container = pytest.importorskip("babs.container", reason="needs babs")
    from babs.input_datasets import InputDatasets
    from babs.system import System

    file = tmp_path / "legseg.yaml"
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file.write_text(text)
    inputs = InputDatasets("subject", babs()["input_datasets"])
    inputs.update_abs_paths(tmp_path)
    one = container.Container("containers", "legseg-0-2-0", str(file))
    one.generate_bash_run_bidsapp(str(tmp_path / "code/run.sh"), inputs, "subject")
    one.generate_bash_participant_job(
        str(tmp_path / "code/job.sh"), inputs, "subject", System("slurm")
    )
    job = (tmp_path / "code/job.sh").read_text()
    assert "#SBATCH --mem=3G" in job
    assert "#SBATCH --cpus-per-task=2" in job
    program(tmp_path / "bin/7z", "")
    program(tmp_path / "bin/singularity", "json.dump(sys.argv[1:], open('called.json', 'w'))")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    words = ["bash", str(tmp_path / "code/run.sh"), "sub-01"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    called = json.loads((tmp_path / "called.json").read_text())
    image = called.index("containers/.datalad/environments/legseg-0-2-0/image")
    assert "--containall" in called[:image]
    args = parse(called[image + 1 :])
    assert args.participant_label == ["sub-01"]
    assert str(args.bids_dir) == f"{tmp_path}/inputs/data/BIDS"


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
