from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from legseg_bids.report.outlines import outlines


def corners(path: str) -> list[list[tuple[int, int]]]:
    """Corners of each closed line of a path, in half pixels."""
    loops = []
    for part in path.split("z")[:-1]:
        numbers = [int(text) for text in re.findall(r"-?\d+", part)]
        steps = np.array(numbers).reshape(-1, 2).cumsum(axis=0)
        loops.append([(int(x), int(y)) for x, y in steps])
    return loops


def filled(path: str, shape: tuple[int, int]) -> np.ndarray:
    """Which pixel centres lie inside, by the even-odd rule, drawn eight times as large."""
    inside = np.zeros((shape[0] * 8, shape[1] * 8), bool)
    for loop in corners(path):
        picture = Image.new("1", (shape[1] * 8, shape[0] * 8))
        ImageDraw.Draw(picture).polygon([(4 * x, 4 * y) for x, y in loop], fill=1)
        inside ^= np.asarray(picture)
    return inside[4::8, 4::8]


@given(arrays(np.uint8, (7, 9), elements=st.integers(0, 3)))
def test_outlines_enclose_their_pixels_and_no_others(picture: np.ndarray) -> None:
    found = {outline.value: outline for outline in outlines(picture)}
    assert set(found) == set(np.unique(picture)) - {0}
    for value, outline in found.items():
        assert np.array_equal(filled(outline.path, picture.shape), picture == value)
        assert outline.area == (picture == value).sum()
        column, row = outline.spot
        assert picture[int(row), int(column)] == value


def test_a_hole_has_an_outline_of_its_own() -> None:
    picture = np.ones((5, 5), int)
    picture[2, 2] = 0
    (ring,) = outlines(picture)
    assert len(corners(ring.path)) == 2


def test_straight_lines_have_no_corners_between() -> None:
    (square,) = outlines(np.ones((30, 30), int))
    assert len(corners(square.path)[0]) == 8


def test_depth_is_measured_in_the_size_of_pixels() -> None:
    (stripe,) = outlines(np.ones((3, 9), int), size=(8.0, 1.0))
    assert stripe.depth == 5.0  # half of nine columns, not of three rows
