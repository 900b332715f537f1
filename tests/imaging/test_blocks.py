from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.imaging.blocks import block_mean, block_size, spread_blocks

sizes = st.integers(1, 9)
blocks = st.tuples(st.integers(1, 4), st.integers(1, 4))


@pytest.mark.parametrize(
    ("spacing", "block"),
    [
        ((1.5, 1.5, 6.0), (2, 2)),
        ((0.75, 0.8, 3.0), (4, 4)),
        ((3.0, 2.0, 24.0), (1, 1)),
        ((5.0, 0.5, 6.0), (1, 6)),
    ],
)
def test_blocks_are_about_three_millimetres(
    spacing: tuple[float, float, float], block: tuple[int, int]
) -> None:
    assert block_size(spacing) == block


@given(st.tuples(sizes, sizes, sizes), blocks)
def test_mean_of_spread_blocks_gives_them_back(
    shape: tuple[int, int, int], block: tuple[int, int]
) -> None:
    coarse = np.random.default_rng(0).random(shape).astype(np.float32)
    fine = spread_blocks(coarse, block, (shape[0] * block[0], shape[1] * block[1], shape[2]), 0)
    np.testing.assert_allclose(block_mean(fine, block), coarse, rtol=1e-5)


@given(st.tuples(sizes, sizes, sizes), blocks, st.sampled_from([0, 1]))
def test_shapes_that_are_no_multiple_come_back(
    shape: tuple[int, int, int], block: tuple[int, int], order: int
) -> None:
    coarse = block_mean(np.ones(shape), block)
    assert coarse.shape == (-(-shape[0] // block[0]), -(-shape[1] // block[1]), shape[2])
    fine = spread_blocks(coarse, block, shape, order)
    assert fine.shape == shape
    np.testing.assert_allclose(fine, 1.0, rtol=1e-6)
