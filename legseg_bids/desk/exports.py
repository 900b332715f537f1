"""Results to take away: a ZIP archive that is sent while it is made, and never held as a whole."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from legseg_bids.bids.write import LEFTOVER
from legseg_bids.desk.refusals import NotThere, Refused

ENDINGS: dict[str, tuple[str, ...]] = {
    "tables": (".tsv", "_dseg.json", "/dataset_description.json", "/participants.json"),
    "pictures": (".png", ".svg", ".html"),
    "labels": ("_dseg.nii.gz", "_dseg.json", "_dseg.tsv", "/dataset_description.json"),
    "everything": ("",),
}
"""What belongs to each choice, by the ends of the names."""
LOGS = "logs"
PACKED = (".gz", ".png", ".zip")
"""Cannot be packed any further."""
PIECE = 1 << 20


def chosen_files(output: Path, what: str) -> list[Path]:
    """Files of a derivative that belong to a choice; no link, nothing that is being written.

    Parameters
    ----------
    output : Path
        Root of the derivative.
    what : str
        One of ``ENDINGS``.

    Raises
    ------
    Refused
        If there is no such choice.
    NotThere
        If there is no such file.
    """
    if what not in ENDINGS:
        raise Refused(f"'{what[:40]}' cannot be exported; expected one of {', '.join(ENDINGS)}")
    found = [
        path
        for path in _files(output, () if what == "everything" else (LOGS,))
        if f"/{path.relative_to(output).as_posix()}".endswith(ENDINGS[what])
    ]
    if not found:
        raise NotThere(
            f"the project has no results of the kind '{what}' yet; expected a finished run; run it"
        )
    return found


def archive(output: Path, files: list[Path], root: str) -> Iterator[bytes]:
    """The archive, piece by piece.

    Parameters
    ----------
    output : Path
        Root of the derivative, to which names are relative.
    files : list of Path
        What goes in; one that has gone by then is left out.
    root : str
        Folder in the archive.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", allowZip64=True) as made:  # type: ignore[call-overload]
        for path in files:
            name = f"{root}/{path.relative_to(output).as_posix()}"
            try:
                entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
                source = path.open("rb")
            except OSError:
                continue
            stored = path.name.endswith(PACKED)
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            # From outside the owner is nobody: plain files that everybody may read.
            entry.external_attr = 0o100644 << 16
            with source, made.open(entry, "w", force_zip64=True) as target:
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield from pipe.taken()
            yield from pipe.taken()
    yield from pipe.taken()


class _Pipe:
    """What is written can be taken away; there is no way back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None: ...

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        if pieces:
            yield b"".join(pieces)


def _files(output: Path, without: Collection[str]) -> Iterator[Path]:
    """Plain files of a derivative, but not those of hidden folders and of some others."""
    for folder, inside, names in os.walk(output):
        inside[:] = sorted(n for n in inside if not n.startswith(".") and n not in without)
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink() and not LEFTOVER.fullmatch(path.name):
                yield path
