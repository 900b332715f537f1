"""The tables beside that of the labels, and the map of the fat fraction: written and removed.

A station and a merged image have the same ones, under other names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from legseg_bids.bids.names import MEASURES, MeasurePaths
from legseg_bids.bids.sidecars import fat_fraction_sidecar, table_sidecar, table_text
from legseg_bids.bids.write import remove, write_json, write_map, write_text


@dataclass(frozen=True)
class MeasureTables:
    """What was measured beside the labels themselves.

    Attributes
    ----------
    compartments, profiles, limbs : sequence of mappings or dataclass instances
        Rows of the three tables (columns of ``data/columns_<table>.json``).
    fat_fraction : ndarray of float, or None
        The map, on the grid of the labels; NaN where it is not known.
    fat_facts : mapping
        How the map was made, for its sidecar.
    """

    compartments: Sequence[object] = ()
    profiles: Sequence[object] = ()
    limbs: Sequence[object] = ()
    fat_fraction: npt.NDArray[Any] | None = None
    fat_facts: Mapping[str, Any] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """The three tables as text, by name.

        Raises
        ------
        ValueError
            If a row has a column that is not described.
        """
        return {table: table_text(getattr(self, table), table) for table in MEASURES}

    def told(self) -> dict[str, Any]:
        """What the sidecar of the labels says of the map; empty if there is none."""
        return {} if self.fat_fraction is None else {"FatFraction": dict(self.fat_facts)}


def write_measures(
    paths: MeasurePaths,
    tables: MeasureTables,
    header: Any,
    provenance: Mapping[str, Any],
) -> None:
    """Write the tables and the map, each with its sidecar; without a map, remove an old one.

    Parameters
    ----------
    paths : MeasurePaths
        Where to.
    tables : MeasureTables
        What to write.
    header : nibabel.Nifti1Header
        Header of the grid.
    provenance : mapping
        ``Sources`` and ``SpatialReference`` of the sidecars.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    for table, text in tables.texts().items():
        write_text(getattr(paths, table), text)
        write_json(getattr(paths, f"{table}_sidecar"), table_sidecar(table, provenance))
    if tables.fat_fraction is None:
        remove([paths.fat_fraction_sidecar, paths.fat_fraction])
        return
    write_map(paths.fat_fraction, tables.fat_fraction, header)
    write_json(paths.fat_fraction_sidecar, fat_fraction_sidecar(provenance, tables.fat_facts))


def wanted_measures(paths: MeasurePaths) -> list[Path]:
    """The files of the three tables: a finished image has them all."""
    return [getattr(paths, field) for table in MEASURES for field in (table, f"{table}_sidecar")]


def lost_map(paths: MeasurePaths, legseg: Mapping[str, Any]) -> Iterator[Path]:
    """Files of the map that the sidecar of the labels speaks of, but that are not there."""
    if legseg.get("FatFraction"):
        pair = (paths.fat_fraction, paths.fat_fraction_sidecar)
        yield from (path for path in pair if not path.is_file())
