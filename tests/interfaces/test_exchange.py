from __future__ import annotations

from pathlib import Path

import numpy as np

from legseg_bids.anatomy.regions import Part, Region, Side
from legseg_bids.interfaces import exchange
from legseg_bids.segment.limb import RegionResult
from legseg_bids.segment.locate import Location


def test_location_survives(tmp_path: Path) -> None:
    location = Location(
        (Side.LEFT, Side.RIGHT), (Part.KNEE, Part.UPPER), -1, (0.1, 0.2, 0.7), ("look", "ähm")
    )
    path = exchange.save_location(tmp_path / "location.json", location)
    assert exchange.load_location(path) == location


def test_candidates_survive(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    box = (slice(2, 6), slice(0, 3), slice(1, 3))
    shape = (4, 3, 2)
    made = [
        RegionResult(
            side,
            region,
            box,
            rng.integers(0, 99, shape).astype(np.uint8),
            rng.random(shape).astype(np.float32),
            rng.random(shape) > 0.5,
            known,
        )
        for side, region, known in (
            (Side.LEFT, Region.LOWER, frozenset[int]()),
            (Side.RIGHT, Region.HIP, frozenset({121, 72})),
        )
    ]
    found = exchange.load_candidates(exchange.save_candidates(tmp_path / "c.npz", made))
    for got, wanted in zip(found, made, strict=True):
        assert (got.side, got.region, got.box) == (wanted.side, wanted.region, wanted.box)
        assert got.known == wanted.known
        np.testing.assert_array_equal(got.labels, wanted.labels)
        np.testing.assert_array_equal(got.probability, wanted.probability)
        np.testing.assert_array_equal(got.own, wanted.own)


def test_nothing_is_pickled(tmp_path: Path) -> None:
    path = exchange.save(tmp_path / "a.npz", {"text": "ü", "none": None}, {"x": np.arange(3)})
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    facts, arrays = exchange.load(path)
    assert facts == {"text": "ü", "none": None}
    np.testing.assert_array_equal(arrays["x"], [0, 1, 2])
