"""One labelled image as the report shows it: voxels in canonical axes, cropped to the limbs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.report.overlay import white_level

MARGIN_MM = 12.0
FAINT = 14
"""Of 255: what is darker, all the way round, is air."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A label image and what it was drawn on.

    Attributes
    ----------
    labels : (x, y, z) array of int
        Canonical axes, 0 is background.
    affine : (4, 4) array of float
        Voxel indices to RAS+ millimetres.
    grey : (x, y, z) array of uint8, or None
        The image in linear steps, 255 is white; None if it is not to be had.
    problem : str
        Why the image, or a part of it, is not shown; empty if it is.
    start : tuple of int
        Where the first voxel lies in the whole image, after cropping.
    depth : int
        Slices of the whole image.
    """

    labels: NDArray[np.integer[Any]]
    affine: NDArray[np.float64]
    grey: NDArray[np.uint8] | None = None
    problem: str = ""
    start: tuple[int, int, int] = (0, 0, 0)
    depth: int = 0

    def __post_init__(self) -> None:
        if self.grey is not None and self.grey.shape != self.labels.shape:
            msg = f"image has {self.grey.shape} voxels, labels have {self.labels.shape}"
            raise ValueError(f"{msg}; expected the same")
        object.__setattr__(self, "depth", self.depth or self.labels.shape[2])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        x, y, z = (float(step) for step in np.linalg.norm(self.affine[:3, :3], axis=0))
        return x, y, z

    @property
    def background(self) -> NDArray[np.uint8]:
        """The image, or black where there is none."""
        return np.zeros(self.labels.shape, np.uint8) if self.grey is None else self.grey


def grey_levels(data: NDArray[Any]) -> NDArray[np.uint8]:
    """An image from 0 to 255 by its own brightest parts, whatever its scale.

    Examples
    --------
    >>> grey_levels(np.array([np.nan, -3.0, 0.0, 50.0, 100.0]))
    array([  0,   0,   0, 128, 255], dtype=uint8)
    """
    finite = np.nan_to_num(data.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    scaled = np.clip(finite / max(white_level(finite), 1e-12), 0, 1)
    return np.asarray(np.rint(255 * scaled), dtype=np.uint8)


def crop(scene: Scene) -> Scene:
    """Keep the limbs and a margin: all labels, and within the slices all that is bright.

    Slices are kept, since those without a label show what was not labelled.
    """
    flat: NDArray[Any] = np.any((scene.labels > 0) | (scene.background > FAINT), axis=2)
    if not flat.any():
        return scene
    box = (
        _span(flat, 0, scene.spacing[0]),
        _span(flat, 1, scene.spacing[1]),
        slice(0, scene.labels.shape[2]),
    )
    return _cut(scene, box)


def _span(flat: NDArray[Any], axis: int, step: float) -> slice:
    places = np.flatnonzero(np.any(flat, axis=1 - axis))
    margin = round(MARGIN_MM / step)
    return slice(
        max(int(places[0]) - margin, 0), min(int(places[-1]) + 1 + margin, flat.shape[axis])
    )


def _cut(scene: Scene, box: tuple[slice, slice, slice]) -> Scene:
    start = tuple(side.start for side in box)
    affine = scene.affine.copy()
    affine[:3, 3] = (scene.affine @ [*start, 1.0])[:3]
    return replace(
        scene,
        labels=np.ascontiguousarray(scene.labels[box]),
        affine=affine,
        grey=None if scene.grey is None else np.ascontiguousarray(scene.grey[box]),
        start=(start[0], start[1], start[2]),
    )
