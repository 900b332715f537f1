"""One picture of a segmented station: slices along the limbs with the labels in colour.

Drawn with numpy and Pillow alone, in a fraction of a second. Slices run from proximal to
distal, seen from the feet as radiologists do: the patient's left is on the picture's right.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from legseg_bids.anatomy.labels import Label, load_labels, unsided
from legseg_bids.bids.names import printable
from legseg_bids.bids.write import replacing

SLICES = 8
TILE_PIXELS = 100_000
FILL_OPACITY = 0.35
#: Below 1 lifts muscle, which is darker than fat, out of the dark.
GAMMA = 0.7
GAP = 4
MARGIN_MM = 10.0
LEGEND_COLUMN = 62
LEGEND_ROW = 16
TEXT = (235, 235, 235)

Box = tuple[slice, slice]


def draw_overlay(
    image: NDArray[np.number[Any]],
    labels: NDArray[np.integer],
    spacing: tuple[float, float, float],
    path: Path,
    title: str = "",
    slices: int = SLICES,
    before: Callable[[], None] | None = None,
) -> Path:
    """Write the overlay of a station as PNG, to a temporary name and moved into place.

    Parameters
    ----------
    image : (x, y, z) array
        What was segmented, canonical axes, any scale.
    labels : (x, y, z) array of int
        Label image on the same grid, 0 is background.
    spacing : tuple of 3 floats
        Distances of voxel centres, mm.
    path : Path
        Where the picture goes; its folder is made.
    title : str
        Line at the top.
    slices : int
        How many slices to show, if the station has as many.
    before : callable, optional
        Called when the picture is ready to be written; may raise if the place is gone.

    Raises
    ------
    ValueError
        If the shapes differ.
    OutputError
        If the picture cannot be written.
    """
    picture = compose(image, labels, spacing, title, slices)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=6)
    if before is not None:
        before()
    with replacing(path) as file:
        file.write(buffer.getvalue())
    return path


def compose(
    image: NDArray[np.number[Any]],
    labels: NDArray[np.integer],
    spacing: tuple[float, float, float],
    title: str = "",
    slices: int = SLICES,
) -> Image.Image:
    """Make the picture; parameters as for :func:`draw_overlay`."""
    if image.shape != labels.shape:
        msg = f"image has shape {image.shape}, labels have {labels.shape}; expected the same"
        raise ValueError(msg)
    shown = choose_slices(image, labels, slices)
    box = _content_box(image, labels, spacing)
    size = _tile_size(box, spacing)
    white = white_level(image)
    tiles = [
        _tile(window(image[..., z][box], white), labels[..., z][box], size, f"z {z + 1}")
        for z in shown
    ]
    return _arrange(tiles, title, _legend(labels))


def choose_slices(
    image: NDArray[np.number[Any]], labels: NDArray[np.integer], count: int = SLICES
) -> tuple[int, ...]:
    """Slices worth showing, proximal first, spread evenly over those with labels.

    Where fewer slices have labels than are wanted, slices with signal fill the number up;
    an empty label image is shown by its signal alone.

    Returns
    -------
    tuple of int
        At most ``count`` indices along z, falling.

    Examples
    --------
    >>> labels = np.zeros((2, 2, 9), int); labels[0, 0, 2:7] = 1
    >>> choose_slices(labels.astype(float), labels, 3)
    (6, 4, 2)
    """
    labelled = np.flatnonzero(labels.any(axis=(0, 1)))
    if labelled.size >= count:
        return _spread(labelled, count)
    signal = np.flatnonzero((image > 0).any(axis=(0, 1)))
    some = np.union1d(labelled, signal)
    return _spread(some if some.size else np.arange(labels.shape[2]), count)


def _spread(indices: NDArray[np.integer], count: int) -> tuple[int, ...]:
    if count == 1:
        return (int(indices[indices.size // 2]),)
    picks = np.linspace(0, indices.size - 1, min(count, indices.size)).round().astype(int)
    return tuple(int(z) for z in indices[picks][::-1])


def white_level(image: NDArray[np.number[Any]]) -> float:
    """Value that is shown white: the 99.5th percentile of what is positive.

    Examples
    --------
    >>> white_level(np.zeros(3)), white_level(np.array([0.0, 4.0]))
    (1.0, 4.0)
    """
    positive = image[image > 0]
    return float(np.percentile(positive, 99.5)) if positive.size else 1.0


def window(image: NDArray[np.number[Any]], white: float | None = None) -> NDArray[np.uint8]:
    """Grey values 0 to 255; `white` is by default the image's own :func:`white_level`."""
    top = white_level(image) if white is None else white
    scaled = np.clip(image / max(top, 1e-12), 0.0, 1.0)
    grey: NDArray[np.uint8] = (255 * scaled**GAMMA).astype(np.uint8)
    return grey


def outline(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Labelled pixels of a slice that have another value to one of their four sides.

    Examples
    --------
    >>> outline(np.ones((3, 3), int)).astype(int)
    array([[1, 1, 1],
           [1, 0, 1],
           [1, 1, 1]])
    """
    padded = np.pad(labels, 1)
    middle = padded[1:-1, 1:-1]
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs = np.zeros(middle.shape, bool)
    for other in around:
        differs |= middle != other
    edge: NDArray[np.bool_] = differs & (middle != 0)
    return edge


def _content_box(
    image: NDArray[np.number[Any]], labels: NDArray[np.integer], spacing: tuple[float, ...]
) -> Box:
    """In-plane box around labels, or around the signal where there is no label, plus 10 mm."""
    shown = labels > 0 if labels.any() else image > 0
    content = np.logical_or.reduce(shown, axis=2)
    if not content.any():
        content = np.ones_like(content)
    sides = []
    for axis in (0, 1):
        used = np.flatnonzero(content.any(axis=1 - axis))
        margin = round(MARGIN_MM / spacing[axis])
        stop = min(int(used[-1]) + 1 + margin, content.shape[axis])
        sides.append(slice(max(int(used[0]) - margin, 0), stop))
    return sides[0], sides[1]


def _tile_size(box: Box, spacing: tuple[float, ...]) -> tuple[int, int]:
    """Width and height of a tile: square pixels, and about the same area for all stations."""
    width, height = ((s.stop - s.start) * d for s, d in zip(box, spacing, strict=False))
    scale = min(max((TILE_PIXELS / (width * height)) ** 0.5, 0.25), 4.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _tile(
    grey: NDArray[np.uint8], labels: NDArray[np.integer], size: tuple[int, int], text: str
) -> Image.Image:
    """One slice (x, y) as a picture: anterior on top, the patient's left on the right."""
    base = Image.fromarray(_upright(grey)).resize(size, Image.Resampling.BICUBIC)
    shown = Image.fromarray(_upright(labels).astype(np.int32))
    values = np.asarray(shown.resize(size, Image.Resampling.NEAREST))
    tile = Image.fromarray(_blend(np.asarray(base), values))
    pen = ImageDraw.Draw(tile)
    font = ImageFont.load_default(12)
    pen.text((3, 1), f"R   {text}", fill=TEXT, font=font)
    pen.text((size[0] - 12, 1), "L", fill=TEXT, font=font)
    return tile


def _upright(plane: NDArray[Any]) -> NDArray[Any]:
    """(x, y) with x left→right and y posterior→anterior to rows from the top and columns."""
    return np.ascontiguousarray(plane[::-1, ::-1].T)


def _blend(grey: NDArray[np.uint8], labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Grey picture (rows, columns) with labels filled thinly and outlined strongly."""
    colour = _palette(int(labels.max(initial=0)))[labels]
    opacity = np.where(outline(labels), 0.95, np.where(labels > 0, FILL_OPACITY, 0.0))[..., None]
    mixed = (1 - opacity) * grey[..., None] + opacity * colour
    picture: NDArray[np.uint8] = mixed.astype(np.uint8)
    return picture


def _palette(highest: int) -> NDArray[np.float32]:
    """Colours as rows (red, green, blue) by label value; unknown values are white."""
    table = np.full((highest + 1, 3), 255, np.float32)
    for label in load_labels():
        if label.index <= highest:
            table[label.index] = ImageColor.getrgb(label.color)
    return table


def _legend(labels: NDArray[np.integer]) -> list[Label]:
    """The labels in the image; of a pair only one, as both have the same hue."""
    present = set(np.unique(labels).tolist())
    pairs: dict[str, Label] = {}
    for label in load_labels():
        if label.index in present:
            pairs.setdefault(unsided(label), label)
    return list(pairs.values())


def _arrange(tiles: list[Image.Image], title: str, legend: list[Label]) -> Image.Image:
    """Tiles in rows, title above, legend below."""
    width, height = tiles[0].size
    columns = min(len(tiles), max(1, round((1.5 * len(tiles) * height / width) ** 0.5)))
    rows = -(-len(tiles) // columns)
    full = max(columns * (width + GAP) + GAP, 480)
    top = LEGEND_ROW + GAP if title else GAP
    bottom = top + rows * (height + GAP)
    legend_rows = -(-len(legend) // max(1, full // LEGEND_COLUMN))
    page = Image.new("RGB", (full, bottom + legend_rows * LEGEND_ROW + GAP))
    pen = ImageDraw.Draw(page)
    pen.text((GAP, 2), printable(title), fill=TEXT, font=ImageFont.load_default(12))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        page.paste(tile, (GAP + column * (width + GAP), top + row * (height + GAP)))
    _draw_legend(pen, legend, bottom, full)
    return page


def _draw_legend(pen: ImageDraw.ImageDraw, legend: list[Label], top: int, width: int) -> None:
    font = ImageFont.load_default(11)
    columns = max(1, width // LEGEND_COLUMN)
    for number, label in enumerate(legend):
        row, column = divmod(number, columns)
        x, y = GAP + column * LEGEND_COLUMN, top + row * LEGEND_ROW
        pen.rectangle((x, y + 3, x + 9, y + 12), fill=label.color)
        pen.text((x + 13, y), unsided(label), fill=TEXT, font=font)
