"""A picture of every factor: one slice from little to much, and the true outlines below it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.synth.atlas import Anatomy, load_anatomy
from legseg_bids.synth.factor_scenes import (
    SLICE,
    Place,
    Strip,
    load_strips,
    simulate_column,
    still_ranges,
)
from legseg_bids.synth.register import with_people
from legseg_bids.synth.sample import Sample

if TYPE_CHECKING:
    from PIL import Image

#: Width of one column, the gap between two, and the height of the captions, pixels.
TILE, GAP, CAPTION = 144, 4, 15
#: Brightest value of the simulated images that is told apart from white.
WHITE = 1.25
#: Outlines: orange that people with any colour vision tell from grey (Okabe and Ito), and how
#: dark the image is under them.
OUTLINE, DIMMED = (230, 159, 0), 0.6
#: Pictures get coarser until they are smaller than this.
MOST_BYTES = 20_000
QUALITIES = range(80, 19, -5)
SUFFIX = ".webp"

Say = Callable[[str], object]


class Anatomies:
    """The anatomies that strips ask for, each loaded once."""

    def __init__(self, atlas: Path, cache: Path, say: Say = print) -> None:
        self._atlas, self._cache, self._say = atlas, cache, say
        self._known: dict[tuple[str, str], Anatomy] = {}

    def of(self, place: Place) -> Anatomy:
        """The anatomy of a place, with the shapes of other people if it asks for them."""
        key = (place.anatomy, place.people)
        if key not in self._known:
            self._known[key] = self._load(place)
        return self._known[key]

    def _load(self, place: Place) -> Anatomy:
        def loaded(names: Sequence[str]) -> list[Anatomy]:
            return [load_anatomy(self._atlas, name, self._cache) for name in names]

        if not place.people:
            return loaded([place.anatomy])[0]
        if place.people == "anatomies":
            folder, names = None, ["vhm", "vhf"]
        else:
            folder = self._atlas / "thigh_partial"
            names = ["vhm", "vhf", "musclemap_pelvis_thigh"]
        every = with_people(loaded(names), folder, self._cache, self._say, place.region)
        return next(a for a in every if a.name == place.anatomy)


def write_pictures(
    folder: Path, atlas: Path, cache: Path, only: Sequence[str] = (), say: Say = print
) -> list[Path]:
    """Draw the strips of all factors, or of some.

    Parameters
    ----------
    folder : Path
        Receives ``<factor>.webp``; made if missing.
    atlas, cache : Path
        Label maps, and their prepared form.
    only : sequence of str
        Names of factors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    anatomies = Anatomies(atlas, cache, say)
    written = []
    for name, strip in load_strips().items():
        if only and name not in only:
            continue
        path = folder / f"{name}{SUFFIX}"
        path.write_bytes(encoded(draw_strip(strip, anatomies.of(strip.place))))
        say(f"{path.name}: {path.stat().st_size / 1000:.1f} kB")
        written.append(path)
    return written


def draw_strip(strip: Strip, anatomy: Anatomy) -> Image.Image:
    """The columns of a strip side by side, front up and the outer side on the left.

    Where the truth differs between them, a second row shows its outlines.
    """
    from PIL import Image, ImageDraw

    every = range(len(strip.columns))
    samples = [simulate_column(strip, c, anatomy) for c in every]
    high = tile_height(strip.place)
    rows = [[_grey(sample, high) for sample in samples]]
    if _truth_differs(samples):
        truths = samples
        if strip.place.slices == 1 and strip.place.pixels != TILE:
            truths = [simulate_column(strip, c, anatomy, TILE) for c in every]
        rows.append([_outlined(g, t) for g, t in zip(rows[0], truths, strict=True)])
    step = TILE + GAP
    size = (step * len(samples) - GAP, CAPTION + (high + GAP) * len(rows) - GAP)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for c, (caption, _) in enumerate(strip.columns):
        pen.text((c * step + TILE // 2, CAPTION // 2), caption, fill="black", anchor="mm")
        for r, row in enumerate(rows):
            picture.paste(Image.fromarray(row[c]), (c * step, CAPTION + r * (high + GAP)))
    return picture


def encoded(picture: Image.Image) -> bytes:
    """The picture as WebP, small enough for a page with many."""
    content = b""
    for quality in QUALITIES:
        file = io.BytesIO()
        picture.save(file, format="WEBP", quality=quality, method=6)
        content = file.getvalue()
        if len(content) <= MOST_BYTES:
            break
    return content


def _truth_differs(samples: Sequence[Sample]) -> bool:
    first = samples[0].target
    return any(s.target.shape != first.shape or not s.target.equal(first) for s in samples)


def _plane(values: Tensor) -> NDArray[np.float32]:
    """The slice (y, x), or the section along the limb (z, x), as rows from above."""
    chosen = values[0] if values.shape[0] == 1 else values[:, values.shape[1] // 2]
    return np.flipud(chosen.numpy().astype(np.float32))


def tile_height(place: Place) -> int:
    """Rows of a tile that is :data:`TILE` wide; sections along the limb are no more stretched."""
    if place.slices == 1:
        return TILE
    return round(TILE * place.slices * SLICE / (place.pixels * still_ranges().pixel))


def _grey(sample: Sample, high: int) -> NDArray[np.uint8]:
    from PIL import Image

    shade = (np.clip(_plane(sample.image[0]) / WHITE, 0, 1) * 255).astype(np.uint8)
    # slices are not interpolated between: what is seen is what a network gets
    section = sample.image.shape[1] > 1
    how = Image.Resampling.NEAREST if section else Image.Resampling.BICUBIC
    enlarged = Image.fromarray(shade).resize((TILE, high), how)
    return np.repeat(np.asarray(enlarged)[..., None], 3, axis=2)


def _outlined(grey: NDArray[np.uint8], truth: Sample) -> NDArray[np.uint8]:
    from PIL import Image

    numbers = Image.fromarray(_plane(truth.target).astype(np.int32))
    names = np.asarray(numbers.resize(grey.shape[1::-1], Image.Resampling.NEAREST))
    edge = np.zeros(names.shape, bool)
    edge[:-1] |= names[:-1] != names[1:]
    edge[:, :-1] |= names[:, :-1] != names[:, 1:]
    out = (grey * DIMMED).astype(np.uint8)
    out[edge] = OUTLINE
    return out
