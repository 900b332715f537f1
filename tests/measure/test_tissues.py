"""Limbs of known make-up: skin fat, muscle, bone, and fat between two muscles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from solids import centred

from legseg_bids.measure import Scene, measure_image
from legseg_bids.measure.limbs import spans
from legseg_bids.measure.tissues import envelope

SHAPE = (260, 120, 6)
AXES = np.diag([1.5, 1.5, 8.0])
LIMB, MUSCLE, BONE, SLIT = 75.0, 55.0, 14.0, 8.0
LEAN, FATTY = 0.05, 0.9
SIDES = {"left": (-90.0, (55, 103)), "right": (90.0, (56, 104))}


def legs(middle: float = 90.0, **known: Any) -> Scene:
    """Two legs of discs: a muscle that a slit of fat divides, a bone, and fat under the skin."""
    affine = centred(SHAPE, AXES)
    x, y, _ = np.einsum("ij,jxyz->ixyz", AXES, np.indices(SHAPE)) + affine[:3, 3, None, None, None]
    labels, limbs = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, bool)
    fat = np.full(SHAPE, FATTY, np.float32)
    for sign, (_, (muscle, bone)) in zip((-1, 1), SIDES.values(), strict=True):
        across = x - sign * middle
        radius = np.hypot(across, y)
        limbs |= radius < LIMB
        own = (radius < MUSCLE) & (np.abs(y) > SLIT / 2)
        labels[own] = muscle
        labels[radius < BONE] = bone
        fat[own & (radius >= BONE)] = LEAN
    given_: dict[str, Any] = {"limbs": limbs, "fat_fraction": np.where(limbs, fat, np.nan)}
    return Scene(labels, affine, **{**given_, **known})


def disc(radius: float) -> float:
    return float(np.pi * radius**2)


HEIGHT = SHAPE[2] * 8.0
SLIT_AREA = 2 * SLIT * (MUSCLE - BONE)


def test_each_tissue_has_the_volume_that_it_was_drawn_with() -> None:
    rows = measure_image(legs()).limbs
    assert [row.side for row in rows] == ["left", "right"]
    for row in rows:
        assert row.limb_volume == pytest.approx(disc(LIMB) * HEIGHT / 1000, rel=0.01)
        assert row.bone_volume == pytest.approx(disc(BONE) * HEIGHT / 1000, rel=0.02)
        under_skin = disc(LIMB) - disc(MUSCLE)
        assert row.subcutaneous_fat_max_area == pytest.approx(under_skin, rel=0.02)
        assert row.subcutaneous_fat_volume == pytest.approx(under_skin * HEIGHT / 1000, rel=0.02)
        between = FATTY * SLIT_AREA * HEIGHT / 1000
        assert row.intermuscular_fat_volume == pytest.approx(between, rel=0.12)
        assert row.intramuscular_fat_volume == pytest.approx(LEAN * row.muscle_volume, rel=0.01)
        assert row.mean_muscle_fat_fraction == pytest.approx(LEAN)
        assert (row.first_slice, row.last_slice, row.slices) == (0, 5, 6)
        assert row.length == pytest.approx(HEIGHT)
        assert not row.cut_in_plane


def test_legs_that_touch_are_divided_in_the_middle() -> None:
    apart, touching = (measure_image(legs(m)).limbs for m in (90.0, 73.0))
    for here, there in zip(apart, touching, strict=True):
        # The two discs share a lens of about 2 % of one of them.
        assert there.limb_volume == pytest.approx(here.limb_volume, rel=0.03)
        assert there.muscle_volume == pytest.approx(here.muscle_volume, rel=0.01)
    left, right = (row.limb_volume for row in touching)
    assert left == pytest.approx(right, rel=0.005)


def test_a_leg_without_labels_belongs_to_nobody() -> None:
    scene = legs()
    labels = scene.labels.copy()
    labels[np.isin(labels, SIDES["right"][1])] = 0
    (row,) = measure_image(replace(scene, labels=labels)).limbs
    assert row.side == "left"
    assert row.limb_volume == pytest.approx(disc(LIMB) * HEIGHT / 1000, rel=0.01)


def test_slices_of_the_pelvis_and_of_joints_are_left_out() -> None:
    scene = legs()
    labels = scene.labels.copy()
    labels[40:60, 40:60, 5] = 101  # hip bone left
    thin = labels[:, :, 0]
    thin[thin == 55] = 0  # hardly any muscle left
    rows = measure_image(replace(scene, labels=labels)).limbs
    assert [(row.first_slice, row.last_slice, row.slices) for row in rows] == [
        (1, 4, 4),
        (0, 5, 6),
    ]


def test_a_limb_at_the_border_is_told() -> None:
    scene = legs()
    assert scene.limbs is not None
    cut = slice(None), slice(25, None)
    (left, right) = measure_image(
        Scene(scene.labels[cut], scene.affine, np.ascontiguousarray(scene.limbs[cut]))
    ).limbs
    assert left.cut_in_plane
    assert right.cut_in_plane


def test_a_limb_without_anything_between_its_muscles_has_no_fat_there() -> None:
    scene = legs()
    labels = scene.labels.copy()
    x = np.arange(SHAPE[0])[:, None, None]
    for half, muscle in ((x < 130, 55), (x >= 130, 56)):
        labels[half & (labels == 0) & np.asarray(scene.limbs)] = muscle
    for row in measure_image(replace(scene, labels=labels)).limbs:
        assert row.intermuscular_fat_volume == 0.0
        assert row.subcutaneous_fat_volume == 0.0


def test_fat_between_muscles_needs_the_whole_scale() -> None:
    rows = measure_image(legs(highest_fraction=0.5))
    assert all(row.intermuscular_fat_volume is None for row in rows.limbs)
    assert all(row.intramuscular_fat_volume is not None for row in rows.limbs)
    structures = {row.structure for row in rows.profiles if row.kind == "tissue"}
    assert structures == {"limb", "muscle", "subcutaneous_fat"}


def test_without_limbs_or_labels_there_are_no_tissues() -> None:
    scene = legs()
    assert measure_image(replace(scene, limbs=None)).limbs == ()
    assert measure_image(replace(scene, labels=np.zeros_like(scene.labels))).limbs == ()


@pytest.mark.parametrize(("gap", "closed"), [(16.0, True), (26.0, False)])
def test_gaps_of_up_to_20_mm_belong_inside(gap: float, closed: bool) -> None:
    x, y = np.meshgrid(np.arange(120) - 60.0, np.arange(120) - 60.0, indexing="ij")
    tissue = (np.abs(x) > gap / 2) & (np.abs(x) < 45) & (np.abs(y) < 40)
    inside = envelope(tissue, (1.0, 1.0))
    assert inside[60, 60] == closed
    assert (inside | ~tissue).all()
    np.testing.assert_array_equal(inside[:, 60] if closed else inside[:, 60] ^ tissue[:, 60],
                                  (np.abs(x[:, 60]) < 45) & closed)  # fmt: skip


def test_what_is_enclosed_belongs_inside_however_wide() -> None:
    x, y = np.meshgrid(np.arange(120) - 60.0, np.arange(120) - 60.0, indexing="ij")
    ring = (np.hypot(x, y) < 50) & (np.hypot(x, y) > 40)
    assert envelope(ring, (1.0, 1.0))[60, 60]


# ------------------------------------------------------------------ exchanged water and fat


def exchanged(slices: slice, sides: tuple[str, ...]) -> Scene:
    scene = legs()
    assert scene.fat_fraction is not None
    fat = scene.fat_fraction.copy()
    half = {"left": slice(0, 130), "right": slice(130, None)}
    for side in sides:
        fat[half[side], :, slices] = 1 - fat[half[side], :, slices]
    return replace(scene, fat_fraction=fat)


def test_nothing_is_said_of_a_sound_leg_or_of_a_fatty_one() -> None:
    scene = legs()
    assert measure_image(scene).warnings == ()
    assert scene.fat_fraction is not None
    wasted = np.where(scene.fat_fraction < 0.5, 0.85, scene.fat_fraction)
    assert measure_image(replace(scene, fat_fraction=wasted)).warnings == ()


def test_exchanged_slices_are_named_and_nothing_is_changed() -> None:
    measured = measure_image(exchanged(slice(2, 4), ("left",)))
    (warning,) = measured.warnings
    assert "left leg" in warning
    assert "slices 2-3 " in warning
    muscles = {row.abbreviation: row for row in measured.muscles}
    assert "water-fat swap" in muscles["VL_L"].quality_reasons
    assert "swap" not in muscles["VL_R"].quality_reasons
    assert muscles["VL_L"].mean_fat_fraction == pytest.approx((4 * 0.05 + 2 * 0.95) / 6, abs=0.01)


def test_exchanged_files_are_told_from_exchanged_slices() -> None:
    (warning,) = measure_image(exchanged(slice(None), ("left", "right"))).warnings
    assert "in all slices" in warning
    assert "names of the files" in warning


def test_two_magnitudes_cannot_be_exchanged() -> None:
    scene = exchanged(slice(None), ("left", "right"))
    assert measure_image(replace(scene, highest_fraction=0.5)).warnings == ()


def test_spans_of_single_slices() -> None:
    assert spans(np.array([2, 4, 5])) == "2, 4-5"
