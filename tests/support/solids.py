"""Solids with known volumes and cross-sections, drawn into a label image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Inside = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[np.bool_]]


def drawn(
    inside: Inside,
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    label: int = 61,
) -> NDArray[np.uint8]:
    """Label the voxels whose centre lies inside a solid.

    Parameters
    ----------
    inside : callable
        ``inside(x, y, z)`` in millimetres.
    shape : tuple of int
        Voxels (x, y, z).
    affine : ndarray, shape (4, 4)
        Voxel indices to millimetres; may be oblique or sheared.
    label : int
        What to write.

    Examples
    --------
    >>> ball = lambda x, y, z: x**2 + y**2 + z**2 < 1.5
    >>> int((drawn(ball, (3, 3, 3), centred((3, 3, 3), np.eye(3))) > 0).sum())
    7
    """
    index = np.indices(shape).reshape(3, -1)
    x, y, z = (affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape)
    return np.where(inside(x, y, z), label, 0).astype(np.uint8)


def centred(shape: tuple[int, int, int], axes: NDArray[Any]) -> NDArray[np.float64]:
    """Affine with these axes (columns, mm) whose grid has its centre at the origin."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine
