from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from skeleton import Image, legs, opposed, write_dataset, write_image

from legseg_bids.bids.dataset import index
from legseg_bids.bids.discover import discover
from legseg_bids.bids.reading import Image as Read
from legseg_bids.bids.stations import Station
from legseg_bids.errors import ImageError
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.imaging.orientation import from_canonical
from legseg_bids.interfaces.exchange import load_prepared
from legseg_bids.interfaces.prepare import PrepareImage, compose, prepare


def read(data: np.ndarray, shift: float = 0.0) -> Read:
    affine = np.diag([3.0, 3.0, 10.0, 1.0])
    affine[0, 3] = shift
    return Read(Path("a.nii.gz"), data, affine, None, ("a note",))


def test_acquired_image_is_taken_as_it_is(opposed_station: Station) -> None:
    prepared = prepare(opposed_station)
    stored = nib.load(opposed_station.source).get_fdata()
    np.testing.assert_allclose(prepared.volume.data, stored, rtol=1e-5)
    assert prepared.fat_fraction is None
    assert len(prepared.limbs) == 2
    assert prepared.warnings == ()


def test_opposed_phase_is_rebuilt_from_water_and_fat(water_fat_station: Station) -> None:
    prepared = prepare(water_fat_station)
    files = {role: nib.load(path) for role, path in water_fat_station.files.items()}
    water, fat = files["water"].get_fdata(), files["fat"].get_fdata()
    back = from_canonical(prepared.volume.data, prepared.orientation)
    np.testing.assert_allclose(back, abs(water - fat), rtol=1e-4, atol=1e-2)
    assert nib.aff2axcodes(prepared.volume.affine) == ("R", "A", "S")


def test_fat_fraction_lies_on_the_grid_of_the_volume(water_fat_station: Station) -> None:
    prepared = prepare(water_fat_station)
    assert prepared.fat_fraction is not None
    left = prepared.limbs[0].mask
    muscle = left & (prepared.volume.data > 400) & (prepared.fat_fraction < 0.5)
    assert np.median(prepared.fat_fraction[muscle]) == pytest.approx(60 / 660, abs=0.03)


def test_damaged_voxels_are_mended_and_told(tmp_path: Path) -> None:
    image = opposed()
    data = image.data.copy()
    data[0, 0, 0], data[1, 0, 0] = np.nan, -5.0
    root = write_dataset(tmp_path, {"sub-01/anat/sub-01_acq-opp_T1w": replace(image, data=data)})
    prepared = prepare(discover(index(root), choose_opposed_echo).stations[0])
    assert np.isfinite(prepared.volume.data).all()
    assert [w.split(" voxels")[1] for w in prepared.warnings] == [
        " were not finite and became 0",
        " were negative and became 0",
    ]
    assert all("sub-01_acq-opp_T1w.nii.gz" in warning for warning in prepared.warnings)


def test_an_image_without_a_body_is_refused(opposed_station: Station) -> None:
    noise = np.zeros((96, 56, 8), np.float32)
    noise[::9, ::9] = 1.0
    stem = opposed_station.source.parent / opposed_station.stem
    write_image(stem, Image(noise))
    with pytest.raises(ImageError, match="no body found"):
        prepare(opposed_station)


class TestCompose:
    water, fat = legs()

    def test_grids_of_water_and_fat_must_agree(self) -> None:
        with pytest.raises(ImageError, match="same grid"):
            compose({"water": read(self.water), "fat": read(self.fat, shift=1.0)})

    def test_companions_give_the_fat_fraction(self) -> None:
        images = {"opposed": read(self.water), "water": read(self.water), "fat": read(self.fat)}
        volume, fraction, notes = compose(images)
        np.testing.assert_array_equal(volume.data, self.water)
        np.testing.assert_allclose(fraction, self.fat / (self.water + self.fat), rtol=1e-5)
        assert notes == ("a note",) * 3

    def test_companions_on_another_grid_cost_the_fat_fraction_only(self) -> None:
        images = {
            "opposed": read(self.water),
            "water": read(self.water, shift=2.0),
            "fat": read(self.fat, shift=2.0),
        }
        _, fraction, notes = compose(images)
        assert fraction is None
        assert notes[-1].startswith("no fat fraction: ")


def test_interface_hands_over_what_the_function_gives(
    water_fat_station: Station, tmp_path: Path
) -> None:
    interface = PrepareImage(
        station=water_fat_station.as_dict(),
        in_files=[str(path) for path in water_fat_station.files.values()],
    )
    handed = load_prepared(Path(interface.run(cwd=str(tmp_path)).outputs.prepared))
    expected = prepare(water_fat_station)
    np.testing.assert_array_equal(handed.volume.data, expected.volume.data)
    np.testing.assert_array_equal(handed.volume.affine, expected.volume.affine)
    np.testing.assert_array_equal(handed.mask, expected.mask)
    np.testing.assert_array_equal(handed.fat_fraction, expected.fat_fraction)
    assert handed.orientation == expected.orientation
    assert [limb.box for limb in handed.limbs] == [limb.box for limb in expected.limbs]
    for got, wanted in zip(handed.limbs, expected.limbs, strict=True):
        np.testing.assert_array_equal(got.mask, wanted.mask)
