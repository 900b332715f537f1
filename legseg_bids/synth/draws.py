"""Random numbers of the simulation."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Draw:
    """A seeded source of random numbers, so that a sample is a pure function of its seed.

    What is decided with one number (a probability, a strength, a choice) is drawn on the CPU,
    whatever the device: nothing has to wait for a GPU. Tensors are made on the device.

    Parameters
    ----------
    seed : int
    device : str or torch.device
        Where tensors are made. On the CPU they and the decisions come from one stream of numbers;
        elsewhere the tensors have a stream of the device's own, so that the same seed gives other
        samples there than on a CPU, of the same distribution.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self._of_tensors = self.generator
        if self.device.type != "cpu":
            self._of_tensors = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """One number from [low, high)."""
        one = torch.rand((), generator=self.generator, device="cpu")
        return low + (high - low) * float(one)

    def normal(self, sigma: float = 1.0) -> float:
        """One number from a normal distribution around zero."""
        return sigma * float(torch.randn((), generator=self.generator, device="cpu"))

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
        return int(torch.randint(low, high, (), generator=self.generator, device="cpu"))

    def picks(self, count: int, of: int) -> list[int]:
        """So many of 0 … of - 1, each alone; zeros if there is nothing to pick from."""
        share = torch.rand(count, generator=self.generator, device="cpu")
        return [int(p) for p in (share * of).tolist()]

    def normals(self, *shape: int) -> Tensor:
        """Standard normal tensor on the device."""
        return torch.randn(*shape, generator=self._of_tensors, device=self.device)

    def rand(self, *shape: int) -> Tensor:
        """Uniform tensor in [0, 1) on the device."""
        return torch.rand(*shape, generator=self._of_tensors, device=self.device)

    def field(self, shape: tuple[int, int, int], knots: tuple[int, int, int]) -> Tensor:
        """Smooth random field, about unit variance: knots interpolated to ``shape`` (z, y, x)."""
        coarse = self.normals(1, 1, *knots)
        fine = torch.nn.functional.interpolate(
            coarse, size=shape, mode="trilinear", align_corners=True
        )
        return fine[0, 0]
