"""What each structure is called in vocabularies that others understand (``data/codes.tsv``).

``SCT`` is SNOMED CT and ``MDC`` is ISO/IEEE 11073-10101, whose names of muscles DICOM lists as
places of electrodes (PS3.16, CID 3031). A code stands in the table only if its meaning could be
looked up in the source that the table names; where none was found, the structure has a code of our
own, ``99LEGSEG``, as DICOM foresees for private schemes (PS3.3, 8.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from legseg_bids.anatomy.labels import Label, read_table, unsided

PRIVATE = "99LEGSEG"


@dataclass(frozen=True)
class Code:
    """One coded concept.

    Attributes
    ----------
    scheme, value, meaning : str
        Coding scheme designator, code and words.
    """

    scheme: str
    value: str
    meaning: str


LEFT = Code("SCT", "7771000", "Left")
RIGHT = Code("SCT", "24028007", "Right")
TISSUE = Code("SCT", "85756007", "Tissue")
ANATOMY = Code("SCT", "91723000", "Anatomical Structure")
"""Side and category; both as in DICOM PS3.16, CID 244 and 7150."""


@dataclass(frozen=True)
class Coded:
    """A structure in codes.

    Attributes
    ----------
    category, kind : Code
        What sort of thing it is, and what it is, without its side.
    side : Code or None
    region : Code or None
        Where it is, if `kind` alone does not say so.
    source : str
        Where the code was looked up.
    """

    category: Code
    kind: Code
    side: Code | None
    region: Code | None
    source: str

    @property
    def is_private(self) -> bool:
        """Whether only we know the code."""
        return self.kind.scheme == PRIVATE


def coded(label: Label) -> Coded:
    """Look up the codes of a label.

    Examples
    --------
    >>> from legseg_bids.anatomy.labels import label_by_index
    >>> found = coded(label_by_index(62))
    >>> found.kind.value, found.kind.meaning, found.side.meaning
    ('72226001', 'Rectus femoris muscle', 'Right')
    """
    row = _rows()[unsided(label)]
    region = Code("SCT", row["region_code"], row["region"]) if row["region_code"] else None
    return Coded(
        category=TISSUE if label.tissue == "fat" else ANATOMY,
        kind=Code(row["scheme"], row["code"], row["meaning"]),
        side={"left": LEFT, "right": RIGHT}.get(label.side),
        region=region,
        source=row["source"],
    )


@cache
def _rows() -> Mapping[str, Mapping[str, str]]:
    return MappingProxyType({row["abbreviation"]: row for row in read_table("codes.tsv")})
