"""What a limb is made of, slice by slice: muscle, bone, fat under the skin and between muscles.

The fascia that wraps the muscles shows in no label. Its place is taken by an envelope: muscles
and bones of the limb in a slice, with all gaps closed that are up to 20 mm wide, and filled. What
lies outside is called subcutaneous (the skin among it); what lies inside and is neither muscle
nor bone is intermuscular, and the fat in it is intermuscular fat.

Slices that show the hip bone are left out: there the limb has no outer end. So are slices in
which muscle is a small part of the limb, as at ankle, knee and foot, where most of what lies
beside muscle and bone is joint and tendon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.anatomy import load_labels
from legseg_bids.measure.amounts import ratio
from legseg_bids.measure.scene import Scene
from legseg_bids.measure.tally import LABELS

CLOSING_MM = 10.0
"""Gaps of up to twice this width are taken for gaps between muscles."""
LEAST_MUSCLE = 0.2
"""Share of the limb's area that is muscle, at least, where tissues are measured."""
HIP_BONE_MM2 = 100.0
"""Area of hip bone from which on a slice is one of the pelvis."""
HIP_BONE = "HIP"
MUSCLE, BONE, HIP = 1, 2, 4
SIDES = ("left", "right")
COUNTED = ("limb", "muscle", "bone", "subcutaneous", "between")
Plane = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tissues:
    """One limb, slice by slice; arrays of shape (z,), 0 in slices that are not measured.

    Attributes
    ----------
    side : str
        ``left`` or ``right``.
    voxels : dict of str to ndarray of int
        Number of voxels: ``limb``, ``muscle``, ``bone``, ``subcutaneous``, ``between`` (inside
        the envelope, neither muscle nor bone).
    known : dict of str to ndarray of int
        Of these, how many have a known fat fraction.
    fat : dict of str to ndarray of float
        The sum of it.
    middle : dict of str to ndarray of float
        Median fat fraction of ``muscle`` and ``subcutaneous``; NaN where it is unknown.
    cut_in_plane : bool
        The limb reaches the border of the image.
    """

    side: str
    voxels: dict[str, NDArray[np.int64]]
    known: dict[str, NDArray[np.int64]]
    fat: dict[str, NDArray[np.float64]]
    middle: dict[str, NDArray[np.float64]]
    cut_in_plane: bool

    @property
    def slices(self) -> NDArray[np.intp]:
        """Slices that were measured."""
        return np.flatnonzero(self.voxels["limb"])

    def fat_voxels(self, tissue: str) -> NDArray[np.float64]:
        """Fat in a tissue, in voxels; unknown ones count with the mean of their slice.

        NaN where there is some of the tissue, but nothing known of it.
        """
        voxels = self.voxels[tissue]
        return np.where(voxels > 0, voxels * self.fraction(tissue), 0.0)

    def fraction(self, tissue: str) -> NDArray[np.float64]:
        """Mean fat fraction of a tissue in each slice; NaN where it is unknown."""
        return ratio(self.fat[tissue], self.known[tissue])

    def curves(self, scene: Scene) -> dict[str, tuple[NDArray[Any], NDArray[np.float64]]]:
        """Area (mm²) and mean fat fraction of each tissue of the table of profiles."""
        curves: dict[str, tuple[NDArray[Any], NDArray[np.float64]]] = {
            name: (self.voxels[tissue] * scene.pixel_area, self.fraction(tissue))
            for name, tissue in (
                ("limb", "limb"),
                ("muscle", "muscle"),
                ("subcutaneous_fat", "subcutaneous"),
            )
        }
        if tells_between(scene):
            area = self.fat_voxels("between") * scene.pixel_area
            curves["intermuscular_fat"] = (area, self.fraction("between"))
        return curves


def tells_between(scene: Scene) -> bool:
    """Whether fat between muscles can be told: it is mostly fat, so half a scale is too short."""
    return scene.fat_fraction is not None and scene.highest_fraction == 1.0


def measure_tissues(scene: Scene) -> tuple[Tissues, ...]:
    """Measure the tissues of each limb that has a label with a side.

    Parameters
    ----------
    scene : Scene
        With its limbs; without them, there is nothing to measure.
    """
    if scene.limbs is None:
        return ()
    counters = [_Counter(side, scene.slices) for side in SIDES]
    tables = [_codes(side) for side in SIDES]
    for z in range(scene.slices):
        # A slice is a comb through the whole image: taken out once, it is read many times.
        labels, limbs = (np.ascontiguousarray(a[:, :, z]) for a in (scene.labels, scene.limbs))
        codes = [table[labels] for table in tables]
        fat = None if scene.fat_fraction is None else scene.fat_fraction[:, :, z]
        own = _split(limbs, [code > 0 for code in codes], scene.pixel_size)
        for counter, code, limb in zip(counters, codes, own, strict=True):
            if code.any():
                counter.add(z, _Slice(limb, code, scene.pixel_size, scene.pixel_area), fat)
    return tuple(counter.tissues() for counter in counters if counter.voxels["limb"].any())


@dataclass(frozen=True, eq=False)
class _Slice:
    """One limb in one slice: its voxels, and codes of muscle and bone."""

    limb: Plane
    code: NDArray[np.uint8]
    pixel: tuple[float, float]
    pixel_area: float

    @property
    def is_measured(self) -> bool:
        muscle = np.count_nonzero(self.code == MUSCLE)
        pelvis = np.count_nonzero(self.code == HIP) * self.pixel_area >= HIP_BONE_MM2
        return bool(not pelvis and muscle > LEAST_MUSCLE * np.count_nonzero(self.limb))

    def parts(self) -> dict[str, Plane]:
        """The voxels of each tissue."""
        # What the networks label is part of the limb, whatever the mask says.
        limb = self.limb | (self.code > 0)
        inside = envelope(self.code > 0, self.pixel) & limb
        return {
            "limb": limb,
            "muscle": self.code == MUSCLE,
            "bone": self.code > MUSCLE,
            "subcutaneous": limb & ~inside,
            "between": inside & (self.code == 0),
        }


class _Counter:
    """Adds up the slices of one limb."""

    def __init__(self, side: str, slices: int) -> None:
        self.side = side
        self.voxels = {name: np.zeros(slices, np.int64) for name in COUNTED}
        self.known = {name: np.zeros(slices, np.int64) for name in COUNTED}
        self.fat = {name: np.zeros(slices) for name in COUNTED}
        self.middle = {name: np.full(slices, np.nan) for name in ("muscle", "subcutaneous")}
        self.cut = False

    def add(self, z: int, one: _Slice, fat: NDArray[np.floating[Any]] | None) -> None:
        if not one.is_measured:
            return
        for name, part in one.parts().items():
            self.voxels[name][z] = np.count_nonzero(part)
            if fat is not None:
                values = fat[part]
                values = values[np.isfinite(values)]
                self.known[name][z], self.fat[name][z] = values.size, values.sum(dtype=float)
                if name in self.middle and values.size:
                    self.middle[name][z] = np.median(values)
        limb = one.limb
        self.cut |= any(bool(edge.any()) for edge in (limb[0], limb[-1], limb[:, 0], limb[:, -1]))

    def tissues(self) -> Tissues:
        return Tissues(self.side, self.voxels, self.known, self.fat, self.middle, self.cut)


def envelope(tissue: Plane, pixel: tuple[float, float], radius: float = CLOSING_MM) -> Plane:
    """Close the gaps of a plane that are up to twice the radius wide, and fill what is enclosed.

    Parameters
    ----------
    tissue : ndarray of bool, shape (x, y)
        Muscles and bones of one limb.
    pixel : tuple of float
        Its size, mm.
    radius : float
        mm.

    Examples
    --------
    >>> tissue = np.zeros((9, 9), bool)
    >>> tissue[1:4], tissue[5:8] = True, True
    >>> envelope(tissue, (3.0, 3.0), 6.0)[:, 4].astype(int)
    array([0, 1, 1, 1, 1, 1, 1, 1, 0])
    """
    found = np.zeros_like(tissue)
    # Room enough that the border of the box takes no part.
    margin = [int(np.ceil(radius / size)) + 2 for size in pixel]
    box = _box(tissue)
    inner = np.pad(tissue[box], [(m, m) for m in margin])
    grown = ndimage.distance_transform_edt(~inner, sampling=pixel) <= radius
    closed = ndimage.distance_transform_edt(grown, sampling=pixel) > radius
    filled = ndimage.binary_fill_holes(closed | inner)
    x, y = margin
    found[box] = filled[x:-x, y:-y]
    return found


def _box(plane: Plane) -> tuple[slice, slice]:
    x, y = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
    return slice(int(x[0]), int(x[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1)


def _split(limbs: Plane, tissue: list[Plane], pixel: tuple[float, float]) -> Iterator[Plane]:
    """The voxels of each side's limb: those of the bodies that hold its muscles and bones.

    A body that holds those of both sides is divided: each voxel goes with the nearer side.
    """
    bodies, count = ndimage.label(limbs)
    holds = [np.bincount(bodies[own], minlength=count + 1) > 0 for own in tissue]
    for own in holds:
        own[0] = False
    shared = (holds[0] & holds[1])[bodies]
    nearer_left = _nearer(tissue, shared, pixel)
    for number, own in enumerate(holds):
        mine = nearer_left if number == 0 else ~nearer_left
        yield own[bodies] & (~shared | mine)


def _nearer(tissue: list[Plane], shared: Plane, pixel: tuple[float, float]) -> Plane:
    """Where, of the shared voxels, the first side's tissue is nearer than the second's."""
    found = np.zeros_like(shared)
    if shared.any():
        box = _box(shared)
        left, right = (ndimage.distance_transform_edt(~own[box], sampling=pixel) for own in tissue)
        found[box] = left < right
    return found


def _codes(side: str) -> NDArray[np.uint8]:
    """For each label what it is made of, if it is of this side: muscle, bone, or hip bone."""
    codes = np.zeros(LABELS, np.uint8)
    for label in load_labels():
        if label.side == side and label.tissue in {"muscle", "bone"}:
            is_hip = label.abbreviation.startswith(f"{HIP_BONE}_")
            codes[label.index] = HIP if is_hip else MUSCLE if label.tissue == "muscle" else BONE
    return codes
