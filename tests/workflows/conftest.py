from __future__ import annotations

from pathlib import Path

import pytest

from legseg_bids.settings import Settings


@pytest.fixture
def settings(bids_dir: Path, tmp_path: Path, tiny_models: Path) -> Settings:
    """One participant, tiny models, one process."""
    return Settings(
        bids_dir,
        tmp_path / "out",
        work_dir=tmp_path / "work",
        models_dir=tiny_models,
        engine="openvino",
        skip_bids_validation=True,
        write_reports=False,
    )
