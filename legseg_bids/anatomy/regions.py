"""Sides, parts of the limb, and the regions that have a network of their own."""

from __future__ import annotations

from enum import IntEnum, StrEnum


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
    WHOLE = "whole"


def parts_of(region: Region) -> frozenset[Part]:
    """Name the parts whose slices belong to a region; the knee belongs to both.

    Examples
    --------
    >>> sorted(part.name for part in parts_of(Region.LOWER))
    ['FOOT', 'KNEE', 'LOWER']
    """
    if region is Region.WHOLE:
        return frozenset(Part)
    if region is Region.LOWER:
        return frozenset({Part.FOOT, Part.LOWER, Part.KNEE})
    return frozenset({Part.KNEE, Part.UPPER, Part.HIP})
