from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legseg_bids.evaluate.metrics import (
    STATUSES,
    joint_counts,
    measure_pairs,
    overlap,
    status_of,
    surfaces,
)
from legseg_bids.evaluate.overlap import dice

SPACING = (1.5, 0.8, 6.0)
CLOSE = {"rel": 1e-6, "abs": 1e-6, "nan_ok": True}
VALUES = st.sampled_from([0, 3, 4, 9])
images = arrays(np.uint8, (4, 5, 3), elements=VALUES)
masks = arrays(bool, (3, 4, 2), elements=st.booleans())


def blobs(seed: int, shape=(40, 30, 9), labels=(1, 2, 5)) -> np.ndarray:
    """Boxes of several labels, some of them at the border."""
    random = np.random.default_rng(seed)
    out = np.zeros(shape, np.int16)
    for label in labels:
        at = [int(random.integers(0, n - 2)) for n in shape]
        size = [int(random.integers(1, n // 2)) for n in shape]
        out[tuple(slice(a, a + s) for a, s in zip(at, size, strict=True))] = label
    return out


@settings(deadline=None, max_examples=50)
@given(masks, masks)
def test_overlap_agrees_with_monai(p, r) -> None:
    import torch
    from monai.metrics import compute_dice, compute_iou

    ours = overlap(p, r, SPACING)
    one, two = (torch.from_numpy(m.copy())[None, None] for m in (p, r))
    assert ours.dice == pytest.approx(dice(p, r), nan_ok=True)
    if r.any():
        told = {"include_background": True}
        assert ours.dice == pytest.approx(float(compute_dice(one, two, **told)), **CLOSE)
        assert ours.jaccard == pytest.approx(float(compute_iou(one, two, **told)), **CLOSE)
    assert ours.volume_error_cm3 == pytest.approx(ours.predicted_cm3 - ours.reference_cm3)
    assert ours.reference_cm3 == pytest.approx(r.sum() * 1.5 * 0.8 * 6.0 / 1000)


EMPTY = {
    "both_empty": (0, 0, math.nan, math.nan, math.nan),
    "reference_empty": (5, 0, 0.0, math.nan, math.nan),
    "prediction_empty": (0, 5, 0.0, -1.0, math.nan),
    "ok": (5, 5, 1.0, 0.0, 0.0),
}


@pytest.mark.parametrize("status", STATUSES)
def test_empty_masks_have_the_values_of_the_table(status: str) -> None:
    drawn, wanted, overlapping, error, distance = EMPTY[status]
    p, r = (np.zeros((5, 5, 1), np.uint8) for _ in range(2))
    p[:drawn, 2], r[:wanted, 2] = 7, 7
    for row in measure_pairs(p, r, [7], SPACING, slices=True):
        assert row.status == status == status_of(int((p > 0).sum()), int((r > 0).sum()))
        found = (row.overlap.dice, row.overlap.jaccard, row.overlap.relative_volume_error)
        assert found == pytest.approx((overlapping, overlapping, error), nan_ok=True)
        distances = tuple(vars(row.surfaces).values())
        assert distances == pytest.approx((distance,) * 3, nan_ok=True)
        assert math.isfinite(row.overlap.volume_error_cm3)


def test_the_table_of_statuses_defines_what_it_says() -> None:
    assert set(STATUSES) == set(EMPTY)
    for name, (_, _, overlapping, error, distance) in EMPTY.items():
        defined = STATUSES[name]
        if name == "ok":
            assert (defined.overlap, defined.relative_volume_error, defined.distances) == (
                None,
                None,
                None,
            )
        else:
            values = (defined.overlap, defined.relative_volume_error, defined.distances)
            assert values == pytest.approx((overlapping, error, distance), nan_ok=True)


@pytest.mark.parametrize("definition", ["area", "voxel"])
@pytest.mark.parametrize("seed", range(4))
def test_all_labels_at_once_are_as_one_after_another(seed: int, definition: str) -> None:
    p, r = blobs(seed), blobs(seed + 100)
    for row in measure_pairs(p, r, [5, 1, 2], SPACING, definition=definition):
        one, two = p == row.label, r == row.label
        assert row.slice is None
        assert row.overlap == overlap(one, two, SPACING) or row.status != "ok"
        alone = surfaces(one, two, SPACING, definition=definition)
        assert vars(row.surfaces) == pytest.approx(vars(alone), **CLOSE)


@pytest.mark.parametrize("definition", ["area", "voxel"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("seed", range(3))
def test_slices_are_as_outlines_of_their_own(seed: int, order: str, definition: str) -> None:
    p, r = (blobs(s).astype(np.uint8, order=order) for s in (seed, seed + 50))
    r[5:8, 5:9, 2] = 1
    told = [
        row
        for row in measure_pairs(p, r, [1, 2, 5], SPACING, slices=True, definition=definition)
        if row.slice is not None
    ]
    expected = [
        (label, z)
        for label in (1, 2, 5)
        for z in range(p.shape[2])
        if (p[..., z] == label).any() or (r[..., z] == label).any()
    ]
    assert [(row.label, row.slice) for row in told] == expected
    for row in told:
        one, two = p[..., row.slice] == row.label, r[..., row.slice] == row.label
        alone = surfaces(one, two, SPACING[:2], definition=definition)
        assert vars(row.surfaces) == pytest.approx(vars(alone), **CLOSE)
        assert row.overlap.dice == pytest.approx(dice(one, two), **CLOSE)
        drawn = np.flatnonzero((r == row.label).any(axis=(0, 1)))
        if drawn.size > 1:
            position = 100 * (row.slice - drawn[0]) / (drawn[-1] - drawn[0])
            assert row.position == pytest.approx(position)


def test_slices_far_apart_do_not_see_each_other() -> None:
    p, r = np.zeros((2, 30, 30, 3), np.uint8)
    p[2:4, 2:4, 0], r[25:27, 25:27, 0] = 1, 1
    p[2:4, 2:4, 1] = 1
    rows = {row.slice: row for row in measure_pairs(p, r, [1], (1, 1, 1), slices=True)}
    assert rows[0].surfaces.hd == pytest.approx(math.hypot(23, 23))
    assert rows[1].status == "reference_empty"
    assert math.isnan(rows[1].surfaces.hd)
    assert rows[1].position == 100.0
    assert 2 not in rows


@given(images, images)
def test_joint_counts_tell_every_voxel_once(p, r) -> None:
    counts = joint_counts(p, r, [9, 3])
    assert counts.shape == (3, 3, 3)
    assert counts.sum() == p.size
    ranks = {9: 1, 3: 2}
    for z in range(3):
        for one in (0, 9, 3):
            for two in (0, 9, 3):
                hit = sum(
                    (ranks.get(int(a), 0), ranks.get(int(b), 0))
                    == (ranks.get(one, 0), ranks.get(two, 0))
                    for a, b in zip(p[..., z].ravel(), r[..., z].ravel(), strict=True)
                )
                assert counts[z, ranks.get(one, 0), ranks.get(two, 0)] == hit


def test_numbers_that_nobody_asked_for_are_background() -> None:
    p = np.array([[[-2], [300], [7]]], np.int16)
    assert joint_counts(p, p, [7])[0].tolist() == [[2, 0], [0, 1]]


def test_rows_come_in_the_order_of_the_labels() -> None:
    image = blobs(0)
    rows = measure_pairs(image, image, [5, 77, 1], SPACING)
    assert [(row.label, row.status) for row in rows] == [
        (5, "ok"),
        (77, "both_empty"),
        (1, "ok"),
    ]


whole = np.zeros((2, 2, 2), np.uint8)
BAD = [
    (whole, whole[..., :1], [1], "grids differ"),
    (whole, whole, [1, 1], "each once"),
    (whole, whole, [0], "above 0"),
    (whole, whole.astype(float), [1], "expected three axes and integers"),
    (whole[0], whole[0], [1], "voxel sizes"),
]


@pytest.mark.parametrize(("p", "r", "labels", "told"), BAD)
def test_what_cannot_be_measured_is_refused(p, r, labels, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        measure_pairs(p, r, labels, SPACING)
