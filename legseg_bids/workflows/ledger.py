"""Which stations have a result that still holds, for the files that are there now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from legseg_bids.bids.derivative import Neighbours, checksums, sha256, why_not_done
from legseg_bids.bids.sets import StationSet
from legseg_bids.bids.stations import Station
from legseg_bids.settings import Settings


class Ledger:
    """Answers for one moment: each source file is read at most once.

    Parameters
    ----------
    settings : Settings
        Output folder, and which files are wanted.
    config_hash : str
        Hash of everything that can change a label.
    sets : iterable of StationSet
        Whose stations will be asked for.
    """

    def __init__(self, settings: Settings, config_hash: str, sets: Iterable[StationSet]) -> None:
        self._settings = settings
        self._config_hash = config_hash
        self._set_of = {s.output_name: members for members in sets for s in members.stations}
        self._known: dict[Path, str] = {}

    def done(self, station: Station) -> bool:
        """Whether a station was finished before, with this configuration and these files."""
        return not self.why_not(station)

    def why_not(self, station: Station) -> str:
        """Say why a station does not count as done; empty if it does."""
        return why_not_done(
            self._settings.output_dir,
            station,
            self._config_hash,
            neighbours=lambda: self._neighbours(station),
            probabilities=self._settings.write_probabilities,
            figure=True,
            sums=self._sums,
        )

    def _neighbours(self, station: Station) -> Neighbours:
        others = self._set_of[station.output_name].others(station)
        return {other.output_name: self._sums_or_none(other) for other in others}

    def _sums(self, station: Station) -> dict[str, str]:
        return checksums(station, self._sum_of)

    def _sums_or_none(self, station: Station) -> dict[str, str] | None:
        try:
            return self._sums(station)
        except OSError:
            return None

    def _sum_of(self, path: Path) -> str:
        if path not in self._known:
            self._known[path] = sha256(path)
        return self._known[path]
