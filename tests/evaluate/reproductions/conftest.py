from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from phantom import write_phantom

from legseg_bids.evaluate.reproductions.running import Order


@pytest.fixture(scope="session")
def phantom_atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    write_phantom(folder, "vhf")
    return write_phantom(folder, "vhm")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps and slices are prepared once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def order(phantom_atlas: Path, prepared: Path, tmp_path: Path) -> Order:
    return Order(phantom_atlas, prepared, tmp_path / "out", quick=True)
