"""How well two label images agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.anatomy.labels import load_labels


@dataclass(frozen=True)
class Agreement:
    """Agreement on one structure.

    Attributes
    ----------
    name : str
    dice : float
        Dice similarity coefficient; NaN where neither image has the structure.
    predicted, reference : int
        Voxels.
    """

    name: str
    dice: float
    predicted: int
    reference: int


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice similarity coefficient of two masks of the same shape.

    Returns
    -------
    float
        2 |a ∩ b| / (|a| + |b|); NaN if both are empty.

    Examples
    --------
    >>> dice(np.array([True, True, False]), np.array([True, False, False]))
    0.6666666666666666
    """
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


def distance95(
    a: NDArray[np.bool_], b: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> float:
    """95th percentile of the distances between two outlines, the larger of both directions.

    Outlines are taken slice by slice, as they are drawn; distances are in space.

    Parameters
    ----------
    a, b : ndarray of bool, shape (x, y, z)
    spacing : tuple of float
        Voxel size, mm.

    Returns
    -------
    float
        In mm; NaN if one of the masks is empty.

    Examples
    --------
    >>> a = np.zeros((9, 9, 1), bool)
    >>> a[2:5, 2:5] = True
    >>> float(distance95(a, np.roll(a, 2, axis=0), (1.5, 1.5, 6.0)))
    3.0
    """
    if not (a.any() and b.any()):
        return float("nan")
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    edges = [_outline(mask[box]) for mask in (a, b)]
    away = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    both = (away[1][edges[0]], away[0][edges[1]])
    return float(max(np.percentile(one, 95) for one in both))


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a mask with a neighbour in the same slice that is not of it."""
    cross = np.zeros((3, 3, 3), bool)
    cross[:, 1, 1] = cross[1, :, 1] = True
    return np.asarray(mask & ~ndimage.binary_erosion(mask, cross))


def foreign_labels(scheme: str) -> dict[int, tuple[int, ...]]:
    """Ids of another label scheme → our labels of the same structure, sides pooled.

    Parameters
    ----------
    scheme : str
        Column of the label table: ``thigh_partial``, ``musclemap`` or ``atlas``.

    Examples
    --------
    >>> foreign_labels("thigh_partial")[2]
    (61, 62)
    """
    table: dict[int, tuple[int, ...]] = {}
    for label in load_labels():
        foreign = getattr(label, scheme)
        if foreign is not None:
            table[foreign] = (*table.get(foreign, ()), label.index)
    return table


def agreement(
    predicted: NDArray[np.integer],
    reference: NDArray[np.integer],
    groups: Mapping[str, tuple[Sequence[int], Sequence[int]]],
) -> tuple[Agreement, ...]:
    """Agreement per structure, only where the reference covers the stack.

    Parameters
    ----------
    predicted, reference : ndarray of int, shape (x, y, z)
        On the same grid.
    groups : mapping
        Name → (labels in ``predicted``, labels in ``reference``).

    Raises
    ------
    ValueError
        If the grids differ.
    """
    if predicted.shape != reference.shape:
        msg = f"grids differ: {predicted.shape} and {reference.shape}; expected the same"
        raise ValueError(msg)
    covered = np.flatnonzero(reference.any(axis=(0, 1)))
    if covered.size:
        part = slice(covered[0], covered[-1] + 1)
        predicted, reference = predicted[..., part], reference[..., part]
    out = []
    for name, (ours, theirs) in groups.items():
        a, b = np.isin(predicted, list(ours)), np.isin(reference, list(theirs))
        out.append(Agreement(name, dice(a, b), int(a.sum()), int(b.sum())))
    return tuple(out)


def mean_dice(results: Sequence[Agreement]) -> float:
    """Mean over the structures that either image has."""
    return float(np.nanmean([r.dice for r in results]))
