"""Outlines of labelled regions as paths for SVG: sharp at any size, and a few kilobytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Point = tuple[int, int]


@dataclass(frozen=True)
class Outline:
    """One structure in one picture.

    Attributes
    ----------
    value : int
        In the label image.
    path : str
        SVG path data; the unit is half a pixel, rows run down.
    spot : tuple of float
        Column and row, in pixels, of the point that lies deepest inside: where a name goes.
    depth : float
        Distance of that point from the border, in the unit of `size`.
    area : int
        Pixels.
    """

    value: int
    path: str
    spot: tuple[float, float]
    depth: float
    area: int


def outlines(
    picture: NDArray[np.integer[Any]], size: tuple[float, float] = (1.0, 1.0)
) -> tuple[Outline, ...]:
    """Outline of each structure in a picture.

    Parameters
    ----------
    picture : (rows, columns) array of int
        Labels as they are shown, row 0 on top; 0 is background.
    size : tuple of float
        Height and width of a pixel, for distances inside the structures.

    Returns
    -------
    tuple of Outline
        By rising value.

    Examples
    --------
    >>> (one,) = outlines(np.array([[0, 0], [0, 7]]))
    >>> one.value, one.path, one.spot
    (7, 'M3 2l1 1l-1 1l-1 -1z', (1.5, 1.5))
    """
    boxes = ndimage.find_objects(picture)
    return tuple(
        _outline(value, picture[box] == value, box, size)
        for value, box in enumerate(boxes, start=1)
        if box is not None
    )


def _outline(
    value: int, mask: NDArray[np.bool_], box: tuple[slice, slice], size: tuple[float, float]
) -> Outline:
    top, left = box[0].start, box[1].start
    deep = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=size)[1:-1, 1:-1]
    row, column = np.unravel_index(int(deep.argmax()), deep.shape)
    path = "".join(_spell(_smooth(loop), left, top) for loop in _loops(mask))
    spot = (left + float(column) + 0.5, top + float(row) + 0.5)
    return Outline(value, path, spot, float(deep[row, column]), int(mask.sum()))


def _loops(mask: NDArray[np.bool_]) -> list[list[Point]]:
    """Closed ways along the pixel edges, (column, row) of each corner, the inside on the right."""
    ways = _edges(np.pad(mask, 1))
    found = []
    while ways:
        start = min(ways)
        before, here = start, ways[start].pop()
        loop = [start]
        while here != start:
            loop.append(here)
            ahead = ways[here]
            step = ahead.pop(_sharpest(before, here, ahead))
            before, here = here, step
        ways = {corner: ends for corner, ends in ways.items() if ends}
        found.append(loop)
    return found


def _edges(padded: NDArray[np.bool_]) -> dict[Point, list[Point]]:
    """From each corner of a pixel edge on the border, where the edges that begin there end."""
    inner = padded[1:-1, 1:-1]
    sides = (
        (inner & ~padded[:-2, 1:-1], (0, 0), (1, 0)),  # upper, towards the right
        (inner & ~padded[1:-1, 2:], (1, 0), (1, 1)),  # right, down
        (inner & ~padded[2:, 1:-1], (1, 1), (0, 1)),  # lower, towards the left
        (inner & ~padded[1:-1, :-2], (0, 1), (0, 0)),  # left, up
    )
    ways: dict[Point, list[Point]] = {}
    for border, first, last in sides:
        for row, column in np.argwhere(border).tolist():
            start = (column + first[0], row + first[1])
            ways.setdefault(start, []).append((column + last[0], row + last[1]))
    return ways


def _sharpest(before: Point, here: Point, ahead: list[Point]) -> int:
    """Where two pixels touch at a corner, stay on the same one: turn right."""
    if len(ahead) == 1:
        return 0
    came = (here[0] - before[0], here[1] - before[1])
    right = (here[0] - came[1], here[1] + came[0])
    return ahead.index(right) if right in ahead else 0


def _smooth(loop: list[Point]) -> list[Point]:
    """Middles of the edges, in half pixels, without those on a straight line."""
    pairs = zip(loop, [*loop[1:], loop[0]], strict=True)
    middles = [(a[0] + b[0], a[1] + b[1]) for a, b in pairs]
    steps = [
        (b[0] - a[0], b[1] - a[1])
        for a, b in zip([middles[-1], *middles[:-1]], middles, strict=True)
    ]
    following = [*steps[1:], steps[0]]
    turns = zip(middles, steps, following, strict=True)
    return [middle for middle, step, after in turns if step != after] or middles


def _spell(points: list[Point], left: int, top: int) -> str:
    """Path data with relative steps, which are shorter than positions."""
    first = points[0]
    lines = "".join(f"l{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise(points))
    return f"M{first[0] + 2 * left} {first[1] + 2 * top}{lines}z"
