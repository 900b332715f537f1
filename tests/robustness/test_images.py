"""Any NIfTI file: a clear error of ours, or a right answer; never another exception."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from skeleton import legs

from legseg_bids.bids.reading import read_image
from legseg_bids.errors import ImageError
from legseg_bids.imaging.limbs import split_limbs
from legseg_bids.imaging.orientation import from_canonical
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.pipeline import prepare

WATER, FAT = legs(shape=(32, 20, 4))
BODY = np.abs(WATER - FAT) + np.float32(100)
"""Opposed phase of two legs, (x, y, z), canonical axes."""
SPACING = np.array([9.0, 9.0, 12.0])

TURNS = [(axes, flips) for axes in permutations(range(3)) for flips in product((1, -1), repeat=3)]
REAL_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
MODEST = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Case:
    """How one image lies in its file.

    ``axes`` and ``flips`` say which canonical axis each axis of the file runs along, and whether
    against it; ``angles`` (degrees) and ``shear`` turn and skew the whole.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[int, int, int] = (1, 1, 1)
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shear: float = 0.0
    scale: float = 1.0
    origin: float = 0.0

    def affine(self) -> np.ndarray:
        """From indices of the file to mm."""
        axes = np.zeros((3, 3))
        for source, (world, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            axes[world, source] = flip * SPACING[world] * self.scale
        skewed = np.array([[1, self.shear, 0], [0, 1, self.shear / 2], [0, 0, 1]])
        out = np.eye(4)
        out[:3, :3] = rotation(self.angles) @ skewed @ axes
        out[:3, 3] = self.origin
        return out

    def data(self) -> np.ndarray:
        """The body in the axes of the file."""
        turned = BODY.transpose(self.axes)
        backwards = [axis for axis, flip in enumerate(self.flips) if flip < 0]
        return np.ascontiguousarray(np.flip(turned, backwards))


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    out = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        turn = np.eye(3)
        i, j = (n for n in range(3) if n != axis)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        out = turn @ out
    return out


def written(image: Any, name: str = "a.nii.gz") -> Path:
    path = place(name)
    nib.save(image, path)
    return path


def place(name: str) -> Path:
    """A file that every example overwrites: hypothesis has no temporary folder for each."""
    return Path(tempfile.gettempdir(), f"legseg-test-{os.getpid()}-{name}")


def prepared(path: Path) -> tuple[Volume, Any] | None:
    """What `interfaces.prepare` does with an image; None where it says why not."""
    try:
        image = read_image(path)
        volume, mask, orientation, _ = prepare(Volume(image.data, image.affine))
        split_limbs(mask, volume.spacing)
    except ImageError as error:
        if len(str(error)) < 30:
            raise AssertionError(f"an error that says nothing: {error}") from error
        return None
    finally:
        path.unlink()
    return volume, orientation


small_angles = st.tuples(*[st.floats(-25, 25)] * 3)
cases = st.builds(
    lambda turn, angles, shear, scale, origin: Case(*turn, angles, shear, scale, origin),
    st.sampled_from(TURNS),
    small_angles,
    st.floats(-0.2, 0.2),
    st.floats(0.3, 3),
    st.floats(-1e4, 1e4),
)


@pytest.mark.parametrize("turn", TURNS)
def test_every_orientation_gives_the_same_volume(turn: tuple) -> None:
    case = Case(*turn, angles=(10.0, -8.0, 5.0))
    found = prepared(written(nib.Nifti1Image(case.data(), case.affine()), "turn.nii"))
    assert found is not None
    np.testing.assert_allclose(found[0].data, BODY, rtol=1e-6)
    np.testing.assert_allclose(found[0].spacing, SPACING, rtol=1e-5)


@MODEST
@given(cases)
def test_every_voxel_keeps_its_place(case: Case) -> None:
    """Also where slices are skewed, voxels small or large, and the origin far away."""
    data, affine = case.data(), case.affine()
    found = prepared(written(nib.Nifti1Image(data, affine), "place.nii"))
    assert found is not None
    volume, orientation = found
    np.testing.assert_array_equal(from_canonical(volume.data, orientation), data)
    indices = np.indices(volume.shape).reshape(3, -1).T
    world = indices @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    back = np.linalg.solve(affine[:3, :3], (world - affine[:3, 3]).T)
    source = np.rint(back).astype(int)
    np.testing.assert_allclose(back, source, atol=0.02)
    np.testing.assert_array_equal(data[tuple(source)], volume.data.ravel())


@MODEST
@given(
    st.sampled_from(REAL_TYPES),
    st.sampled_from("<>"),
    st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]),
    st.sampled_from(["type.nii", "type.nii.gz"]),
    st.sampled_from([None, (0.0, 5.0), (np.nan, np.nan), (2.5, -3.0), (-1.0, 1e4), (1e-3, 0.0)]),
    st.booleans(),
)
def test_every_data_type_and_scaling(
    kind: str, order: str, container: Any, name: str, scaling: Any, extended: bool
) -> None:
    """Slopes of 0 and NaN mean that there is no scaling (NIfTI-1, ``scl_slope``)."""
    top = {"u1": 255, "i1": 127}.get(kind, 1000)
    stored = np.rint(BODY / BODY.max() * top).astype(order + kind)
    header = container.header_class(endianness=order)
    header.set_data_dtype(stored.dtype)
    image = container(stored, np.diag([*SPACING, 1.0]), header)
    if extended:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100))
    path = written(image, name)
    slope, intercept = scaling or (0.0, 0.0)
    _patch(path, container, order, slope, intercept)
    expected = stored.astype(float)
    if scaling and np.isfinite(slope) and slope != 0:
        expected = expected * slope + intercept
    found = prepared(path)
    assert found is not None
    np.testing.assert_allclose(found[0].data, np.maximum(expected, 0), rtol=1e-5, atol=1e-3)


def _patch(path: Path, container: Any, order: str, slope: float, intercept: float) -> None:
    """Write the scaling into the file as it is: nibabel would apply it to the data."""
    content = path.read_bytes()
    packed = content.startswith(b"\x1f\x8b")
    content = bytearray(gzip.decompress(content) if packed else content)
    number, at = ("f4", 112) if container is nib.Nifti1Image else ("f8", 176)
    values = np.array([slope, intercept], order + number).tobytes()
    content[at : at + len(values)] = values
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))


@pytest.mark.parametrize("kind", ["c8", "c16"])
def test_complex_images_are_their_magnitude(kind: str) -> None:
    data = (BODY * np.exp(2j)).astype(kind)
    found = prepared(written(nib.Nifti1Image(data, np.diag([*SPACING, 1.0])), "complex.nii.gz"))
    assert found is not None
    np.testing.assert_allclose(found[0].data, BODY, rtol=1e-4)


wild_numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-38, 1e38, 1e-6, 3e4]),
    st.floats(width=32),
)


@MODEST
@given(st.lists(wild_numbers, min_size=12, max_size=12), st.integers(0, 3), st.integers(0, 3))
@example([1e-6, 0, 0, 0, 0, 1e-6, 0, 0, 0, 0, 1e-6, 0], 1, 0)
@example([1e38, 0, 0, 0, 0, 1e38, 0, 0, 0, 0, 1e38, 0], 1, 0)
@example([1, 1, 1, 0, 1, 1, 1.000001, 0, 0, 1, 1, 0], 1, 0)
@example([9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1e4, 0], 1, 0)
@example([9, 0, 0, 50, 0, 9, 0, 0, 0, 0, 12, 0], 1, 1)
def test_any_affine(rows: list[float], sform: int, qform: int) -> None:
    image = nib.Nifti1Image(BODY, None)
    image.header["sform_code"], image.header["qform_code"] = sform, qform
    for number, name in enumerate(("srow_x", "srow_y", "srow_z")):
        image.header[name] = rows[4 * number : 4 * number + 4]
    image.header["pixdim"][1:4] = rows[0], rows[5], rows[10]
    for name, value in zip(("quatern_b", "quatern_c", "quatern_d"), rows[1:4], strict=True):
        image.header[name] = value
    path = place("affine.nii")
    header = image.header.binaryblock
    path.write_bytes(header + bytes(4) + np.asfortranarray(BODY).tobytes(order="F"))
    prepared(path)


@MODEST
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.sampled_from(["f4", "i2", "u1"]),
    st.sampled_from([0.0, 1.0, np.nan, -5.0, 1e-44, 1e-30, 3e38, np.inf]),
    st.integers(0, 2**32 - 1),
)
@example([2, 2, 2], "f4", 1e-44, 0)
def test_any_shape_and_content(shape: list[int], kind: str, level: float, seed: int) -> None:
    noise = np.random.default_rng(seed).random(shape).astype("f4") * np.float32(level)
    with np.errstate(invalid="ignore", over="ignore"):
        data = noise.astype(kind)
    prepared(written(nib.Nifti1Image(data, np.diag([*SPACING, 1.0])), "shape.nii"))


@MODEST
@given(
    st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6),
    st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]),
)
def test_damaged_headers(changes: list[tuple[int, int]], container: Any) -> None:
    content = bytearray(container(BODY, np.diag([*SPACING, 1.0])).to_bytes())
    for position, value in changes:
        content[position] = value
    path = place("damaged.nii")
    path.write_bytes(bytes(content))
    prepared(path)


def test_volumes_on_a_skewed_grid(tmp_path: Path) -> None:
    """A voxel of a skewed grid is smaller than the product of its edges."""
    from types import SimpleNamespace

    from legseg_bids.interfaces.exchange import Prepared, save, save_prepared
    from legseg_bids.interfaces.measure import MeasureMuscles

    volume, mask, orientation, _ = prepare(Volume(BODY, Case(shear=0.5).affine()))
    station = Prepared(volume, mask, split_limbs(mask, volume.spacing), None, orientation)
    labels, sure = np.full(volume.shape, 61, np.uint8), np.ones(volume.shape, np.float32)
    step = MeasureMuscles(
        prepared=str(save_prepared(tmp_path / "prepared.npz", station)),
        labels=str(save(tmp_path / "labels.npz", {}, {"labels": labels, "probability": sure})),
    )
    step._run_interface(SimpleNamespace(cwd=str(tmp_path)))
    (row,) = json.loads((tmp_path / "measures.json").read_text())["muscles"]
    assert row["volume"] == pytest.approx(BODY.size * np.prod(SPACING) / 1000)
    assert np.prod(volume.spacing) > 1.05 * np.prod(SPACING)  # or the test could not fail
