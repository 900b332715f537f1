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
    return _soft_dice(logits.float().softmax(1), target, None)


def _soft_dice(p: Tensor, target: Tensor, named: Tensor | None) -> Tensor:
    """Of probabilities (n, c, z, y, x); unnamed voxels count for the named classes only."""
    classes = p.shape[1]
    p = p.transpose(0, 1).reshape(classes, -1)
    flat = target.reshape(-1)
    known = flat >= 0
    everywhere = p.sum(1)
    if named is not None:
        everywhere = torch.where(named, everywhere, (p * known).sum(1))
    flat = flat.clamp_min(0)
    hit = p.gather(0, flat[None])[0] * known
    overlap = torch.zeros(classes, device=p.device).index_add_(0, flat, hit)
    # not with bincount, for which a GPU has to be waited for: it asks for the largest value
    size = torch.zeros(classes, device=p.device).index_add_(0, flat, known.float())
    dice = (2 * overlap + 1.0) / (everywhere + size + 1.0)
    return 1 - dice[size > 0].mean()


def partial_loss(logits: Tensor, target: Tensor, named: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice where of some voxels only is known what they are not.

    Such a voxel is one of the classes that nobody labelled, taken together as a class of their
    own: its cross-entropy is that of their summed probability (the marginal loss of Shi et al.,
    Medical Image Analysis 70:101979, 2021). Of the Dice coefficients, those of named classes
    count everywhere, the others only where everything is known.

    Parameters
    ----------
    logits : Tensor, shape (n, c, z, y, x)
    target : Tensor of int64, shape (n, z, y, x)
        Class of each voxel; negative where it is none of the named ones.
    named : Tensor of bool, shape (c,)
        The classes that are labelled in every image.

    Examples
    --------
    >>> target = torch.full((1, 1, 1, 1), -2)
    >>> logits = torch.tensor([9.0, 9.0, -9.0]).reshape(1, 3, 1, 1, 1)
    >>> float(partial_loss(logits, target, torch.tensor([False, False, True]))) < 0.01
    True
    """
    log_p = logits.float().log_softmax(1)
    of_known = torch.nn.functional.nll_loss(log_p, target.clamp_min(0), reduction="none")
    others = log_p[:, ~named].logsumexp(1)
    entropy = torch.where(target >= 0, of_known, -others).mean()
    if not bool((target >= 0).any()):
        return entropy
    return entropy + _soft_dice(log_p.exp(), target, named)


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
