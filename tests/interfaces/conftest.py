from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skeleton import Image, legs, opposed, write_dataset

from legseg_bids.bids.dataset import index
from legseg_bids.bids.discover import discover
from legseg_bids.bids.stations import Station
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.interfaces.exchange import Prepared
from legseg_bids.interfaces.prepare import prepare

# Left-handed, oblique, and not in the order x, y, z: nothing may rely on canonical files.
AFFINE = np.array([[0.0, -2.9, 0.3, 80], [0.1, 0.3, 9.9, -20], [-3.0, 0.1, 0.4, 55], [0, 0, 0, 1]])


def turned(data: np.ndarray) -> np.ndarray:
    """The phantom as a file with `AFFINE` stores it: axes (-z, -x, y)."""
    return np.flip(data.transpose(2, 0, 1), (0, 1))


def find_station(root: Path) -> Station:
    return discover(index(root), choose_opposed_echo).stations[0]


@pytest.fixture
def opposed_station(tmp_path: Path) -> Station:
    """An acquired opposed-phase image, canonical axes."""
    return find_station(
        write_dataset(tmp_path / "bids", {"sub-01/anat/sub-01_acq-opp_T1w": opposed()})
    )


@pytest.fixture
def water_fat_station(tmp_path: Path) -> Station:
    """Water and fat in files whose axes are not canonical."""
    water, fat = legs((72, 56, 60))
    images = {
        f"sub-01/anat/sub-01_acq-{word}_T1w": Image(turned(data), AFFINE)
        for word, data in (("water", water), ("fat", fat))
    }
    return find_station(write_dataset(tmp_path / "bids", images))


@pytest.fixture
def prepared(opposed_station: Station) -> Prepared:
    return prepare(opposed_station)
