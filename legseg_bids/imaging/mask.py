"""Where the body is: everything inside the skin, slice by slice.

The threshold lies just above the noise of the air, so that dark fat (water images), dark
muscle (fat images) and the far side of a surface coil stay inside; what is dark within a
limb (cortical bone, opposed-phase borders) is filled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.imaging.blocks import block_mean, block_size, spread_blocks

DARKEST_BODY = 0.03
"""Share of the bright tissue below which nothing counts as body, however clean the air."""
DARKEST_NEARBY = 0.05
"""Share of the brightest tissue nearby below which a voxel counts as its ghost."""
NEARBY_MM = 30.0
MASKED_AIR = 0.7
"""If more of the dark voxels are exactly 0, the scanner has already blanked the air."""
NOISE_WIDTHS = 5.0
"""How far above the most frequent air value the threshold lies, in standard deviations."""
OPENING_MM = 6.0
"""Thinner things (ghosts, fold-over along the border) are removed."""
SMALLEST_CM2 = 4.0
"""Smaller pieces in a slice are removed; smaller gaps at the border are filled."""
SMALLEST_SHARE = 0.03
"""Smaller bodies, as a share of the largest, are removed."""


def body_mask(
    data: NDArray[np.floating[Any]], spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Find the body in a magnitude image of one or two legs.

    Parameters
    ----------
    data : ndarray, shape (x, y, z)
        Finite magnitudes, axial slices along z.
    spacing : tuple of float
        Voxel size, mm.

    Returns
    -------
    ndarray of bool, same shape
        All False where there is no signal.

    Notes
    -----
    Works on blocks of about 3 mm in plane, whatever the resolution of the image.
    """
    block = block_size(spacing)
    pixel = (spacing[0] * block[0], spacing[1] * block[1])
    coarse = block_mean(data, block)
    low, high = _thresholds(coarse)
    above = coarse > np.maximum(low, DARKEST_NEARBY * _brightest_nearby(coarse, pixel))
    mask = _fill_in_plane(_close_in_plane(above), pixel)
    mask = _open_in_plane(mask, pixel)
    mask = _keep_large(mask, coarse > high, pixel)
    contour = ndimage.gaussian_filter(mask.astype(np.float32), (1.0, 1.0, 0.0), mode="nearest")
    body: NDArray[np.bool_] = spread_blocks(contour, block, data.shape, order=1) > 0.5
    return body


def _thresholds(coarse: NDArray[np.float32]) -> tuple[float, float]:
    """Level that the body must exceed everywhere, and one it must exceed somewhere."""
    bright = float(np.percentile(coarse, 99.0))
    if bright == 0:
        bright = float(coarse.max())
    # The logarithm makes dark and bright tissue one class; its offset makes all air one.
    floor = DARKEST_BODY * bright or 1.0
    high = floor * float(np.expm1(otsu(np.log1p(coarse / floor))))
    noise = min(_noise_ceiling(coarse[coarse <= high]), bright / 2)
    return max(floor, noise), max(high, noise)


def _brightest_nearby(
    coarse: NDArray[np.float32], pixel: tuple[float, float]
) -> NDArray[np.float32]:
    """Brightest tissue within 30 mm in the slice, single bright voxels left aside."""
    smooth = ndimage.uniform_filter(coarse, (3, 3, 1), mode="nearest")
    window = (*(2 * round(NEARBY_MM / size) + 1 for size in pixel), 1)
    return np.asarray(ndimage.maximum_filter(smooth, window, mode="nearest"))


def otsu(values: NDArray[np.floating[Any]]) -> float:
    """Threshold that separates two classes best (Otsu, IEEE Trans SMC 9:62, 1979).

    Examples
    --------
    >>> 1.0 < otsu(np.array([0.9, 1.0, 4.0, 4.1])) < 4.0
    True
    """
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    between = np.nan_to_num(between)
    # A gap between the classes gives a plateau: its middle is the safest place.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1:][best].mean())


def _noise_ceiling(dark: NDArray[np.float32]) -> float:
    """Level that the noise of the air hardly ever exceeds; 0 if the air is blank."""
    noisy = dark[dark > 0]
    if noisy.size <= (1 - MASKED_AIR) * dark.size:
        return 0.0
    counts, edges = np.histogram(noisy, bins=128)
    smooth = ndimage.uniform_filter1d(counts.astype(np.float64), 3)
    peak = int(np.argmax(smooth))
    mode = float((edges[peak] + edges[peak + 1]) / 2)
    # Only the left flank is air for certain; dark tissue hides on the right.
    left = noisy[noisy <= mode]
    width = float(np.sqrt(np.mean((left - mode) ** 2))) if left.size else 0.0
    return mode + NOISE_WIDTHS * width


def _close_in_plane(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bridge gaps of one or two coarse voxels, also along the border of the image."""
    padded = np.pad(mask, ((1, 1), (1, 1), (0, 0)), mode="edge")
    closed = ndimage.binary_closing(padded, _neighbours_in_plane(1))
    return np.asarray(closed | padded)[1:-1, 1:-1]


def _fill_in_plane(mask: NDArray[np.bool_], pixel: tuple[float, float]) -> NDArray[np.bool_]:
    """Fill what is enclosed in a slice, and small gaps between limb and border."""
    labels, count = ndimage.label(~mask, _neighbours_in_plane(1))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    outside = np.zeros(count + 1, dtype=bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[side.ravel()] = True
    outside &= sizes * _area_cm2(pixel) >= SMALLEST_CM2
    outside[0] = False
    return np.asarray(~outside[labels])


def _open_in_plane(mask: NDArray[np.bool_], pixel: tuple[float, float]) -> NDArray[np.bool_]:
    """Remove what is thinner than two opening radii."""
    return np.asarray(ndimage.binary_opening(mask, _disc(OPENING_MM, pixel)[:, :, None]))


def _keep_large(
    mask: NDArray[np.bool_], bright: NDArray[np.bool_], pixel: tuple[float, float]
) -> NDArray[np.bool_]:
    """Keep pieces that are large in their slice and part of a large, bright body."""
    labels, count = ndimage.label(mask, _neighbours_in_plane(2))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes * _area_cm2(pixel) >= SMALLEST_CM2
    large[0] = False
    labels, count = ndimage.label(large[labels], np.ones((3, 3, 3), dtype=bool))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    lit = np.bincount(labels[bright], minlength=count + 1) > 0
    return np.asarray(((sizes >= SMALLEST_SHARE * sizes.max()) & (sizes > 0) & lit)[labels])


def _disc(radius_mm: float, pixel: tuple[float, float]) -> NDArray[np.bool_]:
    """Elliptic structuring element of a radius in mm, at least one pixel."""
    rx, ry = (max(1, round(radius_mm / size)) for size in pixel)
    x, y = np.ogrid[-rx : rx + 1, -ry : ry + 1]
    return np.asarray((x / (rx + 0.3)) ** 2 + (y / (ry + 0.3)) ** 2 <= 1)


def _neighbours_in_plane(connectivity: int) -> NDArray[np.bool_]:
    """Neighbours within a slice: 4 for connectivity 1, 8 for connectivity 2."""
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[:, :, 1] = ndimage.generate_binary_structure(2, connectivity)
    return structure


def _area_cm2(pixel: tuple[float, float]) -> float:
    return pixel[0] * pixel[1] / 100.0
