from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.measure import MuscleMeasure, Scene, measure, measure_image

SPACING = (1.5, 1.5, 6.0)


def rows_of(
    labels: np.ndarray, spacing: tuple[float, float, float] = SPACING, **known: Any
) -> tuple[MuscleMeasure, ...]:
    return measure(Scene(labels, np.diag([*spacing, 1.0]), **known))


def labels_with(index: int, box: tuple[slice, slice, slice]) -> np.ndarray:
    labels = np.zeros((12, 10, 8), dtype=np.uint8)
    labels[box] = index
    return labels


def test_volume_and_extent_of_a_block() -> None:
    labels = labels_with(61, np.s_[2:6, 3:8, 2:5])
    (row,) = rows_of(labels)
    assert (row.index, row.abbreviation, row.side, row.tissue) == (61, "RF_L", "left", "muscle")
    assert row.voxels == 4 * 5 * 3
    assert row.volume == pytest.approx(4 * 5 * 3 * 13.5 / 1000)
    assert (row.first_slice, row.last_slice, row.slices) == (2, 4, 3)
    assert (row.touches_edge, row.truncated, row.cut_in_plane) == (False, "none", False)
    assert row.mean_fat_fraction is None
    assert row.includes is None


@pytest.mark.parametrize(
    ("extent", "truncated"),
    [
        (slice(1, 7), "none"),
        (slice(0, 7), "distal"),
        (slice(1, 8), "proximal"),
        (slice(0, 8), "both"),
    ],
)
def test_truncation_names_the_end(extent: slice, truncated: str) -> None:
    (row,) = rows_of(labels_with(5, np.s_[4:6, 4:6, extent]))
    assert row.truncated == truncated
    assert row.touches_edge == (truncated != "none")


def test_blank_slices_do_not_hide_a_truncation() -> None:
    labels = labels_with(5, np.s_[4:6, 4:6, 2:6])
    body = np.zeros(labels.shape, dtype=bool)
    body[3:8, 3:8, 1:6] = True
    assert rows_of(labels, limbs=body)[0].truncated == "proximal"
    assert rows_of(labels)[0].truncated == "none"
    assert rows_of(labels, limbs=np.zeros_like(body))[0].truncated == "none"


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        (np.s_[1:11, 1:9, 3:4], False),
        (np.s_[0:3, 1:9, 3:4], True),
        (np.s_[5:12, 1:9, 3:4], True),
        (np.s_[5:6, 0:2, 3:4], True),
        (np.s_[5:6, 8:10, 3:4], True),
    ],
)
def test_cut_in_plane(box: tuple[slice, slice, slice], cut: bool) -> None:
    assert rows_of(labels_with(5, box))[0].cut_in_plane is cut


def test_fat_fraction_is_that_of_the_muscle_alone() -> None:
    labels = labels_with(17, np.s_[2:4, 2:4, 2:4])
    fat = np.full(labels.shape, 0.9)
    fat[labels == 17] = [0.1] * 5 + [0.3, 0.5, np.nan]
    (row,) = rows_of(labels, fat_fraction=fat)
    assert row.mean_fat_fraction == pytest.approx(1.3 / 7)
    assert row.median_fat_fraction == pytest.approx(0.1)
    assert row.includes == "FB_L"


def test_fat_fraction_is_unknown_where_nothing_is_finite() -> None:
    labels = labels_with(17, np.s_[2:4, 2:4, 2:4])
    (row,) = rows_of(labels, fat_fraction=np.full(labels.shape, np.nan))
    assert (row.mean_fat_fraction, row.median_fat_fraction) == (None, None)


def test_a_gap_counts_in_the_extent_but_not_in_the_slices() -> None:
    labels = labels_with(5, np.s_[4:6, 4:6, 1:7])
    labels[:, :, 3:5] = 0
    (row,) = rows_of(labels)
    assert (row.first_slice, row.last_slice, row.slices) == (1, 6, 4)


def test_only_background_gives_no_row() -> None:
    assert rows_of(np.zeros((3, 3, 3), dtype=np.uint16)) == ()


@given(st.lists(st.sampled_from([0, 1, 2, 61, 62, 151]), min_size=60, max_size=60))
def test_rows_account_for_every_labelled_voxel(values: list[int]) -> None:
    labels = np.array(values, dtype=np.uint8).reshape(4, 5, 3)
    rows = rows_of(labels, (1.0, 2.0, 3.0))
    assert [row.index for row in rows] == sorted(set(values) - {0})
    assert sum(row.voxels for row in rows) == np.count_nonzero(labels)
    assert sum(row.volume for row in rows) == pytest.approx(np.count_nonzero(labels) * 0.006)


@pytest.mark.parametrize(
    ("labels", "fat", "error", "message"),
    [
        (np.zeros((3, 3), np.uint8), None, ValueError, r"shape \(3, 3\)"),
        (np.zeros((3, 3, 3)), None, ValueError, "float64"),
        (np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3, 4)), ValueError, "same grid"),
        (np.full((3, 3, 3), 99, np.uint8), None, KeyError, "99"),
    ],
)
def test_bad_input(
    labels: np.ndarray, fat: np.ndarray | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        rows_of(labels, fat_fraction=fat)


def test_what_a_gap_between_stations_cuts_is_told() -> None:
    labels = np.zeros((4, 4, 12), np.uint8)
    labels[0, 0, 3:6] = 61  # ends at the gap
    labels[1, 1, 8:10] = 63  # begins beyond it
    labels[2, 2, 2:4] = 62  # far from it
    labels[3, 3, 0:6] = 64  # cut at the end of the stack, too
    seen = np.ones(12, bool)
    seen[6:8] = False
    rows = {row.index: row for row in rows_of(labels, (1.0, 1.0, 5.0), seen=seen)}
    assert {index: row.truncated for index, row in rows.items()} == {
        61: "gap",
        63: "gap",
        62: "none",
        64: "distal",
    }
    assert rows[61].touches_edge
    assert rows_of(labels, (1.0, 1.0, 5.0))[0].truncated == "none"


def test_a_skewed_grid_has_smaller_voxels_than_its_edges_tell() -> None:
    labels = labels_with(61, np.s_[2:6, 3:8, 2:5])
    affine = np.array([[2.0, 0.5, 1.0, 9], [0, 1.5, -2.0, 9], [0, 0.5, 6.0, 9], [0, 0, 0, 1]])
    (row,) = measure(Scene(labels, affine))
    assert row.volume == pytest.approx(60 * abs(np.linalg.det(affine[:3, :3])) / 1000)
    assert row.max_csa == pytest.approx(
        20 * np.linalg.norm(np.cross(affine[:3, 0], affine[:3, 1]))
    )
    assert row.max_csa * row.length / 1000 == pytest.approx(row.volume)


def test_confidence_is_the_mean_over_the_label_in_either_scale() -> None:
    labels = labels_with(61, np.s_[2:6, 3:8, 2:5])
    steps = np.full(labels.shape, 10, np.uint8)
    steps[labels == 61] = 204
    (row,) = rows_of(labels, confidence=steps)
    assert row.mean_confidence == pytest.approx(0.8)
    (same,) = rows_of(labels, confidence=steps / 255)
    assert same.mean_confidence == pytest.approx(0.8)
    assert rows_of(labels)[0].mean_confidence is None


def test_tables_are_plain_values() -> None:
    labels = labels_with(61, np.s_[2:6, 3:8, 2:5])
    found = measure_image(Scene(labels, np.eye(4), limbs=labels > 0)).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert [len(found[table]) for table in ("muscles", "compartments", "limbs")] == [1, 1, 1]
