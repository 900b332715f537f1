"""Positions along the limb, and along a bone where both of its ends are seen."""

from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.measure import Scene, measure_image
from legseg_bids.measure.profiles import ProfileRow

SHAPE = (60, 30, 60)


def thigh(femur: slice, tibia: slice = slice(0, 0), **known: object) -> Scene:
    """A left rectus femoris before a femur; a soleus behind a tibia."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:20, 20:28, 25:50] = 61
    labels[10:20, 2:11, 2:25] = 5
    labels[12:18, 12:18, tibia] = 107
    labels[12:18, 12:18, femur] = 103
    given: dict = {"limbs": np.zeros(SHAPE, bool)}
    given["limbs"][9:21] = True
    return Scene(labels, np.diag([2.0, 2.0, 10.0, 1.0]), **{**given, **known})


def rows_of(scene: Scene, structure: str) -> list[ProfileRow]:
    return [row for row in measure_image(scene).profiles if row.structure == structure]


def test_positions_along_a_femur_whose_ends_are_seen() -> None:
    rows = rows_of(thigh(slice(15, 55)), "RF_L")
    assert [row.slice for row in rows] == list(range(25, 50))
    assert rows[0].position == pytest.approx(250.0)
    assert {row.bone for row in rows} == {"femur"}
    assert rows[0].bone_percent == pytest.approx(100 * 10.5 / 40)
    assert rows[-1].bone_percent == pytest.approx(100 * 34.5 / 40)
    assert rows[0].csa == pytest.approx(80 * 4.0)
    assert (rows[0].kind, rows[0].side, rows[0].name) == ("muscle", "left", "Rectus femoris left")


def test_the_bone_itself_runs_from_0_to_100() -> None:
    rows = rows_of(thigh(slice(15, 55)), "FEM_L")
    assert rows[0].bone_percent == pytest.approx(1.25)
    assert rows[-1].bone_percent == pytest.approx(98.75)


@pytest.mark.parametrize(
    "femur",
    [slice(15, 60), slice(0, 40), slice(30, 45)],
    ids=["upper end out of view", "lower end out of view", "too short for a whole femur"],
)
def test_without_both_ends_there_is_no_percentage(femur: slice) -> None:
    rows = rows_of(thigh(femur), "RF_L")
    assert {row.bone_percent for row in rows} == {None}
    assert {row.bone for row in rows} == {"femur"}


def test_a_gap_may_lie_within_a_bone_but_not_at_its_end() -> None:
    seen = np.ones(SHAPE[2], bool)
    seen[30:33] = False
    inside = thigh(slice(15, 55), seen=seen)
    inside.labels[:, :, 30:33] = 0
    assert rows_of(inside, "RF_L")[0].bone_percent is not None
    seen = np.ones(SHAPE[2], bool)
    seen[13:15] = False
    assert rows_of(thigh(slice(15, 55), seen=seen), "RF_L")[0].bone_percent is None


def test_each_region_has_its_bone_and_tissues_have_that_of_the_slice() -> None:
    scene = thigh(slice(26, 56), slice(3, 26))
    assert {row.bone for row in rows_of(scene, "SOL_L")} == {"tibia"}
    limb = rows_of(scene, "limb")
    bones = {row.slice: row.bone for row in limb}
    assert bones[10] == "tibia"
    assert bones[40] == "femur"
    assert all((row.bone is None) == (row.bone_percent is None) for row in limb)


def test_the_fat_of_a_profile_is_that_of_the_inside() -> None:
    scene = thigh(slice(15, 55))
    fat = np.where(scene.labels == 61, 0.1, 0.9)
    fat[10, 20:28] = 0.5  # the rim
    rows = rows_of(Scene(scene.labels, scene.affine, scene.limbs, fat), "RF_L")
    assert all(row.mean_fat_fraction == pytest.approx(0.1) for row in rows)
    assert all(row.mean_fat_fraction is None for row in rows_of(scene, "RF_L"))
