"""How far two surfaces are apart: Hausdorff distance, its 95th percentile, mean distance.

What a surface is made of is a matter of definition. ``area``: pieces of surface between the
voxels, which count by their area (as the package surface-distance has it); ``voxel``: voxels of
the mask with a neighbour outside, which count one each (as MONAI has it). Outside the image there
is nothing of a structure, so it has a surface at the border of the image, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.evaluate.nearest import Distances, Elements, Grid, distances, margins
from legseg_bids.evaluate.surface_elements import element_areas
from legseg_bids.segment.boxes import bounding_box

Spacing = tuple[float, ...]

#: What the elements of a surface are.
DEFINITIONS = MappingProxyType(
    {
        "area": "pieces of surface between voxels, weighted by their area",
        "voxel": "voxels with a neighbour outside, one each",
    }
)
PERCENTILE = 0.95
NAN = float("nan")


@dataclass(frozen=True)
class Surfaces:
    """Distances between two surfaces, mm; NaN if one of them does not exist.

    Attributes
    ----------
    hd : float
        Hausdorff distance: the largest distance from an element of either surface to the other.
    hd95 : float
        95th percentile of the distances, in each direction; the larger of the two.
    msd : float
        Mean of the distances of all elements of both surfaces.
    """

    hd: float
    hd95: float
    msd: float


NO_SURFACES = Surfaces(NAN, NAN, NAN)


def surfaces(
    predicted: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing: Spacing,
    *,
    definition: str = "area",
) -> Surfaces:
    """Distances between the surfaces of two masks, or between their outlines in a plane.

    Parameters
    ----------
    predicted, reference : ndarray of bool, shape (x, y, z) or (x, y)
        On the same grid.
    spacing : tuple of float
        Voxel size along each axis, mm.
    definition : str
        Key of :data:`DEFINITIONS`.

    Returns
    -------
    Surfaces
        NaN if a mask is empty.

    Raises
    ------
    ValueError
        If the grids differ, the voxel size does not fit, or nobody knows the definition.

    Examples
    --------
    >>> a = np.zeros((20, 20, 9), bool)
    >>> a[5:10, 5:10, 2:7] = True
    >>> surfaces(a, np.roll(a, 2, axis=0), (1.5, 1.5, 6.0)).hd
    3.0
    """
    check(predicted, reference, spacing, definition)
    if not (predicted.any() and reference.any()):
        return NO_SURFACES
    flat = predicted.ndim == 2
    masks = [m[..., None] if flat else m for m in (predicted, reference)]
    sides = (*spacing, 1.0) if flat else spacing
    box = bounding_box(masks[0] | masks[1])
    found = compare(masks[0][box], masks[1][box], sides, definition, in_plane=flat)
    return found[0]


def check(
    predicted: NDArray[Any], reference: NDArray[Any], spacing: Spacing, definition: str = "area"
) -> None:
    """Refuse what cannot be compared.

    Raises
    ------
    ValueError
        See :func:`surfaces`.
    """
    if predicted.shape != reference.shape:
        raise ValueError(
            f"grids differ: {predicted.shape} and {reference.shape}; expected the same; resample "
            "one of them first"
        )
    if predicted.ndim not in (2, 3) or len(spacing) != predicted.ndim:
        raise ValueError(
            f"{predicted.ndim} axes and {len(spacing)} voxel sizes; expected three or two of both"
        )
    if not all(0 < mm < float("inf") for mm in spacing):
        raise ValueError(f"voxel size {spacing}; expected positive numbers, mm")
    if definition not in DEFINITIONS:
        raise ValueError(
            f"surface definition {definition!r}; expected one of {', '.join(DEFINITIONS)}"
        )


def compare(
    predicted: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing: Spacing,
    definition: str,
    *,
    in_plane: bool = False,
) -> tuple[Surfaces, ...]:
    """Distances between two surfaces in a box that holds both.

    Parameters
    ----------
    predicted, reference : ndarray of bool, shape (x, y, z)
        Not empty.
    spacing : tuple of float
        mm.
    definition : str
    in_plane : bool
        Whether to compare the outlines of each slice, instead of the surfaces in space.

    Returns
    -------
    tuple of Surfaces
        One, or one for each slice; NaN where a mask is empty.
    """
    # Images come in Fortran order from the disk: the last axis first is how they lie in memory.
    dx, dy, dz = spacing
    turned = (dz, dy, dx)
    margin = margins(turned, in_plane)
    nz, ny, nx = (n + 2 * m for n, m in zip(predicted.shape[::-1], margin, strict=True))
    grid = Grid((nz, ny, nx), turned, in_plane)
    one, two = (
        _elements(np.pad(mask.T, [(m, m) for m in margin]), grid, definition)
        for mask in (predicted, reference)
    )
    if in_plane:
        one, two = _in_common(one, two, grid), _in_common(two, one, grid)
    there, back = distances(one, two, grid), distances(two, one, grid)
    return tuple(_summary(there, back, row, definition) for row in range(grid.rows))


def _in_common(elements: Elements, others: Elements, grid: Grid) -> Elements:
    """Elements in those slices in which there are others, too."""
    shared = np.any(others.present.reshape(grid.rows, -1), axis=1)
    kept = shared[grid.slice_of(elements.places)]
    return Elements(elements.present, elements.places[kept], elements.weights[kept])


def _elements(mask: NDArray[np.bool_], grid: Grid, definition: str) -> Elements:
    flat = np.ascontiguousarray(mask).view(np.uint8).ravel()
    steps = grid.strides[1:] if grid.in_plane else grid.strides
    if definition == "voxel":
        present = _border(flat, steps)
        places = np.flatnonzero(present)
        return Elements(present, places, np.ones(places.size))
    codes = _codes(flat, steps)
    full = 15 if grid.in_plane else 255
    present = (codes != 0) & (codes != full)
    places = np.flatnonzero(present)
    return Elements(present, places, _areas(grid.spacing, grid.in_plane)[codes[places]])


def _codes(flat: NDArray[np.uint8], steps: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pattern of the voxels at and after each place, as :func:`element_areas` numbers them.

    The margin is empty, so that what follows the last voxel of a row does no harm.
    """
    codes = flat.copy()
    for bits, step in zip((1, 2, 4), reversed(steps), strict=False):
        codes[:-step] |= codes[step:] << bits
    return codes


def _border(flat: NDArray[np.uint8], steps: tuple[int, ...]) -> NDArray[np.bool_]:
    """Voxels of the mask with a face in common with a voxel outside."""
    within = flat.copy()
    for step in steps:
        within[step:] &= flat[:-step]
        within[:-step] &= flat[step:]
    return flat > within


@lru_cache(maxsize=64)
def _areas(spacing: tuple[float, float, float], in_plane: bool) -> NDArray[np.float64]:
    return element_areas(spacing[1:] if in_plane else spacing)


def _summary(there: Distances, back: Distances, row: int, definition: str) -> Surfaces:
    weights = there.weights[row], back.weights[row]
    if not all(w.any() for w in weights):
        return NO_SURFACES
    percentile = _percentile_of_elements if definition == "voxel" else _percentile_of_area
    both = tuple(zip((there.values, back.values), weights, strict=True))
    return Surfaces(
        hd=max(float(v[np.flatnonzero(w)[-1]]) for v, w in both),
        hd95=max(percentile(v, w) for v, w in both),
        msd=float(sum(v @ w for v, w in both) / sum(w.sum() for w in weights)),
    )


def _percentile_of_area(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The smallest distance within which 95 % of the area lie."""
    share = np.cumsum(weights) / weights.sum()
    return float(values[min(int(np.searchsorted(share, PERCENTILE)), values.size - 1)])


def _percentile_of_elements(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Between the two elements around the 95 % of the way from the first to the last one."""
    last = weights.sum() - 1
    below = np.floor(PERCENTILE * last)
    ranks = np.array([below, min(below + 1, last)])
    low, high = values[np.searchsorted(np.cumsum(weights), ranks, side="right")]
    return float(low + (high - low) * (PERCENTILE * last - below))
