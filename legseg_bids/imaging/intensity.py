"""From whatever a file holds to one robust intensity scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.errors import ImageError

FEWEST_PIXELS = 50
"""A slice with fewer positive pixels of the body has no reference intensity of its own."""

REFERENCE_PERCENTILE = 98.0
BRIGHTEST = 2.0


class NoSignalError(ImageError, ValueError):
    """The image holds nothing that could be segmented."""


def clean(data: NDArray[Any]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Give finite magnitudes, whatever the image holds.

    Complex values become their magnitude; NaN, infinities and negative values become 0.

    Parameters
    ----------
    data : ndarray, any shape
        Voxel values of any numeric type.

    Returns
    -------
    cleaned : ndarray of float32, same shape
        Finite, not negative. A new array: the input is never changed.
    warnings : tuple of str
        What was changed, and in how many voxels.

    Raises
    ------
    NoSignalError
        If the image is empty, or if nothing but one value is left.

    Examples
    --------
    >>> clean(np.array([1.0, -2.0, np.nan, 3.0]))[1]
    ('1 of 4 voxels were not finite and became 0', '1 of 4 voxels were negative and became 0')
    """
    if data.size == 0:
        raise NoSignalError(f"image of shape {data.shape} holds no voxel; expected an image")
    warnings = []
    if np.iscomplexobj(data):
        warnings.append("complex values became their magnitude")
        data = np.abs(data)
    with np.errstate(over="ignore"):
        cleaned = data.astype(np.float32)
    warnings += _zero(cleaned, ~np.isfinite(cleaned), "not finite")
    warnings += _zero(cleaned, cleaned < 0, "negative")
    _require_contrast(cleaned)
    return cleaned, tuple(warnings)


def reference_intensity(data: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> float:
    """Measure the brightness of the body: 98th percentile of what is positive inside it.

    Parameters
    ----------
    data, mask : ndarray, same shape
        Image and body mask.

    Raises
    ------
    NoSignalError
        If no voxel inside the mask is positive.

    Examples
    --------
    >>> reference_intensity(np.arange(102.0), np.ones(102, bool))
    99.0
    """
    inside = data[mask]
    positive = inside[inside > 0]
    if positive.size == 0:
        raise NoSignalError(
            f"no voxel of the {int(mask.sum())} in the body mask is positive; expected signal; "
            "look at the image"
        )
    return float(np.percentile(positive, REFERENCE_PERCENTILE))


def normalise(data: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scale every slice by its own reference intensity; 0 outside the body, at most 2 inside.

    Coils lose up to four fifths of the signal towards the ends of a station. A reference of the
    whole stack would leave the outer slices nearly black; one of each slice does not.

    Parameters
    ----------
    data, mask : ndarray, shape (x, y, z)
        Image and body mask.

    Returns
    -------
    ndarray of float32, same shape
        In [0, 2]. The result does not depend on the unit of the input.

    Raises
    ------
    NoSignalError
        If no voxel inside the mask is positive.
    """
    scaled = data * (1.0 / slice_references(data, mask))
    np.clip(scaled, 0.0, BRIGHTEST, out=scaled)
    scaled[~mask] = 0.0
    return scaled.astype(np.float32, copy=False)


def slice_references(
    data: NDArray[np.floating[Any]], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Reference intensity of every slice; that of the stack where a slice shows next to nothing.

    Parameters
    ----------
    data, mask : ndarray, shape (x, y, z)

    Returns
    -------
    ndarray of float32, shape (z,)
        Positive.

    Raises
    ------
    NoSignalError
        If no voxel inside the mask is positive.
    """
    whole = reference_intensity(data, mask)
    out = np.full(data.shape[2], whole, np.float32)
    for z in range(data.shape[2]):
        inside = data[..., z][mask[..., z]]
        positive = inside[inside > 0]
        if positive.size >= FEWEST_PIXELS:
            out[z] = np.percentile(positive, REFERENCE_PERCENTILE)
    return out


def _zero(data: NDArray[np.float32], bad: NDArray[np.bool_], what: str) -> list[str]:
    """Set bad voxels to 0 in place and say how many there were."""
    count = int(np.count_nonzero(bad))
    if count == 0:
        return []
    data[bad] = 0.0
    return [f"{count} of {data.size} voxels were {what} and became 0"]


def _require_contrast(data: NDArray[np.float32]) -> None:
    if data.max() == data.min():
        raise NoSignalError(
            f"all {data.size} voxels are {float(data.max()):g} (after NaN and negative values "
            "became 0); expected an image of a leg; look at the file"
        )
