"""Writing files so that a half-written one is never seen under its real name.

Everything goes to a hidden temporary name in the same folder, is forced to the disk, and is
then moved into place. On failure the temporary file is removed and nothing else has changed.
A process that is killed leaves its temporary file behind; the next run on the same participant
removes it (`remove_leftovers`).
"""

from __future__ import annotations

import gzip
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from legseg_bids.errors import OutputError

# Labels hardly compress better at 9 and take three times as long.
COMPRESSION = 6
GEOMETRY_FIELDS = (
    "qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
PROBABILITY_STEP = 1 / 255
MAP_STEPS = np.float32(4096)
"""A power of two: the last bits of every number are 0."""
LEFTOVER = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")
"""Name of a temporary file of ours."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of `path` when the block ends well.

    Parameters
    ----------
    path : Path
        The file to write; its folder is made if need be.

    Raises
    ------
    OutputError
        If it cannot be written: no permission, no space, not a folder.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        # A folder that cannot be searched was reported above already.
        with _ignoring_os_errors():
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, deep: bool = True, older_than: float = 0) -> None:
    """Remove temporary files that a killed run left behind.

    Parameters
    ----------
    folder : Path
        Where nobody else is writing, as the folder of a participant that this run has claimed;
        need not exist.
    deep : bool
        Whether to look into its folders too.
    older_than : float
        Age in seconds that a file must have, for folders where others may be writing now.
    """
    before = time.time() - older_than
    for path in folder.rglob(".*.tmp") if deep else folder.glob(".*.tmp"):
        # Somebody else may have been faster, and what cannot be removed does no harm.
        with _ignoring_os_errors():
            if LEFTOVER.fullmatch(path.name) and path.lstat().st_mtime <= before:
                path.unlink()


def cannot_write(path: Path, error: OSError) -> OutputError:
    """Say why an output cannot be written, and what helps."""
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}); expected a writable folder with "
        "space left; free space, change permissions, or choose another output folder"
    )


def remove(paths: Iterable[Path]) -> None:
    """Remove files in this order, as far as they exist.

    Raises
    ------
    OutputError
        If one cannot be removed; those after it are still there.
    """
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in one piece (`replacing`); bytes of odd file names become ``?``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with replacing(path) as file:
        file.write(text.encode("utf-8", errors="replace"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, indented, keys in the given order.

    Arrays and array scalars are written as lists and numbers.

    Raises
    ------
    OutputError
        If it cannot be written.
    ValueError
        If a number is not finite: JSON has none such.
    TypeError
        If a value has no counterpart in JSON.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    write_text(path, text + "\n")


def write_once(path: Path, text: str) -> None:
    """Write a text file only where its content would change.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        same = path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        same = False
    if not same:
        write_text(path, text)


def write_labels(path: Path, labels: npt.NDArray[Any], header: Any) -> None:
    """Write a label image on the grid of its source.

    Position, orientation codes and units are copied from the source bit by bit; free text
    and extensions of the source header, which may name a person, are not.

    Parameters
    ----------
    path : Path
        Output, ``.nii.gz``.
    labels : ndarray of int, shape (i, j, k)
        Values on the source grid; written as uint8, or as uint16 if one exceeds 255.
    header : nibabel.Nifti1Header
        Header of the source.

    Raises
    ------
    OutputError
        If it cannot be written.
    ValueError
        If the shape is not that of the source, or a value is negative or above 65535.
    """
    highest = int(labels.max(initial=0))
    if labels.min(initial=0) < 0 or highest > np.iinfo(np.uint16).max:
        raise ValueError(f"labels run from {labels.min()} to {highest}; expected 0 to 65535")
    dtype = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
    clean = on_grid_of(header, labels.shape, dtype)
    clean.set_intent("label")
    _write_nifti(path, labels.astype(dtype, copy=False), clean)


def write_probabilities(path: Path, probabilities: npt.NDArray[Any], header: Any) -> None:
    """Write probabilities on the grid of the source, in steps of 1/255.

    Parameters
    ----------
    path : Path
        Output, ``.nii.gz``.
    probabilities : ndarray of float, shape (i, j, k, labels)
        Values from 0 to 1 on the source grid.
    header : nibabel.Nifti1Header
        Header of the source.

    Raises
    ------
    OutputError
        If it cannot be written.
    ValueError
        If the shape is not that of the source with one axis more.
    """
    steps = np.empty(probabilities.shape, np.uint8)
    for row, values in zip(steps, probabilities, strict=True):  # a copy of all would be large
        row[...] = np.rint(np.clip(values.astype(np.float32), 0, 1) / PROBABILITY_STEP)
    clean = on_grid_of(header, probabilities.shape, np.uint8)
    _write_nifti(path, steps, clean, PROBABILITY_STEP)


def write_map(path: Path, values: npt.NDArray[Any], header: Any) -> None:
    """Write real numbers on the grid of the source, as float32 rounded to 1/4096.

    NaN stands where there is no value. What a measurement cannot resolve is rounded away, so
    that the file is half as large.

    Parameters
    ----------
    path : Path
        Output, ``.nii.gz``.
    values : ndarray of float, shape (i, j, k)
        From 0 to 1 or so.
    header : nibabel.Nifti1Header
        Header of the source.

    Raises
    ------
    OutputError
        If it cannot be written.
    ValueError
        If the shape is not that of the source.
    """
    clean = on_grid_of(header, values.shape, np.float32)
    rounded = values.astype(np.float32)
    rounded *= MAP_STEPS
    np.rint(rounded, out=rounded)
    rounded /= MAP_STEPS
    _write_nifti(path, rounded, clean)


def on_grid_of(source: Any, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """Make a header that shares nothing with the source but its grid and its units.

    Parameters
    ----------
    source : nibabel.Nifti1Header
        Header of the source; NIfTI-2 stays NIfTI-2.
    shape : tuple of int
        Of the new image; its first three axes are those of the source.

    Raises
    ------
    ValueError
        If the first three axes differ from the source.
    """
    expected = tuple(source.get_data_shape()[:3])
    if tuple(shape[:3]) != expected:
        raise ValueError(f"shape {shape}; expected the source's grid {expected}")
    kind: Any = nib.Nifti2Header if isinstance(source, nib.Nifti2Header) else nib.Nifti1Header
    header = kind()
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    for field in GEOMETRY_FIELDS:
        header[field] = source[field]
    header["pixdim"][:4] = source["pixdim"][:4]
    return header


def _write_nifti(path: Path, data: npt.NDArray[Any], header: Any, step: float = 1.0) -> None:
    kind: Any = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    # No affine: the header's own one stands, so that no rounding touches it.
    image = kind(data, None, header)
    # Not before: an image forgets the step of the header that it is given, and makes one up.
    image.header.set_slope_inter(step, 0)
    _write_gzip(path, image.to_stream)


def _write_gzip(path: Path, write: Callable[[gzip.GzipFile], None]) -> None:
    """Compress without name and time: equal content gives equal files."""
    with (
        replacing(path) as file,
        gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed,
    ):
        write(packed)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} in a JSON file; expected plain values")


@contextmanager
def _ignoring_os_errors() -> Iterator[None]:
    try:
        yield
    except OSError:
        return
