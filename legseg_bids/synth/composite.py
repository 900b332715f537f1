"""Real people of whom eleven muscles are labelled, as anatomies that images can be made from.

A partial map (:mod:`legseg_bids.synth.partial`) says where these muscles are and nothing else.
An image needs more: what it lacks is filled in from the complete anatomy that was registered onto
the limb and fits best, wherever the map itself has no label. The picture is then whole; of the
truth only the eleven muscles are used, and that everything else within the muscle compartment is
none of them (:func:`legseg_bids.train.losses.shipped.partial_loss`).

The slices are the map's own, up to 26 mm apart: nothing is invented between them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.synth.atlas import PACKING, Anatomy, Landmarks, pack_slice, side_codes
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.partial import PADDING, PIXEL, PartialLimb, extent_of, halves_of, limbs_of
from legseg_bids.synth.people import displaced
from legseg_bids.synth.pose import Pose
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.register import MUSCLES
from legseg_bids.synth.sample import SUBCUTANEOUS, Sample, View, channel_table, render
from legseg_bids.synth.shape import Grid, limb_mapping, look_up
from legseg_bids.synth.warp import middle_at

#: Pixel of the composed maps, mm.
COMPOSED_PIXEL = 1.5
#: Body around the labelled muscles that is composed, mm.
MARGIN = 60.0
#: A change of how maps are composed makes them anew.
VERSION = 2
#: Target of voxels of which only is known that they are none of the labelled muscles.
UNNAMED = -2
#: Muscles are grown into contact by no more than this (mm): the gaps of these maps are real.
LEAST_GROWTH = (0.0, 2.0)


@dataclass(frozen=True, eq=False)
class Composite:
    """One limb of a partially labelled person.

    Attributes
    ----------
    name : str
        File and side.
    anatomy : Anatomy
        Left limb, the map's own slices.
    """

    name: str
    anatomy: Anatomy

    @property
    def slices(self) -> int:
        """How many the map has."""
        return int(self.anatomy.packed.shape[0])


def load_composites(
    anatomies: Sequence[Anatomy],
    folder: Path,
    cache_dir: Path,
    held_out: tuple[str, ...] = (),
    say: Callable[[str], Any] = print,
) -> list[Composite]:
    """Compose every limb of a folder of partial maps but those of people that are held out.

    Parameters
    ----------
    anatomies : sequence of Anatomy
        With the people of the same folder, :func:`legseg_bids.synth.register.with_people`.
    folder : Path
    cache_dir : Path
        Keeps the composed maps (about 300 MB for 68 limbs).
    """
    store = cache_dir / f"composites-{_key(anatomies, folder)}"
    if not store.exists():
        _compose_all(anatomies, folder, store, say)
    files = sorted(f for f in store.glob("*.npz") if not f.name.startswith(held_out or "/"))
    return [_load(file) for file in files]


def _key(anatomies: Sequence[Anatomy], folder: Path) -> str:
    facts = [f"{f.name}{f.stat().st_size}" for f in sorted(folder.glob("*.nii.gz"))]
    facts += [f"{VERSION}{PACKING}{COMPOSED_PIXEL}{MARGIN}"]
    digest = hashlib.sha256("".join(facts).encode())
    for anatomy in anatomies:
        digest.update(f"{anatomy.name}{anatomy.packed.shape}".encode())
        if (people := anatomy.people) is not None:
            digest.update("".join(people.names).encode())
            digest.update(people.poses.tobytes() + people.fields.tobytes())
    return digest.hexdigest()[:12]


def _compose_all(
    anatomies: Sequence[Anatomy], folder: Path, store: Path, say: Callable[[str], Any]
) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{store.name}-", dir=store.parent) as name:
        partial = Path(name) / "whole"
        partial.mkdir()
        for file in sorted(folder.glob("*.nii.gz")):
            _compose_file(file, anatomies, partial)
            say(f"{file.name}: composed")
        try:
            partial.rename(store)
        except OSError:  # another training was faster
            if not store.is_dir():
                raise


def _compose_file(file: Path, anatomies: Sequence[Anatomy], folder: Path) -> None:
    limbs = {limb.name: limb for limb in limbs_of(file, len(MUSCLES))}
    for name, (ids, spacing) in halves_of(file).items():
        if name in limbs and (best := _best_fit(anatomies, name)) is not None:
            _save(compose(ids, spacing, limbs[name], *best), folder / f"{name}.npz")


def _best_fit(anatomies: Sequence[Anatomy], name: str) -> tuple[Anatomy, int] | None:
    """The anatomy that agrees best with a limb, and the limb's number among its people."""
    known = [
        (float(a.people.agreement[a.people.names.index(name)]), a, a.people.names.index(name))
        for a in anatomies
        if a.people is not None and name in a.people.names
    ]
    return max(known, key=lambda one: one[0])[1:] if known else None


def compose(
    ids: NDArray[np.uint8],
    spacing: NDArray[np.float64],
    limb: PartialLimb,
    anatomy: Anatomy,
    person: int,
) -> Composite:
    """Put a limb's own muscles into the anatomy that was registered onto it.

    Parameters
    ----------
    ids : ndarray of uint8, shape (x, y, z)
        Numbers of the partial map, lateral at low x.
    spacing : ndarray, shape (3,)
        mm.
    limb : PartialLimb
        The same limb as it was registered.
    anatomy : Anatomy
        With its people.
    person : int
        The limb's number among them.
    """
    assert anatomy.people is not None
    there = ids > 0
    labelled = extent_of(np.asarray(there.any(axis=(0, 1))))
    rows = np.arange(labelled.start, labelled.stop)
    cut = [extent_of(np.asarray(there.any(axis=(1 - a, 2)))) for a in (0, 1)]
    first, last = [part.start for part in cut], [part.stop - 1 for part in cut]
    axes = []  # x, y: places of the composed pixels, mm from the middle of the map's first pixel
    for a in (0, 1):
        low, high = first[a] * spacing[a] - MARGIN, last[a] * spacing[a] + MARGIN
        axes.append(np.arange(low, high, COMPOSED_PIXEL))
    own = _nearest(ids[:, :, rows], axes, spacing)
    # The registration counts from the middle of the first pixel of its reduced limb, and a whole
    # number of these covers what was cut out: each is a little more or less than its nominal size.
    x, y = (
        torch.from_numpy(
            _reduced(
                axes[a] - (first[a] - PADDING - 0.5) * spacing[a],
                (last[a] - first[a] + 1 + 2 * PADDING) * spacing[a],
                limb.shares.shape[3 - a],
            ).astype(np.float32)
        )
        for a in (0, 1)
    )
    pose = Pose.from_numbers(anatomy.people.poses[person].tolist())
    heights = (rows - rows[0]) * spacing[2]
    filling = _registered(anatomy, person, pose, heights, y, x)
    table = np.zeros(256, np.uint8)
    for number, label in MUSCLES.items():
        table[number] = label
    codes = np.where(own > 0, table[own], filling)
    nothing = np.zeros(codes.shape[1:], bool)
    packed = np.stack([pack_slice(c, nothing, COMPOSED_PIXEL) for c in codes])
    marks = vars(anatomy.landmarks["left"])
    level = {k: pose.middle + (v - pose.height) / pose.length for k, v in marks.items()}
    centre = _centre(codes)
    made = Anatomy(
        name=limb.name,
        packed=packed,
        spacing=(COMPOSED_PIXEL, COMPOSED_PIXEL, float(spacing[2])),
        landmarks={"left": Landmarks(**level)},
        centre={"left": centre},
        has_skin=False,
        has_lower_leg=True,
    )
    return Composite(limb.name, made)


def _reduced(places: NDArray[np.float64], extent: float, pixels: int) -> NDArray[np.float64]:
    """Places from the edge of a limb's cut in the registration's mm; ``extent`` is its size."""
    return places / extent * pixels * PIXEL - 0.5 * PIXEL


def _nearest(
    ids: NDArray[np.uint8], axes: Sequence[NDArray[np.float64]], spacing: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """(x, y, z) at places along x and y → (z, y, x); nothing beyond the map."""
    index = [np.round(axes[a] / spacing[a]).astype(int) for a in (0, 1)]
    inside = [(i >= 0) & (i < n) for i, n in zip(index, ids.shape, strict=False)]
    x, y = (np.clip(i, 0, n - 1) for i, n in zip(index, ids.shape, strict=False))
    there = inside[0][:, None] & inside[1][None]
    out: NDArray[np.uint8] = np.where(there[..., None], ids[np.ix_(x, y)], np.uint8(0))
    return np.ascontiguousarray(out.transpose(2, 1, 0))


def _registered(
    anatomy: Anatomy,
    person: int,
    pose: Pose,
    heights: NDArray[np.float64],
    y: Tensor,
    x: Tensor,
) -> NDArray[np.uint8]:
    """Left structures of the registered anatomy but the labelled muscles, (z, y, x)."""
    assert anatomy.people is not None
    field = torch.from_numpy(anatomy.people.fields[person].astype(np.float32))
    labelled = torch.zeros(256, dtype=torch.bool)
    labelled[list(MUSCLES.values())] = True
    foreign = torch.from_numpy(~side_codes("left") & ~np.isin(np.arange(256), (0, 121)))
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    out = []
    for height in torch.from_numpy(heights.astype(np.float32)):
        place = pose.places(height[None], grid_y, grid_x)
        place = place + displaced(field, place, anatomy.people.frame)
        middle = middle_at(anatomy, "left", place[..., 0])
        at = (place[..., 0], place[..., 1] + middle[..., 1], place[..., 2] + middle[..., 0])
        found = look_up(anatomy, *at).label[0]
        out.append(found.masked_fill(labelled[found] | foreign[found], 0))
    filled: NDArray[np.uint8] = torch.stack(out).numpy().astype(np.uint8)
    return filled


def _centre(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Middle (x, y) of the structures of every slice, mm."""
    out = []
    for plane in codes:
        y, x = np.nonzero(plane)
        out.append((x.mean() * COMPOSED_PIXEL, y.mean() * COMPOSED_PIXEL) if x.size else (0, 0))
    return np.array(out, float)


def _save(one: Composite, path: Path) -> None:
    anatomy = one.anatomy
    np.savez_compressed(
        path,
        packed=anatomy.packed,
        spacing=anatomy.spacing,
        marks=np.array(list(vars(anatomy.landmarks["left"]).values())),
        centre=anatomy.centre["left"],
    )


def _load(path: Path) -> Composite:
    with np.load(path) as content:
        anatomy = Anatomy(
            name=path.stem,
            packed=_mapped(path, content),
            spacing=tuple(float(s) for s in content["spacing"]),  # type: ignore[arg-type]
            landmarks={"left": Landmarks(*(float(m) for m in content["marks"]))},
            centre={"left": content["centre"]},
            has_skin=False,
            has_lower_leg=True,
        )
    return Composite(path.stem, anatomy)


def _mapped(path: Path, content: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The map from a file of its own, unpacked once, so that all processes share one copy."""
    unpacked = path.with_suffix(".npy")
    if not unpacked.exists():
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        with partial.open("wb") as file:
            np.save(file, content["packed"])
        partial.replace(unpacked)
    packed: NDArray[np.int64] = np.load(unpacked, mmap_mode="r")
    return packed


def as_they_are(r: Ranges) -> Ranges:
    """Ranges that leave these people's muscles as they are: seen in their own slices."""
    return replace(
        r,
        length_sigma_log=0.0,
        tilt_sigma=0.0,
        along_displacement=(0.0, 0.0),
        coarse_displacement=(0.0, 4.0),
        swelling_probability=0.0,
        child_probability=0.0,
        skin_depth=(r.skin_depth[0], MARGIN / 2 - 2.0),  # it may be twice as deep in places
        growth=LEAST_GROWTH,
        atrophy_probability=0.1,
        own_skin_probability=0.0,
    )


def composite_sample(
    one: Composite,
    channels: Sequence[int],
    size: tuple[int, int],
    seed: int,
    r: Ranges,
    device: str | torch.device = "cpu",
) -> Sample:
    """Simulate one limb of a partially labelled person on slices of their own map.

    Parameters
    ----------
    one : Composite
    channels : sequence of int
        See :func:`legseg_bids.synth.sample.channel_table`.
    size : tuple of int
        Slices and pixels of the stack.
    seed : int
        The sample is a pure function of it and the device.
    device : str or torch.device
        Where it is made.

    Returns
    -------
    Sample
        Its target is :data:`UNNAMED` where nothing is known but that it is no labelled muscle.
    """
    draw, own = Draw(seed, device), as_they_are(r)
    dz = one.anatomy.spacing[2]
    step = 2 if dz < r.thin_slices[0] else 1
    slices, pixels = size
    count = one.slices // step
    first = draw.integer(0, max(count - slices, 0) + 1) * step
    grid = Grid((slices, pixels, pixels), (dz * step, r.pixel, r.pixel))
    height = (first + step * (slices - 1) / 2) * dz
    reach = pixels * r.pixel
    jitter = (draw.normal(0.06) * reach, draw.normal(0.06) * reach)
    mapping = limb_mapping(one.anatomy, "left", height, jitter, draw, own)
    table = channel_table(channels, "left", draw.device)
    sample = render(one.anatomy, mapping, grid, table, channels, draw, own, View())
    return Sample(sample.image, forget(sample.target, channels))


def forget(target: Tensor, channels: Sequence[int]) -> Tensor:
    """Leave of a target the labelled muscles and fat under the skin; all else is unnamed."""
    named = {*MUSCLES.values(), SUBCUTANEOUS}
    keep = torch.tensor([label in named for label in channels], device=target.device)
    return torch.where(keep[target], target, UNNAMED)
