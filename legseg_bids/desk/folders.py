"""Folders of this machine: which there are, and what they seem to hold. No content is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import printable
from legseg_bids.desk.limits import Limits
from legseg_bids.desk.refusals import NotThere, Refused

DESCRIPTION = "dataset_description.json"
NIFTI = (".nii", ".nii.gz")
DICOM = (".dcm", ".ima", ".dicom")
MAGIC_AT, MAGIC = 128, b"DICM"
"""DICOM PS3.10, 7.1: 128 bytes of preamble, then these four."""
SYSTEM = tuple(Path(name) for name in ("/proc", "/sys", "/dev", "/run"))
DEEPEST = 3
"""Folders within each other in which a dataset is looked for."""


@dataclass(frozen=True)
class Entry:
    """A folder in a list; `kind` is ``folder``, ``bids``, ``dicom`` or ``nifti``."""

    name: str
    path: str
    kind: str
    files: int


def listing(path: str | None, limits: Limits) -> dict[str, Any]:
    """The folders in a folder, by default in the home folder.

    Raises
    ------
    Refused
        If it is no absolute path, or of the system.
    NotThere
        If it is no folder that may be read.
    """
    folder = Path.home() if not path else checked(path)
    try:
        inside = sorted(_folders(folder), key=lambda one: one.name.casefold())
    except OSError as error:
        raise _no_folder(folder, error.strerror or str(error)) from error
    entries = [asdict(_entry(one, limits)) for one in inside[: limits.browse_entries]]
    parent = None if folder.parent == folder else str(folder.parent)
    return {"path": str(folder), "parent": parent, "entries": entries}


def checked(text: str) -> Path:
    """A folder that somebody has named.

    Raises
    ------
    Refused
        If it is no absolute path, or of the system.
    NotThere
        If it is no folder that may be read.
    """
    if "\0" in text or "\ufffd" in text or not text.startswith("/"):
        raise Refused(
            f"'{printable(text[:200])}' is no absolute path; expected one as /home/me/scans; "
            "choose a folder from the list"
        )
    folder = Path(os.path.abspath(text))  # noqa: PTH100 - links stay as they are
    real = folder.resolve()
    if any(real == system or real.is_relative_to(system) for system in SYSTEM):
        raise Refused(f"{folder} belongs to the system; expected a folder with images")
    try:
        with os.scandir(folder):
            return folder
    except OSError as error:
        raise _no_folder(folder, error.strerror or str(error)) from error


def kind_of(folder: Path, limits: Limits) -> tuple[str, int]:
    """What a folder itself holds, by names and four bytes, and how many files.

    Returns
    -------
    kind : str
        ``bids``, ``dicom``, ``nifti``, or ``folder`` if it seems to be neither.
    files : int
        Files that were looked at.
    """
    try:
        with os.scandir(folder) as found:
            files = [one for one in islice(found, limits.browse_looked_at) if _is_file(one)]
    except OSError:
        return "folder", 0
    names = [one.name for one in files]
    if DESCRIPTION in names:
        return "bids", len(files)
    if any(name.lower().endswith(NIFTI) for name in names):
        return "nifti", len(files)
    return ("dicom" if any(map(_is_dicom, files[:20])) else "folder"), len(files)


def source_of(folder: Path, limits: Limits) -> tuple[str, Path]:
    """What a folder and all below it hold, and where that begins.

    A BIDS dataset may lie a few folders deeper, as archives of one often have it. Else there may
    be DICOM files, or NIfTI files, anywhere; of both, DICOM files say more about themselves.

    Returns
    -------
    kind : str
        ``bids``, ``dicom`` or ``nifti``; empty if nothing was found.
    root : Path
        The dataset, or the folder itself.
    """
    dataset = _dataset_in(folder)
    if dataset:
        return "bids", dataset
    kinds = {_kind(one) for one in islice(_walk(folder), limits.browse_walked)}
    return next((kind for kind in ("dicom", "nifti") if kind in kinds), ""), folder


def _dataset_in(folder: Path, depth: int = DEEPEST) -> Path | None:
    """The dataset that a folder is, or that is the only thing in it."""
    if (folder / DESCRIPTION).is_file() and any(folder.glob("sub-*")):
        return folder
    inside = [one for one in _visible(folder) if one.is_dir()]
    return _dataset_in(inside[0], depth - 1) if depth and len(inside) == 1 else None


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Files below a folder; links to folders are not followed."""
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                entries = sorted(found, key=lambda one: one.name)
        except OSError:
            continue
        waiting += [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
        yield from filter(_is_file, entries)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.name.lower().endswith(NIFTI):
        return "nifti"
    return "dicom" if _is_dicom(entry) else ""


def _is_dicom(entry: os.DirEntry[str]) -> bool:
    """By its name, or where that has no extension, or a number, by its first bytes."""
    name = entry.name.lower()
    if name.endswith(DICOM):
        return True
    extension = name.rpartition(".")[2] if "." in name else ""
    if extension and not extension.isdigit():
        return False
    try:
        # Never waits: what is no plain file (any more) is not opened for long.
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return plain and file.read(MAGIC_AT + len(MAGIC)).endswith(MAGIC)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # as a link that leads to itself
        return False


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as found:
        visible = [one for one in found if not one.name.startswith(".")]
    return [Path(one.path) for one in visible if _is_folder(one) and one.name.isprintable()]


def _entry(folder: Path, limits: Limits) -> Entry:
    kind, files = kind_of(folder, limits)
    return Entry(folder.name, str(folder), kind, files)


def _no_folder(folder: Path, reason: str) -> NotThere:
    return NotThere(
        f"{printable(str(folder))} cannot be opened ({reason}); expected a folder that you may "
        "read; choose another one"
    )
