"""A dataset of folders, programs that stand in for others, and the batch script without Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

BATCH = Path(__file__).parents[2] / "hpc" / "legseg_array.sbatch"


def dataset(root: Path, *labels: str) -> Path:
    """Participants with two empty image files each."""
    for label in labels:
        for chunk in (1, 2):
            path = root / f"sub-{label}/anat/sub-{label}_chunk-{chunk}_T1w.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def program(path: Path, source: str) -> Path:
    """A program in Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport json, os, signal, sys, time\n{source}\n")
    path.chmod(0o755)
    return path


def result(output: Path, label: str) -> None:
    """What says that an image of a participant is done."""
    path = output / f"sub-{label}/anat/sub-{label}_seg-muscles_dseg.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def records(output: Path, job: int, rows: Sequence[tuple[object, ...]], task: int = 1) -> None:
    """What a task notes: time, participant, state, seconds, memory."""
    path = output / f"logs/slurm/{job}_{task}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [("time", "participant", "state", "seconds", "memory_mb"), *rows]
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def batch(
    *words: object, task: int = 1, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the batch script as Slurm would."""
    slurm = {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_MEM_PER_NODE": "2000",
    }
    return subprocess.Popen(
        ["bash", str(BATCH), *map(str, words)],
        env={**os.environ, **slurm, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
