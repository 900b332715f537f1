"""Label images of somebody else: what they were drawn on, and which table explains them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from legseg_bids.bids.metadata import applies

#: Entities that a label image has beside those of its source.
ADDED = frozenset({"seg", "desc", "label", "space", "res", "den", "atlas"})


def told_sources(image: Path) -> frozenset[str]:
    """Paths within the raw dataset that the sidecar of a label image names.

    Parameters
    ----------
    image : Path
        ``.nii`` or ``.nii.gz``; its sidecar has the same stem.

    Returns
    -------
    frozenset of str
        From ``Sources`` and ``SpatialReference``, without the name of the dataset; empty if the
        sidecar is missing, damaged or silent.
    """
    sidecar = image.with_name(image.name.partition(".nii")[0] + ".json")
    try:
        content = json.loads(sidecar.read_text("utf-8"))
        values = [content.get("Sources") or [], content.get("SpatialReference") or []]
    except (OSError, ValueError, AttributeError):
        return frozenset()
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    return frozenset(str(v).rpartition(":")[2].lstrip("/") for v in flat)


def nearest_table(image: Path, tables: Mapping[Path, Sequence[Path]]) -> Path | None:
    """The table that explains a label image, by the inheritance principle.

    Parameters
    ----------
    image : Path
    tables : mapping of Path to sequence of Path
        ``*dseg.tsv`` by folder, the general before the specific
        (:func:`legseg_bids.bids.metadata.by_folder`).

    Returns
    -------
    Path or None
        The most specific table of the nearest folder that has one.
    """
    stem = image.name.partition(".nii")[0]
    for folder in image.parents:
        for table in reversed(tables.get(folder, ())):
            if table.stem == stem or applies(table.name, image.name):
                return table
    return None
