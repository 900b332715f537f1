"""ZIP archives, unpacked as far as they are what they seem.

Nothing that an archive says about itself is trusted: names are checked like those of uploads,
bytes are counted as they come, and everything goes to a folder of its own that takes its place
when all of it is there.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import uuid
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from legseg_bids.bids.write import cannot_write
from legseg_bids.desk.limits import Limits
from legseg_bids.desk.names import safe_path
from legseg_bids.desk.refusals import Refused, TooLarge, Unfit
from legseg_bids.desk.uploads import Room, leave_free

#: APPNOTE.TXT of PKWARE, 4.3.16, 4.3.15 and 4.3.14: the ends of the table of an archive.
END, END_SIZE, LONGEST_COMMENT = b"PK\x05\x06", 22, 65535
LOCATOR, LOCATOR_SIZE = b"PK\x06\x07", 20
END64, END64_SIZE = b"PK\x06\x06", 56
LOCAL_HEADER = 30
"""Bytes of the header before each entry, without name and extra field."""
ENCRYPTED = 0x1
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
PIECE = 1 << 20
DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError,
    RuntimeError, OverflowError,
)  # fmt: skip
"""What reading a damaged archive may raise."""
NESTED = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")
LEFTOVERS = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


def unpack(
    archive: Path, target: Path, room: Room, limits: Limits, passing: Path
) -> tuple[int, int, list[str]]:
    """Unpack an archive into a new folder.

    Parameters
    ----------
    archive : Path
        A received file.
    target : Path
        The folder that is made; one of an earlier archive of the same name goes.
    room : Room
        How much the project may still take.
    limits : Limits
        See ``data/limits.toml``.
    passing : Path
        A folder on the same disk for what is not complete.

    Returns
    -------
    files, bytes : int
        What was unpacked.
    left_out : list of str
        Archives inside it, which are not unpacked.

    Raises
    ------
    Unfit
        If it is damaged, encrypted, or no archive; if entries share a name or bytes, or one is a
        link or a device.
    Refused
        If a name is not safe.
    TooLarge
        If it holds too much, or unpacks to far more than it is.
    NoSpace, OutputError
        If the disk is full.
    """
    staging = passing / f"{uuid.uuid4().hex}.unpacked"
    try:
        staging.mkdir(mode=0o700)
        with archive.open("rb") as file:
            _check_directory(file, limits)
            files, total, left_out = _unpack(file, archive.stat().st_size, staging, room, limits)
        _put_in_place(staging, target, passing)
    except DAMAGED as error:
        raise _unfit(f"is damaged ({error})") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # it led to a place before the file begins
            raise _unfit("is damaged (it leads outside of itself)") from error
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return files, total, left_out


def _unpack(
    file: IO[bytes], packed: int, staging: Path, room: Room, limits: Limits
) -> tuple[int, int, list[str]]:
    with zipfile.ZipFile(file) as opened:
        entries = [one for one in opened.infolist() if not _is_leftover(one.filename)]
        _check_entries(entries, packed, limits)
        wanted = [one for one in entries if not one.is_dir()]
        left_out = [one.filename for one in wanted if one.filename.lower().endswith(NESTED)]
        chosen = {
            safe_path(one.filename, limits): one for one in wanted if one.filename not in left_out
        }
        if not wanted:
            raise _unfit("holds no file")
        _check_amounts(list(chosen.values()), packed, room, limits, staging)
        total = 0
        for name, entry in chosen.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            total += _copy(opened, entry, path)
    return len(chosen), total, left_out


def _check_directory(file: IO[bytes], limits: Limits) -> None:
    """Make sure that the table of the entries is not larger than we would like to read.

    Raises
    ------
    Unfit
        If there is no such table.
    TooLarge
        If it is too large.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - END_SIZE - LONGEST_COMMENT)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_SIZE:
        raise _unfit("is no ZIP archive, or its end is missing")
    count, directory = struct.unpack_from("<HI", tail, at + 10)
    if count == 0xFFFF or directory == 0xFFFFFFFF:
        count, directory = _of_large(file, start + at - LOCATOR_SIZE, (count, directory))
    if count > limits.archive_entries or directory > limits.archive_directory:
        raise TooLarge(
            f"the archive has {count} entries; expected at most {limits.archive_entries}; choose "
            "the unpacked folder instead"
        )


def _of_large(file: IO[bytes], at: int, told: tuple[int, int]) -> tuple[int, int]:
    """Number of entries and bytes of the table of an archive in the format for large ones."""
    if at < 0:
        return told
    file.seek(at)
    locator = file.read(LOCATOR_SIZE)
    if not locator.startswith(LOCATOR):
        return told
    (offset,) = struct.unpack_from("<Q", locator, 8)
    file.seek(offset)
    end = file.read(END64_SIZE)
    if len(end) < END64_SIZE or not end.startswith(END64):
        raise _unfit("is damaged (its table cannot be found)")
    count, directory = struct.unpack_from("<QQ", end, 32)
    return count, directory


def _check_entries(entries: Sequence[zipfile.ZipInfo], packed: int, limits: Limits) -> None:
    """Make sure that each entry is a plain file or folder, in a place and with a name of its own.

    Raises
    ------
    Unfit, Refused, TooLarge
    """
    if len(entries) > limits.archive_entries:
        raise TooLarge(f"the archive has {len(entries)} entries; expected fewer; split it")
    seen: set[str] = set()
    for entry in entries:
        name = safe_path(entry.filename.rstrip("/"), limits).as_posix()
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _unfit(f"holds {name}, which is a link or a device")
        if entry.flag_bits & ENCRYPTED:
            raise _unfit(f"holds {name}, which is encrypted")
        if entry.compress_type not in METHODS:
            raise _unfit(f"holds {name}, which is packed in an unusual way")
        if name in seen:
            raise _unfit(f"holds {name} twice")
        seen.add(name)
    files = {one.filename for one in entries if not one.is_dir()}
    for name in seen:
        inside = next((p for p in PurePosixPath(name).parents if p.as_posix() in files), None)
        if inside:
            raise _unfit(f"holds {inside} as a file and as a folder")
    _check_places(entries, packed)


def _check_places(entries: Sequence[zipfile.ZipInfo], packed: int) -> None:
    """Make sure that no two entries share bytes, as those of a bomb do.

    Raises
    ------
    Unfit
    """
    ordered = sorted(entries, key=lambda one: one.header_offset)
    ends = [*(one.header_offset for one in ordered), packed][1:]
    for entry, end in zip(ordered, ends, strict=True):
        name = len(entry.orig_filename.encode("utf-8", errors="surrogateescape"))
        # In another spelling the name may be shorter; never longer than two bytes for three.
        if entry.header_offset + LOCAL_HEADER + name // 2 + entry.compress_size > end:
            raise _unfit("holds entries that share bytes")


def _check_amounts(
    entries: Sequence[zipfile.ZipInfo], packed: int, room: Room, limits: Limits, where: Path
) -> None:
    """Look at what the archive says of itself; what really comes is counted later.

    Raises
    ------
    TooLarge, NoSpace
    """
    total = sum(entry.file_size for entry in entries)
    if len(entries) > room.files or total > room.bytes:
        raise TooLarge(
            f"the archive unpacks to {len(entries)} files of {total / 1e9:.1f} GB; expected less "
            "than the project may still take; choose the folder on this machine instead"
        )
    if any(entry.file_size > limits.upload_file for entry in entries):
        raise TooLarge("the archive holds a file that is too large; choose the folder instead")
    if total > limits.archive_innocent and total > limits.archive_ratio * packed:
        raise TooLarge(
            f"the archive unpacks to {total // max(packed, 1)} times its size; expected at most "
            f"{limits.archive_ratio} times; choose the unpacked folder instead"
        )
    leave_free(where, total, limits)


def _copy(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> int:
    """Unpack one entry; its bytes, which may not be more than it says."""
    written = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as out, opened.open(entry) as source:
        while piece := source.read(PIECE):
            written += len(piece)
            if written > entry.file_size:
                raise _unfit(f"holds {entry.filename}, which is larger than it says")
            out.write(piece)
    return written


def _put_in_place(staging: Path, target: Path, passing: Path) -> None:
    """Give the folder its name; an earlier one of that name goes, a file does not."""
    if target.is_symlink() or target.is_file():
        raise _unfit(f"has the name of an earlier upload, {target.name}")
    old = passing / f"{uuid.uuid4().hex}.old"
    if target.exists():
        target.rename(old)
    staging.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _is_leftover(name: str) -> bool:
    """Whether an entry is what a file manager leaves everywhere."""
    parts = PurePosixPath(name).parts
    return name.startswith(LEFTOVERS[0]) or bool(parts and parts[-1] in LEFTOVERS)


def _unfit(problem: str) -> Refused:
    return Unfit(
        f"the archive {problem}; expected a plain ZIP archive of images; pack it again, or choose "
        "the unpacked folder"
    )
