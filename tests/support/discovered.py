"""What tests ask of a discovery."""

from __future__ import annotations

from legseg_bids.bids.stations import Discovery, Station


def only(discovery: Discovery) -> Station:
    """The one station that was found."""
    assert len(discovery.stations) == 1, discovery
    return discovery.stations[0]


def taken(station: Station) -> dict[str, str]:
    """Which file each role is, without extension."""
    return {role: path.name.partition(".")[0] for role, path in station.files.items()}
