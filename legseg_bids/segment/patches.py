"""Cut a limb into as few and as large patches as the memory allows, without a trace.

A voxel of a network's output depends on nothing farther away than the radius of its
receptive field, here the *halo*. A patch is therefore exact everywhere but within a halo
of the sides where it was cut; at the image's own border it is exact up to the last voxel.
Patches are laid so that their exact zones cover the image, and only exact zones count:
whether one patch or twenty, the result is the same but for rounding.

Patches also begin at multiples of the network's *step* (the product of its strides), for
a strided convolution samples the same positions only then.

All axes here are (z, y, x), as the networks have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from legseg_bids.errors import UsageError

GIB = 1024**3

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Patch:
    """One piece of the image, as the network gets it.

    Attributes
    ----------
    tile : tuple of slice
        Where it lies in the padded image (z, y, x).
    ramps : tuple of ndarray, float32
        Its blending weights along z, y, x, each as long as the tile: zero within the halo,
        one in the middle, falling linearly where the exact zones of two patches overlap.
        The weight of a voxel is the product; over all patches the weights sum to one.
    """

    tile: tuple[slice, slice, slice]
    ramps: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

    @property
    def shape(self) -> Triple:
        """Voxels along z, y, x."""
        z, y, x = (part.stop - part.start for part in self.tile)
        return z, y, x

    @property
    def used(self) -> tuple[slice, slice, slice]:
        """The part of the tile that has weight, in the tile's own coordinates."""
        z, y, x = (_support(ramp) for ramp in self.ramps)
        return z, y, x


@dataclass(frozen=True)
class _Cuts:
    """One way to cut an axis: tiles and the bounds of the cores between them."""

    tiles: tuple[tuple[int, int], ...]
    bounds: tuple[int, ...]

    @property
    def extent(self) -> int:
        return max(stop - start for start, stop in self.tiles)

    @property
    def total(self) -> int:
        return sum(stop - start for start, stop in self.tiles)


def plan(
    shape: Triple,
    step: Triple,
    halo: Triple,
    memory_bytes: int | None,
    bytes_per_voxel: float,
    default_patch: Triple,
    reserved: int = 0,
) -> tuple[Patch, ...]:
    """Patches that cover an image with the least computation in the memory at hand.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the padded image along z, y, x; multiples of `step`.
    step : tuple of int
        Product of the network's strides along z, y, x.
    halo : tuple of int
        Radius of its receptive field along z, y, x, voxels.
    memory_bytes : int or None
        Ceiling for the process. ``None``: patches of about `default_patch`.
    bytes_per_voxel : float
        Peak memory of the network per voxel of a patch.
    default_patch : tuple of int
        Size of a patch when nothing is known about the memory.
    reserved : int
        What the process needs besides the network, bytes.

    Returns
    -------
    tuple of Patch
        One patch if the image fits.

    Raises
    ------
    UsageError
        If not even the smallest patch fits; says how much memory it takes.
    ValueError
        If `shape` is not a multiple of `step`.

    Examples
    --------
    >>> [patch.shape for patch in plan((8, 32, 32), (1, 8, 8), (2, 8, 8), 10**6, 100, (8, 8, 8))]
    [(8, 32, 32)]
    >>> [patch.shape for patch in plan((8, 32, 32), (1, 8, 8), (2, 8, 8), 700_000, 100, (8, 8, 8))]
    [(8, 32, 24), (8, 32, 24)]
    """
    if any(length <= 0 or length % unit for length, unit in zip(shape, step, strict=True)):
        raise ValueError(f"image shape {shape} is not a multiple of the network's step {step}")
    axes = [_ways_to_cut(*axis) for axis in zip(shape, step, halo, strict=True)]
    smallest = prod(min(cuts.extent for cuts in ways) for ways in axes)
    require_memory(memory_bytes, reserved + smallest * bytes_per_voxel)
    if memory_bytes is None:
        budget = float(prod(default_patch))
    else:
        budget = (memory_bytes - reserved) / bytes_per_voxel
    budget = max(budget, float(smallest))
    chosen = min(
        (ways for ways in product(*axes) if prod(cuts.extent for cuts in ways) <= budget),
        key=_cost,
    )
    sides = [
        tuple(_pieces(cuts, length, width))
        for cuts, length, width in zip(chosen, shape, halo, strict=True)
    ]
    return tuple(_patch(z, y, x) for z, y, x in product(*sides))


def _cost(ways: tuple[_Cuts, ...]) -> tuple[int, int, int]:
    """Voxels computed, then number of patches, then size of the largest."""
    return (
        prod(cuts.total for cuts in ways),
        prod(len(cuts.tiles) for cuts in ways),
        prod(cuts.extent for cuts in ways),
    )


def require_memory(memory: int | None, needed: float) -> None:
    """Say how much memory the smallest patch takes, if there is not as much.

    Parameters
    ----------
    memory : int or None
        Ceiling for the process, bytes; ``None``: there is none.
    needed : float
        What the process needs with the smallest patch, bytes.

    Raises
    ------
    UsageError
        If that is more than the ceiling.
    """
    if memory is not None and needed > memory:
        raise UsageError(
            f"memory limit is {memory / GIB:.2f} GiB; the network's smallest patch needs "
            f"{needed / GIB:.2f} GiB in all; raise --mem to {ceil(needed / GIB * 10) / 10:.1f}G"
        )


def _ways_to_cut(length: int, step: int, halo: int) -> list[_Cuts]:
    """Cut an axis in 1, 2, 3, ... tiles, each time with the smallest possible largest one.

    With k tiles of extent E and a halo H on each cut side, the cores cover
    k E - 2 (k - 1) H; this must reach the length.
    """
    units, margin = length // step, ceil(halo / step)
    ways = [_Cuts(((0, length),), (0, length))]
    for count in range(2, units + 1):
        extent = ceil((units + 2 * margin * (count - 1)) / count)
        if extent * step >= ways[-1].extent:
            continue
        bounds = _core_bounds(units, extent, margin)
        tiles = tuple(
            (max(0, start - margin) * step, min(units, stop + margin) * step)
            for start, stop in pairwise(bounds)
        )
        ways.append(_Cuts(tiles, tuple(bound * step for bound in bounds)))
    return ways


def _core_bounds(units: int, extent: int, margin: int) -> list[int]:
    """Bounds of the cores when every tile is as long as `extent` lets it be (in steps)."""
    bounds = [0, extent - margin]
    while bounds[-1] + extent - margin < units:
        bounds.append(bounds[-1] + extent - 2 * margin)
    return [*bounds, units]


def _pieces(cuts: _Cuts, length: int, halo: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Tiles of one axis with their weights."""
    centres = np.arange(length, dtype=np.float64) + 0.5
    for (start, stop), (low, high) in zip(cuts.tiles, pairwise(cuts.bounds), strict=True):
        weight = np.ones(length)
        if low > 0:
            weight *= _rise(centres, low, _slack(cuts, low, halo))
        if high < length:
            weight *= 1 - _rise(centres, high, _slack(cuts, high, halo))
        yield slice(start, stop), weight[start:stop].astype(np.float32)


def _slack(cuts: _Cuts, bound: int, halo: int) -> int:
    """Voxels by which both tiles at a bound are exact beyond it.

    At most half of the shorter core, lest three tiles overlap.
    """
    at = cuts.bounds.index(bound)
    before, after = cuts.tiles[at - 1], cuts.tiles[at]
    cores = (bound - cuts.bounds[at - 1], cuts.bounds[at + 1] - bound)
    return min(
        before[1] - bound - halo if before[1] < cuts.bounds[-1] else halo,
        bound - after[0] - halo if after[0] > 0 else halo,
        min(cores) // 2,
    )


def _rise(centres: NDArray[np.float64], bound: int, slack: int) -> NDArray[np.float64]:
    """Weight that goes from 0 to 1 across a bound, linearly over 2 `slack` voxels."""
    if slack <= 0:
        return (centres > bound).astype(np.float64)
    ramp: NDArray[np.float64] = np.clip((centres - bound) / (2 * slack) + 0.5, 0.0, 1.0)
    return ramp


def _support(ramp: NDArray[np.float32]) -> slice:
    inside = np.flatnonzero(ramp)
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _patch(
    z: tuple[slice, NDArray[np.float32]],
    y: tuple[slice, NDArray[np.float32]],
    x: tuple[slice, NDArray[np.float32]],
) -> Patch:
    return Patch(tile=(z[0], y[0], x[0]), ramps=(z[1], y[1], x[1]))
