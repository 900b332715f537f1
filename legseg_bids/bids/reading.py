"""One NIfTI file, read whole and checked, or a message that says what is wrong with it."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from legseg_bids.errors import ImageError

GZIP_MAGIC = b"\x1f\x8b"
NIFTI2_HEADER_SIZE = 540
# Grids are the same when no corner lies further apart than this, in mm.
GRID_TOLERANCE = 0.01


@dataclass(frozen=True)
class Image:
    """One image as it stands in its file.

    Attributes
    ----------
    path : Path
        Where it was read.
    data : ndarray, shape (i, j, k)
        Real values with the file's scaling applied, in the axis order of the file.
    affine : ndarray, shape (4, 4)
        From voxel indices to mm (RAS+).
    header : nibabel.Nifti1Header
        The file's own header; outputs on this grid are made from it.
    notes : tuple of str
        What was changed while reading, for the log.
    """

    path: Path
    data: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    header: Any
    notes: tuple[str, ...] = ()


def read_image(path: Path) -> Image:
    """Read a NIfTI image, all of it, and check that it can be used.

    A fourth axis of length one is dropped; complex values become magnitudes. NaN, infinite
    and negative voxels are left for the next step, as long as something else is there.

    Parameters
    ----------
    path : Path
        A ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    ImageError
        If the file is missing, empty, truncated, damaged or not NIfTI; if it is 2-D, a single
        slice, or has several volumes; if its affine cannot be inverted; if all of it is zero
        or not finite.
    """
    image = _parse(path, _decompress(path, _read_bytes(path)))
    data, affine = _values(path, image), np.asarray(image.affine, dtype=np.float64)
    data, notes = _three_axes(path, data)
    if np.iscomplexobj(data):
        data, notes = np.abs(data), (*notes, f"{path.name}: complex values, magnitude taken")
    _check_affine(path, affine)
    _check_signal(path, data)
    return Image(path, data, affine, image.header, notes)


def check_same_grid(first: Image, second: Image) -> None:
    """Make sure that two images can be combined voxel by voxel.

    Raises
    ------
    ImageError
        If shapes differ, or any corner of the grids lies more than 0.01 mm apart.
    """
    if first.data.shape != second.data.shape:
        raise ImageError(
            f"{first.path} has {_shape(first.data.shape)} voxels, {second.path} has "
            f"{_shape(second.data.shape)}; expected the same grid; resample one onto the other"
        )
    distance = _corner_distance(first, second)
    if distance > GRID_TOLERANCE:
        raise ImageError(
            f"{first.path} and {second.path} lie up to {distance:.2f} mm apart; expected the same "
            "grid; resample one onto the other"
        )


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(
            f"{path} does not exist or is a broken link; expected an image; "
            f"fetch it (datalad get {path.name}) or check the path"
        ) from error
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    if not content:
        raise _damaged(path, "is empty (0 bytes)")
    return content


def _decompress(path: Path, content: bytes) -> bytes:
    """Unpack as a whole, so that the checksum at the end is compared as well."""
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise _damaged(path, "is truncated (the compressed stream ends early)") from error
    except (OSError, zlib.error) as error:
        raise _damaged(path, f"is damaged ({error})") from error


def _parse(path: Path, content: bytes) -> Any:
    size = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    kind = nib.Nifti2Image if NIFTI2_HEADER_SIZE in size else nib.Nifti1Image
    try:
        return kind.from_bytes(content)
    except Exception as error:  # nibabel raises many kinds on a bad header
        raise _damaged(path, f"is not a NIfTI image ({error})") from error


def _values(path: Path, image: Any) -> npt.NDArray[Any]:
    dtype = image.get_data_dtype()
    if dtype.fields is not None:
        raise ImageError(f"{path} holds colours ({dtype}); expected one number a voxel")
    try:
        return np.asanyarray(image.dataobj)
    except MemoryError as error:
        raise ImageError(
            f"{path} says it has {_shape(image.shape)} voxels, more than fit into memory; "
            "expected a leg station; check the file, or raise the memory limit"
        ) from error
    except Exception as error:  # short data, bad scaling, bad dimensions
        raise _damaged(path, f"is truncated or damaged ({error})") from error


def _three_axes(path: Path, data: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if data.ndim > 3 and int(np.prod(data.shape[3:])) == 1:
        notes = (f"{path.name}: {data.ndim}-D with a single volume, read as 3-D",)
        data = data.reshape(data.shape[:3])
    if data.ndim > 3:
        raise ImageError(
            f"{path} is {data.ndim}-D ({_shape(data.shape)}); expected one 3-D volume; split it, "
            "one file for each echo or contrast"
        )
    if data.ndim < 3 or min(data.shape) < 2:
        raise ImageError(
            f"{path} has {_shape(data.shape)} voxels, a single slice; expected a volume of two or "
            "more slices; use the whole stack"
        )
    return data, notes


def _check_affine(path: Path, affine: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ImageError(
            f"{path} has no usable position and voxel size (affine {affine[:3].tolist()}); "
            "expected an invertible one; convert the image again from DICOM"
        )


def _check_signal(path: Path, data: npt.NDArray[Any]) -> None:
    if not np.any((data != 0) & np.isfinite(data)):
        raise ImageError(
            f"{path} holds no signal (every voxel is zero or not a number); expected an image; "
            "convert it again, or leave it out"
        )


def _corner_distance(first: Image, second: Image) -> float:
    last = np.array(first.data.shape) - 1
    corners = np.array(np.meshgrid(*((0, n) for n in last), [1])).reshape(4, -1)
    apart = ((first.affine - second.affine) @ corners)[:3]
    return float(np.linalg.norm(apart, axis=0).max())


def _damaged(path: Path, what: str) -> ImageError:
    return ImageError(f"{path} {what}; expected a whole NIfTI image; copy or convert it again")


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
