"""Files that a browser sends: to the disk piece by piece, whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anyio import to_thread

from legseg_bids.bids.write import cannot_write
from legseg_bids.desk.limits import Limits
from legseg_bids.desk.refusals import Conflict, NoSpace, Refused, TooLarge, TooMany

ARCHIVE = ".zip"


@dataclass(frozen=True)
class Room:
    """How much may still come.

    Attributes
    ----------
    bytes, files : int
        Of this project.
    """

    bytes: int
    files: int


async def receive(
    stream: AsyncIterator[bytes], folder: Path, largest: int, limits: Limits, told: int | None
) -> Path:
    """Write the body of a request to a new file in a folder of passing files.

    If anything goes wrong, also if the sender is gone, nothing is left of it.

    Parameters
    ----------
    stream : async iterator of bytes
        The body.
    folder : Path
        Where the file is made.
    largest : int
        Bytes that it may have.
    limits : Limits
        How much is written at a time, and left free.
    told : int or None
        Bytes that the sender has announced.

    Raises
    ------
    TooLarge
        If it is larger.
    NoSpace
        If the disk would be full.
    OutputError
        If it cannot be written.
    """
    if told is not None and told > largest:
        raise _too_large(largest)
    leave_free(folder, told or 0, limits)
    path = folder / f"{uuid.uuid4().hex}.part"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            written, pieces, waiting = 0, [], 0
            async for piece in stream:
                written, waiting = written + len(piece), waiting + len(piece)
                if written > largest:
                    raise _too_large(largest)
                pieces.append(piece)
                if waiting >= limits.upload_chunk:
                    await to_thread.run_sync(_write, file.fileno(), pieces, folder, limits)
                    pieces, waiting = [], 0
            await to_thread.run_sync(_write, file.fileno(), pieces, folder, limits)
            await to_thread.run_sync(os.fsync, file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise cannot_write(folder, error) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def leave_free(folder: Path, coming: int, limits: Limits) -> None:
    """Make sure that a disk has room for what is coming, and some more.

    Raises
    ------
    NoSpace
        If it has not.
    """
    free = shutil.disk_usage(folder).free
    if free - coming < limits.disk_reserve:
        raise NoSpace(
            f"the disk of the workspace has {free / 1e9:.1f} GB left; expected "
            f"{(coming + limits.disk_reserve) / 1e9:.1f} GB for this file and some to spare; free "
            "space, or choose another --workspace"
        )


def settle(part: Path, incoming: Path, name: PurePosixPath) -> None:
    """Move a received file to its place among the uploads; an earlier one of that name goes.

    Parameters
    ----------
    part : Path
        From :func:`receive`.
    incoming : Path
        Folder of the uploads, on the same disk.
    name : PurePosixPath
        A safe path (`legseg_bids.desk.names.safe_path`).

    Raises
    ------
    Conflict
        If there is a folder of that name, or a file where a folder should be.
    OutputError
        If it cannot be written.
    """
    target = place_for(incoming, name)
    try:
        part.replace(target)
    except (IsADirectoryError, NotADirectoryError) as error:
        raise _in_the_way(name) from error
    except OSError as error:
        raise cannot_write(target, error) from error


def place_for(incoming: Path, name: PurePosixPath) -> Path:
    """Where an upload goes; its folders are made.

    Raises
    ------
    Conflict
        If there is a file where a folder should be, or a link.
    OutputError
        If a folder cannot be made.
    """
    folder = incoming
    for part in name.parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            raise _in_the_way(name)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise _in_the_way(name) from error
        except OSError as error:
            raise cannot_write(folder, error) from error
    return folder / name.name


def measured(folder: Path) -> tuple[int, int]:
    """Number of files below a folder, and their bytes; links are not followed."""
    files = total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            files += 1
            total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118 - many files
    return files, total


class Turnstile:
    """Lets a few in at the same time, and turns others away.

    Examples
    --------
    >>> turnstile = Turnstile(1, "too many")
    >>> with turnstile:
    ...     turnstile.inside
    1
    """

    def __init__(
        self, most: int, message: str, refusal: Callable[[str], Refused] = TooMany
    ) -> None:
        self.most, self.inside = most, 0
        self._message, self._refusal = message, refusal

    def check(self) -> None:
        """Make sure that there is room for one more.

        Raises
        ------
        Refused
            If there is not.
        """
        if self.inside >= self.most:
            raise self._refusal(self._message)

    def __enter__(self) -> Turnstile:
        self.check()
        self.inside += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.inside -= 1


def _write(descriptor: int, pieces: list[bytes], folder: Path, limits: Limits) -> None:
    """Write all pieces, unless the disk gets full (others may be writing, too)."""
    leave_free(folder, sum(map(len, pieces)), limits)
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _too_large(largest: int) -> TooLarge:
    return TooLarge(
        f"the file has more than {largest / 1e9:.1f} GB, or more than the project may still take; "
        "expected less; choose the folder on this machine instead of uploading it"
    )


def _in_the_way(name: PurePosixPath) -> Conflict:
    return Conflict(
        f"{name} cannot be stored, because an earlier upload is in its way; expected a file and a "
        "folder to have different names; rename one"
    )
