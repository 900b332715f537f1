"""Random numbers of the simulation."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Draw:
    """A seeded source of random numbers, so that a sample is a pure function of its seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """One number from [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def normal(self, sigma: float = 1.0) -> float:
        """One number from a normal distribution around zero."""
        return sigma * float(torch.randn((), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform(0.0, 1.0) < probability

    def log_uniform(self, low: float, high: float) -> float:
        """One number whose logarithm is uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def choice(self, options: tuple[tuple[str, float], ...]) -> str:
        """One of the names, each with its weight."""
        point = self.uniform(0.0, sum(weight for _, weight in options))
        for name, weight in options:
            point -= weight
            if point < 0:
                return name
        return options[-1][0]

    def integer(self, low: int, high: int) -> int:
        """One of low … high - 1."""
        return int(torch.randint(low, high, (), generator=self.generator))

    def normals(self, *shape: int) -> Tensor:
        """Standard normal tensor."""
        return torch.randn(*shape, generator=self.generator)

    def rand(self, *shape: int) -> Tensor:
        """Uniform tensor in [0, 1)."""
        return torch.rand(*shape, generator=self.generator)

    def field(self, shape: tuple[int, int, int], knots: tuple[int, int, int]) -> Tensor:
        """Smooth random field, about unit variance: knots interpolated to ``shape`` (z, y, x)."""
        coarse = self.normals(1, 1, *knots)
        fine = torch.nn.functional.interpolate(
            coarse, size=shape, mode="trilinear", align_corners=True
        )
        return fine[0, 0]
