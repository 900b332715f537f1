"""Intensity scales of other people's networks, by name.

Our own networks see every slice divided by its brightness (:func:`intensity.normalise`). A network
that was trained elsewhere expects the scale that it was trained with; these are the usual ones.
All are computed once for a limb (or stack) as a whole, so that patches cannot change a label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.imaging.intensity import NoSignalError, normalise

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
BINS = 1024


@dataclass(frozen=True)
class Scaling:
    """How intensities become the input of a network.

    Attributes
    ----------
    name : str
        One of :data:`SCALINGS`.
    masked : bool
        Whether what lies outside the body is 0.
    low, high, mean, std : float
        Of the scaling ``fixed``: intensities are clipped, then shifted and divided.
    """

    name: str = "slices"
    masked: bool = True
    low: float = 0.0
    high: float = 1.0
    mean: float = 0.0
    std: float = 1.0


def scale(data: NDArray[np.floating[Any]], body: Mask, scaling: Scaling) -> Array:
    """Scale an image as a network expects it.

    Parameters
    ----------
    data, body : ndarray, shape (x, y, z)
        Magnitudes, and the body mask.
    scaling : Scaling

    Returns
    -------
    ndarray of float32, same shape

    Raises
    ------
    NoSignalError
        If no voxel inside the mask is positive.

    Examples
    --------
    >>> image, body = np.arange(4.0).reshape(2, 2, 1), np.ones((2, 2, 1), bool)
    >>> (3 * scale(image, body, Scaling("range"))).ravel().round().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    if scaling.name == "slices":
        return normalise(data, body)
    if not (data[body] > 0).any():
        raise NoSignalError(
            f"no voxel of the {int(body.sum())} in the body mask is positive; expected signal; "
            "look at the image"
        )
    scaled = SCALINGS[scaling.name](data.astype(np.float32), body, scaling)
    if scaling.masked:
        scaled[~body] = 0.0
    return scaled.astype(np.float32, copy=False)


def _as_it_is(data: Array, body: Mask, scaling: Scaling) -> Array:  # noqa: ARG001
    return data


def _range(data: Array, body: Mask, scaling: Scaling) -> Array:
    """The least value is 0, the largest 1."""
    seen = data[body] if scaling.masked else data
    low, high = float(seen.min()), float(seen.max())
    return (data - low) / max(high - low, 1e-8)


def _zscore(data: Array, body: Mask, scaling: Scaling) -> Array:
    """Mean 0 and standard deviation 1, of the body or of everything."""
    seen = data[body] if scaling.masked else data
    mean, std = float(seen.mean(dtype=np.float64)), float(seen.std(dtype=np.float64))
    return (data - mean) / max(std, 1e-8)


def _fixed(data: Array, body: Mask, scaling: Scaling) -> Array:  # noqa: ARG001
    return (np.clip(data, scaling.low, scaling.high) - scaling.mean) / max(scaling.std, 1e-8)


def _equalised(data: Array, body: Mask, scaling: Scaling) -> Array:
    """Histogram of what is not background spread evenly over 0 to 1, background 0.

    The share of voxels (in 1024 bins) that are darker or as dark. QMRITools feeds its networks
    with this ("Uniform" of its ``NormalizeData``).
    """
    inside = (body & (data > 0)) if scaling.masked else data > 0
    seen = data[inside]
    bins = np.clip(data * (BINS / float(seen.max())), 0, BINS - 1).astype(np.intp)
    share = np.cumsum(np.bincount(bins[inside], minlength=BINS)) / seen.size
    return np.where(inside, share[bins], 0.0).astype(np.float32)


SCALINGS: Mapping[str, Callable[[Array, Mask, Scaling], Array]] = MappingProxyType(
    {
        "slices": lambda data, body, _: normalise(data, body),
        "equalised": _equalised,
        "zscore": _zscore,
        "range": _range,
        "fixed": _fixed,
        "none": _as_it_is,
    }
)
"""What the names mean; ``slices`` is ours."""
