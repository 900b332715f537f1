"""What is known of each image before it is opened, and which images make one station."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from legseg_bids.bids import metadata as sidecar
from legseg_bids.bids.dataset import Dataset
from legseg_bids.bids.names import printable
from legseg_bids.bids.queries import QueryTable, RoleMatch, part_of, role_of
from legseg_bids.bids.spellings import Spelling, read_spelling, station_entities
from legseg_bids.errors import ImageError


@dataclass(frozen=True)
class Candidate:
    """One image that may be used: a file, or one volume of a 4-D file.

    Attributes
    ----------
    path : Path
        The file; it may be a broken link.
    spelling : Spelling
        What its path says.
    match : RoleMatch
        What its name and its image type say that it shows.
    part : str
        ``magnitude``, ``phase``, ``real`` or ``imaginary``.
    metadata : mapping
        Its sidecars, merged; ``EchoTime`` is that of this volume.
    problem : str or None
        Why the sidecars could not be used.
    volume : int or None
        Which volume of the file, counted from 0; None is the whole of it.
    in_ms : bool
        Whether the echo time of this volume stood there in milliseconds.
    """

    path: Path
    spelling: Spelling
    match: RoleMatch
    part: str
    metadata: Mapping[str, Any]
    problem: str | None = None
    volume: int | None = None
    in_ms: bool = False

    @property
    def role(self) -> str | None:
        """What the image shows."""
        return self.match.role

    @property
    def suffix(self) -> str:
        """The BIDS suffix that its name stands for."""
        return self.spelling.type.suffix

    @property
    def signal(self) -> tuple[object, ...]:
        """Equal for the parts of one complex signal."""
        return self.suffix, self.role, self.spelling.get("echo"), self.volume

    @property
    def is_echo(self) -> bool:
        """Whether the echo time may decide about it: named an echo, or of such a sequence."""
        named = self.spelling.get("echo") is not None or self.volume is not None
        return named or (self.suffix == "MEGRE" and not self.spelling.contrast)

    @property
    def shown(self) -> str:
        """File name for messages, with the volume."""
        volume = "" if self.volume is None else f" (volume {self.volume})"
        return printable(self.path.name) + volume


def group(dataset: Dataset, table: QueryTable) -> list[list[Candidate]]:
    """Sort the images of a dataset into stations.

    Images of one station differ only in what makes them another image of the same field of
    view: echo, part, the word of the contrast, the BIDS suffix, and the folder of the datatype.
    """
    sidecars = sidecar.by_folder(dataset.sidecars)
    groups: defaultdict[tuple[object, ...], list[Candidate]] = defaultdict(list)
    for path in dataset.images:
        for candidate in describe(path, dataset.root, sidecars, table):
            groups[_station_key(candidate)].append(candidate)
    return list(groups.values())


def describe(
    path: Path, root: Path, sidecars: Mapping[Path, Sequence[Path]], table: QueryTable
) -> list[Candidate]:
    """Gather what name and sidecars say of one file: one candidate for each echo in it."""
    spelling = read_spelling(path.relative_to(root), table)
    if spelling is None:
        return []
    found: dict[str, Any] = {}
    problem = None
    try:
        found = sidecar.read_metadata(path, root, sidecars)
    except ImageError as error:
        problem = str(error)
    types = sidecar.image_type(found)
    match = role_of(
        spelling.get("acq") or "",
        types,
        table,
        reconstruction=spelling.get("rec") or "",
        exact=spelling.contrast,
    )
    part = part_of(spelling.part, types, table)
    return _volumes(Candidate(path, spelling, match, part, found, problem))


def names(images: Sequence[Candidate]) -> str:
    """File names, for messages."""
    return ", ".join(dict.fromkeys(printable(image.path.name) for image in images))


def _volumes(whole: Candidate) -> list[Candidate]:
    """One candidate for each volume of a file whose sidecar lists several echo times."""
    times, in_ms = sidecar.echo_times(whole.metadata)
    if not times:
        return [whole]
    held = count_volumes(whole.path)
    if held is not None and held != len(times):
        problem = (
            f"{names([whole])} holds {held} volume(s), but its sidecar lists {len(times)} echo "
            "times; expected one for each; repair EchoTime, or write one file for each echo"
        )
        return [replace(whole, problem=problem, metadata={})]
    return [
        replace(
            whole,
            metadata={**whole.metadata, "EchoTime": time},
            volume=number if len(times) > 1 else None,
            in_ms=in_ms,
        )
        for number, time in enumerate(times)
    ]


def count_volumes(path: Path) -> int | None:
    """Number of 3-D volumes in a NIfTI file, by its header alone; None if it cannot be read."""
    import nibabel as nib

    if not path.is_file():
        return None
    try:
        image: Any = nib.load(path)
        return math.prod(int(size) for size in image.shape[3:])
    except Exception:  # noqa: BLE001 - whatever is wrong with it, reading it will say so
        return None


def _station_key(image: Candidate) -> tuple[object, ...]:
    spelling = image.spelling
    return (
        spelling.subject,
        spelling.session,
        image.match.rest,
        spelling.type.family,
        *station_entities(spelling.entities),
    )
