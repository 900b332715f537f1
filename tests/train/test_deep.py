from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from legseg_bids.synth.ranges import Ranges
from legseg_bids.train.deep import CoarseHeads, coarser
from legseg_bids.train.loop import make_batch, new_state, restore_state, save_state, train_step
from legseg_bids.train.losses import segmentation_loss
from legseg_bids.train.recipe import Recipe


@pytest.fixture
def deep(thigh: Recipe) -> Recipe:
    return replace(thigh, deep_supervision=(0.5,))


def test_a_coarser_voxel_is_what_lies_in_its_middle() -> None:
    fine = torch.zeros(1, 2, 4, 4, dtype=torch.long)
    fine[0, 1, 2:, 2:] = 7
    fine[0, 0, 0, 0] = -2
    small = coarser(fine, (1, 2, 2))
    assert small.tolist() == [[[[0, 0], [0, 7]]]]
    assert torch.equal(coarser(fine, (2, 4, 4)), fine)
    everywhere = torch.full((1, 2, 4, 4), -2)
    assert torch.equal(coarser(everywhere, (1, 1, 1)), torch.full((1, 1, 1, 1), -2))


def test_levels_are_weighted(deep: Recipe) -> None:
    state = new_state(deep, "cpu")
    assert state.coarse is not None
    target = torch.randint(0, 7, (1, 2, 8, 8), generator=torch.Generator().manual_seed(0))
    finest, middle = torch.randn(1, 7, 2, 8, 8), torch.randn(1, 7, 2, 4, 4)
    found = state.coarse.joined(segmentation_loss, finest, [middle], target)
    alone = segmentation_loss(finest, target)
    below = segmentation_loss(middle, coarser(target, (2, 4, 4)))
    assert float(found) == pytest.approx(float((alone + 0.5 * below) / 1.5), rel=1e-5)


def test_more_levels_than_there_are_is_refused(thigh: Recipe) -> None:
    network = new_state(thigh, "cpu").network
    with pytest.raises(ValueError, match="expected at most 1"):
        CoarseHeads(network, thigh.network["features"], (0.5, 0.25))


def test_all_heads_learn_and_the_network_keeps_its_shape(anatomy, thigh, deep) -> None:
    plain, state = new_state(thigh, "cpu"), new_state(deep, "cpu")
    assert state.coarse is not None
    before = state.coarse.heads[0].weight.detach().clone()
    batch = make_batch(deep, [anatomy], 1, Ranges())
    losses = [train_step(deep, state, batch, 0.1, "cpu") for _ in range(10)]
    assert losses[-1] < 0.9 * losses[0]
    assert not torch.equal(before, state.coarse.heads[0].weight)
    assert state.average.keys() == plain.average.keys()


def test_coarse_heads_go_on_where_they_stopped(anatomy, deep: Recipe, tmp_path: Path) -> None:
    batch = make_batch(deep, [anatomy], 1, Ranges())
    first, second = new_state(deep, "cpu"), new_state(deep, "cpu")
    train_step(deep, first, batch, 0.1, "cpu")
    save_state(first, tmp_path / "c.pt")
    restore_state(second, tmp_path / "c.pt")
    assert first.coarse is not None
    assert second.coarse is not None
    for own, other in zip(first.coarse.parameters(), second.coarse.parameters(), strict=True):
        assert torch.equal(own, other)
    assert train_step(deep, first, batch, 0.1, "cpu") == pytest.approx(
        train_step(deep, second, batch, 0.1, "cpu"), rel=1e-4
    )


def test_unnamed_voxels_stay_unnamed_on_every_level(anatomy, deep: Recipe) -> None:
    image, target = make_batch(deep, [anatomy], 1, Ranges())
    target = torch.where(target == 0, -2, target)
    loss = train_step(deep, new_state(deep, "cpu"), (image, target), 0.1, "cpu")
    assert torch.isfinite(torch.tensor(loss))
