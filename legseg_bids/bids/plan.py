"""What a run would do, as a table for a person (``--dry-run``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from legseg_bids.bids.names import output_path, printable
from legseg_bids.bids.stations import Discovery, Skipped, Station

COLUMNS = ("participant", "session", "file", "taken as", "output", "state")
GAP = "  "
NOTHING = "-"
TO_DO = "to do"
Row = tuple[str, ...]


def plan_lines(discovery: Discovery, states: Mapping[str, str]) -> list[str]:
    """Table of every file that was found: what it is taken as, and what becomes of it.

    Parameters
    ----------
    discovery : Discovery
        From `legseg_bids.bids.discover.discover`.
    states : mapping of str to str
        By `Station.output_name`, what is left to do; "to do" where it is not named.

    Returns
    -------
    list of str
        A heading, then one line for each file, in the order of participants, sessions and
        files. What is equal to the line above within a station is left out.

    Examples
    --------
    >>> image = Path("/d/sub-1/anat/sub-1_acq-out_T1w.nii.gz")
    >>> files = {"opposed": image}
    >>> station = Station(Path("/d"), "1", None, "opposed", "opposed", files, image, {})
    >>> [line.split("  ")[-1] for line in plan_lines(Discovery((station,)), {})]
    ['state', 'to do']
    """
    found: list[Station | Skipped] = [*discovery.stations, *discovery.skipped]
    found.sort(key=lambda one: (one.subject, one.session or "", _first(one)))
    rows: list[Row] = [COLUMNS]
    for one in found:
        rows += _of_station(one, states) if isinstance(one, Station) else _of_skipped(one)
    return list(_aligned(rows))


def _of_station(station: Station, states: Mapping[str, str]) -> list[Row]:
    state = states.get(station.output_name, TO_DO)
    output = output_path(Path(), station.output_name).as_posix()
    taken = [
        (_file(path, station.volumes.get(role)), f"{role} ({station.query})")
        for role, path in station.files.items()
    ]
    return _rows(station, taken, output, state)


def _of_skipped(skipped: Skipped) -> list[Row]:
    taken = [(_file(path, None), NOTHING) for path in skipped.files] or [(NOTHING, NOTHING)]
    return _rows(skipped, taken, NOTHING, f"skipped: {printable(skipped.reason)}")


def _rows(
    one: Station | Skipped, taken: Sequence[tuple[str, str]], output: str, state: str
) -> list[Row]:
    session = NOTHING if one.session is None else f"ses-{one.session}"
    first, *others = taken
    rows: list[Row] = [(f"sub-{one.subject}", session, *first, output, state)]
    return rows + [("", "", *other, "", "") for other in others]


def _file(path: Path, volume: int | None) -> str:
    return printable(path.name) + ("" if volume is None else f" (volume {volume})")


def _first(one: Station | Skipped) -> str:
    return str(one.source) if isinstance(one, Station) else str(min(one.files, default=""))


def _aligned(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield GAP.join(cells).rstrip()
