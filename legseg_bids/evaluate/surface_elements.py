"""How much surface passes between the voxels of a mask: areas by pattern of neighbours.

Eight voxels around a corner of the grid (four in a plane) are inside or outside of a mask: 256
patterns (16). Marching cubes (Lorensen and Cline, Computer Graphics 21:163, 1987) gives the piece
of surface of each pattern, with corners half-way between an inner and an outer voxel. The pieces
are not copied from a published table; two rules choose among the many that are possible:

* on a face whose corners are inside and outside in turn, the surface cuts off the corners that
  fewer of the eight voxels share (the inner ones, if there are four);
* a piece that is not flat is divided into triangles so that its area is the largest for voxels
  of equal sides.

With these, the areas of all patterns are those of the package surface-distance (DeepMind), for
any voxel size; a test holds them equal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, ...]
Triangle = tuple[int, int, int]

CORNERS = tuple(itertools.product((0, 1), repeat=3))
#: The corners of each face of a cube, in a ring.
FACES = tuple(
    tuple((*ring[:axis], side, *ring[axis:]) for ring in ((0, 0), (0, 1), (1, 1), (1, 0)))
    for axis in range(3)
    for side in (0, 1)
)
NOT_MORE = 1e-9


def element_areas(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Area of the surface (in a plane: length of the outline) for each pattern of neighbours.

    Parameters
    ----------
    spacing : tuple of float
        Voxel size along each of three (or two) axes, mm.

    Returns
    -------
    ndarray of float64, shape (256,) or (16,)
        mm² or mm. The voxel at (i, j, k) of a pattern sets the bit 4 i + 2 j + k of its number,
        in a plane that at (i, j) the bit 2 i + j.

    Examples
    --------
    >>> element_areas((1.0, 1.0, 2.0))[[0b00001111, 0b01010101]]
    array([2., 1.])
    >>> element_areas((1.0, 2.0))[[0b0000, 0b0011, 0b0101]]
    array([0., 2., 1.])
    """
    if len(spacing) == 2:
        return _lengths(*spacing)
    dx, dy, dz = spacing
    scale = np.array([dy * dz, dx * dz, dx * dy])
    return np.array([np.linalg.norm(vectors * scale, axis=1).sum() for vectors in _vectors()])


def _lengths(dx: float, dy: float) -> NDArray[np.float64]:
    """Length of the outline by pattern of four pixels: straight, or across a corner."""
    out = np.zeros(16)
    corner = 0.5 * math.hypot(dx, dy)
    for code in range(1, 15):
        first, second, third, fourth = (bool(code >> bit & 1) for bit in range(4))
        if first == second and third == fourth:
            out[code] = dy
        elif first == third and second == fourth:
            out[code] = dx
        else:
            out[code] = 2 * corner if first == fourth and second == third else corner
    return out


@cache
def _vectors() -> tuple[NDArray[np.float64], ...]:
    """For each pattern, area times normal of its triangles in a cube of side 1, (n, 3)."""
    return tuple(
        np.array([v for loop in _loops(code) for v in _divided(loop)]).reshape(-1, 3)
        for code in range(256)
    )


def _loops(code: int) -> Iterator[list[Point]]:
    """Closed lines in which the surface of a pattern meets the faces of the cube."""
    inner = {corner for bit, corner in enumerate(CORNERS) if code >> bit & 1}
    neighbours: dict[Point, list[Point]] = {}
    for a, b in itertools.chain.from_iterable(_segments(face, inner) for face in FACES):
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    while neighbours:
        loop = [min(neighbours)]
        while following := [p for p in neighbours[loop[-1]] if p not in loop]:
            loop.append(following[0])
        for point in loop:
            del neighbours[point]
        yield loop


def _segments(
    face: tuple[tuple[int, ...], ...], inner: set[tuple[int, ...]]
) -> Iterator[tuple[Point, Point]]:
    """Lines on one face, between the middles of those sides on which inner meets outer."""
    around = [(face[i - 1], face[i]) for i in range(4)]
    cut = [_middle(a, b) for a, b in around if (a in inner) != (b in inner)]
    if len(cut) == 2:
        yield cut[0], cut[1]
    elif len(cut) == 4:
        rarer = len(inner) <= 4
        for i in range(4):
            if (face[i] in inner) == rarer:
                yield cut[i], cut[(i + 1) % 4]


def _middle(a: Iterable[int], b: Iterable[int]) -> Point:
    return tuple((p + q) / 2 for p, q in zip(a, b, strict=True))


def _divided(loop: list[Point]) -> list[Point]:
    """The triangles of a loop with the largest area together, as area times normal."""
    best: list[Point] = []
    largest = 0.0
    for triangles in _triangulations(0, len(loop) - 1):
        vectors = [_area_vector(*(loop[i] for i in triangle)) for triangle in triangles]
        area = sum(math.hypot(*v) for v in vectors)
        if area > largest + NOT_MORE:
            best, largest = vectors, area
    return best


def _triangulations(first: int, last: int) -> Iterator[list[Triangle]]:
    """All ways to divide the polygon of the points ``first`` … ``last`` into triangles."""
    if last - first < 2:
        yield []
    for tip in range(first + 1, last):
        for left in _triangulations(first, tip):
            for right in _triangulations(tip, last):
                yield [*left, *right, (first, tip, last)]


def _area_vector(a: Point, b: Point, c: Point) -> Point:
    """Half the cross product of two sides of a triangle."""
    u, v = ([q - p for p, q in zip(a, other, strict=True)] for other in (b, c))
    return tuple((u[i - 2] * v[i - 1] - u[i - 1] * v[i - 2]) / 2 for i in range(3))
