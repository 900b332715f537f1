"""What stands beside an image: the JSON sidecar and the table of its labels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from legseg_bids.bids.names import printable
from legseg_bids.bids.stations import Station

NOT_AVAILABLE = "n/a"
# BIDS itself says what these columns mean, and warns of a second definition.
STANDARD_COLUMNS = ("index", "name", "abbreviation", "color")
# Six digits are more than a segmentation can mean, and short enough to read.
FLOAT_FORMAT = ".6g"
LABELS = "labels"
TABLE_TEXT = {
    "compartments": "Groups of muscles of each leg, each measured as one",
    "profiles": "Cross-section of each muscle, bone, group of muscles and tissue of each leg, "
    "slice by slice",
    "limbs": "What each leg is made of, over the slices where that can be told",
}
FAT_TEXT = (
    "Signal fat fraction of each voxel, from magnitude images. Not corrected for T1 (a short "
    "repetition time makes fat look more), for the noise of magnitudes (it makes lean muscle "
    "look fatter: see NoiseFloor) or for the several peaks of fat. NaN outside the body and where "
    "there is too little signal. "
)
METHOD_TEXT = {
    1.0: "F / (W + F) of water and fat images; where the scanner exchanged the two, so does the "
    "map (see Warnings in the sidecar of the labels).",
    0.5: "(I - O) / (2 I) of in-phase and opposed-phase magnitudes, which cannot tell 30 % from "
    "70 %: the smaller of the two, at most 0.5. Right where less than half is fat.",
}
KIND_TEXT = {
    "opposed": "an opposed-phase image",
    "echoes": "the opposed-phase echo of a multi-echo acquisition",
    "water_fat": "the opposed-phase image |W - F| of water and fat images",
}


@cache
def load_columns(table: str = LABELS) -> Mapping[str, Mapping[str, Any]]:
    """Columns of a table, in order, each with its BIDS description.

    Parameters
    ----------
    table : str
        ``labels``, ``compartments``, ``profiles`` or ``limbs``.

    Examples
    --------
    >>> list(load_columns())[:2]
    ['index', 'name']
    """
    name = "columns.json" if table == LABELS else f"columns_{table}.json"
    text = resources.files(__package__).joinpath("data", name).read_text("utf-8")
    return MappingProxyType(json.loads(text))


def table_text(rows: Iterable[object], table: str = LABELS) -> str:
    r"""Tab-separated table of one image.

    Parameters
    ----------
    rows : iterable of mappings or dataclass instances
        What a row does not have is written as ``n/a``.
    table : str
        As for :func:`load_columns`.

    Raises
    ------
    ValueError
        If a row has a column that is not described.

    Examples
    --------
    >>> text = table_text([{"index": 61, "name": "Rectus femoris left", "volume": 231.25}])
    >>> text.splitlines()[1].split("\t")[:3]
    ['61', 'Rectus femoris left', 'n/a']
    """
    columns = load_columns(table)
    return to_tsv(list(columns), (_row(row, columns) for row in rows))


def to_tsv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Write rows as tab-separated text in the BIDS manner.

    Examples
    --------
    >>> print(to_tsv(["a", "b"], [{"a": True, "b": 1 / 3}, {"a": None}]), end="")
    a	b
    true	0.333333
    n/a	n/a
    """
    lines = [columns, *([cell(row.get(column)) for column in columns] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def cell(value: object) -> str:
    """Spell one value: ``true``/``false``, six digits, ``n/a`` for nothing or NaN.

    Examples
    --------
    >>> cell(None), cell(float("nan")), cell(12), cell("a b")
    ('n/a', 'n/a', '12', 'a b')
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, FLOAT_FORMAT)
    return printable(" ".join(str(value).split()))


def dseg_sidecar(station: Station, legseg: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of the label image, which also describes the columns of its table.

    Parameters
    ----------
    station : Station
        What was segmented.
    legseg : mapping
        Everything of our own: version, configuration hash, models, location, warnings; kept
        in one object so that it cannot collide with a BIDS field.
    """
    return {
        "Description": f"Leg muscles, segmented on {KIND_TEXT[station.kind]}",
        **provenance(station),
        "Manual": False,
        **_acquisition(station),
        **_own_columns(LABELS),
        "Legseg": dict(legseg),
    }


def mask_sidecar(station: Station) -> dict[str, Any]:
    """JSON of the limb mask."""
    return {
        "Description": "Voxels inside the legs; nothing outside them is labelled",
        "Type": "ROI",
        **provenance(station),
        "Manual": False,
    }


def probseg_sidecar(station: Station, abbreviations: Sequence[str]) -> dict[str, Any]:
    """JSON of the probabilities.

    Parameters
    ----------
    station : Station
        What was segmented.
    abbreviations : sequence of str
        Name of the structure in each volume of the 4-D image.
    """
    return {
        "Description": "Probability of each structure, in steps of 1/255",
        **provenance(station),
        "Manual": False,
        "LabelMap": list(abbreviations),
    }


def confidence_sidecar(station: Station) -> dict[str, Any]:
    """JSON of the map that says how probable the label of each voxel is."""
    return {
        "Description": "Probability of the label that the voxel has in the label image (of "
        "background, where it has none), in steps of 1/255; 0 where no network looked",
        **provenance(station),
        "Manual": False,
    }


def merged_sidecar(sources: Sequence[str], legseg: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of the label image of several stations.

    Parameters
    ----------
    sources : sequence of str
        Label images of the stations, relative to the derivative.
    legseg : mapping
        As for :func:`dseg_sidecar`.
    """
    return {
        "Description": f"Leg muscles of {len(sources)} stations, merged into one image",
        **merged_provenance(sources),
        "Manual": False,
        **_own_columns(LABELS),
        "Legseg": dict(legseg),
    }


def table_sidecar(table: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of a table beside that of the labels: what its columns mean.

    Parameters
    ----------
    table : str
        ``compartments``, ``profiles`` or ``limbs``.
    provenance : mapping
        From :func:`provenance` or :func:`merged_provenance`.
    """
    return {"Description": TABLE_TEXT[table], **provenance, "Manual": False, **_own_columns(table)}


def fat_fraction_sidecar(
    provenance: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON of the map of the fat fraction.

    Parameters
    ----------
    provenance : mapping
        From :func:`provenance` or :func:`merged_provenance`.
    facts : mapping
        How it was made; ``HighestFraction`` tells what from.
    """
    method = METHOD_TEXT[facts.get("HighestFraction", 1.0)]
    return {
        "Description": FAT_TEXT + method,
        **provenance,
        "Manual": False,
        "Units": "1",
        "Legseg": dict(facts),
    }


def provenance(station: Station) -> dict[str, Any]:
    """Where the files of a station come from, and on which grid they lie."""
    uris = station.uris()
    return {"Sources": uris, "SpatialReference": uris[0]}


def merged_provenance(sources: Sequence[str]) -> dict[str, Any]:
    """Where the files of a merged image come from.

    Parameters
    ----------
    sources : sequence of str
        Label images of the stations, relative to the derivative.
    """
    return {
        "Sources": [f"bids::{source}" for source in sources],
        # Aligned to all of them alike, in the coordinates of the scanner.
        "SpatialReference": f"bids::{sources[0]}",
    }


def _own_columns(table: str) -> dict[str, Any]:
    return {
        name: text for name, text in load_columns(table).items() if name not in STANDARD_COLUMNS
    }


def _acquisition(station: Station) -> dict[str, Any]:
    """Source metadata that still hold for a label image: where it was taken, how strong."""
    return dict(sorted(station.metadata.items()))


def _row(row: object, columns: Mapping[str, object]) -> Mapping[str, object]:
    values: Mapping[str, object]
    if isinstance(row, Mapping):
        values = row
    elif is_dataclass(row) and not isinstance(row, type):
        values = vars(row)
    else:
        raise TypeError(f"a row of type {type(row).__name__}; expected a mapping or a dataclass")
    unknown = sorted(values.keys() - columns.keys())
    if unknown:
        raise ValueError(
            f"column {', '.join(unknown)} is not described; expected those of the table's "
            "columns*.json; add it"
        )
    return values
