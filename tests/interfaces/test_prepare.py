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
from legseg_bids.imaging.dixon import choose_in_phase_echoes, choose_opposed_echo
from legseg_bids.imaging.orientation import from_canonical
from legseg_bids.interfaces.exchange import load_prepared
from legseg_bids.interfaces.prepare import compose, prepare
from legseg_bids.interfaces.tolerant import TryToPrepare


def read(data: np.ndarray, shift: float = 0.0) -> Read:
    affine = np.diag([3.0, 3.0, 10.0, 1.0])
    affine[0, 3] = shift
    return Read(Path("a.nii.gz"), data, affine, None, ("a note",))


def test_acquired_image_is_taken_as_it_is(opposed_station: Station) -> None:
    prepared = prepare(opposed_station)
    stored = nib.load(opposed_station.source).get_fdata()
    np.testing.assert_allclose(prepared.volume.data, stored, rtol=1e-5)
    assert prepared.fat is None
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
    assert prepared.fat is not None
    fraction = prepared.fat.fraction
    left = prepared.limbs[0].mask
    muscle = left & (prepared.volume.data > 400) & (fraction < 0.5)
    assert np.median(fraction[muscle]) == pytest.approx(60 / 660, abs=0.03)
    assert np.isnan(fraction[~prepared.mask]).all()


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
        volume, signals, notes = compose(images)
        np.testing.assert_array_equal(volume.data, self.water)
        assert signals is not None
        assert signals.images.keys() == {"water", "fat"}
        np.testing.assert_array_equal(signals.images["fat"], self.fat)
        assert notes == ("a note",) * 3

    def test_companions_on_another_grid_cost_the_fat_fraction_only(self) -> None:
        images = {
            "opposed": read(self.water),
            "water": read(self.water, shift=2.0),
            "fat": read(self.fat, shift=2.0),
        }
        _, signals, notes = compose(images)
        assert signals is None
        assert notes[-1].startswith("no fat fraction: ")


def test_interface_hands_over_what_the_function_gives(
    water_fat_station: Station, tmp_path: Path
) -> None:
    interface = TryToPrepare(station=water_fat_station.as_dict())
    handed = load_prepared(Path(interface.run(cwd=str(tmp_path)).outputs.prepared))
    expected = prepare(water_fat_station)
    np.testing.assert_array_equal(handed.volume.data, expected.volume.data)
    np.testing.assert_array_equal(handed.volume.affine, expected.volume.affine)
    np.testing.assert_array_equal(handed.mask, expected.mask)
    assert handed.fat is not None
    assert expected.fat is not None
    np.testing.assert_array_equal(handed.fat.fraction, expected.fat.fraction)
    assert handed.fat.facts() == expected.fat.facts()
    assert handed.orientation == expected.orientation
    assert [limb.box for limb in handed.limbs] == [limb.box for limb in expected.limbs]
    for got, wanted in zip(handed.limbs, expected.limbs, strict=True):
        np.testing.assert_array_equal(got.mask, wanted.mask)


# ------------------------------------------------------------------ complex and 4-D files

TIMES = {"EchoTime": [2.3, 3.45], "MagneticFieldStrength": 3}


def first_station(root: Path) -> Station:
    return discover(index(root), choose_opposed_echo).stations[0]


def signal_of(station: Station) -> np.ndarray:
    """What is segmented, in the axes of the file."""
    prepared = prepare(station)
    return from_canonical(prepared.volume.data, prepared.orientation)


def complex_legs() -> tuple[np.ndarray, np.ndarray]:
    """Magnitude of the phantom, and a phase that winds through the image."""
    magnitude = opposed().data
    x, y, _ = np.indices(magnitude.shape)
    return magnitude, 0.2 * x + 0.1 * y


def test_real_and_imaginary_give_the_magnitude(tmp_path: Path) -> None:
    magnitude, phase = complex_legs()
    parts = {"real": magnitude * np.cos(phase), "imag": magnitude * np.sin(phase)}
    root = write_dataset(
        tmp_path,
        {
            f"sub-01/anat/sub-01_acq-out_part-{part}_T1w": Image(data.astype(np.float32))
            for part, data in parts.items()
        },
    )
    station = first_station(root)
    assert set(station.files) == {"real", "imaginary"}
    np.testing.assert_allclose(signal_of(station), magnitude, rtol=1e-4, atol=1e-2)


def test_magnitude_and_phase_give_the_magnitude(tmp_path: Path) -> None:
    magnitude, phase = complex_legs()
    root = write_dataset(
        tmp_path,
        {
            f"sub-01/anat/sub-01_acq-out_part-{part}_T1w": Image(data.astype(np.float32))
            for part, data in {"mag": magnitude, "phase": phase}.items()
        },
    )
    np.testing.assert_allclose(signal_of(first_station(root)), magnitude, rtol=1e-5)


def test_one_echo_of_a_4d_file(tmp_path: Path) -> None:
    magnitude, _ = complex_legs()
    stacked = np.stack([magnitude * 2 + 7, magnitude], axis=-1)
    image = Image(stacked, metadata=TIMES)
    root = write_dataset(tmp_path, {"sub-01/mr-anat/sub-01_MEGRE": image})
    np.testing.assert_allclose(signal_of(first_station(root)), magnitude, rtol=1e-5)


def test_one_echo_of_4d_real_and_imaginary_files(tmp_path: Path) -> None:
    magnitude, phase = complex_legs()
    parts = {"real": np.cos(phase), "imag": np.sin(phase)}
    root = write_dataset(
        tmp_path,
        {
            f"sub-01/mr-anat/sub-01_part-{part}_MEGRE": Image(
                np.stack([5 * wave, magnitude * wave], axis=-1).astype(np.float32), metadata=TIMES
            )
            for part, wave in parts.items()
        },
    )
    np.testing.assert_allclose(signal_of(first_station(root)), magnitude, rtol=1e-4, atol=1e-2)


def test_parts_without_a_sign_are_refused() -> None:
    magnitude, phase = complex_legs()
    images = {"real": read(magnitude), "imaginary": read(np.abs(phase) + magnitude)}
    with pytest.raises(ImageError, match="no negative values"):
        compose(images)


def test_parts_on_different_grids_are_refused() -> None:
    magnitude, _ = complex_legs()
    with pytest.raises(ImageError, match="same grid"):
        compose({"real": read(-magnitude), "imaginary": read(magnitude, shift=1.0)})


def test_complex_parts_with_companions_have_a_fat_fraction() -> None:
    magnitude, _ = complex_legs()
    water, fat = legs()
    images = {"real": read(-magnitude), "imaginary": read(0 * magnitude), "water": read(water)}
    volume, signals, _ = compose({**images, "fat": read(fat)})
    np.testing.assert_allclose(volume.data, magnitude, rtol=1e-5)
    assert signals is not None
    assert signals.method == "water and fat"


# ------------------------------------------------------------------ in-phase images


def echoes(times: tuple[float, ...] = (0.00345, 0.0046, 0.00575), decay: float = 0.03) -> dict:
    """Magnitudes of echoes of the phantom at 3 T, with a decay that all tissue shares."""
    water, fat = legs()
    images = {}
    for number, time in enumerate(times, start=1):
        signal = water + fat if number == 2 else np.abs(water - fat)
        metadata = {"EchoTime": time, "MagneticFieldStrength": 3}
        images[f"sub-01/anat/sub-01_echo-{number}_part-mag_MEGRE"] = Image(
            (signal * np.exp(-time / decay)).astype(np.float32), metadata=metadata
        )
    return images


def station_of(root: Path) -> Station:
    found = discover(
        index(root), choose_opposed_echo, choose_in_phase=choose_in_phase_echoes
    ).stations
    return found[0]


@pytest.mark.parametrize(("count", "error"), [(3, 0.003), (2, 0.02)])
def test_echoes_give_the_fat_fraction(tmp_path: Path, count: int, error: float) -> None:
    """A third echo takes the decay out; without it, muscle looks leaner than it is."""
    images = dict(list(echoes().items())[:count])
    station = station_of(write_dataset(tmp_path, images))
    assert list(station.files) == ["opposed", "in_phase", "opposed_later"][:count]
    fat = prepare(station).fat
    assert fat is not None
    assert (fat.method, fat.corrected) == ("in and opposed phase", count == 3)
    water, fatty = legs()
    truth = fatty / (water + fatty)
    muscle = (water > 400) & np.isfinite(fat.fraction)
    assert abs(np.median(fat.fraction[muscle] - truth[muscle])) < error
    assert np.nanmax(fat.fraction) <= 0.5


def test_an_image_that_is_named_in_phase_gives_the_fat_fraction(tmp_path: Path) -> None:
    water, fat = legs()
    images = {"out": np.abs(water - fat), "in": water + fat}
    named = {f"sub-01/anat/sub-01_acq-{word}_T1w": Image(data) for word, data in images.items()}
    station = station_of(write_dataset(tmp_path, named))
    assert set(station.files) == {"opposed", "in_phase"}
    assert station.files["in_phase"].name == "sub-01_acq-in_T1w.nii.gz"
    assert prepare(station).fat is not None


def test_a_damaged_companion_costs_the_fat_fraction_only(tmp_path: Path) -> None:
    station = station_of(write_dataset(tmp_path, echoes()))
    station.files["in_phase"].write_bytes(b"not an image")
    prepared = prepare(station)
    assert prepared.fat is None
    assert any(warning.startswith("no fat fraction: ") for warning in prepared.warnings)
    station.files["opposed"].write_bytes(b"not an image")
    with pytest.raises(ImageError):
        prepare(station)
