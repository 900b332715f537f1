"""Losses of overlap: Dice, its square, Jaccard, Tversky, log-Dice.

MONAI's formulas. Sums run over the whole batch; a class counts if somebody drew it and it is
there. Voxels to be ignored, and classes in images where nobody drew them, are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from legseg_bids.train.losses.truth import IGNORE, Truth, full_precision, known_classes, one_hot

#: Added above and below the fraction line, so that an empty class has no pole.
SMOOTH = 1e-5


def _of_classes(
    logits: Tensor, truth: Truth, formula: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Loss of each class that counts, shape (k,); k may be none."""
    classes = logits.shape[1]
    known = known_classes(truth, classes)
    shape = (*known.shape, *(1,) * (logits.ndim - 2))
    use = known.reshape(shape) & (truth.labels != IGNORE)[:, None]
    target = one_hot(truth.labels, classes) & use
    probability = full_precision(logits).softmax(1)
    each = formula(probability * use, target.to(probability.dtype)).reshape(-1)
    there = target.transpose(0, 1).reshape(classes, -1).any(1)
    return each[there]


def _mean(each: Tensor, logits: Tensor) -> Tensor:
    return each.mean() if each.numel() else logits.sum() * 0.0


def dice(logits: Tensor, truth: Truth, *, squared: bool = False) -> Tensor:
    """One minus the Dice coefficient, Milletari et al., 3DV 2016.

    Parameters
    ----------
    squared : bool
        Square the probabilities in the denominator, as that paper does.
    """
    from monai.losses.dice import DiceLoss

    formula = DiceLoss(
        squared_pred=squared, batch=True, reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH
    )
    return _mean(_of_classes(logits, truth, formula), logits)


def squared_dice(logits: Tensor, truth: Truth) -> Tensor:
    """:func:`dice` with squared probabilities."""
    return dice(logits, truth, squared=True)


def jaccard(logits: Tensor, truth: Truth) -> Tensor:
    """One minus the overlap divided by the union."""
    from monai.losses.dice import DiceLoss

    formula = DiceLoss(
        jaccard=True, batch=True, reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH
    )
    return _mean(_of_classes(logits, truth, formula), logits)


def tversky(logits: Tensor, truth: Truth, *, alpha: float = 0.3, beta: float = 0.7) -> Tensor:
    """One minus TP / (TP + α FP + β FN), Salehi et al., MLMI 2017.

    Parameters
    ----------
    alpha, beta : float
        Weight of false positives and of false negatives.
    """
    from monai.losses.tversky import TverskyLoss

    formula = TverskyLoss(
        alpha=alpha,
        beta=beta,
        batch=True,
        reduction="none",
        smooth_nr=SMOOTH,
        smooth_dr=SMOOTH,
    )
    return _mean(_of_classes(logits, truth, formula), logits)


def log_dice(logits: Tensor, truth: Truth) -> Tensor:
    """Minus the logarithm of the Dice coefficient: steeper the worse the overlap.

    Wong et al., arXiv 2008.07030, 2020, for muscles of thigh and calf.
    """
    from monai.losses.dice import DiceLoss

    formula = DiceLoss(batch=True, reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH)
    each = _of_classes(logits, truth, formula)
    return _mean(-torch.log1p(-each), logits)
