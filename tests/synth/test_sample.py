from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import channel_table, muscle_share, region_sample
from legseg_bids.synth.slices import SIDES, centred, locator_sample, parts_at

CHANNELS = (0, 55, 59, 31, 35, 103, -1, 151)


def test_channel_table_of_each_side() -> None:
    left, right = channel_table(CHANNELS, "left"), channel_table(CHANNELS, "right")
    assert left[55] == 1
    assert left[56] == 0  # the other leg is background
    assert right[56] == 1
    assert right[55] == 0
    assert left[61] == 6  # known, not reported
    assert left[0] == 0


def test_without_an_other_channel_the_rest_is_background() -> None:
    assert channel_table((0, 55), "left")[61] == 0


@pytest.mark.parametrize("side", ["left", "right"])
def test_region_sample(anatomy, side: str) -> None:
    sample = region_sample(anatomy, side, "upper", CHANNELS, (8, 64), 5, Ranges())
    assert sample.image.shape == (1, 8, 64, 64)
    assert sample.target.shape == (8, 64, 64)
    assert bool(torch.isfinite(sample.image).all())
    assert 0 <= float(sample.image.min()) <= float(sample.image.max()) <= 2.6
    assert int(sample.target.max()) < len(CHANNELS)
    assert muscle_share(sample.target) > 0.05
    again = region_sample(anatomy, side, "upper", CHANNELS, (8, 64), 5, Ranges())
    assert torch.equal(sample.image, again.image)
    assert torch.equal(sample.target, again.target)


def test_different_seeds_differ(anatomy) -> None:
    a, b = (
        region_sample(anatomy, "left", "lower", (0, 21, 3, 1, 5), (4, 48), s, Ranges())
        for s in (1, 2)
    )
    assert not torch.equal(a.image, b.image)


def test_parts_follow_the_landmarks(anatomy) -> None:
    heights = torch.arange(0.0, 900.0, 5.0)
    parts = parts_at(heights, anatomy.landmarks["left"])
    assert sorted(set(parts.tolist())) == [0, 1, 2, 3, 4]
    assert bool((parts.diff() >= 0).all())


def test_locator_samples_show_the_side_they_say(anatomy) -> None:
    seen = set()
    for seed in range(12):
        sample = locator_sample(anatomy, 48, 8.0, seed, Ranges())
        seen.add(SIDES[sample.side])
        assert sample.image.shape == (8, 1, 48, 48)
        assert sample.part.shape == (8,)
        empty = sample.image.flatten(1).sum(1) == 0
        assert bool((sample.part[empty] == -1).all())
    assert seen == set(SIDES)


@given(st.integers(0, 2**31), st.integers(2, 17), st.floats(0, 0.2))
def test_centred_is_a_roll(seed: int, size: int, share: float) -> None:
    draw = Draw(seed)
    image, inside = draw.rand(2, size, size + 1), draw.rand(2, size, size + 1) < share
    expected = image
    for axis in (1, 2):
        there = torch.nonzero(inside.any(0).any(2 - axis)).flatten()
        if there.numel():
            middle = (int(there[0]) + int(there[-1]) + 1) // 2
            expected = torch.roll(expected, image.shape[axis] // 2 - middle, dims=axis)
    assert torch.equal(centred(image, inside), expected)


def test_centred_moves_the_body_to_the_middle() -> None:
    image = torch.zeros(2, 20, 20)
    image[:, 2:5, 12:19] = 1.0
    moved = centred(image, image > 0)
    assert moved.sum() == image.sum()
    rows = torch.nonzero(moved[0].any(1)).flatten()
    assert abs(int(rows[0]) + int(rows[-1]) + 1 - 20) <= 1
