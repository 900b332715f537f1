"""Labels that were not drawn, and the loss that merges them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.evaluate.reproductions.answering import part_classes, surest
from legseg_bids.evaluate.reproductions.bank import fat_of
from legseg_bids.evaluate.reproductions.batches import Batch
from legseg_bids.evaluate.reproductions.hiding import (
    drawn_classes,
    drawn_part,
    hidden,
    merged_cross_entropy,
)
from legseg_bids.evaluate.reproductions.structures import structure_set
from legseg_bids.evaluate.reproductions.training import merged_loss

CALF = structure_set("calf_partial")
GROUPS = ("muscle", "tissue")


def test_each_half_has_people_of_every_degree_of_fat() -> None:
    pairs = {(drawn_part(n, GROUPS), fat_of(n)) for n in range(6)}
    assert len(pairs) == 6


def test_halves_together_know_every_class_once_and_never_background() -> None:
    muscle, tissue = (drawn_classes(CALF, group) for group in GROUPS)
    assert (muscle ^ tissue).tolist() == [False, *[True] * len(CALF)]


@given(seed=st.integers(0, 1000))
def test_hiding_keeps_what_was_drawn_and_nothing_else(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, len(CALF) + 1, (2, 5, 4), generator=generator)
    known = torch.stack([drawn_classes(CALF, group) for group in GROUPS])
    seen = hidden(labels, known)
    for own, before, after in zip(known, labels, seen, strict=True):
        assert torch.equal(after, torch.where(own[before], before, 0))
    assert torch.equal(hidden(seen, known), seen)


def test_merged_loss_is_cross_entropy_where_all_is_drawn() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 4, 3, 3, generator=generator)
    labels = torch.randint(0, 4, (2, 3, 3), generator=generator)
    known = torch.tensor([[False, True, True, True]]).expand(2, 4)
    wanted = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.allclose(merged_cross_entropy(logits, labels, known), wanted)


def test_merged_loss_does_not_mind_which_of_the_unknown_it_is() -> None:
    known = torch.tensor([[False, True, False]])
    background = torch.zeros(1, 1, 1, dtype=torch.long)
    sure = [torch.tensor(row)[None, :, None, None] for row in ([9.0, 0, 0], [0.0, 0, 9.0])]
    losses = [float(merged_cross_entropy(logits, background, known)) for logits in sure]
    assert losses[0] == pytest.approx(losses[1])
    wrong = torch.tensor([0.0, 9.0, 0.0])[None, :, None, None]
    assert float(merged_cross_entropy(wrong, background, known)) > losses[0] + 5


def test_merged_loss_has_a_finite_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    known = torch.tensor([[False, True, True]])
    merged_cross_entropy(logits, torch.zeros(1, 2, 2, dtype=torch.long), known).backward()
    assert bool(torch.isfinite(logits.grad).all())


def test_merged_loss_wants_to_know_what_was_drawn() -> None:
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    batch = Batch(torch.zeros(1, 1, 2, 2), labels, torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="drawn"):
        merged_loss(torch.zeros(1, 3, 2, 2), batch)


def test_surest_answer_wins_and_background_only_where_all_agree() -> None:
    numbers = [torch.from_numpy(part_classes(CALF, group)) for group in GROUPS]
    first = torch.zeros(1, len(numbers[0]), 1, 3)
    second = torch.zeros(1, len(numbers[1]), 1, 3)
    first[0, :2, 0] = torch.tensor([[0.4, 0.9, 0.9], [0.6, 0.1, 0.1]])
    second[0, :2, 0] = torch.tensor([[0.2, 0.45, 0.8], [0.8, 0.55, 0.2]])
    assert surest([first, second], numbers).flatten().tolist() == [7, 7, 0]
