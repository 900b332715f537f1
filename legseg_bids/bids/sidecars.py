"""What stands beside an image: the JSON sidecar and the table of its labels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
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
KIND_TEXT = {
    "opposed": "an opposed-phase image",
    "echoes": "the opposed-phase echo of a multi-echo acquisition",
    "water_fat": "the opposed-phase image |W - F| of water and fat images",
}


@cache
def load_columns() -> Mapping[str, Mapping[str, Any]]:
    """Columns of the label table, in order, each with its BIDS description.

    Examples
    --------
    >>> list(load_columns())[:2]
    ['index', 'name']
    """
    text = resources.files(__package__).joinpath("data", "columns.json").read_text("utf-8")
    return MappingProxyType(json.loads(text))


def table_text(rows: Iterable[object]) -> str:
    r"""Tab-separated table of the labels of one image.

    Parameters
    ----------
    rows : iterable of mappings or dataclass instances
        One for each label; what a row does not have is written as ``n/a``.

    Raises
    ------
    ValueError
        If a row has a column that ``data/columns.json`` does not describe.

    Examples
    --------
    >>> text = table_text([{"index": 61, "name": "Rectus femoris left", "volume": 231.25}])
    >>> text.splitlines()[1].split("\t")[:3]
    ['61', 'Rectus femoris left', 'n/a']
    """
    return to_tsv(list(load_columns()), map(_row, rows))


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
        **_provenance(station),
        "Manual": False,
        **_acquisition(station),
        **_own_columns(),
        "Legseg": dict(legseg),
    }


def mask_sidecar(station: Station) -> dict[str, Any]:
    """JSON of the limb mask."""
    return {
        "Description": "Voxels inside the legs; nothing outside them is labelled",
        "Type": "ROI",
        **_provenance(station),
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
        **_provenance(station),
        "Manual": False,
        "LabelMap": list(abbreviations),
    }


def confidence_sidecar(station: Station) -> dict[str, Any]:
    """JSON of the map that says how probable the label of each voxel is."""
    return {
        "Description": "Probability of the label that the voxel has in the label image (of "
        "background, where it has none), in steps of 1/255; 0 where no network looked",
        **_provenance(station),
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
        "Sources": [f"bids::{source}" for source in sources],
        # Aligned to all of them alike, in the coordinates of the scanner.
        "SpatialReference": f"bids::{sources[0]}",
        "Manual": False,
        **_own_columns(),
        "Legseg": dict(legseg),
    }


def _provenance(station: Station) -> dict[str, Any]:
    uris = station.uris()
    return {"Sources": uris, "SpatialReference": uris[0]}


def _own_columns() -> dict[str, Any]:
    return {name: text for name, text in load_columns().items() if name not in STANDARD_COLUMNS}


def _acquisition(station: Station) -> dict[str, Any]:
    """Source metadata that still hold for a label image: where it was taken, how strong."""
    return dict(sorted(station.metadata.items()))


def _row(row: object) -> Mapping[str, object]:
    values: Mapping[str, object]
    if isinstance(row, Mapping):
        values = row
    elif is_dataclass(row) and not isinstance(row, type):
        values = asdict(row)
    else:
        raise TypeError(f"a row of type {type(row).__name__}; expected a mapping or a dataclass")
    unknown = sorted(values.keys() - load_columns().keys())
    if unknown:
        raise ValueError(
            f"column {', '.join(unknown)} is not described; expected those of columns.json; add it"
        )
    return values
