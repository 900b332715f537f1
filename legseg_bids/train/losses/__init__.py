"""What a network is asked to make small: losses by name, and their sums."""

from __future__ import annotations

from legseg_bids.train.losses.border import border_weights
from legseg_bids.train.losses.shipped import (
    locator_loss,
    partial_loss,
    segmentation_loss,
    soft_dice_loss,
)
from legseg_bids.train.losses.spec import LossSum, parse_loss
from legseg_bids.train.losses.truth import IGNORE

__all__ = [
    "IGNORE",
    "LossSum",
    "border_weights",
    "locator_loss",
    "parse_loss",
    "partial_loss",
    "segmentation_loss",
    "soft_dice_loss",
]
