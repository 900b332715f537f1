"""Fixtures that several rooms share. The builders themselves lie in ``tests/support``."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from skeleton import outphase_dataset

# How long an example takes says more about the machine than about the code.
settings.register_profile("legseg", deadline=None)
settings.load_profile("legseg")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of model bundles that label by brightness; every slice is upper leg."""
    pytest.importorskip("onnx")
    from tiny_models import write_models

    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def bids_dir(tmp_path: Path) -> Path:
    """A dataset of one participant with one acquired opposed-phase image of two limbs."""
    return outphase_dataset(tmp_path / "bids")
