"""The label scheme, sides and regions: what everything else calls the structures."""

from __future__ import annotations

from legseg_bids.anatomy.labels import (
    BACKGROUND,
    Label,
    combined_with,
    label_by_index,
    load_labels,
    mirror_index,
    right_of,
)
from legseg_bids.anatomy.regions import Part, Region, Side, parts_of

__all__ = [
    "BACKGROUND",
    "Label",
    "Part",
    "Region",
    "Side",
    "combined_with",
    "label_by_index",
    "load_labels",
    "mirror_index",
    "parts_of",
    "right_of",
]
