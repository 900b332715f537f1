"""The sample on a real Slurm: submitted, made to fail in two ways, submitted again.

    LEGSEG_TEST_SLURM=1 pytest -m slurm

runs the installed Python; ``LEGSEG_TEST_SIF=legseg.sif`` runs an image as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import program

from legseg_bids.cli.slurm import jobs_in_queue

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests/data/sample"
PATIENCE = 600.0
HUNGRY = 2600
"""MB; more than a task gets the first time, less than it gets the second time."""
# Participant 03 needs more memory than it is granted, until it is granted enough.
LEGSEG = f"""
if "sub-03" in sys.argv:
    hungry = b"x" * ({HUNGRY} * 10**6)
    time.sleep(5)  # Slurm looks now and then
    del hungry
os.execv({sys.executable!r}, [{sys.executable!r}, {str(ROOT / "run.py")!r}, *sys.argv[1:]])
"""

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not os.environ.get("LEGSEG_TEST_SLURM"), reason="LEGSEG_TEST_SLURM unset"),
    pytest.mark.skipif(shutil.which("sbatch") is None, reason="needs Slurm (sbatch)"),
]
Submit = Callable[..., str]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The sample with a third participant, in a folder that needs quoting."""
    bids = tmp_path / "the sample's data"
    shutil.copytree(SAMPLE, bids)
    shutil.rmtree(bids / "derivatives")
    for path in sorted((bids / "sub-01").rglob("*.*")):
        copy = bids / path.relative_to(bids).as_posix().replace("sub-01", "sub-03")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    table = bids / "participants.tsv"
    rows = table.read_text().splitlines()
    third = next(row for row in rows if row.startswith("sub-01")).replace("sub-01", "sub-03")
    table.write_text("\n".join([*rows, third, ""]))
    return bids


@pytest.fixture
def submit(sample: Path, tmp_path: Path) -> Submit:
    """Call ``legseg-hpc --submit``, and wait until Slurm has done everything."""

    def call(output: Path, *words: object) -> str:
        command = [sys.executable, "-m", "legseg_bids.cli.hpc", sample, output, "--submit"]
        done = subprocess.run(
            [*map(str, command), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, done.stderr
        start = time.monotonic()
        while jobs_in_queue(output / "logs/slurm"):
            assert time.monotonic() - start < PATIENCE
            time.sleep(0.5)
        return done.stderr

    return call


def notes(output: Path) -> list[list[str]]:
    """All that was noted, in order of time: time, participant, state, seconds, memory."""
    files = sorted((output / "logs/slurm").glob("*_*.tsv"))
    lines = [line.split("\t") for file in files for line in file.read_text().splitlines()[1:]]
    return sorted(lines, key=lambda line: int(line[0]))


def begun(output: Path) -> list[str]:
    """Who was begun, as often as it was."""
    return sorted(line[1] for line in notes(output) if line[2] == "started")


def codes(output: Path) -> dict[str, str]:
    return {line[1]: line[2] for line in notes(output)}


def run_of(output: Path, label: str) -> set[str]:
    """Runs that the results of a participant are of."""
    found = (output / f"sub-{label}").rglob("*_dseg.json")
    texts = [json.loads(path.read_text()).get("Legseg", {}) for path in found]
    return {text["RunUUID"] for text in texts if "RunUUID" in text}


def group(output: Path) -> tuple[float, str]:
    """When the newest group job ended, and what it said."""
    log = max((output / "logs/slurm").glob("group_*.log"), key=lambda path: path.stat().st_mtime)
    return log.stat().st_mtime, log.read_text()


def test_only_what_failed_runs_again(sample: Path, tmp_path: Path, submit: Submit) -> None:
    output = tmp_path / "out 50%"
    image = sample / "sub-02/anat/sub-02_acq-dixonwater_chunk-1_T1w.nii.gz"
    whole = image.read_bytes()
    image.write_bytes(whole[:-5000])
    legseg = program(tmp_path / "bin/legseg", LEGSEG)
    options = ("--program", legseg, "--cpus", 1, "--mem", "1600MiB", "--throttle", 2)

    submit(output, *options)
    assert begun(output) == ["sub-01", "sub-02", "sub-03"]
    found = codes(output)
    assert (found["sub-01"], found["sub-02"]) == ("0", "1")
    assert found["sub-03"] in ("started", "137")
    ended, said = group(output)
    assert ended >= max(int(line[0]) for line in notes(output))
    assert "exit code 0" in said
    first = run_of(output, "01")
    table = next((output / "phenotype").glob("*.tsv")).read_text()
    assert "sub-01" in table
    assert "sub-03" not in table

    image.write_bytes(whole)
    told = submit(output, *options)
    assert "3 participant(s): 1 done, 1 failed, 1 killed" in told
    assert begun(output) == ["sub-01", "sub-02", "sub-02", "sub-03", "sub-03"]
    assert codes(output) == {"sub-01": "0", "sub-02": "0", "sub-03": "0"}
    memory = {line[1]: line[4] for line in notes(output)}
    assert (memory["sub-02"], memory["sub-03"]) == ("1600", "3200")
    assert run_of(output, "01") == first
    ended, said = group(output)
    assert ended >= max(int(line[0]) for line in notes(output))
    assert "MISSING" not in said
    table = next((output / "phenotype").glob("*.tsv")).read_text()
    assert {f"sub-0{n}" for n in (1, 2, 3) if f"sub-0{n}" in table} == {
        *("sub-01", "sub-02", "sub-03")
    }
    assert "nothing to submit" in submit(output, *options)


@pytest.mark.skipif("LEGSEG_TEST_SIF" not in os.environ, reason="LEGSEG_TEST_SIF unset")
def test_an_image(sample: Path, tmp_path: Path, submit: Submit) -> None:
    """Two in one task; the third with too little memory first. Labels as without the image."""
    output, plain = tmp_path / "out 2", tmp_path / "plain"
    options = ("--image", os.environ["LEGSEG_TEST_SIF"], "--cpus", 1)
    submit(output, *options, "--participant-label", "03", "--mem", "60MiB", "--group", "none")
    assert codes(output)["sub-03"] not in ("0", "1", "2")
    submit(output, *options, "--participants-per-task", 2, "--", "--skip-bids-validation")
    assert codes(output) == {"sub-01": "0", "sub-02": "0", "sub-03": "0"}
    assert begun(output) == ["sub-01", "sub-02", "sub-03", "sub-03"]
    assert "exit code 0" in group(output)[1]
    run = [sys.executable, ROOT / "run.py", sample, plain, "participant"]
    subprocess.run([*run, "--skip-bids-validation"], check=True, capture_output=True)
    names = sorted(path.relative_to(plain) for path in plain.rglob("*_dseg.nii.gz"))
    assert len(names) >= 6
    for name in names:
        assert (output / name).read_bytes() == (plain / name).read_bytes(), name


def test_each_step_a_job(sample: Path, tmp_path: Path) -> None:
    """The plug-in file for sites without containers: what fails is told, the rest is written."""
    shutil.rmtree(sample / "sub-03")
    image = sample / "sub-02/anat/sub-02_acq-dixonwater_chunk-1_T1w.nii.gz"
    image.write_bytes(image.read_bytes()[:-5000])
    text = (ROOT / "hpc/nipype_slurmgraph.yml").read_text()
    (tmp_path / "plugin.yml").write_text(text.replace("cpus-per-task=2", "cpus-per-task=1"))
    run = [sys.executable, ROOT / "run.py", sample, tmp_path / "out", "participant"]
    run += ["--skip-bids-validation", "-w", tmp_path / "work", "--nprocs", "1"]
    done = subprocess.run(
        [*run, "--use-plugin", tmp_path / "plugin.yml"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stdout + done.stderr
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == [
        *("SEGMENTED", "SEGMENTED", "FAILED", "SEGMENTED", "MERGED", "legseg-bids")
    ]
    assert "is truncated" in next(line for line in lines if line.startswith("FAILED"))


def test_workers_of_dask_are_jobs(sample: Path, tmp_path: Path) -> None:
    """One participant fails, the others are done; no worker stays behind."""
    pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue")
    image = sample / "sub-02/anat/sub-02_acq-dixonwater_chunk-1_T1w.nii.gz"
    image.write_bytes(image.read_bytes()[:-5000])
    source = f"os.execv({sys.executable!r}, [{sys.executable!r}, {str(ROOT / 'run.py')!r}"
    legseg = program(tmp_path / "bin/legseg", f"{source}, *sys.argv[1:]])")
    run = [sys.executable, ROOT / "hpc/legseg_dask.py", sample, tmp_path / "out"]
    run += ["--program", legseg, "--cluster", "slurm", "--interface", "lo", "--cpus", "1"]
    run += ["--mem", "2GiB", "--walltime", "00:10:00", "--sbatch=--job-name=legseg-dask"]
    done = subprocess.run(
        [*run, "--", "--skip-bids-validation"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert "sub-02: 1: " in done.stdout
    assert done.stdout.endswith("2 of 3 participants without failure\n")
    queue = ["squeue", "--noheader", "--name=legseg-dask", "--states=PENDING,RUNNING"]
    start = time.monotonic()
    while subprocess.run(queue, capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() - start < 60
        time.sleep(0.5)
