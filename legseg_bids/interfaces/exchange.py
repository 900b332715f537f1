"""What one step hands to the next: plain files in the step's own folder.

Arrays and a little JSON in one uncompressed ``.npz``; nothing is pickled, so any tool can
look into them, and reading is as fast as the disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.regions import Part, Region, Side
from legseg_bids.imaging.fat import FatMap
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.orientation import Orientation
from legseg_bids.imaging.stacks import Grid
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.classify import Classification
from legseg_bids.segment.limb import RegionResult
from legseg_bids.segment.locate import Location

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A station that is ready to be segmented.

    Attributes
    ----------
    volume : Volume
        Opposed-phase magnitude, finite, canonical axes (x, y, z).
    mask : ndarray of bool, (x, y, z)
        The body.
    limbs : tuple of LimbBox
        One or two, by rising x (the patient's left limb first).
    fat : FatMap or None
        Fat fraction (x, y, z), where water and fat, or two phases, are at hand.
    orientation : Orientation
        The way back to the axes of the source.
    warnings : tuple of str
        What was mended or left out.
    in_phase : ndarray of float32, (x, y, z), or None
        The in-phase image or W + F, finite, where there is one.
    """

    volume: Volume
    mask: NDArray[np.bool_]
    limbs: tuple[LimbBox, ...]
    fat: FatMap | None
    orientation: Orientation
    warnings: tuple[str, ...] = ()
    in_phase: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class View:
    """What a station hands to all stations of its set.

    Attributes
    ----------
    name : str
        The station's output name.
    sums : dict of str to str, or None
        SHA-256 of its files by role; None where they could not be read.
    seen : Classification or None
        What its slices show; None where it could not be prepared or classified.
    problem : str
        The file that tells why it could not.
    """

    name: str
    sums: dict[str, str] | None
    seen: Classification | None
    problem: str = ""


def save(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write arrays, and facts that JSON can hold, to one file."""
    np.savez(path, **arrays, facts=np.array(json.dumps(facts)))  # type: ignore[arg-type]
    return path


def load(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what :func:`save` wrote: facts and arrays."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("facts"))), arrays


def save_prepared(path: Path, prepared: Prepared) -> Path:
    """Write a prepared station."""
    arrays = {
        "data": prepared.volume.data,
        "affine": prepared.volume.affine,
        "mask": prepared.mask,
        "limbs": np.stack([limb.mask for limb in prepared.limbs]),
    }
    fat = prepared.fat
    if fat is not None:
        arrays["fat_fraction"] = fat.fraction
    if prepared.in_phase is not None:
        arrays["in_phase"] = prepared.in_phase
    facts = {
        "fat": fat and {key: value for key, value in vars(fat).items() if key != "fraction"},
        "boxes": [_bounds(limb.box) for limb in prepared.limbs],
        "orientation": asdict(prepared.orientation),
        "warnings": prepared.warnings,
    }
    return save(path, facts, arrays)


def load_prepared(path: Path) -> Prepared:
    """Read a prepared station."""
    facts, arrays = load(path)
    axes, flips = facts["orientation"]["axes"], facts["orientation"]["flips"]
    return Prepared(
        Volume(arrays["data"], arrays["affine"]),
        arrays["mask"],
        tuple(
            LimbBox(mask, _box(bounds))
            for mask, bounds in zip(arrays["limbs"], facts["boxes"], strict=True)
        ),
        FatMap(arrays["fat_fraction"], **facts["fat"]) if facts["fat"] else None,
        Orientation(tuple(axes), tuple(flips)),
        tuple(facts["warnings"]),
        arrays.get("in_phase"),
    )


def save_view(path: Path, view: View) -> Path:
    """Write what a station hands to its set."""
    facts: dict[str, Any] = {"name": view.name, "sums": view.sums, "problem": view.problem}
    if view.seen is None:
        return save(path, facts, {})
    seen = view.seen
    arrays: dict[str, NDArray[Any]] = {
        "sides": seen.sides,
        "parts": seen.parts,
        "occupied": seen.occupied,
        "affine": seen.grid.affine,
    }
    return save(path, {**facts, "limbs": seen.limbs, "shape": seen.grid.shape}, arrays)


def load_view(path: Path) -> View:
    """Read what a station hands to its set."""
    facts, arrays = load(path)
    seen = None
    if "limbs" in facts:
        nx, ny, nz = facts["shape"]
        grid = Grid((nx, ny, nz), arrays["affine"])
        seen = Classification(
            arrays["sides"], arrays["parts"], arrays["occupied"], facts["limbs"], grid
        )
    return View(facts["name"], facts["sums"], seen, facts["problem"])


def save_location(path: Path, location: Location) -> Path:
    """Write a location."""
    facts = asdict(location) | {"parts": [int(part) for part in location.parts]}
    path.write_text(json.dumps(facts), encoding="utf-8")
    return path


def load_location(path: Path) -> Location:
    """Read a location."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    left, right, both = facts["side_probabilities"]
    return Location(
        tuple(Side(side) for side in facts["sides"]),
        tuple(Part(part) for part in facts["parts"]),
        facts["direction"],
        (left, right, both),
        tuple(facts["warnings"]),
    )


def save_candidates(path: Path, candidates: Iterable[RegionResult]) -> Path:
    """Write the labels of each region of each limb."""
    facts: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for number, result in enumerate(candidates):
        fact = {"side": result.side, "region": result.region, "box": _bounds(result.box)}
        facts.append({**fact, "known": sorted(result.known)})
        arrays[f"labels{number}"] = result.labels
        arrays[f"probability{number}"] = result.probability
        arrays[f"own{number}"] = result.own
    return save(path, {"candidates": facts}, arrays)


def load_candidates(path: Path) -> list[RegionResult]:
    """Read the labels of each region of each limb."""
    facts, arrays = load(path)
    return [
        RegionResult(
            Side(fact["side"]),
            Region(fact["region"]),
            _box(fact["box"]),
            arrays[f"labels{number}"],
            arrays[f"probability{number}"],
            arrays[f"own{number}"],
            frozenset(fact["known"]),
        )
        for number, fact in enumerate(facts["candidates"])
    ]


def _bounds(box: Box) -> list[list[int]]:
    return [[int(part.start), int(part.stop)] for part in box]


def _box(bounds: Iterable[tuple[int, int]]) -> Box:
    x, y, z = (slice(start, stop) for start, stop in bounds)
    return x, y, z
