"""Which structure is taken for which: shares of voxels, participant by participant."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legseg_bids.evaluate.observations import in_order, known_mean
from legseg_bids.evaluate.tidy import number, rows_of
from legseg_bids.group.statistics import Floats

BACKGROUND, OTHER, OTHER_SIDE = "background", "other", "other side"
"""Not a structure; a structure that was not compared; the same structure of the other leg."""
LAST = (OTHER_SIDE, OTHER, BACKGROUND)
SIDES = {" left": "left", " right": "right", "_L": "left", "_R": "right"}


@dataclass(frozen=True, eq=False)
class Confusion:
    """Mean shares over participants; sides are pooled.

    Attributes
    ----------
    models, names : tuple of str
        Names are structures in anatomical order, then :data:`LAST`.
    shares : ndarray of float, shape (models, names, names)
        Of the voxels that the reference calls the first name, how many the model calls the
        second; NaN where no participant has any.
    stray : ndarray of float, shape (models, names)
        Of the voxels that the model calls so, how many are background in the reference.
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    shares: Floats
    stray: Floats


def read_confusion(path: Path) -> Confusion | None:
    """Read ``confusion.tsv``; None if it has no rows.

    Raises
    ------
    NoInput
        If the table cannot be read.
    """
    models, people, names = dict[str, int](), dict[str, int](), dict[str, int]()
    where = [array("l") for _ in range(4)]
    voxels = array("d")
    wanted = ("model", "participant_id", "reference", "predicted", "voxels")
    rows = rows_of(path, wanted)
    columns = next(rows)
    at = [columns.index(name) for name in wanted]
    for cells in rows:
        model, person, reference, predicted, count = (cells[k] for k in at)
        true, called = pooled(reference, predicted)
        for place, (known, name) in zip(
            where, ((models, model), (people, person), (names, true), (names, called)), strict=True
        ):
            place.append(known.setdefault(name, len(known)))
        voxels.append(number(count))
    if not voxels:
        return None
    shape = len(models), len(people), len(names), len(names)
    flat = np.ravel_multi_index(tuple(np.array(place) for place in where), shape)
    counts = np.bincount(flat, np.nan_to_num(np.array(voxels)), int(np.prod(shape)))
    ordered = (*in_order(names.keys() - set(LAST)), *(name for name in LAST if name in names))
    order = [names[name] for name in ordered]
    sorted_counts: Floats = counts.reshape(shape)[:, :, order][:, :, :, order].astype(np.float64)
    return Confusion(
        tuple(models), ordered, _shares(sorted_counts), _stray(sorted_counts, ordered)
    )


def pooled(reference: str, predicted: str) -> tuple[str, str]:
    """Leave the sides out, but keep what is taken for its own partner apart.

    Examples
    --------
    >>> pooled("RF left", "VI left"), pooled("RF left", "RF right"), pooled("SOL", "background")
    (('RF', 'VI'), ('RF', 'other side'), ('SOL', 'background'))
    """
    (true, side), (called, other) = _without_side(reference), _without_side(predicted)
    return (true, OTHER_SIDE) if true == called and side != other else (true, called)


def _without_side(name: str) -> tuple[str, str]:
    for ending, side in SIDES.items():
        if name.endswith(ending):
            return name.removesuffix(ending), side
    return name, ""


def _shares(counts: Floats) -> Floats:
    """Mean over participants of the share in what the reference has."""
    total = counts.sum(axis=3, keepdims=True)
    shares = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    return known_mean(shares, axis=1)


def _stray(counts: Floats, names: tuple[str, ...]) -> Floats:
    """Mean over participants of the share of background in what the model calls so."""
    at = names.index(BACKGROUND) if BACKGROUND in names else -1
    if at < 0 or not counts[:, :, at].any():
        return np.full((counts.shape[0], counts.shape[3]), np.nan)
    total = counts.sum(axis=2)
    outside = counts[:, :, at]
    shares = np.divide(outside, total, out=np.full(total.shape, np.nan), where=total > 0)
    return known_mean(shares, axis=1)
