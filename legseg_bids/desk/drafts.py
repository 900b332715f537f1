"""Corrections that are not finished: one file for each revision, whole or not there.

The number of the revision stands in the name of the file, so that both change at once. Who saves
says on which revision that is based; a second tab that does not know the first one's is told so.
What was thrown away, or taken as the result, leaves an empty file with the next number: no number
ever means two things.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND, load_labels
from legseg_bids.bids.write import write_labels, write_text
from legseg_bids.desk.refusals import Conflict, NotThere, Unfit

NAME = re.compile(r"([0-9a-f]{16})_rev-(\d{9})\.(nii\.gz|gone)")
GZIP = b"\x1f\x8b"
TOLERANCE = 0.01
"""mm between the corners of grids that count as the same."""
SLACK = 1 << 20
"""Bytes that a file may have beside its voxels."""
PIECE = 1 << 20


@dataclass(frozen=True)
class Draft:
    """The latest revision of a correction; 0 and no file if there never was one."""

    revision: int = 0
    path: Path | None = None


def latest(folder: Path, result: str) -> Draft:
    """The draft of a result.

    Parameters
    ----------
    folder : Path
        Of all drafts of a project.
    result : str
        Identifier of the result.
    """
    found = max(_revisions(folder, result), default=None)
    if found is None:
        return Draft()
    revision, name = found
    return Draft(revision, None if name.endswith(".gone") else folder / name)


def all_latest(folder: Path) -> dict[str, Draft]:
    """The drafts of all results that ever had one, by their identifiers."""
    results = {match[1] for name in _listed(folder) if (match := NAME.fullmatch(name))}
    return {result: latest(folder, result) for result in results}


def save(folder: Path, result: str, based_on: int, edited: Path, labels: Path) -> int:
    """Keep a new revision.

    Parameters
    ----------
    folder, result
        As for :func:`latest`.
    based_on : int
        The revision that was changed.
    edited : Path
        What was received: NIfTI, compressed or not.
    labels : Path
        The label image that is corrected.

    Returns
    -------
    int
        The new revision; when this returns, it is on the disk.

    Raises
    ------
    Conflict
        If there is another revision by now.
    Unfit
        If it is no label image on the grid of the one that is corrected.
    OutputError
        If it cannot be written.
    """
    require(folder, result, based_on)
    original: Any = nib.load(labels)
    voxels = read_edited(edited, original)
    revision = based_on + 1
    write_labels(folder / _name(result, revision, "nii.gz"), voxels, original.header)
    _forget_before(folder, result, revision)
    return revision


def discard(folder: Path, result: str, based_on: int) -> int:
    """Throw a draft away; the revision that says so.

    Raises
    ------
    Conflict
        If there is another revision by now.
    NotThere
        If there is no draft.
    OutputError
        If it cannot be written.
    """
    require(folder, result, based_on)
    if latest(folder, result).path is None:
        raise NotThere("there is no draft of this result; expected one; load the page again")
    write_text(folder / _name(result, based_on + 1, "gone"), "")
    _forget_before(folder, result, based_on + 1)
    return based_on + 1


def read_edited(path: Path, original: Any) -> NDArray[np.uint16]:
    """The voxels of a label image that somebody sends.

    Parameters
    ----------
    path : Path
        NIfTI, compressed or not; nothing in it is trusted.
    original : nibabel image
        On whose grid it must be.

    Returns
    -------
    ndarray, shape of the original
        Labels of the scheme, or 0.

    Raises
    ------
    Unfit
        If it is something else.
    """
    try:
        content = _content(path, int(np.prod(original.shape)) * 8 + SLACK)
    except zlib.error as error:
        raise _unfit(f"is damaged ({error})") from error
    size = {int.from_bytes(content[:4], order) for order in ("little", "big")}
    kind: Any = nib.Nifti2Image if 540 in size else nib.Nifti1Image
    try:
        image = kind.from_bytes(content)
        shape = tuple(image.shape)
        same = shape[:3] == tuple(original.shape) and all(n == 1 for n in shape[3:])
        if not same or not _same_place(image.affine, original):
            raise _unfit(f"is on another grid ({' × '.join(map(str, shape))} voxels)")
        values = np.asarray(image.dataobj).reshape(original.shape)
    except Unfit:
        raise
    except Exception as error:  # nibabel raises many kinds on a bad file
        raise _unfit(f"cannot be read ({error})") from error
    return _as_labels(values)


def _as_labels(values: NDArray[Any]) -> NDArray[np.uint16]:
    if values.dtype.kind not in "iufb":
        raise _unfit(f"holds {values.dtype}")
    found = np.unique(values)
    known = np.array([BACKGROUND, *(label.index for label in load_labels())])
    strange = found[~np.isin(found, known)]
    if strange.size:
        raise _unfit(f"holds the value {strange[0]}, which is no structure of the scheme")
    return values.astype(np.uint16)


def _same_place(affine: NDArray[np.float64], original: Any) -> bool:
    corners = np.array(np.meshgrid(*((0, n - 1) for n in original.shape))).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = np.abs((affine - original.affine) @ corners)
    return bool(np.isfinite(apart).all() and apart.max() <= TOLERANCE)


def _content(path: Path, most: int) -> bytes:
    """Bytes of a file, unpacked if need be, but no more than it can need.

    Raises
    ------
    Unfit
        If it is damaged, or more.
    """
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        if not packed:
            content = file.read(most + 1)
        else:
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            pieces, size = [], 0
            while size <= most and not unpacker.eof and (piece := file.read(PIECE)):
                part = unpacker.decompress(piece, most + 1 - size)
                pieces.append(part)
                size += len(part)
            content = b"".join(pieces)
    if len(content) > most:
        raise _unfit("unpacks to more than it should hold")
    if packed and not unpacker.eof:
        raise _unfit("is damaged (it ends early)")
    return content


def require(folder: Path, result: str, based_on: int) -> None:
    """Make sure that nobody has saved since.

    Raises
    ------
    Conflict
        If there is another revision by now.
    """
    now = latest(folder, result).revision
    if now != based_on:
        raise Conflict(
            f"another tab has saved revision {now}; this one is based on {based_on}; load the "
            "draft again, or save yours over it",
            revision=now,
        )


def _revisions(folder: Path, result: str) -> Iterator[tuple[int, str]]:
    for name in _listed(folder):
        match = NAME.fullmatch(name)
        if match and match[1] == result:
            yield int(match[2]), name


def _listed(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _name(result: str, revision: int, extension: str) -> str:
    return f"{result}_rev-{revision:09d}.{extension}"


def _forget_before(folder: Path, result: str, revision: int) -> None:
    """Remove earlier revisions, once the new name is sure to be on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for number, name in list(_revisions(folder, result)):
        if number < revision:
            (folder / name).unlink(missing_ok=True)


def _unfit(problem: str) -> Unfit:
    return Unfit(
        f"the corrected label image {problem}; expected the structures of the scheme on the grid "
        "of the labels; load the image again"
    )
