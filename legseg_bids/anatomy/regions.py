"""Sides, parts of the limb, and the regions that have a network of their own."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from types import MappingProxyType


class Side(StrEnum):
    """Side of the body, the patient's own."""

    LEFT = "left"
    RIGHT = "right"


class Part(IntEnum):
    """What a slice shows, in the order from the toes to the trunk."""

    FOOT = 0
    LOWER = 1
    KNEE = 2
    UPPER = 3
    HIP = 4


class Region(StrEnum):
    """A stretch of the limb that one network segments."""

    LOWER = "lower"
    UPPER = "upper"
    HIP = "hip"
    WHOLE = "whole"


_PARTS = MappingProxyType(
    {
        Region.LOWER: frozenset({Part.FOOT, Part.LOWER, Part.KNEE}),
        Region.UPPER: frozenset({Part.KNEE, Part.UPPER, Part.HIP}),
        Region.HIP: frozenset({Part.HIP}),
        Region.WHOLE: frozenset(Part),
    }
)


def parts_of(region: Region) -> frozenset[Part]:
    """Name the parts whose slices belong to a region; thigh and lower leg share the knee.

    The hip belongs to the thigh, too, whose muscles begin there, and is a region of its own
    besides: see :func:`legseg_bids.segment.locate.regions_in_view`.

    Examples
    --------
    >>> sorted(part.name for part in parts_of(Region.LOWER))
    ['FOOT', 'KNEE', 'LOWER']
    """
    return _PARTS[region]
