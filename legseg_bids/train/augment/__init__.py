"""Make many images of one: augmentations by name, with ranges, from a seed."""

from __future__ import annotations

from legseg_bids.train.augment.augmentation import (
    KINDS,
    Augmentation,
    load_augmentation,
    random_patch,
    read_augmentation,
    shipped_augmentations,
)
from legseg_bids.train.augment.sample import Sample, Sides, sides_of_scheme

__all__ = [
    "KINDS",
    "Augmentation",
    "Sample",
    "Sides",
    "load_augmentation",
    "random_patch",
    "read_augmentation",
    "shipped_augmentations",
    "sides_of_scheme",
]
