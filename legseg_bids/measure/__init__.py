"""What a label image says about each muscle."""

from __future__ import annotations

from legseg_bids.measure.muscles import MuscleMeasure, measure

__all__ = ["MuscleMeasure", "measure"]
