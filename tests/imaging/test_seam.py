from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.imaging.seam import STEPS, cheapest_seam


def test_seam_takes_the_gap_although_it_is_off_the_middle() -> None:
    mask = np.ones((30, 20), dtype=bool)
    mask[20:22] = False
    seam = cheapest_seam(mask, middle=15.0)
    assert set(seam.tolist()) <= {20, 21}


def test_seam_follows_a_slanted_gap() -> None:
    x, y = np.indices((40, 20))
    gap = np.abs(x - 10 - y) <= 1
    seam = cheapest_seam(~gap, middle=20.0)
    assert gap[seam, np.arange(20)].all()


def test_seam_crosses_the_narrowest_bridge() -> None:
    x, y = np.indices((60, 41))
    mask = (np.hypot(x - 16, y - 20) < 13) | (np.hypot(x - 44, y - 20) < 13)
    mask |= (np.abs(y - 20) < 5) & (np.abs(x - 30) < 6)
    seam = cheapest_seam(mask, middle=27.0)
    crossed = mask[seam, np.arange(41)].sum()
    assert crossed <= 10
    assert abs(seam[20] - 30) <= 3


def test_solid_tissue_is_cut_straight_at_the_middle() -> None:
    assert cheapest_seam(np.ones((21, 30), dtype=bool), middle=8.0).tolist() == [8] * 30


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 11), st.integers(0, 2**31))
def test_seam_is_connected_and_inside(nx: int, ny: int, middle: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((nx, ny)) < 0.5
    seam = cheapest_seam(mask, middle)
    assert seam.shape == (ny,)
    assert seam.min() >= 0
    assert seam.max() < nx
    assert np.abs(np.diff(seam)).max(initial=0) <= max(STEPS)
