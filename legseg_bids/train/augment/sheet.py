"""A sheet of examples, so that a person sees what ranges do before a network does.

One row for each augmentation alone, and a last one for all together as a training draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.train.augment.augmentation import Augmentation
from legseg_bids.train.augment.intensity import SIGNAL_ABOVE
from legseg_bids.train.augment.sample import Sample, Sides, sides_of_scheme

if TYPE_CHECKING:
    from PIL import Image

#: Width of a picture, pixels, and what is left for its title.
TILE, TITLE = 240, 16
#: Slices above and below the one that is shown, so that tilts find something.
SLAB = 5
#: Brightest grey value, as a percentile of the original slice.
WHITE = 99.5
#: Room around the limbs, as a share of their size.
ROOM = 0.15
ALL = "all together"


def draw_sheet(
    sample: Sample,
    augmentation: Augmentation,
    examples: int = 4,
    seed: int = 0,
    row: int | None = None,
    sides: Sides | None = None,
) -> Image.Image:
    """Draw the sheet.

    Parameters
    ----------
    sample : Sample
    augmentation : Augmentation
    examples : int
        Pictures a row, beside the original.
    seed : int
        Of the first example; the others follow.
    row : int, optional
        Which slice; the one with most labelled voxels by default.
    sides : Sides, optional
        As in :meth:`Augmentation.apply`.

    Returns
    -------
    PIL.Image.Image
        RGB; left is left in the picture, front is up.
    """
    from PIL import Image, ImageDraw

    sides = sides_of_scheme() if sides is None else sides
    slab, middle = _slab(sample, row)
    rows = [
        *((name, _alone(augmentation, name)) for name in augmentation.steps),
        (ALL, augmentation),
    ]
    paint = _painter(slab, middle)
    first = paint(slab)
    height = first.shape[0] + TITLE
    sheet = Image.new("RGB", (TILE * (examples + 1), height * len(rows)), "white")
    pen = ImageDraw.Draw(sheet)
    for y, (name, chosen) in enumerate(rows):
        pictures = [slab, *(chosen.apply(slab, seed + i, sides) for i in range(examples))]
        for x, picture in enumerate(pictures):
            title = "original" if x == 0 else f"{name}, {seed + x - 1}"
            pen.text((x * TILE + 4, y * height + 2), title, fill="black")
            sheet.paste(Image.fromarray(paint(picture)), (x * TILE, y * height + TITLE))
    return sheet


def _alone(augmentation: Augmentation, name: str) -> Augmentation:
    """One of the augmentations, always."""
    step = replace(augmentation.steps[name], probability=1.0)
    return Augmentation(MappingProxyType({name: step}))


def _slab(sample: Sample, row: int | None) -> tuple[Sample, int]:
    """A few slices around the one that is shown, and which of them that is."""
    if row is None:
        row = int((sample.labels > 0).sum((1, 2)).argmax())
    low = max(row - SLAB, 0)
    cut = slice(low, row + SLAB + 1)
    return Sample(sample.image[:, cut], sample.labels[cut], sample.spacing), row - low


def _painter(original: Sample, row: int) -> Callable[[Sample], NDArray[np.uint8]]:
    """How a sample becomes a picture; place and grey values mean the same in all of them."""
    from PIL import Image

    grey = original.image[0, row]
    white = max(float(np.percentile(grey.numpy(), WHITE)), 1e-9)
    window = _window(grey > SIGNAL_ABOVE * grey.max())
    _, dy, dx = original.spacing
    high, wide = ((w.stop - w.start) * s for w, s in zip(window, (dy, dx), strict=True))
    size = (TILE, max(round(TILE * high / wide), 1))
    present = sorted(set(torch.unique(original.labels).tolist()) - {0, -1})
    colours = label_colours(present)

    def enlarged(slice_: Tensor, how: Image.Resampling) -> NDArray[np.int32]:
        # Front, high y, is up in the picture.
        pixels = np.flipud(slice_[window].numpy())
        return np.asarray(Image.fromarray(pixels).resize(size, how)).astype(np.int32)

    def paint(sample: Sample) -> NDArray[np.uint8]:
        shade = (sample.image[0, row] / white).clamp(0, 1).mul(255).byte()
        names = enlarged(sample.labels[row].int(), Image.Resampling.NEAREST)
        picture = np.repeat(enlarged(shade, Image.Resampling.BILINEAR)[..., None], 3, axis=2)
        edge = np.zeros(names.shape, bool)
        edge[:-1] |= names[:-1] != names[1:]
        edge[:, :-1] |= names[:, :-1] != names[:, 1:]
        for label, colour in colours.items():
            picture[edge & (names == label)] = colour
        return picture.astype(np.uint8)

    return paint


def _window(shown: Tensor) -> tuple[slice, slice]:
    """Rows and columns (y, x) that hold what is shown, with room around to move in."""
    out = []
    for axis in (0, 1):
        size = shown.shape[axis]
        found = torch.nonzero(shown.any(1 - axis)).flatten()
        low, high = (int(found[0]), int(found[-1])) if len(found) else (0, size - 1)
        room = round(ROOM * (high - low + 1))
        out.append(slice(max(low - room, 0), min(high + room + 1, size)))
    return out[0], out[1]


def label_colours(labels: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Colour of each label, those of the label scheme, and grey for others.

    Examples
    --------
    >>> label_colours([1, 9999])
    {1: (239, 79, 60), 9999: (160, 160, 160)}
    """
    scheme = {entry.index: entry.color for entry in load_labels()}
    out = {}
    for label in labels:
        code = scheme.get(label, "#a0a0a0")
        red, green, blue = (int(code[i : i + 2], 16) for i in (1, 3, 5))
        out[label] = (red, green, blue)
    return out
