"""Slices of simulated people, simulated once and shared by all experiments.

A person is a seed: the same build, disease and posture in a stack of slices of each region. All
slices show one limb as a left one, T1-weighted, as in the publications. People of the training
come from one anatomy. Those of the tests are new ones of that anatomy, and people of another
anatomy that no training has seen.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.bids.write import cannot_write, write_json
from legseg_bids.errors import OutputError
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.sample import View, channel_table, render
from legseg_bids.synth.shape import Grid, limb_mapping
from legseg_bids.synth.shape import Mapping as Deformation

#: Which of a network's inputs a slice belongs to, in the order of the codes in the bank.
REGIONS = ("hip", "thigh", "calf")
#: How far the slices of a region reach past its joints (lower end, upper end), mm.
REACH = {"hip": (-10.0, 30.0), "thigh": (50.0, 0.0), "calf": (30.0, -30.0)}
#: Seeds from here on; those of the shipped networks' trainings and of all trials are elsewhere.
FIRST_SEED = 1_700_000_000
#: People of different splits are this far apart in seeds.
SPLIT_SEEDS = 1_000_000

_STILL = replace(Ranges(), contrasts=(("t1w", 1.0),), large_rotation_probability=0.0)
#: How ill a person is; bands of fat as in ``docs/accuracy.md``.
FAT: Mapping[str, Ranges] = MappingProxyType(
    {
        "none": replace(_STILL, disease_probability=0.0, atrophy_probability=0.0),
        "mild": replace(
            _STILL, disease_probability=1.0, diseased_fat=(0.1, 0.4), atrophy_probability=0.3
        ),
        "severe": replace(
            _STILL, disease_probability=1.0, diseased_fat=(0.7, 0.95), atrophy_probability=0.8
        ),
    }
)


@dataclass(frozen=True)
class Plan:
    """What the bank holds.

    Attributes
    ----------
    people : mapping of str to int
        People of each split: ``train`` (first anatomy), ``known`` (new people of the first
        anatomy), ``new`` (people of the second anatomy).
    slices : int
        Slices of each person in each region.
    size, pixel : int, float
        Pixels of a side; their size, mm.
    anatomies : tuple of str
        Maps that the splits come from.
    """

    people: Mapping[str, int] = field(
        default_factory=lambda: {"train": 96, "known": 24, "new": 24}
    )
    slices: int = 8
    size: int = 80
    pixel: float = 2.5
    anatomies: tuple[str, str] = ("vhm", "vhf")

    @property
    def count(self) -> int:
        """Slices in all."""
        return sum(self.people.values()) * self.slices * len(REGIONS)

    @property
    def bytes(self) -> int:
        """Space that the arrays take."""
        return self.count * (3 * self.size**2 + 16)

    def facts(self) -> dict[str, Any]:
        """As it is written beside the arrays."""
        return {
            "people": dict(self.people),
            "slices": self.slices,
            "size": self.size,
            "pixel": self.pixel,
            "anatomies": list(self.anatomies),
        }


@dataclass(frozen=True, eq=False)
class Bank:
    """The slices, memory-mapped; one row each.

    Attributes
    ----------
    image : ndarray of float16, shape (n, y, x)
    label : ndarray of uint8, shape (n, y, x)
        Left labels of the scheme.
    place : ndarray of float32, shape (n,)
        Per cent of the way from the ankle to the top of the femoral head.
    person : ndarray of int32, shape (n,)
        Number within the split.
    split, region, fat : ndarray of uint8, shape (n,)
        Positions in the plan's splits, in :data:`REGIONS` and in :data:`FAT`.
    plan : Plan
    """

    image: NDArray[np.float16]
    label: NDArray[np.uint8]
    place: NDArray[np.float32]
    person: NDArray[np.int32]
    split: NDArray[np.uint8]
    region: NDArray[np.uint8]
    fat: NDArray[np.uint8]
    plan: Plan

    def rows(self, split: str, regions: Sequence[str], people: int | None = None) -> NDArray[Any]:
        """Rows of a split that show one of these regions, of the first ``people`` only."""
        of_split = self.split == list(self.plan.people).index(split)
        of_region = np.isin(self.region, [REGIONS.index(r) for r in regions])
        first = self.person < (people if people is not None else 1 << 30)
        return np.flatnonzero(of_split & of_region & first)


def columns(plan: Plan) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of each array of the bank."""
    n, side = plan.count, plan.size
    return {
        "image": ((n, side, side), "float16"),
        "label": ((n, side, side), "uint8"),
        "place": ((n,), "float32"),
        "person": ((n,), "int32"),
        "split": ((n,), "uint8"),
        "region": ((n,), "uint8"),
        "fat": ((n,), "uint8"),
    }


def fat_of(person: int) -> str:
    """How ill a person is: healthy, mild and severe in turn.

    Examples
    --------
    >>> [fat_of(n) for n in range(4)]
    ['none', 'mild', 'severe', 'none']
    """
    return tuple(FAT)[person % len(FAT)]


def heights(anatomy: Anatomy, side: str, region: str, count: int) -> NDArray[np.float64]:
    """Heights of the slices of a region, evenly spread, mm."""
    marks = anatomy.landmarks[side]
    ends = {
        "hip": (marks.ischium, marks.hip),
        "thigh": (marks.knee, marks.ischium),
        "calf": (marks.ankle, marks.knee),
    }[region]
    low, high = (end + more for end, more in zip(ends, REACH[region], strict=True))
    edges = np.linspace(low, high, count + 1)
    return np.asarray((edges[:-1] + edges[1:]) / 2)


def following(deform: Deformation, anatomy: Anatomy, side: str, middle: float) -> Deformation:
    """The same deformation, with each slice laid on the limb's own middle at its height.

    A limb leans: without this it would leave a small picture at the ends of a long stack.
    """
    path = anatomy.centre[side]

    def row(height: NDArray[Any]) -> NDArray[Any]:
        found = np.clip(np.round(height / anatomy.spacing[2]), 0, len(path) - 1)
        return np.asarray(found, int)

    def moved(grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        z, y, x = deform(grid)
        away = grid.offsets()[0].flatten().numpy()
        lean = path[row(middle + away)] - path[row(np.array([middle]))]
        dx, dy = (torch.tensor(lean[:, a], dtype=torch.float32)[:, None, None] for a in (0, 1))
        return z, y + dy, x + dx

    return moved


def simulate_slices(
    anatomy: Anatomy, region: str, seed: int, r: Ranges, plan: Plan
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Slices of one person in one region.

    Returns
    -------
    image : ndarray of float32, shape (slices, y, x)
    label : ndarray of uint8, shape (slices, y, x)
    place : ndarray of float64, shape (slices,)
        Per cent, as in :class:`Bank`.
    """
    draw, r = Draw(seed), replace(r, pixel=plan.pixel)
    side = ("left", "right")[draw.integer(0, 2)]
    marks, z = anatomy.landmarks[side], heights(anatomy, side, region, plan.slices)
    middle = float(z.mean())
    grid = Grid((plan.slices, plan.size, plan.size), (float(z[1] - z[0]), plan.pixel, plan.pixel))
    off = (draw.normal(5.0), draw.normal(5.0))
    deform = following(limb_mapping(anatomy, side, middle, off, draw, r), anatomy, side, middle)
    labels = tuple(range(256))
    shown = render(anatomy, deform, grid, channel_table(labels, side), labels, draw, r, View())
    place = 100 * (z - marks.ankle) / (marks.hip - marks.ankle)
    return shown.image[0].numpy(), shown.target.numpy().astype(np.uint8), place


def open_bank(
    folder: Path,
    plan: Plan,
    anatomies: Callable[[str], Anatomy],
    say: Callable[[str], object] = print,
) -> Bank:
    """Open the bank in a folder; simulate what of it is missing.

    Parameters
    ----------
    folder : Path
        Receives the arrays. A bank that was interrupted goes on.
    plan : Plan
    anatomies : callable
        Gives a prepared map by its name; asked only if something is to be simulated.
    say : callable
        Is told the progress.

    Raises
    ------
    OutputError
        If there is no space, or the folder cannot be written.
    """
    state = folder / "bank.json"
    done = _people_done(state, plan)
    arrays = {
        name: _array(folder / f"{name}.npy", shape, kind, done > 0, plan)
        for name, (shape, kind) in columns(plan).items()
    }
    todo = list(_everybody(plan))
    maps: dict[str, Anatomy] = {}
    for number, (split, person) in enumerate(todo):
        if number < done:
            continue
        name = plan.anatomies[split == "new"]
        if name not in maps:
            maps[name] = anatomies(name)
        _write_person(arrays, plan, maps[name], split, person, number)
        if (number + 1) % 12 == 0 or number + 1 == len(todo):
            for array in arrays.values():
                array.flush()
            write_json(state, plan.facts() | {"done": number + 1})
            say(f"simulated {number + 1} of {len(todo)} people")
    return Bank(plan=plan, **arrays)


def _everybody(plan: Plan) -> list[tuple[str, int]]:
    return [(split, n) for split, count in plan.people.items() for n in range(count)]


def _people_done(state: Path, plan: Plan) -> int:
    """How many people an earlier run simulated; 0 if their plan was another one."""
    try:
        facts = json.loads(state.read_text(encoding="utf-8"))
        same = all(facts.get(key) == value for key, value in plan.facts().items())
        return int(facts["done"]) if same else 0
    except (OSError, ValueError, KeyError, AttributeError):
        return 0


def _array(path: Path, shape: tuple[int, ...], kind: str, there: bool, plan: Plan) -> Any:
    try:
        if there:
            return np.load(path, mmap_mode="r+")
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if free < plan.bytes:
            msg = (
                f"{path.parent} has {free / 1e6:.0f} MB free; expected {plan.bytes / 1e6:.0f} MB "
                "for simulated slices; free space or choose another --cache"
            )
            raise OutputError(msg)
        return np.lib.format.open_memmap(path, "w+", dtype=kind, shape=shape)
    except OSError as error:
        raise cannot_write(path, error) from error


def _write_person(
    arrays: Mapping[str, Any], plan: Plan, anatomy: Anatomy, split: str, person: int, number: int
) -> None:
    splits, fat = list(plan.people), fat_of(person)
    seed = FIRST_SEED + SPLIT_SEEDS * splits.index(split) + person
    for k, region in enumerate(REGIONS):
        image, label, place = simulate_slices(anatomy, region, seed, FAT[fat], plan)
        first = (number * len(REGIONS) + k) * plan.slices
        rows = slice(first, first + plan.slices)
        arrays["image"][rows], arrays["label"][rows], arrays["place"][rows] = image, label, place
        arrays["person"][rows], arrays["split"][rows] = person, splits.index(split)
        arrays["region"][rows], arrays["fat"][rows] = k, list(FAT).index(fat)
