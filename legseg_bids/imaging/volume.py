"""A three-dimensional image with its place in the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxel values and the affine that maps voxel indices to millimetres.

    Attributes
    ----------
    data : ndarray, shape (nx, ny, nz)
        Values; the axes are those of the affine.
    affine : ndarray of float64, shape (4, 4)
        Voxel indices to RAS+ millimetres.

    Raises
    ------
    ValueError
        If the data are not three-dimensional or hold no voxel, or if the affine is not
        a finite, invertible 4 x 4 matrix.

    Examples
    --------
    >>> volume = Volume(np.zeros((4, 4, 2)), np.diag([1.5, 1.5, 6.0, 1.0]))
    >>> volume.spacing, volume.voxel_volume
    ((1.5, 1.5, 6.0), 13.5)
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or self.data.size == 0:
            raise ValueError(
                f"image has shape {self.data.shape}; expected three dimensions of at least one "
                "voxel; give one volume at a time"
            )
        object.__setattr__(self, "affine", _checked_affine(self.affine))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        nx, ny, nz = self.data.shape
        return nx, ny, nz

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        return spacing_of(self.affine)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, mm³ (right for sheared affines too)."""
        return voxel_volume_of(self.affine)


def spacing_of(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Distance between voxel centres along each axis of an affine (4, 4), mm."""
    dx, dy, dz = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
    return dx, dy, dz


def voxel_volume_of(affine: NDArray[np.float64]) -> float:
    """Volume of one voxel of an affine (4, 4), mm³ (right for sheared ones too)."""
    return float(abs(np.linalg.det(affine[:3, :3])))


def _checked_affine(affine: NDArray[Any]) -> NDArray[np.float64]:
    """Copy of the affine as float64, if it is one."""
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"affine is {matrix.tolist()}; expected 4 x 4 finite numbers")
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not lengths.all() or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6:
        raise ValueError(
            f"affine {matrix.tolist()} cannot be inverted; expected three independent axes; "
            "repair the qform or sform of the image"
        )
    return matrix
