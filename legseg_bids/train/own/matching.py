"""Which label image belongs to which station, and which table explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from legseg_bids.bids.label_images import ADDED, nearest_table, told_sources
from legseg_bids.bids.metadata import by_folder
from legseg_bids.bids.names import parse_name
from legseg_bids.bids.stations import Station
from legseg_bids.errors import NoInput, UsageError


@dataclass(frozen=True)
class Labelled:
    """A station and the labels that somebody drew on it."""

    station: Station
    labels: Path
    table: Path


def match(stations: Sequence[Station], folder: Path, pattern: str) -> list[Labelled]:
    """Pair stations with label images.

    The sidecar of a label image (``Sources``, ``SpatialReference``) says what it belongs to;
    without one the names do: equal but for the entities that label images have beside those of
    their sources (:data:`~legseg_bids.bids.label_images.ADDED`), and for the suffix.

    Parameters
    ----------
    stations : sequence of Station
    folder : Path
        The derivative with the label images.
    pattern : str
        Of the file names that count.

    Raises
    ------
    NoInput
        If there is no label image, or none belongs to a station.
    UsageError
        If two belong to one station, or one has no table.
    """
    images = [p for p in sorted(folder.rglob("sub-*_dseg.nii*")) if fnmatch(p.name, pattern)]
    if not images:
        raise NoInput(
            f"{folder} holds no label image {pattern}; expected sub-*_dseg.nii.gz; check the "
            "folder and `files` of the recipe"
        )
    tables = by_folder(folder.rglob("*dseg.tsv"))
    told = {image: told_sources(image) for image in images}
    pairs: list[Labelled] = []
    for station in stations:
        own = [image for image in images if _belongs(image, told[image], station)]
        if len(own) > 1:
            raise UsageError(
                f"{' and '.join(p.name for p in own)} both belong to {station.source_name}; "
                "expected one label image each; choose with `files` in [[data]]"
            )
        pairs += [Labelled(station, path, _table(path, tables, folder)) for path in own]
    if not pairs:
        raise NoInput(
            f"none of the {len(images)} label images in {folder} belongs to one of the "
            f"{len(stations)} images of the dataset; expected equal names, or Sources in the "
            "sidecars"
        )
    return pairs


def _belongs(image: Path, told: frozenset[str], station: Station) -> bool:
    names = {path.relative_to(station.dataset).as_posix() for path in station.files.values()}
    if told & names:
        return True
    # A sidecar that names other images of this dataset is right about them.
    if any((station.dataset / name).exists() for name in told):
        return False
    entities = set(parse_name(image.name).entities)
    own = {(key, value) for key, value in entities if key not in ADDED}
    return any(set(parse_name(Path(name).name).entities) == own for name in names)


def _table(image: Path, tables: Mapping[Path, Sequence[Path]], root: Path) -> Path:
    """The nearest table that applies, by the inheritance principle."""
    found = nearest_table(image, tables)
    if found is None:
        stem = image.name.partition(".nii")[0]
        raise UsageError(
            f"{image} has no table that says what its numbers mean; expected {stem}.tsv beside "
            f"it, or dseg.tsv in {root}, with the columns index and name"
        )
    return found
