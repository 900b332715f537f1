"""What is measured: a label image, its grid, and what else is known of its voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

MM3_PER_ML = 1000.0


@dataclass(frozen=True, eq=False)
class Scene:
    """A label image with its grid, canonical axes (x, y, z); all arrays have its shape.

    Attributes
    ----------
    labels : ndarray of int
        0 is background; at most 255.
    affine : ndarray, shape (4, 4)
        Voxel indices to millimetres; axes may be oblique or sheared.
    limbs : ndarray of bool, optional
        Voxels of the legs. The ends of the stack are the first and last slice that show them,
        so that blank slices do not hide a truncation.
    fat_fraction : ndarray of float, optional
        From 0 to 1; NaN where it is not known.
    highest_fraction : float
        What the map can show at most: 0.5 where two magnitudes cannot tell water from fat.
    confidence : ndarray, optional
        Probability of the label that a voxel has: from 0 to 1, NaN where it is not known (drawn
        by hand), or integers in steps of 1/255.
    seen : ndarray of bool, shape (z,), optional
        Slices that were imaged; those between two stations may not have been.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the labels are not integers in three dimensions.

    Examples
    --------
    >>> scene = Scene(np.zeros((4, 4, 2), np.uint8), np.diag([1.5, 2.0, 6.0, 1.0]))
    >>> scene.pixel_area, scene.thickness, scene.voxel_ml
    (3.0, 6.0, 0.018)
    """

    labels: NDArray[np.integer[Any]]
    affine: NDArray[np.float64]
    limbs: NDArray[np.bool_] | None = None
    fat_fraction: NDArray[np.floating[Any]] | None = None
    highest_fraction: float = 1.0
    confidence: NDArray[Any] | None = None
    seen: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or not np.issubdtype(self.labels.dtype, np.integer):
            raise ValueError(
                f"labels are {self.labels.dtype} of shape {self.labels.shape}; expected integers, "
                "(x, y, z)"
            )
        for other in (self.limbs, self.fat_fraction, self.confidence):
            if other is not None and other.shape != self.labels.shape:
                raise ValueError(
                    f"labels have shape {self.labels.shape} and a map has {other.shape}; expected "
                    "the same grid"
                )

    @property
    def slices(self) -> int:
        """Number of slices."""
        return int(self.labels.shape[2])

    @cached_property
    def pixel(self) -> NDArray[np.float64]:
        """The two edges of a voxel that lie in the slice, mm, one for each row (2, 3)."""
        return np.asarray(self.affine[:3, :2].T, dtype=np.float64)

    @cached_property
    def pixel_size(self) -> tuple[float, float]:
        """Lengths of these edges, mm."""
        dx, dy = (float(length) for length in np.linalg.norm(self.pixel, axis=1))
        return dx, dy

    @cached_property
    def pixel_area(self) -> float:
        """Area of a voxel within the slice, mm² (right for sheared axes too)."""
        return float(np.linalg.norm(self._upright))

    @cached_property
    def thickness(self) -> float:
        """Distance between neighbouring slices, mm, measured at right angles to them."""
        return abs(float(self._upright @ self.affine[:3, 2])) / self.pixel_area

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return self.pixel_area * self.thickness / MM3_PER_ML

    @cached_property
    def _upright(self) -> NDArray[np.float64]:
        """At right angles to the slice, as long as a pixel is large."""
        return np.asarray(np.cross(*self.pixel))

    @cached_property
    def ends(self) -> tuple[int, int]:
        """First and last slice that show the legs; those of the stack if it is not known."""
        if self.limbs is None:
            return 0, self.slices - 1
        shown = np.flatnonzero(self.limbs.any(axis=(0, 1)))
        return (int(shown[0]), int(shown[-1])) if shown.size else (0, self.slices - 1)

    @cached_property
    def beside_gaps(self) -> NDArray[np.intp]:
        """Slices that have an imaged slice on one side only, but for the first and the last."""
        if self.seen is None:
            return np.zeros(0, np.intp)
        imaged = np.flatnonzero(self.seen)
        steps = np.flatnonzero(np.diff(imaged) > 1)
        return np.concatenate([imaged[steps], imaged[steps + 1]])
