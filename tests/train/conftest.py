from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from phantom import write_phantom

from legseg_bids.synth import sample
from legseg_bids.synth.atlas import Anatomy, load_anatomy
from legseg_bids.train.recipe import Recipe, load_recipe


@pytest.fixture(scope="session")
def anatomy(tmp_path_factory: pytest.TempPathFactory) -> Anatomy:
    atlas = write_phantom(tmp_path_factory.mktemp("atlas"))
    return load_anatomy(atlas, "vhm", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def thigh(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The thigh recipe, made small: few features, few pixels."""
    monkeypatch.setitem(sample.STACKS, "upper", {"small": ((4, 32),), "large": ((4, 32),)})
    network = {
        "name": "ResidualUNet3d",
        "features": [6, 8, 12],
        "strides": [[1, 2, 2], [2, 2, 2]],
        "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    }
    return replace(load_recipe("thigh"), network=network, channels=(0, 55, 59, 31, 35, 103, 151))


@pytest.fixture
def locator() -> Recipe:
    network = {"name": "LocatorNet", "features": [4, 6, 8, 8]}
    return replace(load_recipe("locator"), network=network, batch=1, size=32, pixel_mm=12.0)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"
