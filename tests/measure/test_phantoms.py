"""Solids whose answers are known: what is measured may differ by what voxels cannot show."""

from __future__ import annotations

import numpy as np
import pytest
from solids import Inside, centred, drawn

from legseg_bids.measure import MuscleMeasure, Scene, measure, measure_image

SHAPE = (80, 110, 40)
UPRIGHT = np.diag([1.5, 1.5, 6.0])
SHEARED = np.array([[1.5, 0.2, 0.8], [0.0, 1.4, -0.9], [0.0, 0.0, 6.0]])
TURN = np.deg2rad(25.0)
TURNED = np.array([[1, 0, 0], [0, np.cos(TURN), -np.sin(TURN)], [0, np.sin(TURN), np.cos(TURN)]])
AXES = {"upright": UPRIGHT, "sheared": SHEARED, "oblique": TURNED @ UPRIGHT}
RADIUS, HALF = 30.0, 90.0


def cylinder(x, y, z):  # type: ignore[no-untyped-def]
    return (np.hypot(x, y) < RADIUS) & (np.abs(z) < HALF)


def cone(x, y, z):  # type: ignore[no-untyped-def]
    """Point down."""
    return (np.hypot(x, y) < RADIUS * (z + HALF) / (2 * HALF)) & (z < HALF)


def ellipsoid(x, y, z):  # type: ignore[no-untyped-def]
    return (x / 25) ** 2 + (y / 40) ** 2 + (z / HALF) ** 2 < 1


def tilted(x, y, z):  # type: ignore[no-untyped-def]
    """A cylinder whose axis leans by 30 degrees, cut by two slices."""
    lean = np.deg2rad(30.0)
    return (np.hypot((x - z * np.tan(lean)) * np.cos(lean), y) < 20.0) & (np.abs(z) < 60.0)


def look(inside: Inside, axes: np.ndarray = UPRIGHT) -> MuscleMeasure:
    affine = centred(SHAPE, axes)
    (row,) = measure(Scene(drawn(inside, SHAPE, affine), affine))
    return row


VOLUMES = {
    cylinder: np.pi * RADIUS**2 * 2 * HALF,
    cone: np.pi * RADIUS**2 * 2 * HALF / 3,
    ellipsoid: 4 / 3 * np.pi * 25 * 40 * HALF,
    tilted: np.pi * 20**2 / np.cos(np.deg2rad(30.0)) * 120.0,
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("solid", VOLUMES, ids=lambda solid: solid.__name__)
def test_volume(solid: Inside, axes: str) -> None:
    """To 1 %: some 7,000 to 25,000 voxels."""
    row = look(solid, AXES[axes])
    assert row.volume == pytest.approx(VOLUMES[solid] / 1000, rel=0.01)
    assert not row.cut_in_plane


@pytest.mark.parametrize(
    ("solid", "area"),
    [
        (cylinder, np.pi * RADIUS**2),
        # Of the highest slice, whose centre lies half a slice below the base.
        (cone, np.pi * (RADIUS * (1 - 3.0 / (2 * HALF))) ** 2),
        (ellipsoid, np.pi * 25 * 40),
        (tilted, np.pi * 20**2 / np.cos(np.deg2rad(30.0))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("axes", ["upright", "sheared"])
def test_largest_cross_section(solid: Inside, area: float, axes: str) -> None:
    row = look(solid, AXES[axes])
    assert row.max_csa == pytest.approx(area, rel=0.012)


def test_the_cross_section_of_an_oblique_stack_lies_in_its_slices() -> None:
    assert look(cylinder, AXES["oblique"]).max_csa == pytest.approx(
        np.pi * RADIUS**2 / np.cos(TURN), rel=0.01
    )


@pytest.mark.parametrize(("solid", "length"), [(cylinder, 180), (ellipsoid, 180), (tilted, 120)])
@pytest.mark.parametrize("axes", ["upright", "sheared"])
def test_length_to_one_slice(solid: Inside, length: float, axes: str) -> None:
    assert look(solid, AXES[axes]).length == pytest.approx(length, abs=6.01)


def test_where_the_largest_cross_section_is() -> None:
    assert look(cone).max_csa_slice == look(cone).last_slice
    row = look(ellipsoid)
    assert row.max_csa_slice == pytest.approx((SHAPE[2] - 1) / 2, abs=0.51)


def test_profile_of_a_cone() -> None:
    affine = centred(SHAPE, UPRIGHT)
    scene = Scene(drawn(cone, SHAPE, affine), affine)
    rows = [row for row in measure_image(scene).profiles if row.structure == "RF_L"]
    heights = np.array([row.position for row in rows]) + affine[2, 3]
    truth = np.pi * (RADIUS * (heights + HALF) / (2 * HALF)) ** 2
    measured = np.array([row.csa for row in rows])
    # A circle is off by no more than a part of the pixels on its rim.
    rim = 2 * np.sqrt(np.pi * truth) * 1.5
    assert (np.abs(measured - truth) < 0.25 * rim + 2 * 1.5**2).all()
    assert measured.sum() * 6.0 == pytest.approx(VOLUMES[cone], rel=0.01)


class TestFat:
    """A cylinder of lean muscle whose rim holds fat by partial volume, in fat."""

    affine = centred(SHAPE, UPRIGHT)
    labels = drawn(cylinder, SHAPE, affine)
    x, y, _ = (
        np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices(SHAPE))
        + affine[:3, 3, None, None, None]
    )
    radius = np.hypot(x, y)
    # Within one pixel of the rim the fat of the surroundings mixes in.
    fat = np.clip(0.1 + 0.8 * (radius - RADIUS + 1.5) / 3.0, 0.1, 0.9).astype(np.float32)

    def test_the_rim_does_not_count(self) -> None:
        (row,) = measure(Scene(self.labels, self.affine, fat_fraction=self.fat))
        assert row.mean_fat_fraction == pytest.approx(0.1, abs=0.003)
        assert row.median_fat_fraction == pytest.approx(0.1, abs=1e-6)
        # The centres of the voxels outside lie up to a pixel from the rim.
        assert row.fat_fraction_voxels is not None
        depth = RADIUS * (1 - np.sqrt(row.fat_fraction_voxels / row.voxels))
        assert 1.0 < depth < 2.0

    def test_all_fat_within_the_label_counts_as_volume(self) -> None:
        (row,) = measure(Scene(self.labels, self.affine, fat_fraction=self.fat))
        r = np.linspace(0, RADIUS, 20001)
        profile = np.clip(0.1 + 0.8 * (r - RADIUS + 1.5) / 3.0, 0.1, 0.9)
        truth = np.trapezoid(profile * 2 * np.pi * r, r) * 2 * HALF / 1000
        assert row.intramuscular_fat == pytest.approx(truth, rel=0.03)
        assert row.lean_volume == pytest.approx(row.volume - row.intramuscular_fat)

    def test_voxels_without_signal_are_left_out(self) -> None:
        holes = self.fat.copy()
        holes[::3] = np.nan
        (whole,) = measure(Scene(self.labels, self.affine, fat_fraction=self.fat))
        (row,) = measure(Scene(self.labels, self.affine, fat_fraction=holes))
        assert row.mean_fat_fraction == pytest.approx(whole.mean_fat_fraction, abs=0.002)
        assert row.intramuscular_fat == pytest.approx(whole.intramuscular_fat, rel=0.03)
        assert row.fat_fraction_voxels < 0.7 * whole.fat_fraction_voxels
