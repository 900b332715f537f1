"""A correction that is killed at any moment has happened as a whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from corrections import FIRST, edit, grow, segment

from legseg_bids.workflows.correcting import correct

pytest.importorskip("onnx")
DRIVER = Path(__file__).parents[1] / "support" / "correction_faults.py"
KINDS = ["first", "again", "undo"] if os.environ.get("LEGSEG_ALL_FAULTS") else ["again", "undo"]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    return segment(tmp_path_factory.mktemp("faults"), tiny_models, "--no-reports")


def erase(labels: np.ndarray) -> None:
    labels[labels == 34] = 0


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_kill_all_files_are_old_or_all_are_new(
    made: Path, tmp_path: Path, kind: str
) -> None:
    out = Path(shutil.copytree(made, tmp_path / "out"))
    edited = edit(out, FIRST, tmp_path / "a.nii.gz", grow)
    if kind != "first":
        correct(out, edited, of=FIRST, reports=False)
        edited = edit(out, FIRST, tmp_path / "b.nii.gz", erase)
    result = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, DRIVER, out, edited, result, kind],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(result.read_text())
    assert [step for step, state in found if state == "mixed"] == []
    states = [state for _, state in found]
    assert states == sorted(states, reverse=True)  # old, and from some step on new
    assert set(states) == {"old", "new"}
