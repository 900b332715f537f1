"""Masks of structures painted into one array of labels, and split between two legs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray


def paint(
    masks: Iterable[tuple[int, NDArray[np.bool_]]],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.uint16], Counter[tuple[int, int]]]:
    """Paint masks into one array, the largest first, so that the smallest wins.

    Parameters
    ----------
    masks : iterable of (int, ndarray of bool)
        Label and mask, in the order of `by_size`.
    shape : tuple of int
        Of the label image.

    Returns
    -------
    ndarray of uint16
        Labels.
    Counter
        Voxels by the label that got them and the label that lost them.

    Examples
    --------
    >>> large, small = np.array([True, True, False]), np.array([False, True, False])
    >>> labels, overlaps = paint([(5, large), (9, small)], (3,))
    >>> labels.tolist(), dict(overlaps)
    ([5, 9, 0], {(9, 5): 1})
    """
    labels = np.zeros(shape, np.uint16)
    overlaps: Counter[tuple[int, int]] = Counter()
    for index, mask in masks:
        lost, counts = np.unique(labels[mask], return_counts=True)
        for other, count in zip(lost.tolist(), counts.tolist(), strict=True):
            if other not in (0, index):
                overlaps[index, other] += count
        labels[mask] = index
    return labels, overlaps


def by_size(sizes: Mapping[int, int]) -> list[int]:
    """Labels, the largest first; of equal ones the higher label first."""
    return sorted(sizes, key=lambda index: (-sizes[index], -index))


def split_sides(union: NDArray[np.bool_]) -> int:
    """Where two legs part: the first index of the leg at the higher end of the first axis.

    The cut that makes the two groups of voxels most compact (Otsu, IEEE Trans. Syst. Man Cybern.
    9:62, 1979, on positions instead of grey values).

    Parameters
    ----------
    union : ndarray of bool, shape (x, y, z)
        All structures of both legs.

    Examples
    --------
    >>> legs = np.zeros((10, 1, 1), bool)
    >>> legs[[1, 2, 3, 7, 8]] = True
    >>> split_sides(legs) in range(4, 8)
    True
    """
    weight = union.sum(axis=tuple(range(1, union.ndim))).astype(float)
    place = np.arange(len(weight))
    below, total = np.cumsum(weight), weight.sum()
    first = np.cumsum(weight * place)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (first[-1] * below / total - first) ** 2 / (below * (total - below))
    return int(np.nanargmax(np.where(np.isfinite(between), between, -1.0))) + 1
