"""In which parts of the leg a structure can be: wide bounds, from the label maps of two people.

``data/whereabouts.tsv`` names the lowest and the highest part in which any of it lies in the
Visible Human (Andreassen et al., Scientific Data 10:34, 2023), where parts are divided as the
locator divides them. What reached farther there did so by 16 mm at most; :data:`BEYOND_MM` leaves
room for other people, and for a locator that is a slice or two off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import label_by_index, read_table, unsided
from legseg_bids.anatomy.regions import Part

BEYOND_MM = 60.0
"""How far a structure may reach beyond its parts."""


def part_range(index: int) -> tuple[Part, Part] | None:
    """Lowest and highest part in which a structure lies; None where it may be anywhere.

    Parameters
    ----------
    index : int
        Label index.

    Examples
    --------
    >>> part_range(105), part_range(151)
    ((<Part.KNEE: 2>, <Part.KNEE: 2>), None)
    """
    return _ranges().get(unsided(label_by_index(index)))


def possible_slices(
    index: int, parts: Sequence[Part], slice_distance: float, direction: int = 1
) -> NDArray[np.bool_]:
    """Slices in which a structure may be.

    Those of its parts, and those less than :data:`BEYOND_MM` away from one that is, or may be just
    outside the stack.

    Parameters
    ----------
    index : int
        Label index.
    parts : sequence of Part
        What the slices show, by rising z index.
    slice_distance : float
        Between the centres of slices, mm.
    direction : int
        +1 if parts rise with the index, -1 if they fall.

    Returns
    -------
    ndarray of bool, shape (slices,)

    Examples
    --------
    >>> stack = [Part.KNEE, Part.UPPER, Part.UPPER, Part.UPPER, Part.HIP]
    >>> possible_slices(105, stack, 24.0).tolist()   # the patella
    [True, True, True, False, False]
    >>> possible_slices(105, stack[1:], 24.0).tolist()
    [True, True, False, False]
    """
    bounds = part_range(index)
    if bounds is None:
        return np.ones(len(parts), bool)
    rising = np.asarray(parts, int)[::direction]
    lowest, highest = bounds
    too_high = _within_reach(rising <= highest, slice_distance)
    too_low = _within_reach((rising >= lowest)[::-1], slice_distance)[::-1]
    return np.asarray((too_high & too_low)[::direction])


def _within_reach(allowed: NDArray[np.bool_], slice_distance: float) -> NDArray[np.bool_]:
    """Slices that are allowed, or not farther than it may reach above the last that is.

    What lies below the first slice is taken for allowed: nobody knows.
    """
    slices = np.arange(len(allowed))
    last = np.maximum.accumulate(np.where(allowed, slices, -1))
    return np.asarray((slices - last) * slice_distance < BEYOND_MM)


@cache
def _ranges() -> MappingProxyType[str, tuple[Part, Part]]:
    rows = read_table("whereabouts.tsv")
    return MappingProxyType(
        {
            row["structure"]: (Part[row["lowest"].upper()], Part[row["highest"].upper()])
            for row in rows
        }
    )
