"""The losses of the shipped networks: cross-entropy plus soft Dice, and the locator's."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the mean soft Dice coefficient of the structures that are there.

    Parameters
    ----------
    logits : Tensor, shape (n, c, z, y, x)
    target : Tensor of int64, shape (n, z, y, x)

    Returns
    -------
    Tensor
        Scalar in [0, 1]; background counts as one structure, absent ones do not count.

    Notes
    -----
    Milletari et al., V-Net, 3DV 2016, with the sums taken over the batch.

    Examples
    --------
    >>> target = torch.zeros(1, 1, 2, 2, dtype=torch.long)
    >>> sure = torch.tensor([9.0, -9.0]).reshape(1, 2, 1, 1, 1).expand(1, 2, 1, 2, 2)
    >>> float(soft_dice_loss(sure, target)) < 1e-3
    True
    """
    classes = logits.shape[1]
    p = logits.float().softmax(1).transpose(0, 1).reshape(classes, -1)
    flat = target.reshape(-1)
    hit = p.gather(0, flat[None])[0]
    overlap = torch.zeros(classes).index_add_(0, flat, hit)
    size = torch.bincount(flat, minlength=classes).float()
    dice = (2 * overlap + 1.0) / (p.sum(1) + size + 1.0)
    return 1 - dice[size > 0].mean()


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice, the sum that nnU-Net uses."""
    cross_entropy = nn.functional.cross_entropy(logits.float(), target)
    return cross_entropy + soft_dice_loss(logits, target)


def locator_loss(side: Tensor, part: Tensor, side_truth: Tensor, part_truth: Tensor) -> Tensor:
    """Sum of both heads' cross-entropies; slices with part -1 are empty and do not count.

    Parameters
    ----------
    side, part : Tensor, shape (n, 3) and (n, 5)
        Logits.
    side_truth, part_truth : Tensor of int64, shape (n,)
    """
    known = part_truth >= 0
    if not bool(known.any()):
        return (side.sum() + part.sum()) * 0.0
    loss = nn.functional.cross_entropy
    return loss(side[known], side_truth[known]) + loss(part[known], part_truth[known])
