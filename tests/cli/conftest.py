from __future__ import annotations

from pathlib import Path

import pytest
from running import Ended, Legseg, run_legseg

from legseg_bids.cli.main import Stop


@pytest.fixture
def legseg(tiny_models: Path, bids_dir: Path, tmp_path: Path) -> Legseg:
    """Run the application with tiny models on a small dataset, unless told otherwise.

    Without reports, which have their own tests and would take half of the time.
    """

    def run(
        *options: str,
        bids: Path = bids_dir,
        out: Path = tmp_path / "out",
        level: str = "participant",
        models: Path = tiny_models,
        validate: bool = False,
        stop: Stop | None = None,
    ) -> Ended:
        words = [bids, out, level, "--models", models, "--device", "cpu"]
        words += [] if validate else ["--skip-bids-validation"]
        words += [] if "--reports" in options or "--reports-only" in options else ["--no-reports"]
        words += [] if "--nprocs" in options else ["--nprocs", "1"]
        return run_legseg(*words, *options, stop=stop)

    return run
