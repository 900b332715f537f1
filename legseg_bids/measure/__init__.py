"""What a label image says about muscles, compartments and limbs: pure functions of arrays.

:func:`legseg_bids.measure.image.measure_image` makes all tables at once; docs/measurements.md
tells what each column means.
"""

from __future__ import annotations

from legseg_bids.measure.image import Measures, measure_image
from legseg_bids.measure.muscles import MuscleMeasure, measure
from legseg_bids.measure.scene import Scene

__all__ = ["Measures", "MuscleMeasure", "Scene", "measure", "measure_image"]
