from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from legseg_bids.measure import Scene, measure
from legseg_bids.measure.quality import Look, judge

SOUND = Look(61, 250.0, "none", False, 0.95, 1.0, 3.0)


@pytest.mark.parametrize(
    ("changes", "quality", "reasons"),
    [
        ({}, "good", ""),
        ({"truncated": "proximal"}, "check", "truncated proximal"),
        ({"truncated": "both"}, "check", "truncated at both ends"),
        ({"truncated": "gap"}, "check", "truncated by a gap"),
        ({"cut_in_plane": True}, "check", "cut in plane"),
        ({"asymmetry": -40.0}, "check", "asymmetric"),
        ({"confidence": 0.69}, "poor", "low confidence"),
        ({"largest_piece": 0.79}, "poor", "fragmented"),
        ({"volume": 5.0}, "poor", "implausible volume"),
        ({"volume": 2000.0}, "poor", "implausible volume"),
        ({"volume": 5.0, "truncated": "distal"}, "check", "truncated distal"),
        ({"volume": 5.0, "cut_in_plane": True}, "check", "cut in plane"),
        ({"volume": 2000.0, "truncated": "distal"}, "poor",
         "implausible volume; truncated distal"),
        ({"index": 103, "volume": 5.0, "largest_piece": None}, "good", ""),
        ({"confidence": None, "asymmetry": None}, "good", ""),
    ],
)  # fmt: skip
def test_judgements(changes: dict, quality: str, reasons: str) -> None:
    assert judge(replace(SOUND, **changes)) == (quality, reasons)


def pair(left: int, right: int) -> np.ndarray:
    """A rectus femoris on each side, so many slices high."""
    labels = np.zeros((60, 30, 20), np.uint8)
    labels[5:25, 5:25, 2 : 2 + left] = 61
    labels[35:55, 5:25, 2 : 2 + right] = 62
    return labels


def look(labels: np.ndarray) -> dict[str, tuple[float | None, str, str]]:
    rows = measure(Scene(labels, np.diag([2.0, 2.0, 10.0, 1.0])))
    return {row.abbreviation: (row.asymmetry, row.quality, row.quality_reasons) for row in rows}


def test_sides_are_compared_where_both_are_whole() -> None:
    found = look(pair(12, 8))
    assert found["RF_L"] == (pytest.approx(40.0), "check", "asymmetric")
    assert found["RF_L"] == found["RF_R"]
    assert look(pair(10, 9))["RF_L"][1] == "good"
    assert look(pair(18, 9))["RF_L"][0] is None
    assert look(pair(18, 9))["RF_R"] == (None, "good", "")


def test_a_muscle_in_pieces() -> None:
    labels = pair(12, 12)
    labels[5:25, 5:25, 7:9] = 0
    assert look(labels)["RF_L"][1:] == ("poor", "fragmented")
