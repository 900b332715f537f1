"""Merged images whose stations were corrected by hand: merged once more, with what people drew.

In overlaps, a structure that a person corrected wins against what a network made of it in the
station beside it. Everything is on the grid of the automatic merged image, which stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.bids.derivative import read_legseg, sidecar_of
from legseg_bids.bids.journal import Change, changing
from legseg_bids.bids.manual import (
    BLOCK,
    Kind,
    correction,
    corrections,
    is_edited,
    manual_labels,
    manual_paths,
    structures,
)
from legseg_bids.bids.merged import holds, sums_of
from legseg_bids.bids.names import SEGMENTATION
from legseg_bids.bids.sets import MERGED
from legseg_bids.bids.sidecars import merged_provenance
from legseg_bids.errors import ImageError, LegsegError
from legseg_bids.imaging.stacks import Grid
from legseg_bids.segment.whole_leg import Piece, WholeLeg
from legseg_bids.workflows.corrected import (
    FULL,
    Below,
    Corrected,
    below_station,
    block,
    highest_fraction,
    put_image,
    read_json,
    read_map,
    touched,
)
from legseg_bids.workflows.edited import read_original

MERGED_LABELS = f"*_seg-{SEGMENTATION}_desc-{MERGED}_dseg.nii.gz"
"""Automatic merged label images of a folder."""


@dataclass(frozen=True, eq=False)
class CorrectedStation:
    """A station as it is to be merged.

    Attributes
    ----------
    image : Corrected
    sums : dict of str to str
        SHA-256 of its files, see :func:`legseg_bids.bids.merged.sums_of`.
    """

    image: Corrected
    sums: dict[str, str]


@dataclass(frozen=True, eq=False)
class MergedImage:
    """An automatic merged image, and the stations below it.

    Attributes
    ----------
    root : Path
        Root of the derivative.
    labels : Path
        The label image.
    sidecar : dict
        Its whole sidecar.
    """

    root: Path
    labels: Path
    sidecar: dict[str, Any]

    @property
    def legseg(self) -> dict[str, Any]:
        """Our own object of the sidecar."""
        found = self.sidecar.get("Legseg")
        return found if isinstance(found, dict) else {}

    @property
    def members(self) -> list[Path]:
        """Label images of its stations."""
        return [self.root / name for name in self.legseg.get("StationSHA256", {})]

    @property
    def is_current(self) -> bool:
        """Whether its stations are those of then."""
        return holds(self.root, self.legseg)


def read_merged(root: Path, labels: Path) -> MergedImage:
    """Read what is known of an automatic merged image.

    Raises
    ------
    ImageError
        If its sidecar cannot be read.
    """
    return MergedImage(root, labels, read_json(sidecar_of(labels)))


def merged_with(root: Path, station: Path) -> list[MergedImage]:
    """Automatic merged images that a station (its automatic label image) is part of."""
    return [
        read_merged(root, labels)
        for labels in sorted(station.parent.glob(MERGED_LABELS))
        if _relative(root, station) in read_legseg(sidecar_of(labels)).get("StationSHA256", {})
    ]


def read_station(root: Path, station: Path) -> CorrectedStation | None:
    """The correction of a station (its automatic label image), if there is a finished one.

    Raises
    ------
    ImageError
        If a label image cannot be read.
    """
    paths = manual_paths(root, station)
    legseg = read_legseg(paths.sidecar)
    if not correction(legseg):
        return None
    names = structures(legseg)
    chosen = frozenset(label.index for label in load_labels() if label.abbreviation in names)
    image = Corrected(read_original(station), read_original(paths.labels).labels, chosen)
    return CorrectedStation(image, sums_of(paths.labels))


def corrected_members(merged: MergedImage) -> dict[Path, CorrectedStation]:
    """Stations of a merged image that are corrected, by their automatic label image."""
    found = {path: read_station(merged.root, path) for path in merged.members}
    return {path: station for path, station in found.items() if station is not None}


def join(merged: MergedImage, grid: Grid, corrected: Mapping[Path, CorrectedStation]) -> WholeLeg:
    """Merge the stations once more, one of them in memory at a time."""
    leg = WholeLeg(grid)
    for path in merged.members:
        leg.add(_piece(merged.root, path, corrected.get(path)))
    return leg


def below_leg(leg: WholeLeg, merged: MergedImage) -> Below:
    """What lies below the labels of the whole leg; the fat fraction as it was merged."""
    paths = manual_paths(merged.root, merged.labels)
    fat = leg.fat_fraction
    if fat is not None and paths.fat_fraction.is_file():
        fat = read_map(paths.fat_fraction, leg.grid.shape).astype(np.float32)
    return Below(leg.confidence, leg.mask, fat, highest_fraction(merged.legseg), leg.seen)


def put_remerged(
    change: Change, merged: MergedImage, corrected: Mapping[Path, CorrectedStation]
) -> None:
    """Put a merged image made with the corrections of its stations into a change.

    Without any correction, what was made of earlier ones is removed.

    Raises
    ------
    ImageError
        If a file of a station cannot be read, or does not fit.
    """
    paths = manual_paths(merged.root, merged.labels)
    if not corrected:
        change.drop(paths.own)
        return
    original = read_original(merged.labels)
    leg = join(merged, original.grid, corrected)
    chosen = touched(original.labels, leg.labels)
    chosen |= {index for station in corrected.values() for index in station.image.touched}
    image = Corrected(original, leg.labels, frozenset(chosen))
    sums = sums_with(merged, corrected)
    facts = {
        **merged.legseg,
        "StationSHA256": sums,
        BLOCK: block(Kind.REMERGED),
    }
    described = {
        **{key: text for key, text in merged.sidecar.items() if key != "Legseg"},
        **merged_provenance(list(sums)),
        "Description": f"Leg muscles of {len(sums)} stations, {len(corrected)} of them corrected "
        "by hand, merged into one image",
    }
    put_image(change, paths, image, below_leg(leg, merged), described, facts)


def sums_with(
    merged: MergedImage, corrected: Mapping[Path, CorrectedStation]
) -> dict[str, dict[str, str]]:
    """Check sums of what a merged image is made from, with the corrections of its stations."""
    told = merged.legseg["StationSHA256"]
    return {
        _relative(merged.root, manual_labels(path) if path in corrected else path): (
            corrected[path].sums if path in corrected else told[_relative(merged.root, path)]
        )
        for path in merged.members
    }


def edited_above(root: Path, station: Path) -> Path | None:
    """The merged image above a station in which a person drew, if there is one."""
    for merged in merged_with(root, station):
        paths = manual_paths(root, merged.labels)
        if is_edited(read_legseg(paths.sidecar)):
            return paths.labels
    return None


def remerge(root: Path, subject: str) -> list[Path]:
    """Make those merged images of a participant anew that do not hold the corrections below them.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    subject : str
        Label without ``sub-``; nobody else is at work on it.

    Returns
    -------
    list of Path
        Label images that were made.

    Raises
    ------
    LegsegError
        If one cannot be made; the others are.
    """
    made, problems = list[Path](), list[str]()
    for labels in sorted(_merged_images(root, subject)):
        try:
            made += _remerge(root, subject, labels)
        except LegsegError as error:
            problems.append(str(error))
    if problems:
        raise ImageError("; ".join(problems))
    return made


def _remerge(root: Path, subject: str, labels: Path) -> list[Path]:
    paths = manual_paths(root, labels)
    before = read_legseg(paths.sidecar)
    merged = read_merged(root, labels) if labels.is_file() else None
    if is_edited(before) or merged is None or not merged.is_current:
        return []
    stations = [path for path in merged.members if correction(_legseg_of_manual(root, path))]
    wanted = {
        _relative(root, manual_labels(path) if path in stations else path)
        for path in merged.members
    }
    is_whole = all(path.is_file() for path in paths.own if path != paths.figure)
    is_stale = set(before.get("StationSHA256", {})) != wanted or not holds(root, before)
    if (stations and (is_stale or not is_whole)) or (before and not stations):
        with changing(root, subject) as change:
            put_remerged(change, merged, corrected_members(merged))
        return [paths.labels] if stations else []
    return []


def _legseg_of_manual(root: Path, station: Path) -> dict[str, Any]:
    return read_legseg(manual_paths(root, station).sidecar)


def _merged_images(root: Path, subject: str) -> set[Path]:
    """Automatic merged label images, where there is a correction beside them."""
    folders = {path.parent for path in corrections(root, subject)}
    return {labels for folder in folders for labels in folder.glob(MERGED_LABELS)}


def _piece(root: Path, station: Path, corrected: CorrectedStation | None) -> Piece:
    """A station as it is merged: what a person decided has the full confidence."""
    image = corrected.image if corrected is not None else None
    original = read_original(station) if image is None else image.original
    grid = original.grid
    below = below_station(root, original, {})
    labels = original.labels
    if image is not None:
        labels = image.labels
        below.confidence[image.decided] = FULL
    return Piece(
        grid=grid,
        labels=labels,
        confidence=below.confidence,
        mask=below.limbs,
        # Pictures are drawn from the sources, later.
        grey=np.zeros(grid.shape, np.uint8),
        fat_fraction=below.fat_fraction,
    )


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
