"""Corrections by hand: their names, and what their sidecar says of them.

The correction of a label image stands beside it under a name of its own, so that neither a run
nor a correction ever touches the files of the other: ``desc-manual`` for a station's,
``desc-mergedmanual`` for that of a merged image. A merged image is also made anew, under that
same name, when a station that it was merged from is corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from legseg_bids.bids.derivative import read_legseg, sha256
from legseg_bids.bids.names import (
    MeasurePaths,
    Name,
    insert_entities,
    measure_paths,
    parse_name,
)
from legseg_bids.bids.sets import MERGED as MERGED

MANUAL = "manual"
BLOCK = "Correction"
"""Key of what our own object in the sidecar says of a correction."""


class Kind(StrEnum):
    """How a manual label image came about."""

    EDITED = "edited"
    REMERGED = "merged from corrected stations"


@dataclass(frozen=True, kw_only=True)
class ManualPaths(MeasurePaths):
    """Every file of a corrected image; the map of the fat fraction is that of the original.

    Attributes
    ----------
    labels, table, sidecar, figure : Path
        Label image, its table, its JSON and its picture.
    """

    labels: Path
    table: Path
    sidecar: Path
    figure: Path

    @property
    def own(self) -> tuple[Path, ...]:
        """The files that a correction writes and its undoing removes, the sidecar first."""
        shared = ("fat_fraction", "fat_fraction_sidecar", "sidecar")
        return (self.sidecar, *(path for key, path in vars(self).items() if key not in shared))


def manual_labels(labels: Path) -> Path:
    """Where the correction of a label image stands; of a correction, itself.

    Examples
    --------
    >>> manual_labels(Path("sub-1_T1w_seg-muscles_desc-merged_dseg.nii.gz")).name
    'sub-1_T1w_seg-muscles_desc-mergedmanual_dseg.nii.gz'
    """
    name = parse_name(labels.name)
    desc = name.get("desc") or ""
    wanted = desc if desc.endswith(MANUAL) else desc + MANUAL
    return labels.with_name(str(insert_entities(name, {"desc": wanted})))


def original_labels(labels: Path) -> Path:
    """The automatic label image that a correction belongs to; of an automatic one, itself.

    Examples
    --------
    >>> original_labels(Path("sub-1_seg-muscles_desc-manual_dseg.nii.gz")).name
    'sub-1_seg-muscles_dseg.nii.gz'
    """
    name = parse_name(labels.name)
    desc = name.get("desc") or ""
    if desc not in (MANUAL, MERGED + MANUAL):
        return labels
    kept = desc.removesuffix(MANUAL)
    if kept:
        return labels.with_name(str(insert_entities(name, {"desc": kept})))
    entities = tuple(pair for pair in name.entities if pair[0] != "desc")
    return labels.with_name(str(replace(name, entities=entities)))


def manual_paths(root: Path, labels: Path) -> ManualPaths:
    """Name every file of the correction of a label image.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    labels : Path
        The automatic label image or its correction, inside the derivative.

    Examples
    --------
    >>> labels = Path("o/sub-1/anat/sub-1_T1w_seg-muscles_dseg.nii.gz")
    >>> manual_paths(Path("o"), labels).limbs.name
    'sub-1_T1w_seg-muscles_desc-manuallimbs_dseg.tsv'
    """
    manual, original = manual_labels(labels), original_labels(labels)
    name, before = parse_name(manual.name), parse_name(original.name).get("desc") or ""
    kept = tuple(pair for pair in name.entities if pair[0] not in ("seg", "desc"))
    folder = PurePosixPath(labels.parent.relative_to(root).as_posix())
    source = str(folder / str(Name(kept, name.suffix, name.extension)))
    stem = manual.name.partition(".")[0]
    fat = {key: path for key, path in measure_paths(root, source, before).items() if "fat" in key}
    return ManualPaths(
        labels=manual,
        table=manual.with_name(f"{stem}.tsv"),
        sidecar=manual.with_name(f"{stem}.json"),
        figure=root / folder.parts[0] / "figures" / f"{stem}.png",
        **{**measure_paths(root, source, before + MANUAL), **fat},
    )


def correction(legseg: Mapping[str, Any]) -> Mapping[str, Any]:
    """What our own object in a sidecar says of a correction; empty if it is none."""
    found = legseg.get(BLOCK)
    return found if isinstance(found, Mapping) else {}


def corrections(root: Path, subject: str) -> Iterator[Path]:
    """Sidecars of all corrections of a participant."""
    yield from (root / f"sub-{subject}").rglob(f"*_desc-*{MANUAL}_dseg.json")


def has_corrections(root: Path, subject: str) -> bool:
    """Whether there is any correction of a participant."""
    return next(corrections(root, subject), None) is not None


def is_edited(legseg: Mapping[str, Any]) -> bool:
    """Whether a person drew in this very image."""
    return correction(legseg).get("Kind") == Kind.EDITED


def structures(legseg: Mapping[str, Any]) -> tuple[str, ...]:
    """Abbreviations of the structures that were corrected."""
    found = correction(legseg).get("Structures")
    return tuple(map(str, found)) if isinstance(found, Mapping) else ()


def notes_on(
    labels: Path, legseg: Mapping[str, Any], digest: Callable[[Path], str] = sha256
) -> tuple[str, ...]:
    """What a reader of a corrected image must know.

    Parameters
    ----------
    labels : Path
        The corrected label image.
    legseg : mapping
        Our own object of its sidecar.
    digest : callable
        Gives the SHA-256 of a file.
    """
    told = correction(legseg)
    original = original_labels(labels)
    notes = []
    if not _is_as_told(original, told.get("OriginalSHA256"), digest):
        notes.append(
            f"{labels.name} was corrected on an older automatic result than {original.name} is "
            "now; the correction stands; look at it again, or undo it with legseg-correct --undo"
        )
    if not _is_as_told(labels, told.get("LabelsSHA256"), digest):
        notes.append(
            f"{labels.name} was changed after its tables were made, so that they are out of "
            "date; run legseg-correct with it"
        )
    return tuple(notes)


def older_result(root: Path, labels: Path) -> tuple[str, ...]:
    """What to say of an automatic label image whose correction was made on an older one.

    What was merged of corrected stations is not spoken of: it is made anew.
    """
    manual = manual_paths(root, labels)
    legseg = read_legseg(manual.sidecar)
    return notes_on(manual.labels, legseg) if is_edited(legseg) else ()


def _is_as_told(path: Path, told: object, digest: Callable[[Path], str]) -> bool:
    try:
        return digest(path) == told
    except OSError:
        return False
