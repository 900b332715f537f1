from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.bids import reading
from legseg_bids.bids.reading import check_same_grid, read_image, read_labels
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


def echoes(count: int = 3) -> np.ndarray:
    return np.stack([volume() * (echo + 1) for echo in range(count)], axis=-1)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_one_volume_of_several(tmp_path: Path, extension: str) -> None:
    path = save(tmp_path / f"a{extension}", echoes())
    for number in range(3):
        image = read_image(path, volume=number)
        np.testing.assert_array_equal(image.data, volume() * (number + 1))
        assert image.notes == (f"a{extension}: 4-D, volume {number} of 3 taken",)


def test_the_scaling_is_applied_to_one_volume_too(tmp_path: Path) -> None:
    scaled = nib.Nifti1Image(echoes().astype(np.float32) / 3, AFFINE)
    scaled.set_data_dtype(np.int16)
    nib.save(scaled, tmp_path / "a.nii")
    found = read_image(tmp_path / "a.nii", volume=2).data
    np.testing.assert_allclose(found, volume(), atol=1e-2)


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 4, 1), (6, 5, 4, 1, 1)])
def test_a_single_volume_is_number_0(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.nii", volume().reshape(shape))
    np.testing.assert_array_equal(read_image(path, volume=0).data, volume())


@pytest.mark.parametrize(
    ("data", "number"), [(echoes(), 3), (echoes(), -1), (volume(), 1), (echoes(1), 1)]
)
def test_a_volume_that_is_not_there(tmp_path: Path, data: np.ndarray, number: int) -> None:
    path = save(tmp_path / "a.nii.gz", data)
    with pytest.raises(ImageError, match=rf"holds {data[0, 0, 0].size} volume.*number {number}"):
        read_image(path, volume=number)


def test_only_the_chosen_volume_must_hold_signal(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", echoes() * np.array([0, 1, 1], np.int16))
    assert read_image(path, volume=1).data.max() > 0
    with pytest.raises(ImageError, match="no signal"):
        read_image(path, volume=0)


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


@pytest.mark.parametrize(
    ("affine", "match"),
    [
        (np.diag([1e-6, 1, 6])[:, [0, 1, 2, 2]], r"voxels of 1e-06 × 1 × 6 mm"),
        (np.diag([0.0015, 0.0015, 0.006])[:, [0, 1, 2, 2]], r"expected 0.05 to 200 mm"),
        (np.diag([1e37, 1, 6])[:, [0, 1, 2, 2]], r"voxels of 1e\+37"),
        (np.array([[1.5, 1.4, 0, 0], [0, 0.5, 0, 0], [0, 0, 6, 0]]), "far from right angles"),
    ],
)
def test_grids_that_are_no_leg(tmp_path: Path, affine: np.ndarray, match: str) -> None:
    (tmp_path / "a.nii").write_bytes(with_affine(affine))
    with pytest.raises(ImageError, match=match):
        read_image(tmp_path / "a.nii")


def test_slightly_skewed_grids_pass(tmp_path: Path) -> None:
    skewed = np.array([[1.5, 0.3, 0, 0], [0, 1.4, 0, 0], [0, 0, 6.0, 0]])
    (tmp_path / "a.nii").write_bytes(with_affine(skewed))
    assert read_image(tmp_path / "a.nii").notes == ()


def test_a_header_without_a_position_is_noted(tmp_path: Path) -> None:
    image = nib.Nifti1Image(volume(), None)
    image.header["sform_code"], image.header["qform_code"] = 0, 0
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert "left and right, head and feet are guesses" in read_image(tmp_path / "a.nii").notes[0]


def test_positions_that_contradict_each_other_are_noted(tmp_path: Path) -> None:
    image = nib.Nifti1Image(volume(), AFFINE)
    image.set_qform(np.diag([-1, 1, 1, 1]) @ AFFINE, 1)
    image.set_sform(AFFINE, 1)
    nib.save(image, tmp_path / "a.nii")
    (note,) = read_image(tmp_path / "a.nii").notes
    assert "RPS and LPS" in note


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
        (np.full((4, 4, 4), 1e-44, np.float32), "no signal"),
        (volume((6, 5)), "single slice"),
        (volume((6, 5, 1)), "single slice"),
        (volume((6, 5, 4, 3)), "4-D .6 × 5 × 4 × 3.; expected one 3-D"),
        (volume((6, 5, 4, 1, 2)), "5-D"),
    ],
)
def test_unusable_content(tmp_path: Path, data: np.ndarray, match: str) -> None:
    with pytest.raises(ImageError, match=match):
        read_image(save(tmp_path / "a.nii.gz", data))


@pytest.mark.parametrize("shape", [(32767,) * 7, (2**15 - 1, 2**15 - 1, 4)])
def test_a_header_that_promises_more_than_is_there(tmp_path: Path, shape) -> None:
    """No memory is set aside for it, and no number overflows."""
    header = nib.Nifti1Image(volume(), AFFINE).header
    header["dim"][: len(shape) + 1] = (len(shape), *shape)
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(1000))
    with pytest.raises(ImageError, match="bytes of voxels promised"):
        read_image(tmp_path / "a.nii")


def test_a_fourth_axis_without_volumes(tmp_path: Path) -> None:
    header = nib.Nifti1Image(volume(), AFFINE).header
    header["dim"][:5] = (4, 6, 5, 4, 0)
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(1000))
    with pytest.raises(ImageError, match="holds 0 volume"):
        read_image(tmp_path / "a.nii")


def test_missing_files_and_broken_links(tmp_path: Path) -> None:
    (tmp_path / "b.nii").symlink_to("nowhere")
    for name in ("a.nii", "b.nii"):
        with pytest.raises(ImageError, match=r"broken link.*datalad get"):
            read_image(tmp_path / name)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_can_be_read_for_ever_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii")
    (tmp_path / "b.nii").symlink_to("/dev/zero")
    for name in ("a.nii", "b.nii"):
        with pytest.raises(ImageError, match="is a device or a pipe"):
            read_image(tmp_path / name)


def test_an_archive_larger_than_memory(tmp_path: Path, monkeypatch) -> None:
    def refuse(_: bytes) -> None:
        raise MemoryError

    path = save(tmp_path / "a.nii.gz", volume())
    monkeypatch.setattr(reading.gzip, "decompress", refuse)
    with pytest.raises(ImageError, match="unpacks to more than fits into memory"):
        read_image(path)


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


# ------------------------------------------------------------------------ label images


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
def test_labels_are_whole_numbers_of_any_type(tmp_path: Path, dtype: type) -> None:
    path = save_any(tmp_path / "a.nii.gz", volume(dtype=dtype))
    image = read_labels(path)
    assert image.data.dtype == np.uint16
    np.testing.assert_array_equal(image.data, volume())


def test_labels_may_all_be_background(tmp_path: Path) -> None:
    empty = save(tmp_path / "a.nii", np.zeros((6, 5, 4), np.uint8))
    assert not read_labels(empty).data.any()
    with pytest.raises(ImageError, match="no signal"):
        read_image(empty)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "1 voxels that are no numbers"),
        (np.inf, "1 voxels that are no numbers"),
        (-1.0, "values from -1 to"),
        (70000.0, "to 70000; expected whole numbers from 0 to 65535"),
        (2.5, "has the value 2.5; expected whole numbers"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, value: float, said: str) -> None:
    data = volume(dtype=np.float32)
    data[1, 2, 3] = value
    with pytest.raises(ImageError, match=said):
        read_labels(save(tmp_path / "a.nii", data))


def save_any(path: Path, data: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(data, AFFINE, dtype=data.dtype), path)
    return path
