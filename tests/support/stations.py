"""Legs that were scanned in several stacks: one tall phantom, cut as a scanner would."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skeleton import SPACING, Image, legs, write_dataset

TALL = (96, 56, 60)
SLICE_MM = SPACING[2]


@cache
def tall() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Water and fat of two legs of 600 mm."""
    return legs(TALL, seed=5)


def stack(first: int, last: int, scale: float = 1.0, up: float = 0.0) -> Image:
    """Slices `first` to `last` of the tall legs as a station of its own, opposed phase.

    `scale` is the step in brightness that scanners make between stations; `up` moves the
    station by so many mm more than it should be. Each station has noise of its own.
    """
    water, fat = (part[..., first : last + 1] for part in tall())
    noise = np.random.default_rng(first).normal(0, 40, water.shape).astype(np.float32)
    signal = np.abs(water - fat) + noise * (water + fat > 100)
    return Image(np.abs(signal) * np.float32(scale), at(first * SLICE_MM + up))


def at(z: float, x: float = 0.0) -> NDArray[np.float64]:
    """Affine of a stack whose lowest slice lies at height `z`, mm."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = x, 0.0, z
    return affine


def in_plane(image: Image, every: int) -> Image:
    """The same stack with larger pixels."""
    affine = np.array(image.affine)
    affine[:3, :2] *= every
    affine[:3, 3] += (every - 1) / 2 * np.array([SPACING[0], SPACING[1], 0.0])
    n = [size - size % every for size in image.data.shape[:2]]
    data = image.data[: n[0], : n[1]]
    blocks = data.reshape(n[0] // every, every, n[1] // every, every, -1)
    return replace(image, data=blocks.mean(axis=(1, 3)), affine=affine)


def chunk(number: int, label: str = "01") -> str:
    """Stem of a station's file."""
    return f"sub-{label}/anat/sub-{label}_acq-outphase_chunk-{number}_T1w"


def write_stations(root: Path, *images: Image) -> Path:
    """A participant with these images as ``chunk-1``, ``chunk-2``, …"""
    return write_dataset(root, {chunk(n): image for n, image in enumerate(images, start=1)})


def two_stations(root: Path) -> Path:
    """Two stations that share four slices; the upper one is three times as bright."""
    return write_stations(root, stack(0, 13), stack(10, 23, scale=3.0))
