"""Label maps of real anatomy, prepared once so that any deformation of them is one look-up.

A simulated leg needs, at every point, more than the label: how far the next muscle is (muscles
are grown into contact), how deep the point lies in its own structure (cortical bone, atrophy),
and how far it is from the muscle compartment (subcutaneous fat and skin). Those are computed
here once per map, slice by slice, and packed into one 64-bit integer a voxel.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.errors import ImageError

if TYPE_CHECKING:
    from legseg_bids.synth.people import People

#: Codes of structures that the label scheme does not name.
CARTILAGE, LIGAMENT = 200, 201
#: Packed distances are stored in these steps, mm.
GAP_STEP, DEPTH_STEP, COMPARTMENT_STEP = 0.25, 0.25, 0.5
#: Bit offset of every packed field.
SHIFTS = {"label": 0, "nearest": 8, "gap": 16, "depth": 24, "compartment": 32, "body": 40}
#: Gaps between muscles up to twice this are inside the compartment, mm. The Visible Human woman
#: has up to 30 mm of fat between neighbouring thigh muscles.
CLOSING_MM = 16.0
#: The same where there is hip bone: the cavity of the pelvis is inside, not fat under the skin.
CLOSING_PELVIS_MM = 45.0
#: Pixels of hip bone from which on a slice is one of the pelvis, mm².
PELVIS_MM2 = 300.0
#: Folder-level version of the packing: a change here rebuilds every cache.
PACKING = 3

_SCHEMES = {"vhm": "atlas", "vhf": "atlas", "musclemap_pelvis_thigh": "musclemap"}
#: The sacrum has the number of a left structure in the Visible Human maps.
_SACRUM = 121
_EXTRA = {
    "atlas": {70: CARTILAGE, 170: CARTILAGE, 71: LIGAMENT, 171: LIGAMENT, 165: _SACRUM},
    "musclemap": {},
}
_HIP_BONES = (101, 102)
_FOOT_BONES = {"atlas": {66: 112, 67: 112, 68: 112, 166: 111, 167: 111, 168: 111}, "musclemap": {}}


@dataclass(frozen=True)
class Landmarks:
    """Heights that divide one limb, mm above the lowest slice of the map.

    ``ankle`` is the distal end of the tibia, ``knee`` the distal end of the femur, ``ischium``
    the lowest point of the hip bone, ``hip`` the top of the femoral head.
    """

    ankle: float
    knee: float
    ischium: float
    hip: float


@dataclass(frozen=True)
class Anatomy:
    """One person's prepared label map.

    Attributes
    ----------
    name : str
        ``vhm``, ``vhf`` or ``musclemap_pelvis_thigh``.
    packed : ndarray of int64, shape (z, y, x)
        All fields (see :data:`SHIFTS`), axes as in the house but reversed for locality.
    spacing : tuple of float
        Voxel size (x, y, z), mm.
    landmarks : dict
        :class:`Landmarks` for ``left`` and ``right``.
    centre : dict
        For each side, (z, 2): x and y of the limb's middle in mm, for every slice.
    has_skin : bool
        Whether the map knows the body's own outline.
    has_lower_leg : bool
        Whether it is complete below the knee.
    people : People, optional
        Shapes of other people that it can be given.
    kept : dict
        What was derived from the map and is kept with it, such as its copy on a device; shared
        by anatomies that differ in their people only, and not sent to other processes.
    """

    name: str
    packed: np.ndarray
    spacing: tuple[float, float, float]
    landmarks: dict[str, Landmarks]
    centre: dict[str, np.ndarray]
    has_skin: bool
    has_lower_leg: bool
    people: People | None = None
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def of_people(self, held_out: tuple[str, ...], only: bool = False) -> Anatomy:
        """Without the people whose names start with one of these, or with ``only`` them."""
        if self.people is None:
            return self
        return replace(self, people=self.people.without(held_out, only))

    def __getstate__(self) -> dict[str, Any]:
        """For another process: a mapped file by its name, so that they share its memory."""
        packed = self.packed
        whole = isinstance(packed, np.memmap) and isinstance(packed.base, mmap.mmap)
        if whole and str(packed.filename).endswith(".npy"):
            packed = Path(packed.filename)
        return vars(self) | {"packed": packed, "kept": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state["packed"]
        if isinstance(packed, Path):
            packed = np.load(packed, mmap_mode="r")
        vars(self).update(state | {"packed": packed})


def code_table(scheme: str) -> np.ndarray:
    """Look-up from a map's own ids to codes of the label scheme (0 where it names nothing).

    Where a map holds two muscles as one id, the first label of the scheme stands for both
    (fibularis longus for longus and brevis).
    """
    table = np.zeros(10000, np.uint8)
    for label in reversed(load_labels()):
        foreign = getattr(label, scheme)
        if foreign is not None and label.tissue in ("muscle", "bone"):
            table[foreign] = label.index
    for foreign, code in {**_EXTRA[scheme], **_FOOT_BONES[scheme]}.items():
        table[foreign] = code
    return table


def _is(tissue: str) -> np.ndarray:
    table = np.zeros(256, bool)
    for label in load_labels():
        table[label.index] = label.tissue == tissue
    return table


def side_codes(side: str) -> np.ndarray:
    """Which of the 256 codes belong to ``left`` (odd) or ``right`` (even), bool (256,)."""
    table = np.zeros(256, bool)
    for label in load_labels():
        table[label.index] = label.side == side
    return table


def _smooth_bones(codes: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Round the ragged edges of the fitted substitute bones (Gaussian of 1.2 mm, half height)."""
    out = codes.copy()
    bone = _is("bone")
    for code, box in enumerate(ndimage.find_objects(codes), start=1):
        if box is None or not bone[code]:
            continue
        box = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in box)
        own = codes[box] == code
        soft = ndimage.gaussian_filter(own.astype(np.float32), [1.2 / s for s in spacing])
        region = out[box]
        region[own & (soft < 0.5)] = 0
        region[(soft >= 0.5) & (region == 0)] = code
    return out


def _closed(inside: np.ndarray, pixel: float, radius: float = CLOSING_MM) -> np.ndarray:
    """Morphological closing by a radius (mm) with distance transforms, holes filled."""
    if not inside.any():
        return inside
    pad = int(radius / pixel) + 2
    padded = np.pad(inside, pad)
    grown = ndimage.distance_transform_edt(~padded, sampling=pixel) <= radius
    closed = ndimage.distance_transform_edt(grown, sampling=pixel) > radius
    filled = ndimage.binary_fill_holes(closed | padded)
    return filled[pad:-pad, pad:-pad]


def _quantise(distance: np.ndarray, step: float) -> np.ndarray:
    return np.clip(np.round(distance / step), 0, 255).astype(np.int64)


def pack_slice(codes: np.ndarray, body: np.ndarray, pixel: float) -> np.ndarray:
    """All fields of one axial slice in one integer a pixel.

    Parameters
    ----------
    codes : ndarray of uint8, shape (y, x)
    body : ndarray of bool, shape (y, x)
        The body's own outline.
    pixel : float
        Pixel size, mm.

    Returns
    -------
    ndarray of int64, shape (y, x)
    """
    muscle, solid = _is("muscle")[codes], codes > 0
    shape, big = codes.shape, np.full(codes.shape, 255, np.int64)
    nearest, gap, compartment = np.zeros(shape, np.int64), big, big
    if muscle.any():
        distance, index = ndimage.distance_transform_edt(
            ~muscle, sampling=pixel, return_indices=True
        )
        nearest = codes[tuple(index)].astype(np.int64)
        gap = _quantise(distance, GAP_STEP)
    edge = np.zeros(shape, bool)
    for axis in (0, 1):
        differ = np.diff(codes, axis=axis) != 0
        edge |= np.pad(differ, [(0, 1) if a == axis else (0, 0) for a in (0, 1)])
        edge |= np.pad(differ, [(1, 0) if a == axis else (0, 0) for a in (0, 1)])
    depth = np.zeros(shape, np.int64)
    if edge.any():
        depth = _quantise(ndimage.distance_transform_edt(~edge, sampling=pixel), DEPTH_STEP)
    if solid.any():
        unsided = solid & ~side_codes("left")[codes] & ~side_codes("right")[codes]
        limbs = [_closed(side_codes(s)[codes] | unsided, pixel) for s in ("left", "right")]
        within = limbs[0] | limbs[1]
        if np.isin(codes, _HIP_BONES).sum() * pixel**2 >= PELVIS_MM2:
            within |= _closed(solid, pixel, CLOSING_PELVIS_MM)
        outside = ndimage.distance_transform_edt(~within, sampling=pixel)
        compartment = _quantise(outside, COMPARTMENT_STEP)
    fields = {
        "label": codes.astype(np.int64),
        "nearest": nearest,
        "gap": gap,
        "depth": depth,
        "compartment": compartment,
        "body": body.astype(np.int64),
    }
    packed = np.zeros(shape, np.int64)
    for name, values in fields.items():
        packed |= values << SHIFTS[name]
    return packed


def _landmarks(codes: np.ndarray, side: str, dz: float) -> Landmarks:
    offset = 0 if side == "left" else 1

    def height(index: int, end: int) -> float:
        z = np.flatnonzero((codes == index + offset).any(axis=(1, 2)))
        return float(z[end] * dz) if z.size else 0.0

    return Landmarks(height(107, 0), height(103, 0), height(101, 0), height(103, -1))


def _centre(codes: np.ndarray, side: str, spacing: tuple[float, float, float]) -> np.ndarray:
    """Middle of the limb's structures in every slice, filled along the limb and smoothed."""
    own = side_codes(side)[codes]
    z = np.flatnonzero(own.any(axis=(1, 2)))
    middle = np.array(
        [[np.mean(np.nonzero(own[k])[1 - a]) * spacing[a] for a in (0, 1)] for k in z]
    )
    every = np.arange(codes.shape[0])
    path = np.stack([np.interp(every, z, middle[:, a]) for a in (0, 1)], axis=1)
    return np.asarray(ndimage.gaussian_filter1d(path, 20.0 / spacing[2], axis=0, mode="nearest"))


def prepare(path: Path, name: str) -> Anatomy:
    """Read a label map and compute its fields (about a minute for a whole body half).

    Parameters
    ----------
    path : Path
        NIfTI label map, axes RAS.
    name : str
        Key of the known maps.

    Raises
    ------
    ImageError
        If the map is not stored with RAS axes.
    """
    image = nib.nifti1.load(path)
    if nib.orientations.aff2axcodes(image.affine) != ("R", "A", "S"):
        msg = (
            f"{path.name} has axes {nib.orientations.aff2axcodes(image.affine)}; expected R, A, S"
        )
        raise ImageError(msg)
    scheme = _SCHEMES[name]
    ids = np.asanyarray(image.dataobj).transpose(2, 1, 0)
    spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
    codes = _smooth_bones(code_table(scheme)[ids], spacing[::-1])
    body = ids > 0
    packed = np.stack([pack_slice(c, b, spacing[0]) for c, b in zip(codes, body, strict=True)])
    sides = ("left", "right")
    return Anatomy(
        name=name,
        packed=packed,
        spacing=spacing,  # type: ignore[arg-type]
        landmarks={s: _landmarks(codes, s, spacing[2]) for s in sides},
        centre={s: _centre(codes, s, spacing) for s in sides},  # type: ignore[arg-type]
        has_skin=scheme == "atlas",
        has_lower_leg=scheme == "atlas",
    )


def load_anatomy(atlas_dir: Path, name: str, cache_dir: Path) -> Anatomy:
    """The prepared map, from the cache if it was prepared before.

    The packed array is memory-mapped, so that several trainings share one copy.
    """
    source = atlas_dir / f"{name}_labels.nii.gz"
    if not source.exists():
        msg = f"{source} not found; expected the label map of {name!r}; check --atlas"
        raise ImageError(msg)
    stat = source.stat()
    key = hashlib.sha256(f"{name}{stat.st_size}{PACKING}{CLOSING_MM}".encode()).hexdigest()[:12]
    base = cache_dir / f"{name}-{key}"
    if not base.with_suffix(".json").exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        _store(prepare(source, name), base)
    return _restore(base, name)


def _store(anatomy: Anatomy, base: Path) -> None:
    np.save(base.with_suffix(".npy"), anatomy.packed)
    facts = {
        "spacing": anatomy.spacing,
        "landmarks": {s: vars(m) for s, m in anatomy.landmarks.items()},
        "centre": {s: c.tolist() for s, c in anatomy.centre.items()},
        "has_skin": anatomy.has_skin,
        "has_lower_leg": anatomy.has_lower_leg,
    }
    base.with_suffix(".json").write_text(json.dumps(facts))


def _restore(base: Path, name: str) -> Anatomy:
    facts = json.loads(base.with_suffix(".json").read_text())
    return Anatomy(
        name=name,
        packed=np.load(base.with_suffix(".npy"), mmap_mode="r"),
        spacing=tuple(facts["spacing"]),
        landmarks={s: Landmarks(**m) for s, m in facts["landmarks"].items()},
        centre={s: np.asarray(c) for s, c in facts["centre"].items()},
        has_skin=facts["has_skin"],
        has_lower_leg=facts["has_lower_leg"],
    )
