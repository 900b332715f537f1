"""A run that is killed at any step of writing loses nothing but time.

All steps are tried if ``LEGSEG_ALL_FAULTS`` is set (minutes); else some of each kind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skeleton import SPACING, Image, legs, write_dataset

FAULTS = Path(__file__).parents[1] / "support" / "faults.py"
REPOSITORY = Path(__file__).parents[2]
SOME = 5
"""How many steps are tried in a test run."""


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed: its steps, and what it left."""

    steps: list[str]
    contents: dict[str, str]


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One participant, one leg, two stations above each other."""
    images = {}
    for chunk in (1, 2):
        water, fat = legs(shape=(40, 40, 5), limbs=1, seed=chunk)
        affine = np.diag([*SPACING, 1.0])
        affine[2, 3] = (chunk - 1) * 4 * SPACING[2]
        name = f"sub-01/anat/sub-01_acq-outphase_chunk-{chunk}_T1w"
        images[name] = Image(np.abs(water - fat), affine)
    return write_dataset(tmp_path_factory.mktemp("faults") / "bids", images)


@pytest.fixture(scope="module")
def undisturbed(bids: Path, tiny_models: Path) -> Undisturbed:
    (found,) = runs(bids, tiny_models, [0])
    assert (found["code"], found["temporary"]) == (0, [])
    return Undisturbed(found["names"], found["contents"])


def runs(bids: Path, models: Path, steps: list[int]) -> list[dict[str, Any]]:
    """What the output holds after each run that was killed at a step, and repeated."""
    output, result = bids.parent / "out", bids.parent / "result.json"
    words = [bids, output, "participant", "--models", models, "--skip-bids-validation"]
    options = ["--nprocs", "1", "--omp-nthreads", "1", "--write-probabilities", "--device", "cpu"]
    command = [sys.executable, FAULTS, output, result, ",".join(map(str, steps)), "--"]
    done = subprocess.run(
        [*map(str, command), *map(str, words), *options],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(bids.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(result.read_text())
    return found


def chosen(steps: list[str]) -> list[int]:
    """Numbers of the steps to be killed at, from 1 on."""
    if os.environ.get("LEGSEG_ALL_FAULTS"):
        return list(range(1, len(steps) + 1))
    # Moves and removals are where an order can be wrong; their number is odd to the file kinds.
    moves = [n for n, name in enumerate(steps, 1) if name.startswith(("os.rename", "os.remove"))]
    return moves[:: max(1, len(moves) // SOME)]


def test_there_are_steps_of_every_kind(undisturbed: Undisturbed) -> None:
    for kind in ("open", "os.rename", "os.remove", "os.mkdir"):
        assert any(step.startswith(kind) for step in undisturbed.steps)
    for name in ("_dseg.nii.gz", "_dseg.tsv", "_dseg.json", "_probseg.nii.gz", ".png", ".toml"):
        assert any(step.startswith("os.rename") and name in step for step in undisturbed.steps)


def test_a_run_that_is_killed_is_finished_by_the_next(
    bids: Path, tiny_models: Path, undisturbed: Undisturbed
) -> None:
    for found in runs(bids, tiny_models, chosen(undisturbed.steps)):
        where = f"killed before step {found['step']}: {found['names'][-1]}"
        assert found["code"] == -signal.SIGKILL, where
        assert found["broken"] == [], where
        assert found["again"] == 0, where
        assert found["temporary"] == [], where
        assert found["contents"] == undisturbed.contents, where
