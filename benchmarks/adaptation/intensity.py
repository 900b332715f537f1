"""What images look like, in the terms in which legs are simulated: real and simulated ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import load_labels

Floats = NDArray[np.floating]
NAMES = ("fat / muscle", "marrow / muscle", "noise / muscle", "slice gain", "shading", "muscle cv")
#: Fewest voxels of a tissue in a slice for its median.
LEAST = 50


def of_tissue(labels: NDArray[np.integer], tissue: str) -> NDArray[np.bool_]:
    """Voxels of ``muscle``, ``bone`` or ``fat`` of a label image of the scheme."""
    return np.isin(labels, [e.index for e in load_labels() if e.tissue == tissue])


def described(image: Floats, labels: NDArray[np.integer], body: NDArray[np.bool_]) -> Floats:
    """The statistics of :data:`NAMES` for one image, axes (x, y, z); NaN where unknown.

    ``slice gain`` is the standard deviation over slices of the logarithm of the median of muscle,
    after its straight line is taken away; ``shading`` that over quarters of the image in plane;
    ``noise`` the median of what is far outside the body, by the Rayleigh distribution's median.
    """
    muscle, bone, fat = (of_tissue(labels, t) for t in ("muscle", "bone", "fat"))
    level = _median(image[muscle])
    outside = image[~body]
    noise = _median(outside[outside > 0]) / 1.177 / level if (outside > 0).mean() > 0.2 else np.nan
    slices = [
        _median(image[..., z][muscle[..., z]])
        for z in range(image.shape[2])
        if muscle[..., z].sum() >= LEAST
    ]
    return np.array(
        [
            _median(image[fat]) / level,
            _median(image[bone]) / level,
            noise,
            _unsteady(slices),
            _quarters(image, muscle),
            float(np.std(image[muscle]) / level) if muscle.any() else np.nan,
        ]
    )


def _median(values: Floats) -> float:
    return float(np.median(values)) if values.size >= LEAST else float("nan")


def _unsteady(levels: Sequence[float]) -> float:
    if len(levels) < 4:
        return float("nan")
    log, at = np.log(levels), np.arange(len(levels))
    return float(np.std(log - np.polyval(np.polyfit(at, log, 1), at)))


def _quarters(image: Floats, muscle: NDArray[np.bool_]) -> float:
    x, y = (np.flatnonzero(muscle.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    if x.size < 8 or y.size < 8:
        return float("nan")
    halves = [(slice(a[0], a[a.size // 2]), slice(a[a.size // 2], a[-1])) for a in (x, y)]
    parts = [(i, j) for i in halves[0] for j in halves[1]]
    medians = [_median(image[p][muscle[p]]) for p in parts]
    return float(np.nanstd(np.log(medians)))


def table(rows: Iterator[tuple[str, Floats]]) -> Iterator[str]:
    """Lines of a table of images by statistics."""
    yield f"{'image':28}" + "".join(f"{name:>17}" for name in NAMES)
    for name, values in rows:
        yield f"{name:28}" + "".join(f"{value:17.2f}" for value in values)
