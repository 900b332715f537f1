"""Fit a complete anatomy onto limbs of which some muscles are labelled.

The limb is turned, scaled and moved, and the anatomy bent by displacements on a coarse grid of
knots, until the blurred muscles lie on one another at the limb's slices. Bending costs, and so
does every place where the displacement would nearly fold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.errors import ImageError
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.partial import PIXEL, SLICE_DISTANCE, PartialLimb, limbs_of
from legseg_bids.synth.people import Frame, People, displaced, load_people, save_people
from legseg_bids.synth.pose import POSE_NUMBERS, Pose, turned
from legseg_bids.synth.shape import look_up
from legseg_bids.synth.warp import middle_at

#: Labels of the scheme with a number in the partial maps, left side, by that number.
MUSCLES = {e.thigh_partial: e.index for e in load_labels() if e.thigh_partial and e.side == "left"}
#: Reach of the fields around the limb's middle (y, x), mm.
REACH = 110.0
#: Distance of the knots (z, y, x), about: as many as fit, mm.
KNOTS = (48.0, 20.0, 20.0)
#: Voxels of the straightened anatomy (z, y, x), mm.
VOXEL = (4.0, 3.0, 3.0)
#: Blur (mm) and iterations of the stages; the first moves the limb only as a whole.
STAGES = ((10.0, 60, False), (8.0, 60, True), (4.0, 90, True))
#: Weights of bending, of stretching, and of near folds, against one minus the overlap.
BENDING, STRETCHING, FOLDING = 0.6, 0.02, 10.0
#: Volume may shrink to this before it costs.
LEAST_JACOBIAN = 0.3
#: Fits below this mean Dice are left out.
LEAST_AGREEMENT = 0.75
#: A change here makes every table anew.
VERSION = 2


@dataclass(frozen=True)
class Section:
    """Part of a limb: labels of the left side that are fitted, from where to where.

    Either end is a landmark and how far beyond it the fields reach, mm.
    """

    labels: tuple[int, ...]
    lower_end: tuple[str, float]
    upper_end: tuple[str, float]


def _calf_labels() -> tuple[int, ...]:
    """Muscles of the lower leg, tibia and fibula."""
    own = [e for e in load_labels() if e.side == "left" and e.atlas is not None]
    muscles = [e.index for e in own if e.region == "lower" and e.tissue == "muscle"]
    return (*muscles, 107, 109)


def _hip_labels() -> tuple[int, ...]:
    """Muscles of the hip, those that flex it, hip bone and femur."""
    own = [e for e in load_labels() if e.side == "left" and e.atlas is not None]
    muscles = [e.index for e in own if e.region == "hip" and e.tissue == "muscle"]
    return (*muscles, 49, 51, 101, 103)


#: The parts of a limb that are fitted, by region.
SECTIONS = {
    "upper": Section(tuple(MUSCLES[k] for k in sorted(MUSCLES)), ("knee", 70.0), ("hip", 50.0)),
    "lower": Section(_calf_labels(), ("ankle", 40.0), ("knee", 60.0)),
    "hip": Section(_hip_labels(), ("ischium", 110.0), ("hip", 116.0)),
}


@dataclass(frozen=True)
class Straight:
    """Structures of one limb of an anatomy in the straightened frame, lateral at low x.

    ``shares`` is (structures, z, y, x), 0 or 1; ``grid`` says where its voxels are; ``knots``
    where the displacements are, with ``shape`` (z, y, x).
    """

    shares: Tensor
    grid: Frame
    knots: Frame
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Fit:
    """One registration: displacement (3, z, y, x), mean Dice, share of folded cells, pose."""

    field: Tensor
    agreement: float
    folded: float
    pose: Pose


def straighten(anatomy: Anatomy, region: str = "upper", side: str = "left") -> Straight:
    """Cut a region of one limb out of a prepared anatomy, its middle moved to one axis."""
    section, marks = SECTIONS[region], vars(anatomy.landmarks[side])
    (bottom, below), (top, above) = section.lower_end, section.upper_end
    low, high = marks[bottom] - below, marks[top] + above
    z = torch.arange(low, high, VOXEL[0])
    y, x = (torch.arange(-REACH, REACH + 1, v) for v in VOXEL[1:])
    middle = middle_at(anatomy, side, z)
    mirror, right = (1.0, 0) if side == "left" else (-1.0, 1)
    places = (z[:, None, None], middle[:, 1, None, None] + y[:, None])
    label = look_up(anatomy, *places, middle[:, 0, None, None] + mirror * x).label
    shares = torch.stack([label == left + right for left in section.labels]).float()
    extent = (high - low, 2 * REACH, 2 * REACH)
    shape = tuple(round(e / k) + 1 for e, k in zip(extent, KNOTS, strict=True))
    step = tuple(e / (n - 1) for e, n in zip(extent, shape, strict=True))
    first = (low, -REACH, -REACH)
    return Straight(shares, Frame(first, VOXEL), Frame(first, step), shape)


def _blurred(shares: NDArray[np.float32] | Tensor, sigma: tuple[float, ...]) -> Tensor:
    out = [ndimage.gaussian_filter(np.asarray(s), sigma, mode="constant") for s in shares]
    return torch.from_numpy(np.stack(out))


def initial_heights(limb: PartialLimb, straight: Straight) -> tuple[float, float]:
    """Height of the limb's lowest slice in the anatomy, and the scale along the limb.

    Found where the muscles' shares of the cross-section agree best.
    """
    own = limb.shares.sum(axis=(2, 3))
    other = straight.shares.sum(dim=(2, 3)).numpy()
    own, other = (a / np.maximum(a.sum(axis=0, keepdims=True), 1e-6) for a in (own, other))
    best = (np.inf, 0.0, 1.0)
    rows = np.arange(other.shape[1])
    for scale in np.linspace(0.75, 1.3, 12):
        for start in np.arange(0.0, len(rows) * VOXEL[0] * 0.6, VOXEL[0]):
            where = (start + limb.height * scale) / VOXEL[0]
            if where[-1] > len(rows) + 10:
                break
            there = np.stack([np.interp(where, rows, row) for row in other])
            best = min(best, (float(np.abs(there - own).mean()), float(start), float(scale)))
    return straight.grid.first[0] + best[1], best[2]


class _Moving:
    """A pose while it is fitted: eight numbers."""

    def __init__(self, limb: PartialLimb, straight: Straight) -> None:
        start, self.scale = initial_heights(limb, straight)
        mass = limb.shares.sum(axis=0)
        index = np.indices(mass.shape[1:]) * PIXEL
        area = np.maximum(mass.sum(axis=(1, 2)), 1e-6)
        middles = np.stack([(mass * a).sum(axis=(1, 2)) / area for a in index], axis=1)
        self.centre = np.average(middles, axis=0, weights=area)
        yx = np.stack([index[0] - self.centre[0], index[1] - self.centre[1]], axis=-1)
        self.plane = torch.from_numpy(yx.astype(np.float32))
        self.height = torch.from_numpy(limb.height.astype(np.float32))
        self.level = start + self.scale * float(self.height.mean())
        self.ratio = _radius(straight.shares.sum(0).numpy(), VOXEL[1]) / _radius(mass, PIXEL)
        # height, log length, turn, log width, y, x, lean y, lean x — in units of about one step
        self.numbers = torch.zeros(8, requires_grad=True)

    def places(self) -> Tensor:
        """Where the limb's pixels lie in the straightened frame, (z, y, x, 3), mm."""
        n = self.numbers
        dz = (self.height - self.height.mean()) * self.scale * torch.exp(0.02 * n[1])
        z = self.level + 5.0 * n[0] + dz
        y, x = turned(self.plane[..., 0], self.plane[..., 1], 0.05 * n[2])
        width = self.ratio * torch.exp(0.02 * n[3])
        y = y * width + 2.0 * n[4] + (0.02 * n[6] * dz)[:, None, None]
        x = x * width + 2.0 * n[5] + (0.02 * n[7] * dz)[:, None, None]
        return torch.stack(torch.broadcast_tensors(z[:, None, None], y, x), dim=-1)

    def pose(self) -> Pose:
        """Where it has come to."""
        n = self.numbers.detach().double().numpy()
        return Pose(
            height=self.level + 5.0 * n[0],
            length=self.scale * float(np.exp(0.02 * n[1])),
            middle=float(self.height.mean()),
            width=self.ratio * float(np.exp(0.02 * n[3])),
            turn=0.05 * n[2],
            centre=(float(self.centre[0]), float(self.centre[1])),
            shift=(2.0 * n[4], 2.0 * n[5]),
            lean=(0.02 * n[6], 0.02 * n[7]),
        )


def _radius(mass: NDArray[np.float32], pixel: float) -> float:
    """Of a circle with the median area of the slices that hold most, mm."""
    area = np.sort(mass.sum(axis=(1, 2)))[-max(len(mass) // 2, 1) :]
    return float(np.sqrt(np.median(area) * pixel**2 / np.pi))


def jacobian(field: Tensor, step: tuple[float, float, float]) -> Tensor:
    """Volume change of ``place + field`` in every cell between knots, (z-1, y-1, x-1).

    Parameters
    ----------
    field : Tensor, shape (3, z, y, x)
        Displacement (z, y, x), mm.
    step : tuple of float
        Distance of the knots (z, y, x), mm.
    """
    rows = []
    for axis in range(3):
        slope = field.diff(dim=axis + 1) / step[axis]
        for other in {1, 2, 3} - {axis + 1}:
            n = slope.shape[other] - 1
            slope = (slope.narrow(other, 0, n) + slope.narrow(other, 1, n)) / 2
        rows.append(slope)
    matrix = torch.stack(rows, dim=1).permute(2, 3, 4, 0, 1) + torch.eye(3)
    return torch.linalg.det(matrix)


def _roughness(field: Tensor, step: tuple[float, float, float]) -> Tensor:
    zero = torch.zeros(())
    bending = sum(((field.diff(n=2, dim=a + 1) / step[a]).square().mean() for a in range(3)), zero)
    slope = sum(((field.diff(dim=a + 1) / step[a]).square().mean() for a in range(3)), zero)
    near = (LEAST_JACOBIAN - jacobian(field, step)).clamp_min(0.0)
    return BENDING * bending + STRETCHING * slope + FOLDING * near.square().mean()


def _overlap_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared difference of every muscle relative to its size, averaged; (muscles, points)."""
    size = found.square().sum(1) + wanted.square().sum(1)
    there = wanted.sum(1) > 0
    ratio = (found - wanted).square().sum(1) / (size + 1e-3)
    return ratio[there].mean()


def _sampled(shares: Tensor, places: Tensor, grid: Frame) -> Tensor:
    where = grid.normalised(places, shares.shape[1:]).reshape(1, 1, 1, -1, 3)
    found = torch.nn.functional.grid_sample(shares[None], where, align_corners=True)
    return found.reshape(shares.shape[0], -1)


def register(limb: PartialLimb, straight: Straight) -> Fit:
    """Fit an anatomy onto one limb (a few seconds on one core)."""
    pose = _Moving(limb, straight)
    field = torch.zeros(3, *straight.shape, requires_grad=True)
    for blur, iterations, bend in STAGES:
        _improve(pose, field, limb, straight, blur, iterations, bend)
    with torch.no_grad():
        places = pose.places()
        places = places + displaced(field, places, straight.knots)
        found = _sampled(straight.shares, places, straight.grid) > 0.5
        folded = float((jacobian(field, straight.knots.step) <= 0).float().mean())
    agreement = mean_agreement(found, limb.shares)
    return Fit(field.detach(), agreement, folded, pose.pose())


def _improve(
    pose: _Moving,
    field: Tensor,
    limb: PartialLimb,
    straight: Straight,
    blur: float,
    iterations: int,
    bend: bool,
) -> None:
    """One stage: muscles blurred by ``blur`` mm; without ``bend`` the pose only."""
    source = _blurred(straight.shares, tuple(blur / v for v in VOXEL))
    wanted = _blurred(limb.shares, (0.0, blur / PIXEL, blur / PIXEL))
    near = wanted.sum(0) > 0.02
    rates = [{"params": [pose.numbers], "lr": 0.3}, {"params": [field], "lr": float(bend)}]
    optimiser = torch.optim.Adam(rates)
    for n in range(iterations):
        if n > iterations // 2:
            for group in optimiser.param_groups:
                group["lr"] *= 0.97
        optimiser.zero_grad()
        places = pose.places()[near]
        if bend:
            places = places + displaced(field, places, straight.knots)
        loss = _overlap_loss(_sampled(source, places, straight.grid), wanted[:, near])
        if bend:
            loss = loss + _roughness(field, straight.knots.step)
        loss.backward()
        optimiser.step()


def mean_agreement(found: Tensor, shares: NDArray[np.float32]) -> float:
    """Mean Dice of the muscles that the limb has; ``found`` is (muscles, points)."""
    wanted = torch.from_numpy(shares > 0.5).flatten(1)
    there = wanted.any(1)
    hit = (found & wanted).sum(1).float()
    size = (found.sum(1) + wanted.sum(1)).float()
    return float((2 * hit / size)[there].mean())


def whole_limb(name: str, straight: Straight) -> PartialLimb:
    """Another complete anatomy as a limb to be fitted: people between two anatomies."""
    every = round(SLICE_DISTANCE / VOXEL[0])
    there = torch.nonzero(straight.shares.sum(dim=(0, 2, 3))).flatten()[::every]
    shares = torch.nn.functional.interpolate(
        straight.shares[:, there], scale_factor=VOXEL[1] / PIXEL, mode="bilinear"
    )
    return PartialLimb(name, shares.numpy(), there.numpy() * VOXEL[0])


def fit_people(
    straight: Straight, limbs: Sequence[PartialLimb], say: Callable[[str], Any] = print
) -> People:
    """Register one anatomy onto all limbs; fits that fold or agree too little are left out."""
    names, fields, agreement, poses = [], [], [], []
    for limb in limbs:
        fit = register(limb, straight)
        good = fit.agreement >= LEAST_AGREEMENT and fit.folded == 0
        say(f"{limb.name}: Dice {fit.agreement:.3f}{'' if good else ', left out'}")
        if good:
            names.append(limb.name)
            fields.append(fit.field.numpy().astype(np.float16))
            agreement.append(fit.agreement)
            poses.append(fit.pose.as_numbers())
    empty = np.zeros((0, 3, *straight.shape), np.float16)
    return People(
        tuple(names),
        np.stack(fields) if fields else empty,
        np.array(agreement, np.float32),
        straight.knots,
        np.array(poses, np.float32).reshape(len(names), POSE_NUMBERS),
    )


def with_people(
    anatomies: Sequence[Anatomy],
    folder: Path | None,
    cache_dir: Path,
    say: Callable[[str], Any] = print,
    region: str = "upper",
) -> list[Anatomy]:
    """The anatomies with the shapes of one another, and of the people of a folder of maps.

    The fits (about 20 minutes for 68 limbs and three anatomies on one core) are kept next to
    the prepared maps.

    Parameters
    ----------
    folder : Path or None
        Partial maps of thighs.
    region : str
        A key of :data:`SECTIONS`; there are partial maps of ``upper`` only.

    Raises
    ------
    ImageError
        If the folder has no map.
    """
    files = [] if folder is None else sorted(folder.glob("*.nii.gz"))
    if folder is not None and not files:
        msg = f"{folder} holds no .nii.gz; expected label maps of thighs; check --atlas"
        raise ImageError(msg)
    facts = "".join(f"{f.name}{f.stat().st_size}" for f in files)
    facts += "" if region == "upper" else region
    out: list[Anatomy] = []
    for anatomy in anatomies:
        others = [a for a in anatomies if a is not anatomy]
        text = f"{VERSION}{anatomy.name}{anatomy.packed.shape}{[a.name for a in others]}{facts}"
        key = hashlib.sha256(text.encode()).hexdigest()[:12]
        path = cache_dir / f"people-{anatomy.name}-{key}.npz"
        if not path.exists():
            limbs = [limb for f in files for limb in limbs_of(f, len(MUSCLES))]
            limbs += [limb for a in others for limb in _limbs_of_anatomy(a, region)]
            say(f"{anatomy.name}: fitting {len(limbs)} limbs")
            save_people(fit_people(straighten(anatomy, region), limbs, say), path)
        out.append(replace(anatomy, people=load_people(path)))
    return out


def _limbs_of_anatomy(anatomy: Anatomy, region: str) -> list[PartialLimb]:
    """Its left thigh, one of many; or both lower legs, of which there are few."""
    sides = ("left",) if region == "upper" else ("left", "right")
    return [
        whole_limb(f"{anatomy.name}-{side}", straighten(anatomy, region, side)) for side in sides
    ]
