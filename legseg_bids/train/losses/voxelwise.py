"""Losses voxel by voxel: cross-entropy, focal, top-k, and masked cross-entropy.

MONAI's focal loss works in single precision and without partial labels, so these are our own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from legseg_bids.train.losses.truth import (
    IGNORE,
    Truth,
    counted,
    full_precision,
    known_classes,
    mean_of_counted,
    one_hot,
)

#: Which voxels a class answers for, Wong et al. (Proc. ISMRM 27:4741, 2019).
MASKS = ("fn", "fp", "fn_or_fp", "fn_plus_fp")


def entropies(logits: Tensor, truth: Truth) -> Tensor:
    """Cross-entropy of each voxel, (n, *axes); zero where it is to be ignored."""
    values = full_precision(logits)
    return functional.cross_entropy(values, truth.labels, ignore_index=IGNORE, reduction="none")


def cross_entropy(logits: Tensor, truth: Truth) -> Tensor:
    """Mean over the voxels whose label is a class that was drawn."""
    return mean_of_counted(entropies(logits, truth), counted(truth, logits.shape[1]))


def focal(logits: Tensor, truth: Truth, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy times (1 − p)^γ: easy voxels count less. Lin et al., ICCV 2017.

    Parameters
    ----------
    gamma : float
        0 is the cross-entropy itself.
    """
    entropy = entropies(logits, truth)
    hard = (1 - torch.exp(-entropy)).clamp_min(0) ** gamma
    return mean_of_counted(hard * entropy, counted(truth, logits.shape[1]))


def top_k(logits: Tensor, truth: Truth, *, share: float = 0.1) -> Tensor:
    """Mean cross-entropy of the hardest voxels. Wu et al., arXiv 1605.06885, 2016.

    Parameters
    ----------
    share : float
        Which part of the voxels that count, 0 … 1.

    Raises
    ------
    ValueError
        If the share is not within 0 and 1.
    """
    if not 0 < share <= 1:
        msg = f"top_k has a share of {share}; expected more than 0, at most 1"
        raise ValueError(msg)
    entropy = entropies(logits, truth)[counted(truth, logits.shape[1])]
    if not entropy.numel():
        return logits.sum() * 0.0
    return entropy.topk(math.ceil(share * entropy.numel())).values.mean()


def inverse_frequencies(truth: Truth, classes: int) -> Tensor:
    """Weight of each class, shape (classes,): the mean weight of the voxels that count is 1.

    N / (K n_c), with N voxels, K classes that are there, and n_c voxels of the class; classes that
    are not there have weight 1.

    Examples
    --------
    >>> inverse_frequencies(Truth(torch.tensor([[0, 0, 0, 1]])), 3)
    tensor([0.6667, 2.0000, 1.0000])
    """
    labels = truth.labels[counted(truth, classes)]
    count = torch.bincount(labels, minlength=classes).float()
    there = count > 0
    even = labels.numel() / (there.sum().clamp_min(1) * count.clamp_min(1))
    return torch.where(there, even, torch.ones_like(even))


def masked_cross_entropy(
    logits: Tensor, truth: Truth, *, mask: str = "fn_plus_fp", balance: bool = False
) -> Tensor:
    """Weighted cross-entropy for images in which only some classes were drawn.

    A voxel is weighted by the classes that answer for it and were drawn in its image: the class of
    its label (``fn``: what the network misses), the class that the network gives it (``fp``: what
    it adds), either (``fn_or_fp``: a voxel of which both were drawn counts for both classes unless
    they are the same), or both summed (``fn_plus_fp``: a voxel that is right counts twice).

    Parameters
    ----------
    mask : {"fn_plus_fp", "fn_or_fp", "fn", "fp"}
        Which voxels a class answers for.
    balance : bool
        Weight classes by :func:`inverse_frequencies`.

    Raises
    ------
    ValueError
        If there is no such mask.

    Notes
    -----
    Wong et al., Proc. ISMRM 27:4741, 2019, and arXiv 2008.07030, whose code calls the masks
    ``base``, ``base_pred``, ``or`` and ``plus``. As there, the sum is divided by the number of
    voxels whose weight is not zero.
    """
    if mask not in MASKS:
        msg = f"masked_cross_entropy has mask {mask!r}; expected one of {', '.join(MASKS)}"
        raise ValueError(msg)
    classes = logits.shape[1]
    weight = known_classes(truth, classes).to(torch.float32)
    if balance:
        weight = weight * inverse_frequencies(truth, classes)
    missed = one_hot(truth.labels, classes)
    added = one_hot(logits.argmax(1), classes)
    answers = {
        "fn": missed.float(),
        "fp": added.float(),
        "fn_or_fp": (missed | added).float(),
        "fn_plus_fp": missed.float() + added.float(),
    }[mask]
    shape = (*weight.shape, *(1,) * (logits.ndim - 2))
    voxel = (answers * weight.reshape(shape)).sum(1) * (truth.labels != IGNORE)
    total = (entropies(logits, truth) * voxel).sum()
    return total / (voxel != 0).sum().clamp_min(1)
