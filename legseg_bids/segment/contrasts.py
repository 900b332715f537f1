"""Which images of a limb the networks are fed, and how their answers are joined.

The opposed-phase image, which draws a dark line between muscle and fat, is always fed. It loses
by its own doing what it shows best where fat replaces muscle: at equal parts of water and fat a
voxel is black, and beyond that muscle is as bright as fat. Where water and fat images are at
hand, the network therefore looks at the in-phase image W + F of the same limb too, and the two
answers are averaged, unless it is clearly less sure of that one. docs/accuracy.md has the
measurements behind this, and what else was tried.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.segment.limb import RegionResult

OPPOSED, IN_PHASE = "opposed", "in_phase"
MARGIN = 0.02
"""By how much the mean probability from the in-phase image may be lower to be used at all."""


def confidence(result: RegionResult) -> float:
    """Mean probability of the limb's own voxels that were labelled muscle; 0 without any."""
    found = result.probability[_muscles()[result.labels] & result.own]
    return float(found.mean()) if found.size else 0.0


def is_used(opposed: float, in_phase: float) -> bool:
    """Whether the answer from the in-phase image is averaged with that from the opposed one.

    Parameters
    ----------
    opposed, in_phase : float
        :func:`confidence` of either answer.

    Examples
    --------
    >>> is_used(0.82, 0.85), is_used(0.82, 0.81), is_used(0.82, 0.70)
    (True, True, False)
    """
    return in_phase >= opposed - MARGIN


@cache
def _muscles() -> NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[[label.index for label in load_labels() if label.tissue == "muscle"]] = True
    return table
