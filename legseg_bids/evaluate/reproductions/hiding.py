"""Images of which only some structures were drawn, and a loss that knows it.

Half of the training people have their muscles drawn, the other half their tissues. What was not
drawn is background in the label image, as it would be in a real one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from legseg_bids.evaluate.reproductions.structures import Structure


def drawn_part(person: int, parts: Sequence[str]) -> str:
    """Which group of structures was drawn in a person: in turn, whatever their fat.

    Fat goes in threes (:func:`.bank.fat_of`), so that turns of six people hold each pair once.

    Examples
    --------
    >>> [drawn_part(n, ("muscle", "tissue")) for n in range(6)]
    ['muscle', 'tissue', 'muscle', 'tissue', 'muscle', 'tissue']
    """
    return parts[person % len(parts)]


def drawn_classes(structures: Sequence[Structure], part: str) -> Tensor:
    """Which classes are drawn where one group was, bool (classes,); background is not known.

    Examples
    --------
    >>> two = (Structure("soleus", "muscle", (5,)), Structure("tibia", "tissue", (107,)))
    >>> drawn_classes(two, "tissue").tolist()
    [False, False, True]
    """
    return torch.tensor([False, *(s.part == part for s in structures)])


def hidden(labels: Tensor, known: Tensor) -> Tensor:
    """The label image as it was drawn: classes that were not drawn are background.

    Parameters
    ----------
    labels : Tensor of int64, shape (n, y, x)
    known : Tensor of bool, shape (n, classes)

    Examples
    --------
    >>> hidden(torch.tensor([[[0, 1, 2]]]), torch.tensor([[False, False, True]])).tolist()
    [[[0, 0, 2]]]
    """
    there = known.gather(1, labels.reshape(len(labels), -1)).reshape(labels.shape)
    return torch.where(there, labels, 0)


def merged_cross_entropy(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy with background and all that was not drawn merged into one class.

    The marginal loss of Shi et al., Medical Image Analysis 70:101979, 2021: where nothing was
    drawn, −log of the sum of the probabilities of all classes that may be there.

    Parameters
    ----------
    logits : Tensor, shape (n, classes, y, x)
    labels : Tensor of int64, shape (n, y, x)
        As they were drawn.
    known : Tensor of bool, shape (n, classes)

    Examples
    --------
    >>> logits = torch.log(torch.tensor([0.5, 0.25, 0.25]))[None, :, None, None]
    >>> nothing = torch.zeros(1, 1, 1, dtype=torch.long)
    >>> round(float(merged_cross_entropy(
    ...     logits, nothing, torch.tensor([[False, False, True]])).exp()), 4)
    1.3333
    """
    log_p = logits.log_softmax(1)
    possible = torch.where(known[:, :, None, None], -torch.inf, log_p).logsumexp(1)
    drawn = log_p.gather(1, labels[:, None])[:, 0]
    return -torch.where(labels > 0, drawn, possible).mean()
