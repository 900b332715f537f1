"""The shapes of more people than there are complete anatomies.

A complete anatomy was registered onto the limbs of people of whom some muscles are labelled
(:mod:`legseg_bids.synth.register`). What is kept of each is a coarse field of displacements: at
a place of that person's limb, where the same place is in the anatomy. A simulated person is a
random share of one field, or of two.

All fields live in one straightened frame of the anatomy's left limb: height in mm of the map, y
and x in mm from the limb's middle at that height, lateral at low x.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from legseg_bids.synth.draws import Draw
    from legseg_bids.synth.ranges import Ranges


@dataclass(frozen=True)
class Frame:
    """Where the knots of the fields lie: first (z, y, x) and step (z, y, x), mm."""

    first: tuple[float, float, float]
    step: tuple[float, float, float]

    def normalised(self, place: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Places (..., 3), z y x in mm → what ``grid_sample`` asks for, x y z in -1 … 1."""
        first, step = place.new_tensor(self.first), place.new_tensor(self.step)
        last = place.new_tensor([n - 1.0 for n in shape])
        return (2 * (place - first) / step / last - 1).flip(-1)


@dataclass(frozen=True)
class People:
    """Displacements of one anatomy to other people.

    Attributes
    ----------
    names : tuple of str
    fields : ndarray of float16, shape (people, 3, z, y, x)
        Displacement (z, y, x) in mm.
    agreement : ndarray, shape (people,)
        Mean Dice of the labelled muscles after the registration.
    frame : Frame
    poses : ndarray of float32, shape (people, 11)
        How each limb lies in the straightened frame, :class:`.pose.Pose` as numbers.
    kept : dict
        The fields on the devices where they were asked for; not sent to other processes.
    """

    names: tuple[str, ...]
    fields: NDArray[np.float16]
    agreement: NDArray[np.float32]
    frame: Frame
    poses: NDArray[np.float32]
    kept: dict[str, tuple[object, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    def on(self, device: str | torch.device) -> Tensor:
        """The fields (people, 3, z, y, x) on a device, float16, put there once."""
        source, found = self.kept.get(str(device), (None, None))
        if found is None or source is not self.fields:
            found = torch.from_numpy(self.fields).to(device)
            self.kept[str(device)] = self.fields, found
        return found

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which puts them where it needs them."""
        return vars(self) | {"kept": {}}

    def without(self, held_out: tuple[str, ...], only: bool = False) -> People:
        """Leave out (or with ``only``: keep) the people whose names start with one of these."""
        out = np.array([n.startswith(held_out) if held_out else False for n in self.names], bool)
        keep = np.flatnonzero(out if only else ~out)
        names = tuple(self.names[k] for k in keep)
        return People(names, self.fields[keep], self.agreement[keep], self.frame, self.poses[keep])


def displaced(field: Tensor, place: Tensor, frame: Frame) -> Tensor:
    """Displacement at places (..., 3) of the straightened frame; the rim's value beyond it."""
    where = frame.normalised(place, field.shape[1:]).reshape(1, 1, 1, -1, 3)
    found = torch.nn.functional.grid_sample(
        field[None], where, mode="bilinear", padding_mode="border", align_corners=True
    )
    return found.reshape(3, -1).T.reshape(place.shape)


def draw_person(people: People, draw: Draw, r: Ranges) -> Tensor | None:
    """One field (3, z, y, x) of a person who is between or beyond the known ones, or none."""
    if not len(people.names) or not draw.chance(r.person_probability):
        return None
    share = draw.uniform(*r.person_share)
    first, second = (draw.integer(0, len(people.names)) for _ in range(2))
    blend = draw.uniform(0.0, 1.0) if draw.chance(r.person_blend_probability) else 0.0
    known = people.on(draw.device)
    fields = [known[k].float() for k in (first, second)]
    return share * ((1 - blend) * fields[0] + blend * fields[1])


def save_people(people: People, path: Path) -> None:
    """Write the table in one piece."""
    partial = path.with_suffix(".tmp.npz")
    np.savez_compressed(
        partial,
        names=np.array(people.names, dtype=str),
        fields=people.fields,
        agreement=people.agreement,
        first=people.frame.first,
        step=people.frame.step,
        poses=people.poses,
    )
    partial.replace(path)


def load_people(path: Path) -> People:
    """Read the table that :func:`save_people` wrote."""
    with np.load(path) as content:
        first, step = (tuple(float(v) for v in content[k]) for k in ("first", "step"))
        return People(
            tuple(str(n) for n in content["names"]),
            content["fields"],
            content["agreement"],
            Frame(first, step),  # type: ignore[arg-type]
            content["poses"],
        )
