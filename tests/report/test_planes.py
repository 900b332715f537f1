from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.report.planes import best_planes, choose_planes, plane_areas


@given(
    depth=st.integers(1, 30),
    count=st.integers(1, 12),
    axis=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_planes_fall_are_labelled_and_as_many_as_there_can_be(
    depth: int, count: int, axis: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((3, 3, 3), np.uint8).repeat(depth, axis=axis)
    spots = tuple(rng.integers(0, size, 12) for size in labels.shape)
    labels[spots] = rng.integers(1, 6, 12)
    chosen = choose_planes(labels, axis, count)
    occupied = set(np.flatnonzero(np.moveaxis(labels, axis, 0).reshape(depth * 3, -1).any(axis=1)))
    assert list(chosen) == sorted(set(chosen), reverse=True)
    assert set(chosen) <= occupied
    assert len(chosen) == min(count, len(occupied))


def test_each_structure_is_shown_near_its_largest() -> None:
    labels = np.zeros((20, 20, 60), np.uint8)
    for value in range(1, 7):  # six structures in different, disjoint stretches
        start = 10 * (value - 1)
        for offset, size in enumerate((4, 8, 12, 16, 12, 8, 4)):
            labels[:size, 0, start + offset] = value
    chosen = choose_planes(labels, 2, 6)
    areas = plane_areas(labels, 2)
    assert (areas[:, chosen].max(axis=1) >= 0.6 * areas.max(axis=1)).all()


def test_what_is_left_fills_the_gaps() -> None:
    labels = np.ones((2, 2, 41), np.uint8)
    chosen = choose_planes(labels, 2, 5)
    assert max(np.diff(sorted((0, *chosen, 40)))) <= 10


@pytest.mark.parametrize("count", [1, 4, 50])
def test_without_a_label_planes_are_spread(count: int) -> None:
    chosen = choose_planes(np.zeros((3, 3, 12), np.uint8), 2, count)
    assert len(chosen) == min(count, 12)
    assert set(chosen) <= set(range(12))


def test_best_planes_of_values_far_apart() -> None:
    labels = np.zeros((2, 2, 5), np.uint8)
    labels[0, 0, 1], labels[:, :, 3] = 7, 200
    assert best_planes(labels, 2) == {7: 1, 200: 3}
