"""What is known of each image before it is opened, and which images make one station."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.bids import metadata as sidecar
from legseg_bids.bids.dataset import Dataset
from legseg_bids.bids.names import Name, parse_name
from legseg_bids.bids.queries import QueryTable, RoleMatch, is_magnitude, role_of
from legseg_bids.errors import ImageError


@dataclass(frozen=True)
class Candidate:
    """One image that may be used.

    Attributes
    ----------
    path : Path
        The image; it may be a broken link.
    name : Name
        Its file name, taken apart.
    match : RoleMatch
        What its name and its image type say.
    magnitude : bool
        False for phase, real and imaginary images.
    metadata : mapping
        Its sidecars, merged.
    problem : str or None
        Why the sidecars could not be read.
    """

    path: Path
    name: Name
    match: RoleMatch
    magnitude: bool
    metadata: Mapping[str, Any]
    problem: str | None = None

    @property
    def role(self) -> str | None:
        """What the image shows; one that is no magnitude shows nothing of use."""
        return self.match.role if self.magnitude else None


def group(dataset: Dataset, table: QueryTable) -> list[list[Candidate]]:
    """Sort the images of a dataset into stations.

    Images of one station differ only in what makes them another image of the same field of
    view: echo, part, the contrast word in ``acq-``, and the suffix.
    """
    sidecars = sidecar.by_folder(dataset.sidecars)
    groups: defaultdict[tuple[object, ...], list[Candidate]] = defaultdict(list)
    for path in dataset.images:
        candidate = describe(path, dataset.root, sidecars, table)
        groups[_station_key(candidate)].append(candidate)
    return list(groups.values())


def describe(
    path: Path, root: Path, sidecars: Mapping[Path, Sequence[Path]], table: QueryTable
) -> Candidate:
    """Gather what name and sidecars say of one image."""
    name = parse_name(path.name)
    found: dict[str, Any] = {}
    problem = None
    try:
        found = sidecar.read_metadata(path, root, sidecars)
    except ImageError as error:
        problem = str(error)
    types = sidecar.image_type(found)
    match = role_of(name.get("acq") or "", types, table)
    magnitude = is_magnitude(name.get("part"), types, table)
    return Candidate(path, name, match, magnitude, found, problem)


def names(images: Sequence[Candidate]) -> str:
    """File names, for messages."""
    return ", ".join(image.path.name for image in images)


def _station_key(image: Candidate) -> tuple[object, ...]:
    kept = [pair for pair in image.name.entities if pair[0] not in {"acq", "echo", "part"}]
    return image.path.parent, image.match.rest, *kept
