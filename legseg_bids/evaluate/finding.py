"""The label images of a folder: derivatives, and what other tools wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePosixPath

from legseg_bids.bids.label_images import ADDED, nearest_table, told_sources
from legseg_bids.bids.manual import MANUAL, MERGED, original_labels
from legseg_bids.bids.metadata import by_folder
from legseg_bids.bids.names import parse_name
from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.errors import NoInput
from legseg_bids.evaluate.label_tables import find_table
from legseg_bids.evaluate.structures import covered_by

#: Last words of the names of label images, the most telling first.
LABEL_SUFFIXES = ("dseg", "seg", "labels", "label")
#: Last words of the names of images that are no label images.
OTHER_SUFFIXES = frozenset({"probseg", "mask", "probabilities", "T1w", "T2w", "MEGRE"})
#: Endings that tools add to the name of the image that they were fed.
TOOL_ENDINGS = ("_dseg", "_seg", "_0000", "_labels", "_label", "_pred")


@dataclass(frozen=True)
class LabelImage:
    """One label image of a folder.

    Attributes
    ----------
    path : Path
        The file; or a folder of masks, one for each structure.
    root : Path
        The folder that was given.
    sources : frozenset of str
        What its sidecar says it was made from, relative to the raw dataset.
    table : Path or None
        What says what its numbers mean, if that lies beside it.
    """

    path: Path
    root: Path
    sources: frozenset[str] = frozenset()
    table: Path | None = None

    @property
    def name(self) -> str:
        """Path relative to the root, with forward slashes."""
        return self.path.relative_to(self.root).as_posix()

    @cached_property
    def entities(self) -> Mapping[str, str]:
        """Entities of the name and of the folders, but those that only label images have."""
        return {key: value for key, value in self._said.items() if key not in ADDED}

    @property
    def desc(self) -> str:
        """Value of ``desc-``, or nothing."""
        return self._said.get("desc", "")

    @property
    def participant_id(self) -> str:
        """``sub-01``; where nothing says so, the name without its ending."""
        told = self.entities.get("sub")
        return f"sub-{told}" if told else self.stem

    @property
    def session_id(self) -> str:
        """``ses-1``, or ``n/a``."""
        told = self.entities.get("ses")
        return f"ses-{told}" if told else NOT_AVAILABLE

    @property
    def stem(self) -> str:
        """Name without what tools add to the name of the image they were fed."""
        stem = self.path.name.partition(".nii")[0]
        for ending in TOOL_ENDINGS:
            stem = stem.removesuffix(ending)
        return stem

    @cached_property
    def _said(self) -> Mapping[str, str]:
        said: dict[str, str] = {}
        parts = PurePosixPath(self.name).parts
        for part in parts[:-1]:
            if part.startswith(("sub-", "ses-")):
                said |= _entities_of(f"{part}_folder")
        return said | _entities_of(f"{self.stem}_{LABEL_SUFFIXES[0]}")


def find_label_images(root: Path, pattern: str | None = None) -> tuple[LabelImage, ...]:
    """All label images below a folder, by name.

    Parameters
    ----------
    root : Path
        A derivative, what another tool wrote, or one label image.
    pattern : str, optional
        Of file names that count. Without one, names that end in ``_dseg`` count, or ``_seg``,
        ``_labels``, ``_label``; if there are none such, every image but masks and probabilities.
        A folder that holds one mask for each structure, as TotalSegmentator writes it, is one
        label image.

    Raises
    ------
    NoInput
        If the folder is none, or holds no label image.
    """
    if root.is_file():
        return (_label_image(root, root.parent, by_folder(root.parent.glob("*dseg.tsv"))),)
    if not root.is_dir():
        raise NoInput(f"{root} is not a folder; expected one with label images; check the path")
    chosen = list(_chosen(_images(root), pattern))
    if chosen == [root]:
        return (_label_image(root, root.parent, {}),)
    if not chosen:
        wanted = f"named {pattern}" if pattern else "(*_dseg.nii.gz, or *.nii.gz)"
        raise NoInput(
            f"{root} holds no label image {wanted}; expected some; check the folder and --files"
        )
    tables = by_folder(root.rglob("*dseg.tsv"))
    found = (_label_image(path, root, tables) for path in chosen)
    return tuple(sorted(found, key=lambda image: image.name))


def _label_image(path: Path, root: Path, tables: Mapping[Path, Sequence[Path]]) -> LabelImage:
    table = nearest_table(path, tables) or find_table(path)
    return LabelImage(path, root, told_sources(path), table)


def _images(root: Path) -> list[Path]:
    """NIfTI files that are not hidden; of ``x.nii`` and ``x.nii.gz``, the latter."""
    found = {
        path
        for path in root.rglob("*.nii*")
        if path.name.endswith((".nii", ".nii.gz"))
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    return sorted(path for path in found if path.with_name(f"{path.name}.gz") not in found)


def _chosen(images: Sequence[Path], pattern: str | None) -> Iterator[Path]:
    if pattern:
        yield from (path for path in images if fnmatch(path.name, pattern))
        return
    for suffix in LABEL_SUFFIXES:
        named = [path for path in images if parse_name(path.name).suffix == suffix]
        if named:
            yield from named
            return
    plain = [path for path in images if parse_name(path.name).suffix not in OTHER_SUFFIXES]
    by_parent: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in plain:
        by_parent[path.parent].append(path)
    for folder, paths in by_parent.items():
        yield from [folder] if is_folder_of_masks(paths) else paths


def is_folder_of_masks(paths: Sequence[Path]) -> bool:
    """Whether files of one folder are named after structures rather than after images."""
    stems = [path.name.partition(".nii")[0] for path in paths]
    if len(stems) < 2 or any("-" in stem or stem.isdigit() for stem in stems):
        return False
    return any(covered_by(stem) is not None for stem in stems)


def as_references(images: Sequence[LabelImage]) -> tuple[LabelImage, ...]:
    """Leave out what was corrected by hand since: the correction stands for it.

    Parameters
    ----------
    images : sequence of LabelImage
        Of one folder.
    """
    corrected = {_what(image) for image in images if _is_manual(image)}
    return tuple(i for i in images if _is_manual(i) or _what(i) not in corrected)


def as_predictions(images: Sequence[LabelImage]) -> tuple[LabelImage, ...]:
    """Leave out what was corrected by hand: no model made it.

    Parameters
    ----------
    images : sequence of LabelImage
        Of one folder. If all were corrected, all stay.
    """
    return tuple(i for i in images if not _is_manual(i)) or tuple(images)


def _is_manual(image: LabelImage) -> bool:
    return image.desc.lower().endswith(MANUAL)


def original_of(image: LabelImage) -> LabelImage | None:
    """What somebody corrected, where it still has a table; None if nobody did."""
    original = original_labels(image.path)
    table = original.with_name(f"{original.name.partition('.nii')[0]}.tsv")
    if original == image.path or not table.is_file():
        return None
    return LabelImage(original, image.root, table=table)


def is_merged(image: LabelImage) -> bool:
    """Whether it stands for all stations of a leg."""
    return image.desc.lower().startswith(MERGED)


def _what(image: LabelImage) -> tuple[object, ...]:
    """What an image shows: its folder, its entities, whether it is merged."""
    return image.path.parent, frozenset(image.entities.items()), is_merged(image)


def _entities_of(name: str) -> dict[str, str]:
    return {key: value for key, value in parse_name(name).entities if value}
