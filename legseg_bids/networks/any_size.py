"""Images of any size for networks that halve them several times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def product_of_strides(strides: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """By what each axis of the image must be divisible.

    Examples
    --------
    >>> product_of_strides([(1, 2, 2), (2, 2, 2)])
    (2, 4, 4)
    """
    step = [1] * len(strides[0])
    for stride in strides:
        step = [a * b for a, b in zip(step, stride, strict=True)]
    return tuple(step)


def padded(image: Tensor, step: Sequence[int]) -> Tensor:
    """Repeat the last pixel of each axis until its size is a multiple of ``step``.

    Parameters
    ----------
    image : Tensor, shape (n, c, *axes)
    step : sequence of int
        One number for each of ``axes``.

    Examples
    --------
    >>> padded(torch.zeros(1, 1, 5, 8), (4, 4)).shape
    torch.Size([1, 1, 8, 8])
    """
    missing = [-size % s for size, s in zip(image.shape[2:], step, strict=True)]
    if not any(missing):
        return image
    after = [n for m in reversed(missing) for n in (0, m)]
    return nn.functional.pad(image, after, mode="replicate")


class AnySize(nn.Module):
    """Base of networks that need a multiple of ``step``: pads, computes, and crops.

    A subclass sets ``step`` and writes :meth:`compute`. An exported graph has no padding in it:
    whoever runs it gives it multiples of ``step``, as the application does.
    """

    step: tuple[int, ...] = ()

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:
        """Logits (n, classes, *axes) of an image whose axes are multiples of ``step``."""
        raise NotImplementedError

    def forward(self, image: Tensor, *more: Tensor) -> Tensor:
        """Logits of every pixel, (n, inputs, *axes) → (n, classes, *axes)."""
        if torch.jit.is_tracing():
            return self.compute(image, *more)
        logits = self.compute(padded(image, self.step), *more)
        inside: tuple[Any, ...] = (..., *(slice(size) for size in image.shape[2:]))
        return logits[inside]
