"""What must hold whatever the labels are."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legseg_bids.anatomy import load_labels, mirror_index
from legseg_bids.anatomy.compartments import load_compartments
from legseg_bids.measure import Measures, Scene, measure_image

INDICES = [0, 0, 0, 55, 56, 57, 61, 62, 101, 103, 104, 107, 151, 1, 2, 5]
LABELS = arrays(np.uint8, (8, 7, 5), elements=st.sampled_from(INDICES))
AFFINE = np.array([[1.5, 0.1, 0.4, -3], [0, 1.4, 0.2, 5], [0, -0.2, 6.0, 70], [0, 0, 0, 1]])
EXAMPLES = settings(max_examples=40)


def scene(labels: np.ndarray, seed: int = 0, **known: object) -> Scene:
    rng = np.random.default_rng(seed)
    fat = np.where(rng.random(labels.shape) < 0.1, np.nan, rng.random(labels.shape))
    given_: dict = {"limbs": np.ones(labels.shape, bool), "fat_fraction": fat}
    return Scene(labels, AFFINE, **{**given_, "confidence": rng.random(labels.shape), **known})


def look(labels: np.ndarray) -> Measures:
    return measure_image(scene(labels))


@EXAMPLES
@given(LABELS)
def test_areas_times_thickness_add_up_to_the_volume(labels: np.ndarray) -> None:
    one = scene(labels)
    measured = measure_image(one)
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for row in measured.profiles:
        sums[row.structure, row.side] += row.csa * one.thickness / 1000
    for row in measured.muscles:
        if row.side != "n/a":
            assert sums[row.abbreviation, row.side] == pytest.approx(row.volume)
    for row in measured.compartments:
        assert sums[row.compartment, row.side] == pytest.approx(row.volume)
    for row in measured.limbs:
        assert sums["limb", row.side] == pytest.approx(row.limb_volume)
        assert sums["intermuscular_fat", row.side] == pytest.approx(
            row.intermuscular_fat_volume or 0.0
        )


@EXAMPLES
@given(LABELS)
def test_a_compartment_is_the_sum_of_its_muscles(labels: np.ndarray) -> None:
    measured = look(labels)
    muscles = {row.index: row for row in measured.muscles}
    members = {(c.key, c.side): c.members for c in load_compartments()}
    for row in measured.compartments:
        own = [muscles[i] for i in members[row.compartment, row.side] if i in muscles]
        assert row.volume == pytest.approx(sum(one.volume for one in own))
        assert row.fat_fraction_voxels == sum(one.fat_fraction_voxels or 0 for one in own)
        assert max(one.max_csa for one in own) <= row.max_csa + 1e-9
        assert row.max_csa <= sum(one.max_csa for one in own) + 1e-9
        if row.mean_fat_fraction is not None:
            means = [m.mean_fat_fraction for m in own if m.mean_fat_fraction is not None]
            assert min(means) - 1e-9 <= row.mean_fat_fraction <= max(means) + 1e-9


@EXAMPLES
@given(LABELS)
def test_a_mirror_image_swaps_the_sides(labels: np.ndarray) -> None:
    table = np.arange(256, dtype=np.uint8)
    for label in load_labels():
        table[label.index] = mirror_index(label.index)
    one = scene(labels)
    flip, back = np.diag([-1.0, 1.0, 1.0, 1.0]), np.diag([-1.0, 1.0, 1.0, 1.0])
    back[0, 3] = labels.shape[0] - 1
    other = Scene(
        table[labels][::-1],
        flip @ AFFINE @ back,
        one.limbs,
        one.fat_fraction[::-1],  # type: ignore[index]
        confidence=one.confidence[::-1],  # type: ignore[index]
    )
    here, there = measure_image(one), measure_image(other)
    mirrored = {mirror_index(row.index): row for row in there.muscles}
    assert mirrored.keys() == {row.index for row in here.muscles}
    for row in here.muscles:
        twin = mirrored[row.index]
        for field in ("voxels", "volume", "max_csa", "length", "truncated", "quality"):
            assert getattr(row, field) == pytest.approx(getattr(twin, field)), field
        assert row.mean_fat_fraction == pytest.approx(twin.mean_fat_fraction)
        assert row.asymmetry == pytest.approx(twin.asymmetry and -twin.asymmetry)


@EXAMPLES
@given(LABELS)
def test_turned_upside_down_distal_becomes_proximal(labels: np.ndarray) -> None:
    turned = {"distal": "proximal", "proximal": "distal"}
    here = look(labels).muscles
    there = look(np.ascontiguousarray(labels[:, :, ::-1])).muscles
    for row, twin in zip(here, there, strict=True):
        assert twin.truncated == turned.get(row.truncated, row.truncated)
        assert (row.volume, row.length) == (twin.volume, twin.length)


@EXAMPLES
@given(LABELS)
def test_numbers_stay_within_their_bounds(labels: np.ndarray) -> None:
    measured = look(labels)
    for row in measured.muscles:
        assert 0 <= (row.fat_fraction_voxels or 0) <= row.voxels
        assert row.max_csa * row.length / 1000 >= row.volume - 1e-9
        assert 0 <= (row.mean_confidence or 0) <= 1
        if row.intramuscular_fat is not None:
            assert 0 <= row.intramuscular_fat <= row.volume
    for row in measured.limbs:
        parts = (row.muscle_volume, row.bone_volume, row.subcutaneous_fat_volume)
        assert sum(parts) <= row.limb_volume + 1e-9
        assert row.intramuscular_fat_volume is None or (
            row.intramuscular_fat_volume <= row.muscle_volume
        )


@EXAMPLES
@given(LABELS)
def test_without_a_map_there_is_no_fat(labels: np.ndarray) -> None:
    measured = measure_image(scene(labels, fat_fraction=None))
    for table in (measured.muscles, measured.compartments, measured.profiles, measured.limbs):
        for row in table:
            values = vars(row)
            assert all(v is None for k, v in values.items() if "fraction" in k or k == "lean")
