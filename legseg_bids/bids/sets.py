"""Sets of stations: which ones may continue each other, and what their merged image is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from legseg_bids.bids.names import MeasurePaths, Name, measure_paths, output_path, parse_name
from legseg_bids.bids.stations import Station

MERGED = "merged"


@dataclass(frozen=True)
class StationSet:
    """Stations of one participant and session that may be pieces of one leg.

    Attributes
    ----------
    stations : tuple of Station
        At least one, by rising output name.
    """

    stations: tuple[Station, ...]

    @property
    def subject(self) -> str:
        """Label without ``sub-``."""
        return self.stations[0].subject

    @property
    def session(self) -> str | None:
        """Label without ``ses-``."""
        return self.stations[0].session

    @property
    def is_several(self) -> bool:
        """Whether there is anything to merge."""
        return len(self.stations) > 1

    @property
    def place(self) -> str:
        """Whose leg it is, for a person: ``sub-01`` or ``sub-01 ses-a``."""
        return f"sub-{self.subject}" + (f" ses-{self.session}" if self.session else "")

    @property
    def merged_name(self) -> str:
        """The path after which the merged image is named: what all its stations have in common.

        Entities that differ between stations (``chunk-``, ``run-``, ``acq-`` …) are left out.
        """
        paths = [PurePosixPath(station.output_name) for station in self.stations]
        names = [parse_name(path.name) for path in paths]
        common = set(names[0].entities).intersection(*(name.entities for name in names))
        kept = tuple(pair for pair in names[0].entities if pair in common)
        return str(paths[0].parent / str(Name(kept, names[0].suffix, names[0].extension)))

    def others(self, station: Station) -> tuple[Station, ...]:
        """The stations of the set but one."""
        return tuple(s for s in self.stations if s.output_name != station.output_name)


@dataclass(frozen=True, kw_only=True)
class MergedPaths(MeasurePaths):
    """Every file of a merged image, beside those of :class:`~legseg_bids.bids.names.MeasurePaths`.

    Attributes
    ----------
    labels, table, sidecar, figure : Path
        Label image, its table, its JSON (written last) and its picture.
    """

    labels: Path
    table: Path
    sidecar: Path
    figure: Path


def find_sets(stations: Iterable[Station]) -> tuple[StationSet, ...]:
    """Which stations may be pieces of one leg, whatever the order in which they are given.

    The stations of one acquisition (a family: they differ in ``chunk-`` or ``stk-`` only) are a
    set. All stations of a session that have no such sibling are pooled into another one: thigh
    and lower leg are often two acquisitions, or two runs. Whether the members of a set really
    continue each other is for their positions to say.

    Parameters
    ----------
    stations : iterable of Station
        Of any participants and sessions.

    Returns
    -------
    tuple of StationSet
        Every station is in one of them; by rising output name of the first.
    """
    families: dict[tuple[str, str], list[Station]] = {}
    for station in sorted(stations, key=lambda station: station.output_name):
        families.setdefault((_home(station), station.family), []).append(station)
    several = [members for members in families.values() if len(members) > 1]
    pools: dict[str, list[Station]] = {}
    for (home, _), members in families.items():
        if len(members) == 1:
            pools.setdefault(home, []).extend(members)
    sets = (*several, *pools.values())
    found = [StationSet(tuple(sorted(m, key=lambda s: s.output_name))) for m in sets]
    return tuple(sorted(found, key=lambda members: members.stations[0].output_name))


def merged_paths(output_dir: Path, name: str) -> MergedPaths:
    """Name every file of a merged image.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    name : str
        See :attr:`StationSet.merged_name`.

    Examples
    --------
    >>> merged_paths(Path("o"), "sub-1/anat/sub-1_acq-opp_T1w.nii.gz").labels.as_posix()
    'o/sub-1/anat/sub-1_acq-opp_seg-muscles_desc-merged_dseg.nii.gz'
    """
    labels = output_path(output_dir, name, desc=MERGED)
    stem = labels.name.partition(".")[0]
    figures = output_dir / PurePosixPath(name).parts[0] / "figures"
    return MergedPaths(
        labels=labels,
        table=labels.with_name(f"{stem}.tsv"),
        sidecar=labels.with_name(f"{stem}.json"),
        figure=figures / f"{stem}.png",
        **measure_paths(output_dir, name, MERGED),
    )


def first_of_each_name(sets: Sequence[StationSet]) -> dict[str, StationSet]:
    """Sets of several stations by the name of their merged image; of two, the first counts."""
    named: dict[str, StationSet] = {}
    for members in sets:
        if members.is_several:
            named.setdefault(members.merged_name, members)
    return named


def _home(station: Station) -> str:
    """Participant and session, as text that sorts."""
    return f"{station.subject}/{station.session or ''}"
