"""What is known of a batch, and which voxels and classes therefore count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Label of voxels that nobody looked at: no loss counts them.
IGNORE = -1


@dataclass(frozen=True)
class Truth:
    """Labels of a batch, and how far they go.

    Attributes
    ----------
    labels : Tensor of int64, shape (n, *axes)
        Class of each voxel, or :data:`IGNORE`.
    known : Tensor of bool, shape (n, classes), optional
        Which classes somebody drew in each image; all if not given. A class that was not drawn
        may be anywhere in the image, so its voxels hide in another class, mostly the background:
        that one is not known either.
    spacing : tuple of float, optional
        Distance of the voxels along ``axes``, mm; all equal if not given.
    """

    labels: Tensor
    known: Tensor | None = None
    spacing: tuple[float, ...] | None = None


def full_precision(logits: Tensor) -> Tensor:
    """Single precision for halves; what is precise enough stays as it is."""
    return logits if logits.dtype in (torch.float32, torch.float64) else logits.float()


def known_classes(truth: Truth, classes: int) -> Tensor:
    """Which class counts in which image, bool (n, classes)."""
    if truth.known is None:
        count = truth.labels.shape[0]
        return torch.ones(count, classes, dtype=torch.bool, device=truth.labels.device)
    return truth.known.to(truth.labels.device).bool()


def counted(truth: Truth, classes: int) -> Tensor:
    """Voxels whose label is a class that was drawn, bool (n, *axes).

    Examples
    --------
    >>> labels = torch.tensor([[0, 1, 2, IGNORE]])
    >>> counted(Truth(labels, torch.tensor([[False, True, True]])), 3)
    tensor([[False,  True,  True, False]])
    """
    labels = truth.labels
    flat = labels.clamp_min(0).reshape(labels.shape[0], -1)
    known = known_classes(truth, classes).gather(1, flat).reshape(labels.shape)
    return known & (labels != IGNORE)


def mean_of_counted(values: Tensor, mask: Tensor) -> Tensor:
    """Mean where the mask holds; zero, with a gradient of zero, if it holds nowhere."""
    return (values * mask).sum() / mask.sum().clamp_min(1)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Bool (n, classes, *axes); voxels to be ignored belong to no class."""
    numbers = torch.arange(classes, device=labels.device)
    shape = (1, classes, *(1,) * (labels.ndim - 1))
    return labels[:, None] == numbers.reshape(shape)
