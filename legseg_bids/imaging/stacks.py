"""Where the stations of a leg lie in the scanner, and one grid that holds all of them.

A station is a stack of slices with a place in the scanner. Height is the scanner's coordinate
from the feet to the head, so that stacks of any tilt, spacing and order can be compared. All
functions are pure, take canonical grids, and do not depend on the order of the stations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.errors import ImageError
from legseg_bids.imaging.volume import Volume, spacing_of, voxel_volume_of

Box = tuple[slice, slice, slice]

MOST_SHARED = 0.5
"""Share of the shorter of two stacks that another one may cover along the leg."""
FARTHEST_MM = 1000.0
"""Two stations of one leg are not further apart than a leg is long."""
MOST_VOXELS = 400_000_000
"""Of a common grid. A whole leg in 1 mm voxels has about a quarter of it."""
SAME_SPACING = 1e-3
"""Spacings that differ by less than this share are the same."""
BIAS = 1e-3
"""Voxels. Centres that fall between two voxels all go to the same side, whatever the last bit."""
STRAIGHT = 0.02
"""Voxels that an axis may wander along a whole grid and still count as parallel."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels without values: how many, and where.

    Attributes
    ----------
    shape : tuple of int
        Voxels along canonical (x, y, z).
    affine : ndarray of float64, shape (4, 4)
        Voxel indices to RAS+ millimetres.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @classmethod
    def of(cls, volume: Volume) -> Grid:
        """The grid of a volume in canonical axes."""
        return cls(volume.shape, volume.affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        return spacing_of(self.affine)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, mm³ (right for sheared affines too)."""
        return voxel_volume_of(self.affine)

    @property
    def heights(self) -> NDArray[np.float64]:
        """Height of the centre of each slice, mm, rising.

        Examples
        --------
        >>> Grid((4, 4, 3), np.diag([2.0, 2.0, 6.0, 1.0])).heights
        array([ 0.,  6., 12.])
        """
        nx, ny, nz = self.shape
        first = self.affine[2] @ [(nx - 1) / 2, (ny - 1) / 2, 0.0, 1.0]
        heights: NDArray[np.float64] = first + self.slice_step * np.arange(nz)
        return heights

    @property
    def slice_step(self) -> float:
        """Height gained from slice to slice, mm; less than the slice distance if tilted."""
        return float(self.affine[2, 2])

    @property
    def extent(self) -> tuple[float, float]:
        """Height of the lower face of the lowest slice and the upper face of the highest, mm."""
        heights = self.heights
        return float(heights[0] - self.slice_step / 2), float(heights[-1] + self.slice_step / 2)

    @cached_property
    def faces(self) -> NDArray[np.float64]:
        """The eight corners of the block of voxels, mm, shape (8, 3)."""
        ends = [(-0.5, size - 0.5) for size in self.shape]
        return np.array([self.affine[:3] @ (*corner, 1.0) for corner in product(*ends)])


@dataclass(frozen=True)
class Contradiction:
    """Two stations that cannot both lie where their files say.

    Attributes
    ----------
    first, second : int
        Which of the grids.
    shared : float
        Extent along the leg that both cover, mm; minus the gap between them if there is none.
    shorter : float
        Extent of the shorter one, mm.
    """

    first: int
    second: int
    shared: float
    shorter: float

    def says(self, first: str, second: str) -> str:
        """What a person should know, with the names of the two."""
        if self.shared < 0:
            what = f"lie {-self.shared:.0f} mm apart along the leg, further than a leg is long"
        else:
            what = (
                f"lie on top of each other ({self.shared:.0f} of {self.shorter:.0f} mm along the "
                f"leg), being repeats, or for want of the table position"
            )
        return (
            f"{first} and {second} {what}; each was segmented by itself and neither is merged; "
            f"check the positions in the files"
        )


def contradictions(grids: Sequence[Grid]) -> tuple[Contradiction, ...]:
    """Pairs of stations whose positions cannot be those of one leg seen piece by piece.

    Two stacks may overlap by up to half of the shorter one. Stacks beside each other (one for
    each leg) may overlap along the leg as they like.

    Parameters
    ----------
    grids : sequence of Grid
        Canonical axes.

    Examples
    --------
    >>> stack = Grid((40, 40, 10), np.diag([3.0, 3.0, 6.0, 1.0]))
    >>> above = moved(stack, z=54.0)
    >>> len(contradictions([stack, above])), len(contradictions([stack, stack]))
    (0, 1)
    """
    found = []
    for (i, one), (j, other) in combinations(enumerate(grids), 2):
        shared, shorter = _shared(one, other)
        on_top = shared > MOST_SHARED * shorter and beside_share(one, other) > MOST_SHARED
        if on_top or shared < -FARTHEST_MM:
            found.append(Contradiction(i, j, shared, shorter))
    return tuple(found)


def gaps(grids: Sequence[Grid], least: float = 0.5) -> tuple[tuple[float, float], ...]:
    """Stretches of the leg between the stations that none of them shows.

    Parameters
    ----------
    grids : sequence of Grid
        Canonical axes, in any order.
    least : float
        What counts as a gap, as a share of the coarsest slice distance.

    Returns
    -------
    tuple of (float, float)
        Heights of both ends of each gap, mm, rising.

    Examples
    --------
    >>> low = Grid((4, 4, 10), np.diag([3.0, 3.0, 6.0, 1.0]))
    >>> gaps([moved(low, z=80.0), low])
    ((57.0, 77.0),)
    """
    smallest = least * max(grid.slice_step for grid in grids)
    found, top = [], -np.inf
    for low, high in sorted(grid.extent for grid in grids):
        if np.isfinite(top) and low - top > smallest:
            found.append((float(top), low))
        top = max(top, high)
    return tuple(found)


def beside_share(one: Grid, other: Grid) -> float:
    """Share of the smaller of two stacks, seen from above, that the other one covers.

    Examples
    --------
    >>> left = Grid((10, 10, 5), np.diag([2.0, 2.0, 6.0, 1.0]))
    >>> beside_share(left, left), beside_share(left, moved(left, x=30.0))
    (1.0, 0.0)
    """
    low = np.maximum(one.faces[:, :2].min(axis=0), other.faces[:, :2].min(axis=0))
    high = np.minimum(one.faces[:, :2].max(axis=0), other.faces[:, :2].max(axis=0))
    areas = [float(np.prod(np.ptp(grid.faces[:, :2], axis=0))) for grid in (one, other)]
    return float(np.prod(np.clip(high - low, 0.0, None))) / max(min(areas), 1e-9)


def common_grid(grids: Sequence[Grid]) -> Grid:
    """One grid for all stations.

    It has the axes of the station with the most slices, the finest spacing of any along each
    axis, and covers them all. Where spacings agree, its voxels are those of that station, so
    that nothing is resampled where nothing need be.

    Parameters
    ----------
    grids : sequence of Grid
        Canonical axes, in any order; at least one.

    Raises
    ------
    ImageError
        If the box around all of them is too large to be a leg.

    Examples
    --------
    >>> low = Grid((4, 4, 10), np.diag([3.0, 3.0, 6.0, 1.0]))
    >>> both = common_grid([low, moved(low, z=48.0)])
    >>> both.shape, both.spacing
    ((4, 4, 18), (3.0, 3.0, 6.0))
    """
    main = min(grids, key=_rank)
    finest = [min(spacing) for spacing in zip(*(grid.spacing for grid in grids), strict=True)]
    for spacing in (finest, main.spacing):
        grid = _around(grids, main, _close_to(spacing, main.spacing))
        if np.prod(grid.shape, dtype=float) <= MOST_VOXELS:
            return grid
    raise ImageError(
        f"the stations span {' × '.join(map(str, grid.shape))} voxels together; expected the box "
        f"around one leg; check the positions and voxel sizes in the files"
    )


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the voxels of a part of one grid find their value in another, by nearest centre.

    Attributes
    ----------
    box : tuple of slice
        The part of the target grid that the source covers.
    inside : ndarray of bool, shape of the box
        Voxels of the box that lie in the source.
    """

    box: Box
    inside: NDArray[np.bool_]
    _index: NDArray[np.int32]

    def take(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the source on the box of the target; 0 outside the source."""
        taken: NDArray[Any] = values.ravel()[self._index]
        taken[~self.inside] = 0
        return taken


def place(source: Grid, target: Grid) -> Placement:
    """Find for each voxel of a target grid the nearest one of a source grid.

    Parameters
    ----------
    source, target : Grid
        Any spacing and tilt. Where their voxels coincide, values are copied as they are.

    Examples
    --------
    >>> coarse = Grid((1, 1, 2), np.diag([1.0, 1.0, 6.0, 1.0]))
    >>> fine = common_grid([coarse, Grid((1, 1, 1), np.diag([1.0, 1.0, 3.0, 1.0]))])
    >>> place(coarse, fine).take(np.array([[[5, 7]]])).ravel()
    array([5, 5, 7, 7])
    """
    matrix = np.linalg.inv(source.affine) @ target.affine
    box = _covered(source, target)
    sizes = np.array([part.stop - part.start for part in box])
    starts = np.array([part.start for part in box], dtype=float)
    steps = matrix[:3, :3]
    origin = matrix[:3, 3] + steps @ starts + 0.5 + BIAS
    off = steps - np.diag(np.diag(steps))
    if np.abs(off * sizes).sum(axis=1).max(initial=0.0) < STRAIGHT:
        origin, steps = origin + off @ (sizes / 2), np.diag(np.diag(steps))
    return _look_up(box, sizes, origin, steps, source.shape)


def moved(grid: Grid, x: float = 0.0, z: float = 0.0) -> Grid:
    """The same stack somewhere else, mm.

    Examples
    --------
    >>> moved(Grid((1, 1, 2), np.eye(4)), z=5.0).heights
    array([5., 6.])
    """
    affine = grid.affine.copy()
    affine[:3, 3] += x, 0.0, z
    return Grid(grid.shape, affine)


def _shared(one: Grid, other: Grid) -> tuple[float, float]:
    """Extent along the leg that both cover (negative: the gap), and that of the shorter, mm."""
    (low1, high1), (low2, high2) = one.extent, other.extent
    return min(high1, high2) - max(low1, low2), min(high1 - low1, high2 - low2)


def _rank(grid: Grid) -> tuple[Any, ...]:
    """Most slices first, then the finest, then the lowest."""
    spacing = float(np.prod(grid.spacing))
    return (-grid.shape[2], spacing, grid.extent[0], grid.affine.ravel().tolist())


def _close_to(spacing: Sequence[float], wanted: tuple[float, float, float]) -> NDArray[np.float64]:
    """The spacing, with what hardly differs from the wanted one replaced by it."""
    pairs = zip(spacing, wanted, strict=True)
    return np.array([w if abs(s - w) < SAME_SPACING * w else s for s, w in pairs])


def _around(grids: Sequence[Grid], main: Grid, spacing: NDArray[np.float64]) -> Grid:
    """Grid along the axes of one station, its faces on that station's, around all of them."""
    axes = main.affine[:3, :3] / np.array(main.spacing) * spacing
    corner = main.affine[:3] @ (-0.5, -0.5, -0.5, 1.0)
    places = [(grid.faces - corner) @ np.linalg.inv(axes).T for grid in grids]
    # A voxel belongs to the box if its centre does.
    low = np.min([np.floor(p.min(axis=0) + 0.5 + BIAS) for p in places], axis=0)
    high = np.max([np.floor(p.max(axis=0) + 0.5 + BIAS) for p in places], axis=0)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, corner + axes @ (low + 0.5)
    nx, ny, nz = (max(1, int(size)) for size in high - low)
    return Grid((nx, ny, nz), affine)


def _covered(source: Grid, target: Grid) -> Box:
    """Box of the target grid around the source."""
    inverse = np.linalg.inv(target.affine)
    corners = source.faces @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.floor(corners.min(axis=0)).astype(int)
    high = np.ceil(corners.max(axis=0)).astype(int) + 1
    x, y, z = (
        slice(max(a, 0), max(min(b, size), max(a, 0)))
        for a, b, size in zip(low, high, target.shape, strict=True)
    )
    return x, y, z


def _look_up(
    box: Box,
    sizes: NDArray[np.int_],
    origin: NDArray[np.float64],
    steps: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> Placement:
    """Index of the nearest voxel of the source, plane by plane of the box."""
    index = np.zeros(sizes, np.int32)
    inside = np.ones(sizes, bool)
    x, y = np.arange(sizes[0])[:, None], np.arange(sizes[1])[None, :]
    strides = (shape[1] * shape[2], shape[2], 1)
    for k in range(sizes[2]):
        for axis, stride in enumerate(strides):
            along = origin[axis] + steps[axis, 2] * k + steps[axis, 0] * x + steps[axis, 1] * y
            nearest = np.floor(along).astype(np.int32)
            inside[:, :, k] &= (nearest >= 0) & (nearest < shape[axis])
            index[:, :, k] += np.clip(nearest, 0, shape[axis] - 1) * np.int32(stride)
    return Placement(box, inside, index)
