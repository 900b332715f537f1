"""One NIfTI file, read whole and checked, or a message that says what is wrong with it."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
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
# No leg is imaged with smaller voxels or wider gaps: mostly the header's unit is wrong. In mm.
SMALLEST_STEP, LARGEST_STEP = 0.05, 200.0
# Volume of a voxel over that of a box with the same edges; 1 for right angles, 0 for none.
LEAST_SQUARE = 0.7
LARGEST_LABEL = 65535
# Below this, the arithmetic of single precision ends.
LEAST_SIGNAL = 1e-30


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


def read_image(path: Path, volume: int | None = None) -> Image:
    """Read a NIfTI image, all of it or one of its volumes, and check that it can be used.

    A fourth axis of length one is dropped; complex values become magnitudes. NaN, infinite
    and negative voxels are left for the next step, as long as something else is there.

    Parameters
    ----------
    path : Path
        A ``.nii`` or ``.nii.gz`` file.
    volume : int, optional
        Which volume of a 4-D file (echoes or contrasts along its fourth axis), counted from
        0; a 3-D file is volume 0 of one. Without it, the file must hold a single volume.

    Raises
    ------
    ImageError
        If the file is missing, empty, truncated, damaged or not NIfTI; if it is 2-D, a single
        slice, has several volumes of which none was chosen, or lacks the one that was; if its
        voxels have no plausible size, or axes far from right angles; if all of it is zero or
        not finite.
    """
    image = _read(path, volume)
    _check_signal(path, image.data)
    return image


def read_labels(path: Path) -> Image:
    """Read a label image: a whole number for each voxel, and nothing but background is fine.

    Returns
    -------
    Image
        With data of dtype uint16.

    Raises
    ------
    ImageError
        As :func:`read_image`; also if a value is no whole number from 0 to 65535.
    """
    image = _read(path, None)
    return replace(image, data=_whole(path, image.data))


def _read(path: Path, volume: int | None) -> Image:
    content = _decompress(path, _read_bytes(path))
    image = _parse(path, content)
    _check_length(path, image, len(content))
    chosen, notes = _choose_volume(path, image.shape, volume)
    data, affine = _values(path, image, chosen), np.asarray(image.affine, dtype=np.float64)
    if np.iscomplexobj(data):
        data, notes = np.abs(data), (*notes, f"{path.name}: complex values, magnitude taken")
    _check_affine(path, affine)
    notes += _doubts(path, image.header)
    return Image(path, data, affine, image.header, notes)


def _whole(path: Path, data: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Values as integers, if they are."""
    if not np.isfinite(data).all():
        raise ImageError(
            f"{path} has {int((~np.isfinite(data)).sum())} voxels that are no numbers (NaN or "
            "infinite); expected whole numbers; export the labels again"
        )
    lowest, highest = data.min(), data.max()
    if lowest < 0 or highest > LARGEST_LABEL:
        raise ImageError(
            f"{path} has values from {lowest:g} to {highest:g}; expected whole numbers from 0 to "
            f"{LARGEST_LABEL}; check that it is a label image"
        )
    labels = data.astype(np.uint16)
    if data.dtype.kind == "f" and not np.array_equal(labels, data):
        odd = float(data[labels != data].flat[0])
        raise ImageError(
            f"{path} has the value {odd:g}; expected whole numbers; check that it is a label "
            "image, and that it was resampled by nearest neighbour"
        )
    return labels


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
    distance = corner_distance(first.data.shape, first.affine, second.affine)
    if distance > GRID_TOLERANCE:
        raise ImageError(
            f"{first.path} and {second.path} lie up to {distance:.2f} mm apart; expected the same "
            "grid; resample one onto the other"
        )


def corner_distance(
    shape: tuple[int, ...], first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> float:
    """How far apart two grids of one shape lie at the corner where they differ most, mm.

    Examples
    --------
    >>> corner_distance((4, 4, 2), np.eye(4), np.diag([2.0, 1.0, 1.0, 1.0]))
    3.0
    """
    corners = np.array(np.meshgrid(*((0, n - 1) for n in shape), [1])).reshape(4, -1)
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())


def _read_bytes(path: Path) -> bytes:
    try:
        # A pipe or a device would be waited for, or read, for ever.
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise _damaged(path, "is a device or a pipe")
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
    except MemoryError as error:
        raise _damaged(path, "unpacks to more than fits into memory") from error


def _parse(path: Path, content: bytes) -> Any:
    size = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    kind = nib.Nifti2Image if NIFTI2_HEADER_SIZE in size else nib.Nifti1Image
    try:
        return kind.from_bytes(content)
    except Exception as error:  # nibabel raises many kinds on a bad header
        raise _damaged(path, f"is not a NIfTI image ({error})") from error


def _check_length(path: Path, image: Any, found: int) -> None:
    """Believe no header that promises more than is there: memory would be set aside for it."""
    promised = math.prod(map(int, image.shape)) * int(image.get_data_dtype().itemsize)
    if promised > found:
        raise _damaged(
            path, f"is truncated or damaged ({promised} bytes of voxels promised, {found} found)"
        )


def _choose_volume(
    path: Path, shape: tuple[int, ...], volume: int | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Index of the volume along the axes after the third, and what the log should say."""
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise ImageError(
            f"{path} has {_shape(shape)} voxels, a single slice; expected a volume of two or "
            "more slices; use the whole stack"
        )
    count = math.prod(map(int, shape[3:]))
    if count < 1 or not 0 <= (volume or 0) < count:
        raise ImageError(
            f"{path} holds {count} volume(s) ({_shape(shape)}); expected number {volume or 0}, "
            "counted from 0; check that the sidecar belongs to this image"
        )
    if volume is None and count > 1:
        raise ImageError(
            f"{path} is {len(shape)}-D ({_shape(shape)}); expected one 3-D volume; split it, "
            "one file for each echo or contrast"
        )
    chosen = tuple(map(int, np.unravel_index(volume or 0, shape[3:]))) if len(shape) > 3 else ()
    if count > 1:
        return chosen, (f"{path.name}: {len(shape)}-D, volume {volume} of {count} taken",)
    single = f"{path.name}: {len(shape)}-D with a single volume, read as 3-D"
    return chosen, (single,) if chosen else ()


def _values(path: Path, image: Any, chosen: tuple[int, ...]) -> npt.NDArray[Any]:
    """Three axes of scaled values; of several volumes, only the chosen one is unpacked."""
    dtype = image.get_data_dtype()
    if dtype.fields is not None:
        raise ImageError(f"{path} holds colours ({dtype}); expected one number a voxel")
    try:
        return np.asanyarray(image.dataobj[(..., *chosen)])
    except MemoryError as error:
        raise ImageError(
            f"{path} says it has {_shape(image.shape)} voxels, more than fit into memory; "
            "expected a leg station; check the file, or raise the memory limit"
        ) from error
    except Exception as error:  # short data, bad scaling, bad dimensions
        raise _damaged(path, f"is truncated or damaged ({error})") from error


def _check_affine(path: Path, affine: npt.NDArray[np.float64]) -> None:
    axes = affine[:3, :3]
    if not np.isfinite(affine).all() or not np.any(axes, axis=0).all():
        raise ImageError(
            f"{path} has no usable position and voxel size (affine {affine[:3].tolist()}); "
            "expected an invertible one; convert the image again from DICOM"
        )
    steps = [math.hypot(*axis) for axis in axes.T]
    if not all(SMALLEST_STEP <= step <= LARGEST_STEP for step in steps):
        raise ImageError(
            f"{path} has voxels of {' × '.join(f'{step:.3g}' for step in steps)} mm; expected "
            f"{SMALLEST_STEP} to {LARGEST_STEP:g} mm; check the unit in the header, or convert "
            "the image again from DICOM"
        )
    if abs(np.linalg.det(axes / steps)) < LEAST_SQUARE:
        raise ImageError(
            f"{path} has axes that are far from right angles (affine {affine[:3].tolist()}); "
            "expected a box-shaped grid; repair the sform, or resample the image"
        )


def _doubts(path: Path, header: Any) -> tuple[str, ...]:
    """Where the header leaves open which way is left."""
    qform, sform = (header[f"{name}_code"] > 0 for name in ("qform", "sform"))
    if not qform and not sform:
        nothing = "the header gives no position (qform and sform codes are 0)"
        return (f"{path.name}: {nothing}, so left and right, head and feet are guesses",)
    first, second = _directions(header.get_qform), _directions(header.get_sform)
    if qform and sform and first != second:
        said = f"{first} and {second}"
        return (f"{path.name}: qform and sform disagree ({said}); the sform was taken",)
    return ()


def _directions(matrix: Callable[[], Any]) -> str:
    """Where the axes of an affine lead, as ``RAS``; ``???`` where it cannot be computed."""
    try:
        return "".join(map(str, nib.aff2axcodes(matrix())))  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - nibabel raises many kinds on a bad quaternion
        return "???"


def _check_signal(path: Path, data: npt.NDArray[Any]) -> None:
    largest = np.max(np.abs(data), where=np.isfinite(data), initial=0)
    if largest < LEAST_SIGNAL:
        raise ImageError(
            f"{path} holds no signal (every voxel is zero or not a number); expected an image; "
            "convert it again, or leave it out"
        )


def _damaged(path: Path, what: str) -> ImageError:
    return ImageError(f"{path} {what}; expected a whole NIfTI image; copy or convert it again")


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
