"""Pictures of a labelled image for a web page: slices and the whole leg, with outlines in SVG.

The image is a JPEG at its own resolution; outlines and names are drawn over it by the browser,
sharp at any size, each with the full name of its structure. Seen as radiologists do: from the
feet, or from the front, so that the patient's left is on the picture's right.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from legseg_bids.anatomy.labels import Label, load_labels, unsided
from legseg_bids.report.outlines import Outline, outlines
from legseg_bids.report.planes import best_planes, choose_planes
from legseg_bids.report.scene import Scene

SLICES = 8
SLICES_OF_A_LEG = 10
FRONT_VIEWS = 2
JPEG_QUALITY = {"slice": 82, "front": 92}
TEXT_SHARE = {"slice": 1 / 52, "front": 1 / 34}
"""Height of the names, of the width of the picture."""
LETTER = 0.62
"""Width of a letter over its height, roughly."""
AXES = {"slice": 2, "front": 1}


@dataclass(frozen=True)
class Shape:
    """One structure in a picture: value, name, tissue, path data."""

    value: int
    name: str
    tissue: str
    path: str


@dataclass(frozen=True)
class Name:
    """An abbreviation on its structure; position in mm from the upper left corner."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """One plane of a scene.

    Attributes
    ----------
    kind : str
        ``slice`` or ``front``.
    plane : int
        Which one in the whole image, counted from 1.
    of : int
        Slices of the whole image.
    width, height : float
        mm.
    pixel : tuple of float
        Width and height of half a pixel, mm: the unit of the paths.
    text : float
        Height of the names, mm.
    jpeg : str
        The image, base64; empty if there is none.
    shapes : tuple of Shape
    names : tuple of Name
    """

    kind: str
    plane: int
    of: int
    width: float
    height: float
    pixel: tuple[float, float]
    text: float
    jpeg: str
    shapes: tuple[Shape, ...]
    names: tuple[Name, ...]

    @property
    def described(self) -> str:
        """What the picture shows, for those who do not see it."""
        shown = ", ".join(shape.name for shape in self.shapes) or "nothing that is labelled"
        view = f"Slice {self.plane} of {self.of}, from the feet"
        if self.kind == "front":
            view = "Whole field of view from the front"
        return f"{view}: {shown}"


def slice_pictures(scene: Scene, count: int = SLICES) -> tuple[Picture, ...]:
    """Slices that together show every structure, from proximal to distal."""
    return _pictures(scene, "slice", count)


def front_pictures(scene: Scene, count: int = FRONT_VIEWS) -> tuple[Picture, ...]:
    """Coronal planes that together show as many structures as they can, proportions as in life."""
    return _pictures(scene, "front", count)


def _pictures(scene: Scene, kind: str, count: int) -> tuple[Picture, ...]:
    axis = AXES[kind]
    planes = choose_planes(scene.labels, axis, count)
    areas = {plane: np.bincount(scene.labels.take(plane, axis).ravel()) for plane in planes}
    best = _best_shown(scene.labels, axis, areas)
    return tuple(_picture(scene, kind, plane, best[plane]) for plane in planes)


def _best_shown(
    labels: NDArray[np.integer[Any]], axis: int, areas: dict[int, NDArray[np.intp]]
) -> dict[int, set[int]]:
    """For each plane the structures that none of the other planes shows larger."""
    best: dict[int, set[int]] = {plane: set() for plane in areas}
    for value in best_planes(labels, axis):
        sizes = {plane: int(found[value]) for plane, found in areas.items() if value < found.size}
        if any(sizes.values()):
            best[max(sizes, key=lambda plane: sizes[plane])].add(value)
    return best


def _picture(scene: Scene, kind: str, plane: int, must: set[int]) -> Picture:
    axis = AXES[kind]
    across, down = scene.spacing[0], scene.spacing[1 if kind == "slice" else 2]
    labels = upright(np.take(scene.labels, plane, axis))
    found = outlines(labels, (down, across))
    known = {label.index: label for label in load_labels()}
    width, height = labels.shape[1] * across, labels.shape[0] * down
    text = width * TEXT_SHARE[kind]
    return Picture(
        kind=kind,
        plane=plane + scene.start[axis] + 1,
        of=scene.depth,
        width=round(width, 2),
        height=round(height, 2),
        pixel=(round(across / 2, 5), round(down / 2, 5)),
        text=round(text, 2),
        jpeg="" if scene.grey is None else _jpeg_of(scene.grey, kind, plane),
        shapes=tuple(_shape(outline, known.get(outline.value)) for outline in found),
        names=_names(found, known, (across, down), text, must),
    )


def _jpeg_of(grey: NDArray[np.uint8], kind: str, plane: int) -> str:
    return jpeg(upright(np.take(grey, plane, AXES[kind])), JPEG_QUALITY[kind])


def _shape(outline: Outline, label: Label | None) -> Shape:
    tissue = label.tissue if label else "unknown"
    return Shape(outline.value, full_name(label, outline.value), tissue, outline.path)


def upright(plane: NDArray[Any]) -> NDArray[Any]:
    """(x, y) or (x, z) to rows from the top and columns; the patient's left on the right.

    Canonical x runs to the patient's left where it is low, so that columns run against it.

    Examples
    --------
    >>> upright(np.array([[1, 2], [3, 4]]))
    array([[4, 2],
           [3, 1]])
    """
    return np.ascontiguousarray(plane[::-1, ::-1].T)


def jpeg(picture: NDArray[np.uint8], quality: int) -> str:
    """Grey picture (rows, columns) as base64 of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def full_name(label: Label | None, value: int) -> str:
    """Name of a structure; of one that the scheme does not have, its value."""
    return label.name if label else f"label {value}"


def _names(
    found: Sequence[Outline],
    known: dict[int, Label],
    pixel: tuple[float, float],
    text: float,
    must: Iterable[int],
) -> tuple[Name, ...]:
    """Names where they fit, large structures first; each at least where it is shown best."""
    placed: list[tuple[float, float, float]] = []
    names = []
    wanted = set(must)
    for outline in sorted(found, key=lambda o: (o.value not in wanted, -o.depth, o.value)):
        label = known.get(outline.value)
        if label is None or label.tissue == "fat":
            continue
        word = unsided(label)  # the picture itself tells the side
        x, y = outline.spot[0] * pixel[0], outline.spot[1] * pixel[1]
        half = len(word) * LETTER * text / 2
        free = all(abs(x - px) > half + ph or abs(y - py) > text for px, py, ph in placed)
        if outline.value in wanted or (free and outline.depth > text * 0.5):
            placed.append((x, y, half))
            names.append(Name(word, round(x, 1), round(y + text * 0.35, 1)))
    return tuple(names)
