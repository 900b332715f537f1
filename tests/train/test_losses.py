from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from legseg_bids.train.losses import locator_loss, segmentation_loss, soft_dice_loss


def logits_for(target, classes: int, certainty: float = 12.0):
    return torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float() * certainty


def test_perfect_and_opposite_answers() -> None:
    target = torch.randint(0, 3, (2, 2, 6, 6), generator=torch.Generator().manual_seed(0))
    right = logits_for(target, 3)
    assert float(soft_dice_loss(right, target)) < 0.01
    assert float(soft_dice_loss(-right, target)) > 0.6
    assert float(segmentation_loss(right, target)) < float(segmentation_loss(-right, target))


def test_dice_by_hand() -> None:
    # two voxels, two classes, all probabilities one half: 2 * 0.5 + 1 over 1 + 1 + 1 each
    target = torch.tensor([0, 1]).reshape(1, 1, 1, 2)
    loss = soft_dice_loss(torch.zeros(1, 2, 1, 1, 2), target)
    assert float(loss) == pytest.approx(1 - 2 / 3, abs=1e-6)


def test_absent_structures_do_not_count() -> None:
    target = torch.zeros(1, 1, 4, 4, dtype=torch.long)
    assert float(soft_dice_loss(logits_for(target, 2), target)) == pytest.approx(
        float(soft_dice_loss(logits_for(target, 9), target)), abs=1e-4
    )


def test_gradients_agree_with_differences() -> None:
    target = torch.randint(0, 2, (1, 1, 2, 2))
    logits = torch.randn(1, 2, 1, 2, 2, requires_grad=True)
    loss = soft_dice_loss(logits, target)
    (gradient,) = torch.autograd.grad(loss, logits)
    moved = logits.detach().clone()
    moved[0, 0, 0, 0, 0] += 1e-2
    slope = (float(soft_dice_loss(moved, target)) - float(loss.detach())) / 1e-2
    assert slope == pytest.approx(float(gradient[0, 0, 0, 0, 0]), abs=5e-3)


def test_empty_slices_teach_the_locator_nothing() -> None:
    side, part = torch.randn(3, 3), torch.randn(3, 5)
    nothing = torch.tensor([-1, -1, -1])
    assert float(locator_loss(side, part, torch.tensor([0, 1, 2]), nothing)) == 0
    some = locator_loss(side, part, torch.tensor([0, 1, 2]), torch.tensor([-1, 2, -1]))
    only = locator_loss(side[1:2], part[1:2], torch.tensor([1]), torch.tensor([2]))
    assert float(some) == pytest.approx(float(only))
