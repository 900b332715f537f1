"""Patches of one size: they cover everything, and their weights sum to one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.errors import UsageError
from legseg_bids.segment.tiles import fixed_patches

sizes = st.integers(1, 12)


@given(st.tuples(sizes, sizes, sizes), st.tuples(*[st.integers(0, 30)] * 3))
def test_weights_sum_to_one_and_every_patch_has_the_size(patch, more) -> None:
    shape = tuple(p + m for p, m in zip(patch, more, strict=True))
    total = np.zeros(shape)
    for piece in fixed_patches(shape, patch):
        z, y, x = piece.ramps
        assert piece.shape == patch
        total[piece.tile] += z[:, None, None] * y[:, None] * x
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_middle_of_a_patch_counts_most() -> None:
    first, *_ = fixed_patches((8, 8, 40), (8, 8, 16))
    ramp = first.ramps[2]
    assert ramp[0] == pytest.approx(1)  # nothing else is there
    assert ramp[15] < 0.1 < ramp[12] < ramp[9]


def test_too_little_memory_says_how_much_it_takes() -> None:
    with pytest.raises(UsageError, match=r"smallest patch needs 0\.09 GiB in all; raise --mem"):
        fixed_patches((8, 8, 8), (8, 8, 8), 10**6, 512.0, 10**8)
    assert fixed_patches((8, 8, 8), (8, 8, 8), None, 10.0**12)


def test_image_must_be_padded_first() -> None:
    with pytest.raises(ValueError, match="smaller than the network's patch"):
        fixed_patches((4, 8, 8), (8, 8, 8))
