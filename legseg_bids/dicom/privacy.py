"""What must not be written: words that name a person, a place or a day, and how to drop them."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, Any

import nibabel as nib

from legseg_bids.bids.queries import load_queries
from legseg_bids.bids.write import COMPRESSION, replacing
from legseg_bids.dicom.contrasts import read_table
from legseg_bids.errors import ImageError

HIDDEN = "…"
SHORTEST = 3
"""A secret word has so many letters at least; shorter ones occur in every description."""
LONGEST_TEXT = 64
TEXT_FIELDS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")
BODY_PARTS = frozenset({"LEG", "LEGS", "THIGH", "CALF", "KNEE", "ANKLE", "FOOT", "HIP", "PELVIS",
                        "EXTREMITY", "LOWEXTREMITY", "LOWER LIMB", "WHOLEBODY"})  # fmt: skip
GZIP = b"\x1f\x8b"
NIFTI2_SIZE = 540
BLOCK = 1 << 20
_Stream = IO[bytes] | gzip.GzipFile


def words_of(values: Iterable[str]) -> frozenset[str]:
    """Secret words: the values, the parts of names, and usual spellings of dates; small letters.

    Examples
    --------
    >>> sorted(words_of(["Doe^Jane", ""]))
    ['doe', 'doe^jane', 'jane']
    >>> "02.01.1980" in words_of(["19800102"])
    True
    """
    found: set[str] = set()
    for value in values:
        found |= {value.lower(), *re.split(r"[\^=,;\s]+", value.lower())}
        day = re.fullmatch(r"(\d\d)(\d\d)(\d\d)(\d\d)", value)
        if day:
            century, year, month, number = day.groups()
            for mark in "-./_ ":
                for parts in ((month, number), (number, month)):
                    found.add(mark.join([*parts, century + year]))
                    found.add(mark.join([century + year, *parts]))
            found |= {year + month + number, number + month + year}
    return frozenset(word for word in found if len(word) >= SHORTEST)


def hide(text: str, secrets: Iterable[str]) -> str:
    """Replace secret words in a text, whatever their capitals.

    Examples
    --------
    >>> hide("t1_vibe_DOE_legs", {"doe"})
    't1_vibe_…_legs'
    """
    for word in sorted(secrets, key=len, reverse=True):
        if word in text.lower():
            text = re.sub(re.escape(word), HIDDEN, text, flags=re.IGNORECASE)
    return "".join(char if char.isprintable() else " " for char in text)


def body_part(examined: str) -> str:
    """What ``BodyPartExamined`` says, where it is one of the legs; else ``LEG``."""
    return examined.upper() if examined.upper() in BODY_PARTS else "LEG"


@cache
def _kinds() -> Mapping[str, str]:
    return {row["key"]: row["kind"] for row in read_table("sidecar.tsv")}


def public_sidecar(
    metadata: Mapping[str, Any], role: str, part: str, secrets: Iterable[str]
) -> dict[str, Any]:
    """Keep of a sidecar what ``data/sidecar.tsv`` allows, and nothing that holds a secret word.

    Words of ``ImageType`` that contradict the role are left out: a person decided otherwise, and
    the application would not know whom to believe.

    Parameters
    ----------
    metadata : mapping
        Keys of BIDS.
    role, part : str
        What the image was decided to be: a contrast of the table of discovery, and a part.
    secrets : iterable of str
        Words that must not be written.

    Examples
    --------
    >>> public_sidecar({"EchoTime": 0.002, "StationName": "x", "ImageType": ["M", "FAT"]},
    ...                "water", "magnitude", ())
    {'ImageType': ['M'], 'EchoTime': 0.002}
    """
    secret = tuple(secrets)
    kept: dict[str, Any] = {}
    for key, kind in _kinds().items():
        value = metadata.get(key)
        if kind == "words" and isinstance(value, list | tuple):
            value = [w for w in map(str, value) if _agrees(w, role, part) and _plain(w, secret)]
        if _allowed(value, kind, secret):
            kept[key] = value
    return kept


def _agrees(word: str, role: str, part: str) -> bool:
    table = load_queries()
    others = [w.image_types for name, w in table.roles.items() if name != role]
    others += [w.image_types for name, w in table.parts.items() if name != part]
    return not any(word.upper() in words for words in others)


def _plain(text: str, secrets: Iterable[str]) -> bool:
    whole = re.fullmatch(r"[\w .+*()/-]+", text) is not None and len(text) <= LONGEST_TEXT
    return whole and not any(word in text.lower() for word in secrets)


def _allowed(value: Any, kind: str, secrets: tuple[str, ...]) -> bool:
    if kind == "text":
        return isinstance(value, str) and _plain(value, secrets)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, list) and bool(value)


def copy_image(source: Path, target: Path, volume: int | None = None) -> None:
    """Copy a NIfTI image without the free text and the extensions of its header.

    Values, scale, position and orientation stay as they are, bit by bit.

    Parameters
    ----------
    source : Path
        ``.nii`` or ``.nii.gz``.
    target : Path
        ``.nii.gz``; equal images give equal files.
    volume : int, optional
        Of an image with a fourth axis, the one to copy, counted from 0.

    Raises
    ------
    ImageError
        If the source cannot be read, or is cut short.
    OutputError
        If the target cannot be written.
    """
    with ExitStack() as stack:
        image = _open(source, stack)
        header, skip, expected = _clean_header(image, source, volume)
        file = stack.enter_context(replacing(target))
        packed = stack.enter_context(gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0))
        packed.write(header)
        try:
            _copy(image, None, skip)
            copied = _copy(image, packed, expected)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ImageError(f"{source.name} is damaged ({error}); copy it again") from error
        if copied < expected:
            raise ImageError(
                f"{source.name} is cut short: {copied} bytes of values; expected {expected}; "
                "copy it again"
            )


def _copy(image: _Stream, target: gzip.GzipFile | None, count: int) -> int:
    """Copy so many bytes, or read over them; give how many there were."""
    copied = 0
    while block := image.read(min(BLOCK, count - copied)):
        if target is not None:
            target.write(block)
        copied += len(block)
    return copied


def _open(path: Path, stack: ExitStack) -> _Stream:
    try:
        file = stack.enter_context(path.open("rb"))
        packed = file.read(2) == GZIP
        file.seek(0)
        return stack.enter_context(gzip.GzipFile(fileobj=file)) if packed else file
    except OSError as error:
        raise ImageError(
            f"{path.name} cannot be read ({error.strerror}); copy it again"
        ) from error


def _clean_header(image: _Stream, path: Path, volume: int | None) -> tuple[bytes, int, int]:
    """The header without free text; bytes to skip after it, and bytes of values that follow."""
    try:
        size = image.read(4)
        second = NIFTI2_SIZE in (int.from_bytes(size, "little"), int.from_bytes(size, "big"))
        kind: Any = nib.Nifti2Header if second else nib.Nifti1Header
        header = kind(size + image.read(kind.sizeof_hdr - 4), check=False)
        offset = int(header["vox_offset"])
        expected = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    except Exception as error:
        raise ImageError(f"{path.name} is no NIfTI image ({error}); expected .nii.gz") from error
    if offset < kind.sizeof_hdr:
        raise ImageError(f"{path.name} is no NIfTI image in one file; expected .nii or .nii.gz")
    for field in TEXT_FIELDS:
        if field in header.structarr.dtype.names:
            header[field] = b""
    skip = offset - kind.sizeof_hdr
    if volume is not None:
        expected //= header.get_data_shape()[3]
        skip += volume * expected
        header["dim"][0], header["dim"][4] = 3, 1
    header["vox_offset"] = kind.sizeof_hdr + 4
    return header.structarr.tobytes() + b"\0\0\0\0", skip, expected
