from __future__ import annotations

import pytest

pytest.importorskip("torch")

from legseg_bids.errors import UsageError
from legseg_bids.train.losses.spec import LOSSES, Term, parse_loss


def test_names_of_recipes_never_change() -> None:
    assert set(LOSSES) == {
        "border_cross_entropy",
        "cross_entropy",
        "dice",
        "focal",
        "jaccard",
        "log_dice",
        "masked_cross_entropy",
        "squared_dice",
        "top_k",
        "tversky",
    }


@pytest.mark.parametrize(
    ("spec", "terms"),
    [
        ("dice", (Term(1.0, "dice"),)),
        (" 2 * dice ", (Term(2.0, "dice"),)),
        ("dice*0.5+focal(gamma=3)", (Term(0.5, "dice"), Term(1.0, "focal", {"gamma": 3}))),
        (
            "masked_cross_entropy(mask='fp', balance=True)",
            (Term(1.0, "masked_cross_entropy", {"mask": "fp", "balance": True}),),
        ),
    ],
)
def test_sums(spec: str, terms: tuple[Term, ...]) -> None:
    assert parse_loss(spec) == terms


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "dice +",
        "dice - focal",
        "dice * focal",
        "True * dice",
        "'2' * dice",
        "dice(1)",
        "focal(gamma=[2])",
        "focal(**{'gamma': 2})",
        "__import__('os').system('true')",
        "dice if 1 else focal",
        "dice; focal",
        "0",
    ],
)
def test_anything_else_is_refused_and_never_run(spec: str) -> None:
    with pytest.raises(UsageError, match=r"the loss|has no option"):
        parse_loss(spec)


def test_unknown_loss_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"unknown loss 'dicee'.*cross_entropy, dice"):
        parse_loss("dicee")


def test_unknown_option_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"no option 'beta'.*it has: gamma"):
        parse_loss("focal(beta=1)")
    with pytest.raises(UsageError, match="it has: none"):
        parse_loss("jaccard(gamma=1)")


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_options_out_of_range_are_named(share: float) -> None:
    import torch

    from legseg_bids.train.losses import LossSum

    with pytest.raises(ValueError, match="expected more than 0, at most 1"):
        LossSum(f"top_k(share={share})")(torch.zeros(1, 2, 2), torch.zeros(1, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="expected one of fn, fp"):
        LossSum("masked_cross_entropy(mask='tp')")(
            torch.zeros(1, 2, 2), torch.zeros(1, 2, dtype=torch.long)
        )
