"""One simulated slice in which only one factor changes.

The strips of the documentation stand in ``data/strips.toml``. Each has a place on the limb, a
setting that is the same in every column, and a few columns; a column may change the ranges of its
factor and nothing else. Every draw is still: a range gives its middle, a standard deviation one of
it, a chance yes or no. Random textures come from sources of their own, so that switching a fault
on does not reshuffle the rest.
"""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import (
    SUBCUTANEOUS,
    Sample,
    channel_table,
    draw_view,
    render,
)
from legseg_bids.synth.shape import Grid, limb_mapping
from legseg_bids.synth.shape import Mapping as Deformation
from legseg_bids.synth.slices import draw_legs

#: Width of the image in pixels of the ranges, unless a place says otherwise.
PIXELS = 104
#: Distance of slices that a section along the limb counts in, mm.
SLICE = 5.0
#: Between these the name of a draw gives its range, as in ``-0.3..1.0``.
BETWEEN = ".."


class StillDraw(Draw):
    """Draws that do not vary: the middle of a range, one standard deviation, the likelier case.

    Parameters
    ----------
    seed : int
        Of the textures.
    pinned : mapping, optional
        Values of draws whose ranges stand in the code, by that range: ``{"-0.3..1.0": 0.2}``,
        or with a count, ``"0.0..1.0#2"``, for the second draw from it alone.
    """

    def __init__(self, seed: int, pinned: Mapping[str, float] | None = None) -> None:
        super().__init__(seed)
        self._seed = seed
        self._pinned = dict(pinned or {})
        self._count: dict[str, int] = {}
        self._sources: dict[str, torch.Generator] = {}

    def _pin(self, low: float, high: float) -> float | None:
        name = f"{low}{BETWEEN}{high}"
        self._count[name] = self._count.get(name, 0) + 1
        return self._pinned.get(f"{name}#{self._count[name]}", self._pinned.get(name))

    def _source(self, name: str) -> torch.Generator:
        """Random numbers for one kind of draw."""
        if name not in self._sources:
            seed = zlib.crc32(f"{self._seed} {name}".encode())
            self._sources[name] = torch.Generator().manual_seed(seed)
        return self._sources[name]

    def uniform(self, low: float, high: float) -> float:
        """The middle."""
        pinned = self._pin(low, high)
        return (low + high) / 2 if pinned is None else pinned

    def normal(self, sigma: float = 1.0) -> float:
        """One standard deviation."""
        return sigma

    def chance(self, probability: float) -> bool:
        """Whether it is as likely as not."""
        return probability >= 0.5

    def choice(self, options: tuple[tuple[str, float], ...]) -> str:
        """The likeliest."""
        return max(options, key=lambda option: option[1])[0]

    def integer(self, low: int, high: int) -> int:
        """A number that is the same for the same count of draws from this range."""
        pinned = self._pin(low, high)
        drawn = torch.randint(low, high, (), generator=self._source(f"integer {low} {high}"))
        return int(drawn if pinned is None else pinned)

    def picks(self, count: int, of: int) -> list[int]:
        """So many of 0 … of - 1, always the same ones."""
        share = torch.rand(count, generator=self._source(f"picks {count}"))
        return [int(pick) for pick in (share * of).tolist()]

    def normals(self, *shape: int) -> Tensor:
        """Standard normal tensor, of a source for each shape."""
        return torch.randn(*shape, generator=self._source(f"normals {shape}"))

    def rand(self, *shape: int) -> Tensor:
        """Uniform tensor in [0, 1), of a source for each shape."""
        return torch.rand(*shape, generator=self._source(f"rand {shape}"))


@dataclass(frozen=True)
class Place:
    """Where on whom a strip is made.

    Attributes
    ----------
    anatomy : str
    region : str
        Key of :data:`legseg_bids.synth.sample.REGION_REACH`.
    marks : tuple of str
        Two landmarks of the limb.
    share : float
        Height of the slice on the way from one to the other.
    pixels : int
        Width of the image.
    slices : int
        1, or as many as a section along the limb has.
    people : str
        Whose shapes are known: ``""``, ``anatomies`` (one another's) or ``thighs``.
    legs : bool
        Both legs, as the locator sees them.
    """

    anatomy: str
    region: str
    marks: tuple[str, str]
    share: float
    pixels: int = PIXELS
    slices: int = 1
    people: str = ""
    legs: bool = False


@dataclass(frozen=True)
class Strip:
    """The columns of one factor's picture.

    Attributes
    ----------
    place : Place
    setting : mapping
        Changes to the still ranges in every column; names with ``..`` pin draws of the code.
    columns : tuple of (str, mapping)
        Caption and changes of each.
    seed : int
        Of the textures.
    """

    place: Place
    setting: Mapping[str, Any]
    columns: tuple[tuple[str, Mapping[str, Any]], ...]
    seed: int = 0


@cache
def load_strips() -> Mapping[str, Strip]:
    """The strip of every factor, by the factor's name."""
    content = _content()
    places = {name: Place(**_tuples(row)) for name, row in content["places"].items()}
    out = {}
    for name, row in content["strips"].items():
        columns = tuple((str(text), changes) for text, changes in row["columns"])
        out[name] = Strip(
            places[row["place"]], row.get("setting", {}), columns, row.get("seed", 0)
        )
    return MappingProxyType(out)


@cache
def still_ranges() -> Ranges:
    """The ranges with everything quiet: a healthy adult in a good scan."""
    return changed(Ranges(), _content()["still"])


@cache
def _content() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("data", "strips.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}


def changed(r: Ranges, changes: Mapping[str, Any]) -> Ranges:
    """Ranges with some fields set; one number for a pair is both of its ends.

    Examples
    --------
    >>> changed(Ranges(), {"skin_depth": 8.0}).skin_depth
    (8.0, 8.0)
    """
    pairs = {f.name for f in fields(r) if isinstance(getattr(r, f.name), tuple)}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "contrasts":
            values[name] = ((value, 1.0),)
        elif name in pairs:
            values[name] = tuple(value) if isinstance(value, list) else (value, value)
        else:
            values[name] = value
    return replace(r, **values)


def simulate_column(
    strip: Strip, column: int, anatomy: Anatomy, pixels: int | None = None
) -> Sample:
    """One column of a strip.

    Parameters
    ----------
    strip : Strip
    column : int
        Counted from 0.
    anatomy : Anatomy
        That of the strip's place.
    pixels : int, optional
        Over the same area, other than the place's; for outlines that are finer than the image.
    """
    changes = {**strip.setting, **strip.columns[column][1]}
    pinned = {name: value for name, value in changes.items() if BETWEEN in name}
    r = changed(still_ranges(), {n: v for n, v in changes.items() if n not in pinned})
    draw, place = StillDraw(strip.seed, pinned), strip.place
    distance = draw.log_uniform(*(r.thick_slices if r.thick_probability else r.thin_slices))
    slices = max(round(place.slices * SLICE / distance), 1)
    grid = Grid((slices, place.pixels, place.pixels), (distance, r.pixel, r.pixel))
    if pixels is not None:
        grid = grid.resampled(pixels)
    channels = channels_of_limb()
    table = channel_table(channels, "left")
    height = height_of(anatomy, place)
    if place.legs:
        mapping = _both_legs(anatomy, height, draw, r)
        table = torch.maximum(table, channel_table(channels, "right"))
    else:
        # as sample.region_sample places a limb
        spread = 0.2 if draw.chance(r.off_centre_probability) else 0.0
        reach = place.pixels * r.pixel
        mapping = limb_mapping(
            anatomy, "left", height, (spread * reach / 2, spread * reach), draw, r
        )
    view = draw_view(anatomy, "left", place.region, height, draw, r)
    return render(anatomy, mapping, grid, table, channels, draw, r, view)


def height_of(anatomy: Anatomy, place: Place) -> float:
    """Height of a place's slice, mm above the map's lowest."""
    low, high = (float(vars(anatomy.landmarks["left"])[mark]) for mark in place.marks)
    return low + place.share * (high - low)


@cache
def channels_of_limb() -> Sequence[int]:
    """Every structure of one limb, and the fat under its skin."""
    own = [e.index for e in load_labels() if e.side == "left" and e.tissue != "fat"]
    return (0, *own, SUBCUTANEOUS)


def _both_legs(anatomy: Anatomy, height: float, draw: Draw, r: Ranges) -> Deformation:
    legs = draw_legs(anatomy, height, draw, r)

    def mapping(grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        z, y, x = torch.broadcast_tensors(*legs.coordinates(grid))
        # what is not shown lies outside the map
        return torch.where(legs.shown(grid, x), z, -1e4), y, x

    return mapping
