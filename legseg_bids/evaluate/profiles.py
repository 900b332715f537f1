"""How good models are along a structure, from its lower to its upper end."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legseg_bids.evaluate.observations import in_order, with_all
from legseg_bids.evaluate.tidy import number, rows_of
from legseg_bids.group.statistics import Floats

BINS = 20
"""Parts of the length, each of 5 %."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """Dice of slices over their position.

    Attributes
    ----------
    models, structures : tuple of str
    position : ndarray of float, shape (bins,)
        Middle of each part of the length, %.
    n : int
        Participants.
    quartiles : ndarray of float, shape (models, structures + 1, 3, bins)
        Lower quartile, median and upper quartile over participants; the last structure is the
        mean over each participant's structures. NaN where nobody has a slice.
    """

    models: tuple[str, ...]
    structures: tuple[str, ...]
    position: Floats
    n: int
    quartiles: Floats


def read_profiles(path: Path) -> Profiles | None:
    """Read the table of slices, as far as they lie within the reference; None without any.

    Raises
    ------
    NoInput
        If the table cannot be read.
    """
    known: dict[str, dict[str, int]] = {"model": {}, "participant_id": {}, "structure": {}}
    places = {name: array("l") for name in known}
    bins, dice = array("l"), array("d")
    rows = rows_of(path, (*known, "slice_position", "dice"))
    columns = next(rows)
    at = {name: columns.index(name) for name in (*known, "slice_position", "dice")}
    for cells in rows:
        position, value = number(cells[at["slice_position"]]), number(cells[at["dice"]])
        if not (0 <= position <= 100 and value == value):
            continue
        for name, ids in known.items():
            places[name].append(ids.setdefault(cells[at[name]], len(ids)))
        bins.append(min(BINS - 1, int(position * BINS / 100)))
        dice.append(value)
    if not dice:
        return None
    shape = tuple(map(len, known.values()))
    means = _means([*map(_whole, places.values()), _whole(bins)], np.array(dice), (*shape, BINS))
    means = filled(means)
    names = tuple(known["structure"])
    ordered = in_order(names)
    means = means[:, :, [names.index(name) for name in ordered]]
    means = np.moveaxis(with_all(np.moveaxis(means, 2, -1)), -1, 2)
    return Profiles(
        tuple(known["model"]),
        ordered,
        (np.arange(BINS) + 0.5) * 100 / BINS,
        shape[1],
        np.moveaxis(_quartiles(means), 0, 2),
    )


def filled(profiles: Floats) -> Floats:
    """Fill gaps between known parts of the length by straight lines; ends stay empty.

    Where slices are thick, many parts of a structure have no slice: without this, a mean over
    structures would jump from part to part with the structures that happen to be there.

    Parameters
    ----------
    profiles : ndarray of float, shape (..., bins)

    Examples
    --------
    >>> import numpy as np
    >>> filled(np.array([[np.nan, 0.2, np.nan, 0.4, np.nan]])).round(2).tolist()
    [[nan, 0.2, 0.3, 0.4, nan]]
    """
    flat = profiles.reshape(-1, profiles.shape[-1]).copy()
    there = np.isfinite(flat)
    at = np.arange(flat.shape[1])
    for row in np.flatnonzero(there.any(axis=1) & ~there.all(axis=1)):
        known = at[there[row]]
        flat[row] = np.interp(at, known, flat[row, known], left=np.nan, right=np.nan)
    return flat.reshape(profiles.shape)


def _whole(values: array[int]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.array(values, np.intp)


def _means(
    places: list[np.ndarray[tuple[int], np.dtype[np.intp]]], values: Floats, shape: tuple[int, ...]
) -> Floats:
    """Mean of the values at each place; NaN where there is none."""
    flat, size = np.ravel_multi_index(tuple(places), shape), int(np.prod(shape))
    n = np.bincount(flat, minlength=size)
    total = np.bincount(flat, weights=values, minlength=size)
    means: Floats = np.divide(total, n, out=np.full(size, np.nan), where=n > 0)
    return means.reshape(shape)


def _quartiles(means: Floats) -> Floats:
    """Over participants, shape (3, models, structures + 1, bins)."""
    # Sorted by hand: nanquantile is slow on many short columns. NaN goes to the end.
    ordered = np.sort(means, axis=1)
    n = np.isfinite(means).sum(axis=1)
    found = []
    for share in (0.25, 0.5, 0.75):
        place = share * np.maximum(n - 1, 0)
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, np.maximum(n - 1, 0))
        one, two = (np.take_along_axis(ordered, k[:, None], 1)[:, 0] for k in (low, high))
        found.append(one + (place - low) * (two - one))
    return np.stack(found)
