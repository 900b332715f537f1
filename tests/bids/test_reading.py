from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.bids import reading
from legseg_bids.bids.reading import check_same_grid, read_image
from legseg_bids.errors import ImageError

AFFINE = np.array([[-2.0, 0, 0, 5], [0, -2.0, 0, 6], [0, 0, 8.0, 7], [0, 0, 0, 1]])


def volume(shape: tuple[int, ...] = (6, 5, 4), dtype: type = np.int16) -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1).reshape(shape).astype(dtype)


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE, kind=nib.Nifti1Image) -> Path:
    nib.save(kind(data, affine), path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_a_good_image(tmp_path: Path, kind: type, extension: str) -> None:
    image = read_image(save(tmp_path / f"a{extension}", volume(), kind=kind))
    np.testing.assert_array_equal(image.data, volume())
    np.testing.assert_allclose(image.affine, AFFINE)
    assert image.notes == ()
    assert isinstance(image.header, kind.header_class)


def test_the_scaling_of_the_file_is_applied(tmp_path: Path) -> None:
    scaled = nib.Nifti1Image(volume(dtype=np.float32) / 3, AFFINE)
    scaled.set_data_dtype(np.int16)
    nib.save(scaled, tmp_path / "a.nii")
    found = read_image(tmp_path / "a.nii").data
    np.testing.assert_allclose(found, volume() / 3, atol=1e-2)


def test_a_single_volume_in_four_dimensions_is_three_dimensional(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.nii", volume()[..., None]))
    assert image.data.shape == (6, 5, 4)
    assert "read as 3-D" in image.notes[0]


def test_complex_values_become_magnitudes(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.nii", np.full((4, 4, 4), 3 + 4j, np.complex64)))
    assert image.data.max() == 5
    assert "magnitude taken" in image.notes[0]


def test_single_bad_voxels_are_left_to_the_next_step(tmp_path: Path) -> None:
    data = volume(dtype=np.float32)
    data[0, 0, 0], data[1, 0, 0] = np.nan, -7
    assert np.isnan(read_image(save(tmp_path / "a.nii", data)).data[0, 0, 0])


def whole(tmp_path: Path) -> bytes:
    rng = np.random.default_rng(0)
    noise = rng.integers(1, 1000, (20, 20, 6)).astype(np.int16)
    return nib.Nifti1Image(noise, AFFINE).to_bytes()


def flipped(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[-6] ^= 1  # in the checksum: the data themselves still unpack
    return bytes(packed)


def header_of_colours() -> bytes:
    colours = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    return nib.Nifti1Image(colours, AFFINE).to_bytes()


def with_affine(affine: np.ndarray) -> bytes:
    image = nib.Nifti1Image(volume(), AFFINE)
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    for name, row in zip(("srow_x", "srow_y", "srow_z"), affine, strict=False):
        image.header[name] = row
    return nib.Nifti1Image(volume(), None, image.header).to_bytes()


BYTES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("a.nii.gz", lambda _: b"", "is empty"),
    ("a.nii", lambda _: b"", "is empty"),
    ("a.nii.gz", lambda c: gzip.compress(c)[:-900], "is truncated"),
    ("a.nii.gz", lambda c: gzip.compress(c)[:30], "is truncated"),
    ("a.nii.gz", flipped, "is damaged"),
    ("a.nii.gz", lambda c: gzip.compress(c[:-900]), "is truncated or damaged"),
    ("a.nii", lambda c: c[:-900], "is truncated or damaged"),
    ("a.nii", lambda c: c[:100], "is not a NIfTI image"),
    ("a.nii.gz", lambda _: b"/annex/objects/MD5E-s12", "is not a NIfTI image"),
    ("a.nii.gz", lambda _: gzip.compress(b"hello"), "is not a NIfTI image"),
    ("a.nii", lambda _: header_of_colours(), "holds colours"),
    ("a.nii", lambda _: with_affine(np.zeros((3, 4))), "no usable position"),
    ("a.nii", lambda _: with_affine(np.full((3, 4), np.nan)), "no usable position|damaged|NIfTI"),
]


@pytest.mark.parametrize(("name", "spoil", "match"), BYTES)
def test_unreadable_files(tmp_path: Path, name: str, spoil, match: str) -> None:
    path = tmp_path / name
    path.write_bytes(spoil(whole(tmp_path)))
    with pytest.raises(ImageError, match=match) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (np.zeros((4, 4, 4), np.int16), "no signal"),
        (np.full((4, 4, 4), np.nan, np.float32), "no signal"),
        (volume((6, 5)), "single slice"),
        (volume((6, 5, 1)), "single slice"),
        (volume((6, 5, 4, 3)), "4-D .6 × 5 × 4 × 3.; expected one 3-D"),
        (volume((6, 5, 4, 1, 2)), "5-D"),
    ],
)
def test_unusable_content(tmp_path: Path, data: np.ndarray, match: str) -> None:
    with pytest.raises(ImageError, match=match):
        read_image(save(tmp_path / "a.nii.gz", data))


def test_missing_files_and_broken_links(tmp_path: Path) -> None:
    (tmp_path / "b.nii").symlink_to("nowhere")
    for name in ("a.nii", "b.nii"):
        with pytest.raises(ImageError, match=r"broken link.*datalad get"):
            read_image(tmp_path / name)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)


def test_an_image_larger_than_memory(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    path = save(tmp_path / "a.nii", volume())
    monkeypatch.setattr(reading.np, "asanyarray", refuse)
    with pytest.raises(ImageError, match="more than fit into memory"):
        read_image(path)


def test_equal_grids_pass_and_others_are_measured(tmp_path: Path) -> None:
    first = read_image(save(tmp_path / "a.nii", volume()))
    shifted = AFFINE.copy()
    shifted[0, 3] += 1.5
    check_same_grid(first, read_image(save(tmp_path / "b.nii", volume())))
    with pytest.raises(ImageError, match=r"up to 1\.50 mm apart"):
        check_same_grid(first, read_image(save(tmp_path / "c.nii", volume(), shifted)))
    with pytest.raises(ImageError, match=r"6 × 5 × 4 voxels.*6 × 5 × 3"):
        check_same_grid(first, read_image(save(tmp_path / "d.nii", volume((6, 5, 3)))))


def test_a_small_turn_is_seen_at_the_far_corner(tmp_path: Path) -> None:
    turned = AFFINE.copy()
    turned[:3, 0] = [-2 * np.cos(0.01), -2 * np.sin(0.01), 0]
    first = read_image(save(tmp_path / "a.nii", volume()))
    with pytest.raises(ImageError, match="apart"):
        check_same_grid(first, read_image(save(tmp_path / "b.nii", volume(), turned)))
