"""Where something is: extents of masks along their axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Box = tuple[slice, slice, slice]


def occupied(mask: Bools) -> tuple[Bools, Bools, Bools]:
    """For each axis of a 3-D mask, which of its planes hold a True voxel.

    Parameters
    ----------
    mask : ndarray of bool, three axes

    Returns
    -------
    tuple of ndarray of bool
        One for each axis, as long as that axis.

    Examples
    --------
    >>> mask = np.zeros((2, 3, 1), bool)
    >>> mask[1, 1:] = True
    >>> [line.tolist() for line in occupied(mask)]
    [[False, True], [False, True, True], [True]]
    """
    flat = np.asarray(mask.any(axis=2))
    first, second = np.asarray(flat.any(axis=1)), np.asarray(flat.any(axis=0))
    return first, second, np.asarray(mask.any(axis=(0, 1)))


def span(line: Bools) -> slice:
    """From the first to the last True of a line; empty if there is none.

    Examples
    --------
    >>> span(np.array([False, True, False, True])), span(np.array([False]))
    (slice(1, 4, None), slice(0, 0, None))
    """
    where = np.flatnonzero(line)
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)


def bounding_box(mask: Bools) -> Box:
    """Smallest box that holds all True voxels of a 3-D mask; empty if there is none.

    Examples
    --------
    >>> bounding_box(np.eye(3, dtype=bool)[:, :, None])
    (slice(0, 3, None), slice(0, 3, None), slice(0, 1, None))
    """
    first, second, third = occupied(mask)
    return span(first), span(second), span(third)
