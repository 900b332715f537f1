"""Fixtures that several rooms share. The builders themselves lie in ``tests/support``."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import settings
from skeleton import outphase_dataset

# How long an example takes says more about the machine than about the code.
settings.register_profile("legseg", deadline=None)
settings.load_profile("legseg")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each room whose coverage is measured be covered by its own tests.

    To watch what all others execute, whole runs among them, takes a fifth of their time.
    """
    project = tomllib.loads((config.rootpath / "pyproject.toml").read_text(encoding="utf-8"))
    measured = project["tool"]["coverage"]["run"]["source_pkgs"]
    rooms = {package.rpartition(".")[2] for package in measured}
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] not in rooms:
            item.add_marker(pytest.mark.no_cover)


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
