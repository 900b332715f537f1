from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from phantom import write_phantom

from legseg_bids.synth.atlas import Anatomy, load_anatomy


@pytest.fixture(scope="session")
def atlas_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("atlas"))


@pytest.fixture(scope="session")
def anatomy(atlas_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Anatomy:
    return load_anatomy(atlas_dir, "vhm", tmp_path_factory.mktemp("cache"))
