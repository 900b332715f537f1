"""What of a prepared anatomy lies on a device, put there once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legseg_bids.synth.atlas import SHIFTS, Anatomy

#: Every so many slices and pixels of a map are enough to follow a muscle.
SLICE_STEP, PIXEL_STEP = 8, 4


@dataclass(frozen=True, eq=False)
class Resident:
    """The map of an anatomy on one device.

    Attributes
    ----------
    packed : Tensor of int64, shape (z * y * x,)
        On a CPU the memory of the array itself, which is mapped and shared by all processes;
        elsewhere a copy (845 MB for the largest map).
    rows : Tensor of float64, shape (z,)
        Numbers of the slices.
    centre : dict
        For each side, (z, 2), float64: x and y of the limb's middle, mm.
    source : tuple
        What these were made of.
    """

    packed: Tensor
    rows: Tensor
    centre: dict[str, Tensor]
    source: tuple[object, object]


def resident(anatomy: Anatomy, device: str | torch.device) -> Resident:
    """The anatomy's map on a device, kept with the anatomy and what was derived from it."""
    key, source = f"map on {device}", (anatomy.packed, anatomy.centre)
    found = anatomy.kept.get(key)
    if found is None or any(a is not b for a, b in zip(found.source, source, strict=True)):
        found = Resident(
            packed=_shared(anatomy.packed).reshape(-1).to(device),
            rows=torch.arange(anatomy.packed.shape[0], dtype=torch.float64, device=device),
            centre={
                side: torch.from_numpy(np.asarray(path, np.float64)).to(device)
                for side, path in anatomy.centre.items()
            },
            source=source,
        )
        anatomy.kept[key] = found
    return found


def _shared(array: NDArray[np.int64]) -> Tensor:
    """The same memory as a tensor; a mapped file is read only, and nothing writes to it here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def muscle_sums(anatomy: Anatomy) -> Tensor:
    """Pixels, and sums of their y and x, of every code in every so many slices.

    Float64 on the CPU, (slices, 256, 3), in steps of :data:`SLICE_STEP` slices and
    :data:`PIXEL_STEP` pixels; whole numbers. Counted once and kept with the anatomy.
    """
    found = anatomy.kept.get("muscle sums")
    if found is None or found[0] is not anatomy.packed:
        fields = anatomy.packed[::SLICE_STEP, ::PIXEL_STEP, ::PIXEL_STEP]
        codes = (fields >> SHIFTS["label"]) & 255
        found = anatomy.packed, torch.from_numpy(np.stack([_sums(c) for c in codes]))
        anatomy.kept["muscle sums"] = found
    sums: Tensor = found[1]
    return sums


def _sums(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pixels, sum of y and sum of x of each of the 256 codes in one slice, (256, 3)."""
    y, x = np.indices(codes.shape)
    flat = codes.reshape(-1)
    weights = (None, y.reshape(-1), x.reshape(-1))
    sums = [np.bincount(flat, w, minlength=256).astype(np.float64) for w in weights]
    return np.stack(sums, axis=1)
