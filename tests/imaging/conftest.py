"""Legs made of discs: water muscle, bright fat, dark bone, and the noise of a magnitude image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

Phantom = Callable[..., tuple[np.ndarray, np.ndarray]]

SPACING = (1.5, 1.5, 6.0)


@pytest.fixture
def spacing() -> tuple[float, float, float]:
    return SPACING


@pytest.fixture
def phantom() -> Phantom:
    """Image and true body of limbs given as (x, y, radius) in mm, the same in all slices."""

    def make(
        limbs: list[tuple[float, float, float]],
        *,
        size: tuple[int, int, int] = (160, 120, 6),
        muscle: float = 1.0,
        fat: float = 0.8,
        noise: float = 0.02,
        shading: float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        x, y = np.arange(size[0])[:, None] * 1.5, np.arange(size[1])[None] * 1.5
        signal, body = np.zeros(size[:2]), np.zeros(size[:2], dtype=bool)
        for cx, cy, radius in limbs:
            distance = np.hypot(x - cx, y - cy)
            body |= distance < radius
            signal[distance < radius] = fat
            signal[distance < 0.8 * radius] = muscle
            signal[distance < 0.25 * radius] = 0.0
            signal[distance < 0.18 * radius] = fat
        signal = signal * np.exp(-shading * x / x.max())
        stack = np.repeat(signal[:, :, None], size[2], axis=2)
        random = np.random.default_rng(0)
        real, imaginary = random.normal(0, max(noise, 1e-12), (2, *size))
        magnitude = np.hypot(stack + real, imaginary) if noise else stack
        return magnitude.astype(np.float32), np.repeat(body[:, :, None], size[2], axis=2)

    return make


@pytest.fixture
def dice() -> Callable[[np.ndarray, np.ndarray], float]:
    """Overlap of two masks, 0 to 1."""

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))

    return overlap
