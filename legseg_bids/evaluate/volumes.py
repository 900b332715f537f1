"""Overlap and volumes of two masks, and what is reported where one of them is empty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from legseg_bids.evaluate.surfaces import Spacing, check

NAN = float("nan")
MM3_PER_CM3 = 1000.0


@dataclass(frozen=True)
class Overlap:
    """Agreement of two masks in voxels and in volume.

    Attributes
    ----------
    dice : float
        2 |p ∩ r| / (|p| + |r|).
    jaccard : float
        |p ∩ r| / |p ∪ r|.
    relative_volume_error : float
        (predicted − reference) / reference.
    volume_error_cm3 : float
        Predicted minus reference, cm³.
    predicted_cm3, reference_cm3 : float
        Volumes, cm³.
    """

    dice: float
    jaccard: float
    relative_volume_error: float
    volume_error_cm3: float
    predicted_cm3: float
    reference_cm3: float


@dataclass(frozen=True)
class Status:
    """What is reported where a mask is empty.

    Attributes
    ----------
    overlap : float or None
        Dice and Jaccard; None where they are computed.
    relative_volume_error : float or None
    distances : float or None
        All distances.
    meaning : str
    """

    overlap: float | None
    relative_volume_error: float | None
    distances: float | None
    meaning: str


#: What each status means, and the values that it defines (None: computed).
STATUSES: Mapping[str, Status] = MappingProxyType(
    {
        "ok": Status(None, None, None, "both images have the structure"),
        "reference_empty": Status(0.0, NAN, NAN, "only the prediction has the structure"),
        "prediction_empty": Status(0.0, -1.0, NAN, "only the reference has the structure"),
        "both_empty": Status(NAN, NAN, NAN, "neither image has the structure"),
    }
)


def status_of(predicted: int, reference: int) -> str:
    """Key of :data:`STATUSES` for the voxels of both masks.

    Examples
    --------
    >>> status_of(10, 0), status_of(3, 4)
    ('reference_empty', 'ok')
    """
    if predicted and reference:
        return "ok"
    if predicted or reference:
        return "reference_empty" if predicted else "prediction_empty"
    return "both_empty"


def overlap(
    predicted: NDArray[np.bool_], reference: NDArray[np.bool_], spacing: Spacing
) -> Overlap:
    """Overlap and volumes of two masks.

    Parameters
    ----------
    predicted, reference : ndarray of bool, shape (x, y, z)
        On the same grid.
    spacing : tuple of float
        Voxel size, mm.

    Raises
    ------
    ValueError
        If the grids differ.

    Examples
    --------
    >>> p, r = np.zeros((2, 10, 10, 10), bool)
    >>> p[:5], r[:4] = True, True
    >>> round(overlap(p, r, (1.0, 1.0, 1.0)).dice, 3)
    0.889
    >>> overlap(p, r, (1.0, 1.0, 1.0)).relative_volume_error
    0.25
    """
    check(predicted, reference, spacing)
    one, two, both = (int(m.sum()) for m in (predicted, reference, predicted & reference))
    return overlap_of_counts(one, two, both, math.prod(spacing) / MM3_PER_CM3)


def overlap_of_counts(predicted: int, reference: int, both: int, voxel_cm3: float) -> Overlap:
    """Overlap and volumes from voxels: predicted, reference, and both.

    Parameters
    ----------
    predicted, reference, both : int
    voxel_cm3 : float
        Volume of a voxel.

    Examples
    --------
    >>> overlap_of_counts(0, 50, 0, 0.01).relative_volume_error
    -1.0
    """
    status = STATUSES[status_of(predicted, reference)]
    total = predicted + reference
    return Overlap(
        dice=2 * both / total if status.overlap is None else status.overlap,
        jaccard=both / (total - both) if status.overlap is None else status.overlap,
        relative_volume_error=(predicted - reference) / reference
        if status.relative_volume_error is None
        else status.relative_volume_error,
        volume_error_cm3=(predicted - reference) * voxel_cm3,
        predicted_cm3=predicted * voxel_cm3,
        reference_cm3=reference * voxel_cm3,
    )
