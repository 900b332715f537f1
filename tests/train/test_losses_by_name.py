"""Every loss against a value worked out by hand, MONAI's where it has one, and its gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from legseg_bids.train.losses import IGNORE, LossSum, border_weights
from legseg_bids.train.losses.spec import LOSSES

LOG2 = math.log(2)


def logits_of(*probabilities: list[float]) -> torch.Tensor:
    """One image of a row of voxels, whose classes have these probabilities: (1, c, voxels)."""
    return torch.tensor(probabilities, dtype=torch.float64).log().T[None]


# Three voxels of classes 0, 1, 1; the network gives the right class 1/2, 3/4, 1/4.
ROW = logits_of([0.5, 0.5], [0.25, 0.75], [0.75, 0.25])
TRUE = torch.tensor([[0, 1, 1]])
# Sums by hand, class 0: p 1.5, hit 0.5, size 1; class 1: p 1.5, hit 1, size 2.
DICE = [2 * 0.5 / 2.5, 2 * 1.0 / 3.5]
SQUARES = [0.25 + 0.0625 + 0.5625, 0.25 + 0.5625 + 0.0625]
SQUARED = [2 * 0.5 / (SQUARES[0] + 1), 2 * 1.0 / (SQUARES[1] + 2)]
JACCARD = [0.5 / (1.5 + 1 - 0.5), 1.0 / (1.5 + 2 - 1.0)]
TVERSKY = [0.5 / (0.5 + 0.3 * 1.0 + 0.7 * 0.5), 1.0 / (1.0 + 0.3 * 0.5 + 0.7 * 1.0)]
ENTROPY = [LOG2, -math.log(0.75), 2 * LOG2]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("spec", "by_hand"),
    [
        ("dice", 1 - mean(DICE)),
        ("squared_dice", 1 - mean(SQUARED)),
        ("jaccard", 1 - mean(JACCARD)),
        ("tversky", 1 - mean(TVERSKY)),
        ("tversky(alpha=0.5, beta=0.5)", 1 - mean(DICE)),
        ("log_dice", -mean([math.log(d) for d in DICE])),
        ("cross_entropy", mean(ENTROPY)),
        ("focal", mean([0.25 * ENTROPY[0], 0.0625 * ENTROPY[1], 0.5625 * ENTROPY[2]])),
        ("focal(gamma=0)", mean(ENTROPY)),
        ("top_k", ENTROPY[2]),
        ("top_k(share=0.5)", mean([ENTROPY[0], ENTROPY[2]])),
        # predicted are 0 (a tie goes to the first), 1, 0: right, right, wrong
        ("masked_cross_entropy(mask='fn')", mean(ENTROPY)),
        ("masked_cross_entropy(mask='fp')", mean(ENTROPY)),
        ("masked_cross_entropy(mask='fn_or_fp')", (ENTROPY[0] + ENTROPY[1] + 2 * ENTROPY[2]) / 3),
        ("masked_cross_entropy", 2 * mean(ENTROPY)),
        # inverse frequencies: 3 / (2 * 1) and 3 / (2 * 2)
        (
            "masked_cross_entropy(mask='fn', balance=True)",
            (1.5 * ENTROPY[0] + 0.75 * (ENTROPY[1] + ENTROPY[2])) / 3,
        ),
        ("dice + 0.5*cross_entropy", 1 - mean(DICE) + 0.5 * mean(ENTROPY)),
        ("cross_entropy * 2 + dice + dice", 2 * mean(ENTROPY) + 2 - 2 * mean(DICE)),
    ],
)
def test_by_hand(spec: str, by_hand: float) -> None:
    assert float(LossSum(spec)(ROW, TRUE)) == pytest.approx(by_hand, abs=2e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str) -> None:
    generator = torch.Generator().manual_seed(4)
    shape = (2, 3, 2, 3)
    logits = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    labels = torch.randint(-1, 3, (2, 2, 3), generator=generator)
    known = torch.tensor([[True, True, True], [True, False, True]])
    loss = LossSum(f"{name} + 0.3*{name}")
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, known), (logits,))
    (slope,) = torch.autograd.grad(loss(logits, labels, known), logits)
    assert bool(slope.any())


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_known_is_no_loss(name: str) -> None:
    logits = torch.randn(1, 3, 2, 4, requires_grad=True)
    loss = LossSum(name)(logits, torch.full((1, 2, 4), IGNORE))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not bool(logits.grad.any())


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_voxels_change_nothing(name: str) -> None:
    """Two voxels that nobody looked at, at the end of the row, far from any border."""
    if name == "border_cross_entropy":
        name = "border_cross_entropy(w0=0)"
    more = torch.cat([ROW, 5 * torch.randn(1, 2, 2, dtype=torch.float64)], dim=-1)
    labels = torch.cat([TRUE, torch.full((1, 2), IGNORE)], dim=-1)
    assert float(LossSum(name)(more, labels)) == pytest.approx(float(LossSum(name)(ROW, TRUE)))


@pytest.mark.parametrize("name", LOSSES)
def test_halves_are_added_up_in_single_precision(name: str) -> None:
    labels = torch.randint(0, 3, (1, 8, 40), generator=torch.Generator().manual_seed(1))
    logits = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1) * 2.0
    half = LossSum(name)(logits.bfloat16(), labels)
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(LossSum(name)(logits, labels)), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "monai_name", "options"),
    [
        ("dice", "DiceLoss", {"softmax": True, "batch": True}),
        ("squared_dice", "DiceLoss", {"softmax": True, "batch": True, "squared_pred": True}),
        ("jaccard", "DiceLoss", {"softmax": True, "batch": True, "jaccard": True}),
        ("tversky", "TverskyLoss", {"softmax": True, "batch": True, "alpha": 0.3, "beta": 0.7}),
    ],
)
def test_as_monai(name: str, monai_name: str, options) -> None:
    import monai.losses

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, generator=generator)
    labels = torch.randint(0, 4, (2, 3, 5), generator=generator)
    theirs = getattr(monai.losses, monai_name)(to_onehot_y=True, **options)
    assert float(LossSum(name)(logits, labels)) == pytest.approx(
        float(theirs(logits, labels[:, None]))
    )


def test_focal_as_monai() -> None:
    from monai.losses import FocalLoss

    logits = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 4, (2, 3, 5), generator=torch.Generator().manual_seed(1))
    theirs = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0)(logits, labels[:, None])
    # MONAI's mean also runs over the classes
    assert float(LossSum("focal")(logits, labels)) == pytest.approx(4 * float(theirs))


# ------------------------------------------------------------- partial labels

# Four voxels, three classes; class 2 was not drawn, so its voxels hide in class 0.
PARTIAL = logits_of([0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.25, 0.5, 0.25])
DRAWN = torch.tensor([[1, 1, 0, 0]])
KNOWN = torch.tensor([[False, True, False]])


@pytest.mark.parametrize(
    ("mask", "by_hand"),
    [
        # voxels 0 and 1 are of the drawn class, with probabilities 1/4 and 1/2
        ("fn", (2 * LOG2 + LOG2) / 2),
        # voxels 1 and 3 are said to be; 3 is not, and has 1/4 for its label
        ("fp", (LOG2 + 2 * LOG2) / 2),
        ("fn_or_fp", (2 * LOG2 + LOG2 + 2 * LOG2) / 3),
        ("fn_plus_fp", (2 * LOG2 + 2 * LOG2 + 2 * LOG2) / 3),
    ],
)
def test_four_masks_of_partial_labels(mask: str, by_hand: float) -> None:
    loss = LossSum(f"masked_cross_entropy(mask='{mask}')")(PARTIAL, DRAWN, KNOWN)
    assert float(loss) == pytest.approx(by_hand)


def test_plain_losses_leave_out_what_was_not_drawn() -> None:
    assert float(LossSum("cross_entropy")(PARTIAL, DRAWN, KNOWN)) == pytest.approx(1.5 * LOG2)
    # class 1 alone: hit 1/4 + 1/2, p 1/4 + 1/2 + 1/4 + 1/2, size 2
    dice = 2 * 0.75 / (1.5 + 2)
    assert float(LossSum("dice")(PARTIAL, DRAWN, KNOWN)) == pytest.approx(1 - dice, abs=1e-5)


def test_datasets_with_different_labels_in_one_batch() -> None:
    """A class that only one of two images knows is measured in that image."""
    logits = torch.cat([ROW, ROW.flip(1)])
    labels = torch.cat([TRUE, TRUE])
    known = torch.tensor([[True, True], [False, False]])
    for name in LOSSES:
        both = float(LossSum(name)(logits, labels, known))
        assert both == pytest.approx(float(LossSum(name)(ROW, TRUE))), name


# -------------------------------------------------------------------- borders


def test_border_weights_by_hand() -> None:
    """Muscle 1, a gap of three pixels, muscle 2: d1 + d2 = 4 in the gap, d2 in a muscle."""
    weights = border_weights(np.array([[1, 1, 0, 0, 0, 2]]), w0=10.0, sigma=8.0)
    distance = np.array([5, 4, 4, 4, 4, 4])
    np.testing.assert_allclose(weights[0], 10 * np.exp(-(distance**2) / 128), rtol=1e-5)


def test_border_weights_know_the_spacing() -> None:
    """Slices 6 mm apart, pixels of 1.5 mm: the next slice is four pixels away."""
    labels = np.zeros((2, 1, 3), int)
    labels[0, 0, 0], labels[1, 0, 0] = 1, 2
    weights = border_weights(labels, (6.0, 1.5, 1.5), w0=1.0, sigma=7.0)
    two = 1 + math.hypot(1, 4)  # next to muscle 1, one pixel aside
    assert weights[0, 0, 0] == pytest.approx(math.exp(-(4**2) / 98))
    assert weights[0, 0, 1] == pytest.approx(math.exp(-(two**2) / 98))


def test_border_weights_of_a_plain_computation() -> None:
    """Cropping to the reach of each muscle changes nothing that matters."""
    from scipy import ndimage

    labels = np.zeros((30, 40), int)
    labels[2:9, 3:9], labels[12:20, 5:12], labels[4:25, 28:36] = 1, 2, 5
    far = np.sort([ndimage.distance_transform_edt(labels != k) for k in (1, 2, 5)], axis=0)
    plain = 10 * np.exp(-((far[0] + far[1]) ** 2) / (2 * 3.0**2))
    np.testing.assert_allclose(border_weights(labels, sigma=3.0), plain, atol=10 * 4e-4)


def test_one_muscle_alone_has_no_border() -> None:
    assert not border_weights(np.array([[0, 3, 3, -1]])).any()


def test_border_cross_entropy_by_hand() -> None:
    """Voxels 0 background, 1, 2: weights 10 exp(−(1 + 2)² / 128) and 10 exp(−1 / 128) twice."""
    logits = logits_of([0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.25, 0.25, 0.5])
    labels = torch.tensor([[0, 1, 2]])
    gap, edge = 10 * math.exp(-9 / 128), 10 * math.exp(-1 / 128)
    by_hand = ((1 + gap) * LOG2 + (1 + edge) * 2 * LOG2 + (1 + edge) * LOG2) / 3
    assert float(LossSum("border_cross_entropy")(logits, labels)) == pytest.approx(by_hand)


def test_border_cross_entropy_balances_the_classes() -> None:
    """Without borders only the inverse frequencies are left: 3 / (2 * 1), 3 / (2 * 2)."""
    by_hand = (1.5 * ENTROPY[0] + 0.75 * (ENTROPY[1] + ENTROPY[2])) / 3
    loss = LossSum("border_cross_entropy(w0=0, sigma=7)")(ROW, TRUE)
    assert float(loss) == pytest.approx(by_hand)
