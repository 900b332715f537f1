"""Stations: what discovery finds, and what it leaves out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import parse_name, printable
from legseg_bids.errors import NoInput

LONGEST_IDENTIFIER = 120


@dataclass(frozen=True)
class Station:
    """The files of one field of view from which one opposed-phase volume is made.

    Attributes
    ----------
    dataset : Path
        Root of the BIDS dataset.
    subject : str
        Label without ``sub-``.
    session : str or None
        Label without ``ses-``.
    query, kind : str
        The query that matched and its kind: ``opposed``, ``echoes`` or ``water_fat``.
    files : dict of str to Path
        ``opposed``, or ``real`` and ``imaginary``, or ``water`` and ``fat``; with one of the
        first two, also ``water`` and ``fat`` where the dataset has them, or with the first
        ``in_phase`` and perhaps ``opposed_later`` (for the fat fraction).
    source : Path
        The file after which the outputs are named.
    entities : dict of str to str
        Entities of `output_name`, by their short keys (``sub``, ``acq``, ``chunk``, …).
    metadata : dict
        Selected sidecar fields of the source; ``EchoTime`` in seconds.
    reason : str
        One line for the log: which file was taken as what, and why.
    volumes : dict of str to int
        For files with a fourth axis: which volume a role is, counted from 0. A role that is
        absent is a whole 3-D file.
    output_name : str
        The path after which outputs are named, relative, with forward slashes: the source
        itself where its name is BIDS, else the BIDS name nearest to it. No two stations of a
        dataset share one.
    family : str
        Equal for the fields of view of one acquisition, and for nothing else.
    """

    dataset: Path
    subject: str
    session: str | None
    query: str
    kind: str
    files: dict[str, Path]
    source: Path
    entities: dict[str, str]
    metadata: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    volumes: dict[str, int] = field(default_factory=dict)
    output_name: str = ""
    family: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_name", self.output_name or self.source_name)
        object.__setattr__(self, "family", self.family or _without_chunk(self.output_name))

    @property
    def source_name(self) -> str:
        """The source relative to the dataset, with forward slashes."""
        return self.source.relative_to(self.dataset).as_posix()

    @property
    def stem(self) -> str:
        """File name of the source without extension, for people."""
        return printable(self.source.name.removesuffix(parse_name(self.source.name).extension))

    @property
    def identifier(self) -> str:
        """The output's stem, spelt so that it may name a node of a graph (letters, digits, ``_``).

        Different stems stay different: a hyphen becomes one underscore, an underscore two; the
        end of a long one becomes a hash, since it names a folder.
        """
        stem = parse_name(self.output_name.rpartition("/")[2])
        spelt = str(replace(stem, extension="")).replace("_", "__")
        if len(spelt) > LONGEST_IDENTIFIER:
            digest = hashlib.sha256(spelt.encode()).hexdigest()[:12]
            spelt = f"{spelt[: LONGEST_IDENTIFIER - 14]}__{digest}"
        return re.sub(r"[^A-Za-z0-9_]", "_", spelt)

    def uris(self) -> list[str]:
        """BIDS URIs of all files used, the source first."""
        paths = sorted(self.files.values(), key=lambda path: (path != self.source, path))
        return [f"bids:raw:{path.relative_to(self.dataset).as_posix()}" for path in paths]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            **vars(self),
            "dataset": str(self.dataset),
            "files": {role: str(path) for role, path in self.files.items()},
            "source": str(self.source),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Station:
        """Undo `as_dict`."""
        paths = {
            "dataset": Path(values["dataset"]),
            "files": {role: Path(path) for role, path in values["files"].items()},
            "source": Path(values["source"]),
        }
        return cls(**{**values, **paths})


@dataclass(frozen=True)
class Skipped:
    """Files that cannot be used, and why.

    Attributes
    ----------
    subject : str
        Label without ``sub-``.
    session : str or None
        Label without ``ses-``.
    files : tuple of Path
        The images of the station; empty when a participant has none.
    reason : str
        What was found, what was expected, what to do.
    """

    subject: str
    session: str | None
    files: tuple[Path, ...]
    reason: str

    def __str__(self) -> str:
        session = f" ses-{self.session}" if self.session else ""
        return f"sub-{self.subject}{session}: skipped, {self.reason}"


@dataclass(frozen=True)
class Discovery:
    """All that was found.

    Attributes
    ----------
    stations : tuple of Station
        In the order of participants and file names.
    skipped : tuple of Skipped
        Everything else, each with its reason.
    """

    stations: tuple[Station, ...]
    skipped: tuple[Skipped, ...] = ()

    def require_stations(self) -> tuple[Station, ...]:
        """Give the stations.

        Raises
        ------
        NoInput
            If there is none; the message repeats the first reasons.
        """
        if self.stations:
            return self.stations
        reasons = "".join(f"\n  {skip}" for skip in self.skipped[:10])
        raise NoInput(
            "no image that can be segmented was found; expected an opposed-phase image, echoes "
            f"with EchoTime and MagneticFieldStrength, or water and fat images{reasons}"
        )


def _without_chunk(name: str) -> str:
    """A path without its extension and without the entity that tells fields of view apart."""
    return re.sub(r"_chunk-[^_/]*", "", name.partition(".")[0])
