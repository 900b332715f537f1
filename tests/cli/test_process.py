"""The application as a process of its own: start, imports, network, home, parallel runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from running import run_legseg
from skeleton import outphase_dataset, tree

RUN = Path(__file__).parents[2] / "run.py"

# Runs the application under an audit hook, and tells what it touched.
WATCHED = """
import json, runpy, sys
seen = {"network": [], "modules": []}

def watch(event, arguments):
    if event == "socket.getaddrinfo" or event == "socket.gethostbyname":
        seen["network"].append(str(arguments))
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        seen["network"].append(str(arguments[1]))

sys.addaudithook(watch)
report, sys.argv = sys.argv[1], sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    seen["code"] = stop.code
seen["modules"] = sorted(name.partition(".")[0] for name in sys.modules)
with open(report, "w") as file:
    json.dump(seen, file)
"""


def environment(home: Path) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_ET", "DENO_DIR")}
    return {**kept, "HOME": str(home), "TMPDIR": str(home.parent), "NUMBA_DISABLE_JIT": "1"}


def watched(tmp_path: Path, *words: str) -> dict:
    report = tmp_path / "report.json"
    command = [sys.executable, "-c", WATCHED, str(report), str(RUN), *words]
    subprocess.run(command, check=True, env=environment(tmp_path / "home"), capture_output=True)
    return json.loads(report.read_text())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    seen = watched(tmp_path, "--help")
    heavy = {"numpy", "nibabel", "nipype", "bids", "openvino", "torch", "PIL", "scipy", "pandas"}
    assert heavy & set(seen["modules"]) == set()
    assert seen["code"] == 0


def test_run_py_is_executable_by_itself() -> None:
    assert os.access(RUN, os.X_OK)
    assert RUN.read_text().startswith("#!/usr/bin/env python3\n")


def test_version_is_that_of_the_package() -> None:
    from legseg_bids import __version__

    done = subprocess.run(
        [sys.executable, str(RUN), "--version"], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"legseg-bids {__version__}"


def test_a_run_on_a_cpu_needs_neither_network_nor_home_nor_torch(
    tmp_path: Path, bids_dir: Path, tiny_models: Path
) -> None:
    """With validation: the validator, too, must leave the home alone."""
    words = [str(bids_dir), str(tmp_path / "out"), "participant", "--models", str(tiny_models)]
    seen = watched(tmp_path, *words, "--device", "cpu")
    assert seen["code"] == 0
    assert seen["network"] == []
    assert {"torch", "monai", "matplotlib"} & set(seen["modules"]) == set()
    assert tree(tmp_path / "home") == []


def test_two_images_at_a_time(tmp_path: Path, tiny_models: Path) -> None:
    """A bad image among three, with workers: the others are written, and nothing hangs.

    The labels are those of a run with one process.
    """
    bids = outphase_dataset(tmp_path / "three", 3)
    (bids / "sub-02/anat/sub-02_acq-outphase_T1w.nii.gz").write_bytes(b"")
    options = ["--models", str(tiny_models), "--skip-bids-validation", "--device", "cpu"]
    options.append("--no-reports")
    two = ["--nprocs", "2", "--omp-nthreads", "1"]
    words = [sys.executable, str(RUN), str(bids), str(tmp_path / "out"), "participant"]
    done = subprocess.run(
        [*words, *options, *two],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
    )
    lines = done.stdout.splitlines()
    # As they end, not in the order of participants.
    told = {line.split()[1][:6]: line for line in lines[:3]}
    assert [told[f"sub-0{n}"].split(":")[0] for n in (1, 2, 3)] == [
        "SEGMENTED",
        "FAILED",
        "SEGMENTED",
    ]
    assert "is empty" in told["sub-02"]
    assert lines[-1] == "legseg-bids: exit code 1: 2 segmented, 1 failed"
    assert done.returncode == 1
    crashes = [path for path in tree(tmp_path) if Path(path).name.startswith("crash-")]
    assert {str(Path(path).parent) for path in crashes} == {"out/logs/sub-02"}

    options += ["--nprocs", "1", "--mem", "3GiB"]
    run_legseg(bids, tmp_path / "alone", "participant", *options)
    contents = [
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("*_dseg.nii.gz"))]
        for name in ("out", "alone")
    ]
    assert len(contents[0]) == 2
    assert contents[0] == contents[1]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_run_that_is_told_to_stop_cleans_up(tmp_path: Path, tiny_models: Path) -> None:
    bids = outphase_dataset(tmp_path / "many", 12)
    words = [str(bids), str(tmp_path / "out"), "participant", "--models", str(tiny_models)]
    options = ["--nprocs", "1", "--skip-bids-validation", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, str(RUN), *words, *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(tmp_path / "home"),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "segmenting" in line:
            process.send_signal(signal.SIGTERM)
            break
    process.stderr.read()
    assert process.wait(60) == 143
    assert not list(tmp_path.glob("legseg-*"))
    assert not list((tmp_path / "out").rglob("*.tmp"))
