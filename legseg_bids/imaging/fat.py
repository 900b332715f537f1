"""The map of the fat fraction, from magnitudes alone, and what it cannot know.

From water and fat
    F / (W + F). Right over the whole range, as far as the scanner told water from fat.
From an in-phase and an opposed-phase image
    (I - O) / (2 I). Magnitudes do not tell which of the two is more, so that 30 % and 70 % look
    alike: the map holds the smaller of the two answers, 50 % at most (Reeder et al., Journal of
    Magnetic Resonance Imaging 34:729, 2011). It is right for muscle that is less than half fat.
    With a second opposed echo as long after the in-phase one as the first lies before it, the
    geometric mean of the two stands for O, which takes the decay (T2*) out; without it, muscle
    looks about 2 % leaner or fatter than it is.

Voxels with too little signal are left out (NaN). In the others, noise adds to each magnitude
(Gudbjartsson and Patz, Magnetic Resonance in Medicine 34:910, 1995), so that the fat fraction of
lean muscle comes out too high: by how much stands in :attr:`FatMap.noise_floor`. It is told, not
taken away. Nor is it corrected for T1 (a short repetition time makes fat, whose T1 is short, look
more) or for the several peaks of fat: it is a signal fat fraction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.imaging import dixon

WATER_FAT, TWO_PHASES = "water and fat", "in and opposed phase"
HIGHEST = {WATER_FAT: 1.0, TWO_PHASES: 0.5}
"""The largest fraction that a map can show."""
LEAST_SNR = 5.0
"""Signal over noise of a voxel below which its fat fraction means nothing."""
DARKEST = 0.02
"""The same as a share of the bright tissue, where the noise is not known."""
BLANK_AIR = 0.3
"""If less than this share of the air holds noise, the scanner has blanked it."""
RAYLEIGH_MEDIAN = math.sqrt(2 * math.log(2))
RAYLEIGH_MEAN = math.sqrt(math.pi / 2)
"""Median and mean of the magnitude of pure noise, in standard deviations of the noise."""


@dataclass(frozen=True, eq=False)
class Signals:
    """The magnitudes that a fat fraction is made from, all of one shape.

    Attributes
    ----------
    method : str
        ``water and fat``, or ``in and opposed phase``.
    images : dict of str to ndarray
        ``water`` and ``fat``; or ``in_phase``, ``opposed`` and perhaps ``opposed_later``.
    """

    method: str
    images: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, images: Mapping[str, NDArray[Any]]) -> Signals | None:
        """The best that can be made of some images, by their roles; None if there is nothing.

        Examples
        --------
        >>> one = np.ones((1, 1, 1))
        >>> Signals.of({"opposed": one, "in_phase": one, "water": one}).method
        'in and opposed phase'
        """
        if {"water", "fat"} <= images.keys():
            return cls(WATER_FAT, {role: images[role] for role in ("water", "fat")})
        if {"in_phase", "opposed"} <= images.keys():
            roles = ("in_phase", "opposed", "opposed_later")
            return cls(TWO_PHASES, {role: images[role] for role in roles if role in images})
        return None


@dataclass(frozen=True, eq=False)
class FatMap:
    """A fat fraction for each voxel, and how far it can be trusted.

    Attributes
    ----------
    fraction : ndarray of float32
        From 0 to `highest`; NaN outside the body and where there is too little signal.
    method : str
        As in :class:`Signals`.
    corrected : bool
        Whether the decay between the echoes was taken out.
    noise : float or None
        Standard deviation of the noise of one image, in its own units; None where the scanner
        has blanked the air.
    noise_floor : float or None
        The fat fraction that pure water would show on average, at the median signal of the body.
    left_out : float
        Share of the body that has too little signal.
    """

    fraction: NDArray[np.float32]
    method: str
    corrected: bool
    noise: float | None
    noise_floor: float | None
    left_out: float

    @property
    def highest(self) -> float:
        """The largest fraction that the map can show."""
        return HIGHEST[self.method]

    def facts(self) -> dict[str, Any]:
        """All but the map, as plain values for a sidecar."""
        return {
            "Method": self.method,
            "HighestFraction": self.highest,
            "CorrectedForDecay": self.corrected,
            "NoiseStandardDeviation": _rounded(self.noise),
            "NoiseFloor": _rounded(self.noise_floor),
            "ShareLeftOut": _rounded(self.left_out),
        }


def fat_map(signals: Signals, body: NDArray[np.bool_]) -> FatMap:
    """Make the map.

    Parameters
    ----------
    signals : Signals
        Images of any one shape.
    body : ndarray of bool, same shape
        Where the map is wanted; the rest is taken for air.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> water, fat = np.array([300, 0]), np.array([100, 0])
    >>> fat_map(Signals.of({"water": water, "fat": fat}), water > 0).fraction
    array([0.25,  nan], dtype=float32)
    """
    if signals.method == WATER_FAT:
        first, second = signals.images["water"], signals.images["fat"]
        fraction = dixon.fat_fraction(first, second)
        total = dixon.in_phase(first, second)
    else:
        total = dixon.clean(signals.images["in_phase"])
        fraction = dixon.two_point_fraction(total, _opposed(signals))
        second = signals.images["in_phase"]
    noise = _noise(second, body)
    signal = total[body]
    dark = DARKEST * float(np.percentile(signal, 99)) if signal.size else 0.0
    weak = total <= max(dark, LEAST_SNR * (noise or 0.0))
    fraction[weak | ~body] = np.nan
    middle = float(np.median(signal)) if signal.size else 0.0
    return FatMap(
        fraction=fraction,
        method=signals.method,
        corrected="opposed_later" in signals.images,
        noise=noise,
        noise_floor=_floor(signals.method, noise, middle),
        left_out=float(weak[body].mean()) if signal.size else 0.0,
    )


def _opposed(signals: Signals) -> NDArray[np.float32]:
    """The opposed-phase signal at the time of the in-phase echo, as far as that can be told."""
    first = dixon.clean(signals.images["opposed"])
    if "opposed_later" not in signals.images:
        return first
    later = dixon.clean(signals.images["opposed_later"])
    return np.asarray(np.sqrt(first * later), dtype=np.float32)


def _noise(image: NDArray[Any], body: NDArray[np.bool_]) -> float | None:
    """Standard deviation of the noise, from the magnitudes of the air."""
    air = image[~body]
    noisy = air[np.isfinite(air) & (air > 0)]
    if noisy.size < max(1.0, BLANK_AIR * air.size):
        return None
    return float(np.median(noisy)) / RAYLEIGH_MEDIAN


def _floor(method: str, noise: float | None, signal: float) -> float | None:
    """Mean fat fraction of a voxel of pure water: its fat image shows noise alone.

    Of two phases, both magnitudes are large, and the difference has no such floor.
    """
    if noise is None or signal <= 0 or method != WATER_FAT:
        return None
    return min(RAYLEIGH_MEAN * noise / signal, HIGHEST[method])


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
