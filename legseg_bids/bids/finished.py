"""The finished images of a derivative: what reports and tables are made from.

An image is finished when its JSON sidecar is there with our own object in it, which is written
last. Anything else in the folder, damaged or of somebody else, is stepped over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from legseg_bids.bids.derivative import read_legseg, sha256
from legseg_bids.bids.manual import (
    MANUAL,
    ManualPaths,
    correction,
    is_edited,
    manual_labels,
    manual_paths,
    notes_on,
    original_labels,
)
from legseg_bids.bids.merged import holds
from legseg_bids.bids.names import SEGMENTATION, Name, OutputPaths, output_paths, parse_name
from legseg_bids.bids.sets import MERGED, MergedPaths, merged_paths
from legseg_bids.errors import LegsegError

TABLE = "_dseg.tsv"
KINDS = (MERGED, MANUAL, MERGED + MANUAL)
"""Values of ``desc-`` that tables of labels have."""
REQUIRED = frozenset({"index", "name", "abbreviation", "volume"})
"""Columns without which a table of labels says nothing."""


class DamagedTable(LegsegError):
    """A table that cannot be read, or was not written by this program."""


@dataclass(frozen=True)
class Disk:
    """How files are read; whoever remembers them from an earlier run passes another one.

    Attributes
    ----------
    legseg : callable
        Our own object of a sidecar, empty if there is none.
    digest : callable
        SHA-256 of a file.
    text : callable
        Text of a file.
    """

    legseg: Callable[[Path], dict[str, Any]] = read_legseg
    digest: Callable[[Path], str] = sha256
    text: Callable[[Path], str] = lambda path: path.read_text(encoding="utf-8")


DISK = Disk()


@dataclass(frozen=True)
class FinishedImage:
    """One label image whose sidecar says that it is finished.

    Attributes
    ----------
    subject : str
        Label without ``sub-``.
    session : str or None
        Label without ``ses-``.
    root, table : Path
        The derivative, and the table of the labels.
    legseg : dict
        Our own object of the sidecar.
    merged : bool
        Whether it was merged from several stations.
    members : tuple of Path
        Label images of the stations that it was merged from; empty for a station.
    replaced : bool
        Whether it is a station for which a merged image stands.
    manual : bool
        Whether it was corrected by hand, or merged from stations that were.
    notes : tuple of str
        What a reader of a corrected image must know.
    """

    subject: str
    session: str | None
    root: Path
    table: Path
    legseg: dict[str, Any] = field(hash=False)
    merged: bool = False
    members: tuple[Path, ...] = ()
    replaced: bool = False
    manual: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def paths(self) -> OutputPaths | MergedPaths | ManualPaths:
        """All files that it may have; only ``labels``, ``table`` and ``sidecar`` are sure."""
        if self.manual:
            return manual_paths(self.root, self.labels)
        added = {"seg", "desc"} if self.merged else {"seg"}
        name = parse_name(self.table.name)
        kept = tuple(pair for pair in name.entities if pair[0] not in added)
        folder = PurePosixPath(self.table.parent.relative_to(self.root).as_posix())
        # A source that would have given this table.
        source = str(folder / str(Name(kept, name.suffix, ".nii.gz")))
        return merged_paths(self.root, source) if self.merged else output_paths(self.root, source)

    @property
    def labels(self) -> Path:
        """The label image."""
        return self.table.with_suffix(".nii.gz")

    @property
    def stem(self) -> str:
        """Name of the label image without its suffix: the anchor in the subject's report."""
        return self.table.name.removesuffix(TABLE)

    @property
    def source(self) -> str | None:
        """The image that was segmented, relative to its dataset, where the sidecar tells it."""
        sums = self.legseg.get("SourceSHA256")
        first = next(iter(sums), None) if isinstance(sums, dict) else None
        return first if isinstance(first, str) else None


@dataclass(frozen=True)
class Found:
    """All that participant runs left in a derivative.

    Attributes
    ----------
    images : tuple of FinishedImage
        By rising path. Merged images only as long as their stations are those of then; of an
        image that was corrected by hand, the correction alone.
    unfinished : tuple of Path
        Tables without a finished sidecar.
    outdated : tuple of Path
        Tables of merged images whose stations have changed since.
    """

    images: tuple[FinishedImage, ...] = ()
    unfinished: tuple[Path, ...] = ()
    outdated: tuple[Path, ...] = ()


def finished_images(
    derivatives_dir: Path, subject: str | None = None
) -> tuple[FinishedImage, ...]:
    """Find the finished images of one participant, or of all.

    Parameters
    ----------
    derivatives_dir : Path
        Output folder of the participant runs; nothing else is read.
    subject : str or None
        Label without ``sub-``; None takes everybody.
    """
    return find_images(derivatives_dir, subject).images


def find_images(derivatives_dir: Path, subject: str | None = None, disk: Disk = DISK) -> Found:
    """Find finished images, and what looks like images and is not finished.

    Parameters
    ----------
    derivatives_dir : Path
        Output folder of the participant runs.
    subject : str or None
        Label without ``sub-``; None takes everybody.
    disk : Disk
        How files are read.
    """
    subjects = _subjects(derivatives_dir) if subject is None else [subject]
    tables = sorted(_tables(derivatives_dir, [f"sub-{label}" for label in subjects]))
    images = {table: _image(derivatives_dir, table, disk) for table in tables}
    finished = [image for image in images.values() if image]
    outdated = _outdated(derivatives_dir, finished, disk)
    current = _preferred([image for image in finished if image.table not in outdated])
    members = {path for image in current for path in image.members}
    return Found(
        tuple(_noted(replace(i, replaced=i.labels in members), disk) for i in current),
        tuple(table for table, image in images.items() if not image),
        tuple(outdated),
    )


def subjects_begun(derivatives_dir: Path) -> list[str]:
    """Labels, without ``sub-``, of participants with a folder of results or of logs; sorted."""
    return sorted({*_subjects(derivatives_dir), *_subjects(derivatives_dir / "logs")})


def rows(image: FinishedImage, disk: Disk = DISK) -> list[dict[str, str]]:
    """Read the table of the labels of an image.

    Parameters
    ----------
    image : FinishedImage
        See :func:`finished_images`.
    disk : Disk
        How files are read.

    Returns
    -------
    list of dict
        One for each label, by column; a table of an older run may lack columns.

    Raises
    ------
    DamagedTable
        If the table cannot be read or was not written by this program.
    """
    return read_table(image.table, REQUIRED, disk)


def read_table(
    path: Path, required: Iterable[str] = (), disk: Disk = DISK
) -> list[dict[str, str]]:
    """Read a tab-separated table of the derivative; empty text gives no rows.

    Parameters
    ----------
    path : Path
        The table.
    required : iterable of str
        Columns that it must have.
    disk : Disk
        How files are read.

    Raises
    ------
    DamagedTable
        If it cannot be read, a row is longer or shorter than the header, or a required column
        is missing.
    """
    try:
        # Not splitlines(): a cell may hold one of the rarer line breaks.
        header, *lines = disk.text(path).removeprefix("\ufeff").split("\n")
    except (OSError, ValueError) as error:
        raise DamagedTable(f"{path.name} cannot be used ({error})") from error
    columns, cells = header.split("\t"), [line.split("\t") for line in lines if line]
    if cells and not (set(required) <= set(columns) and {*map(len, cells)} == {len(columns)}):
        raise DamagedTable(
            f"{path.name} cannot be used (its columns are not those that this program writes)"
        )
    return [dict(zip(columns, line, strict=True)) for line in cells]


def _image(root: Path, table: Path, disk: Disk) -> FinishedImage | None:
    """The image of a table, if its sidecar is sound."""
    legseg = disk.legseg(table.with_suffix(".json"))
    sums = legseg.get("StationSHA256", {})
    if not isinstance(legseg.get("ConfigHash"), str) or not isinstance(sums, dict):
        return None
    merged, manual = "StationSHA256" in legseg, bool(correction(legseg))
    name = parse_name(table.name)
    if (name.get("desc") or "") != MERGED * merged + MANUAL * manual:
        return None
    return FinishedImage(
        subject=table.relative_to(root).parts[0].removeprefix("sub-"),
        session=name.get("ses"),
        root=root,
        table=table,
        legseg=legseg,
        merged=merged,
        members=tuple(root / labels for labels in sums),
        manual=manual,
    )


def _outdated(root: Path, images: Sequence[FinishedImage], disk: Disk) -> list[Path]:
    """Tables of merged images that are not what their stations are now.

    That in which a person drew stands, whatever becomes of the stations below it.
    """
    corrected = {original_labels(image.labels) for image in images if image.manual}
    automatic = {image.labels: image for image in images if image.merged and not image.manual}
    stand, found = set[Path](), []
    for image in (image for image in images if image.merged and image.manual):
        below = automatic.get(original_labels(image.labels))
        if is_edited(image.legseg) or (
            below is not None
            and set(image.members) == _wanted(below, corrected)
            and holds(root, image.legseg, disk.digest)
        ):
            stand.add(original_labels(image.labels))
        else:
            found.append(image.table)
    for labels, image in automatic.items():
        missed = bool(corrected & set(image.members))
        if labels not in stand and (missed or not holds(root, image.legseg, disk.digest)):
            found.append(image.table)
    return sorted(found)


def _wanted(merged: FinishedImage, corrected: Set[Path]) -> set[Path]:
    """What a merged image is to be made from, where some of its stations are corrected."""
    return {manual_labels(own) if own in corrected else own for own in merged.members}


def _preferred(images: Sequence[FinishedImage]) -> list[FinishedImage]:
    """Without those of which there is a correction."""
    corrected = {original_labels(image.labels) for image in images if image.manual}
    return [image for image in images if image.labels not in corrected]


def _noted(image: FinishedImage, disk: Disk) -> FinishedImage:
    if not image.manual:
        return image
    notes = notes_on(image.labels, image.legseg, disk.digest)
    return replace(image, notes=notes)


def _tables(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    """Tables of labels, in ``sub-*/anat`` and ``sub-*/ses-*/anat`` (or whatever they are)."""
    for below in (below for subject in folders for below in _folders(root / subject)):
        within = _folders(below) if below.name.startswith("ses-") else [below]
        yield from (path for place in within for path in _tables_in(place))


def _tables_in(folder: Path) -> Iterator[Path]:
    """Tables whose names are those of a station, of a merged image, or of a correction."""
    stem = f"_seg-{SEGMENTATION}"
    endings = (f"{stem}{TABLE}", *(f"{stem}_desc-{kind}{TABLE}" for kind in KINDS))
    for path in _listed(folder):
        if path.name.endswith(endings):
            yield path


def _subjects(root: Path) -> list[str]:
    """Labels of the participants that have a folder here."""
    named = (path.name for path in _folders(root) if path.name.startswith("sub-"))
    return [name.removeprefix("sub-") for name in named]


def _folders(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if path.is_dir()]


def _listed(folder: Path) -> list[Path]:
    """What a folder holds; nothing if it is not one or cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
