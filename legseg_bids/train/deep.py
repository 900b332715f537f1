"""Deep supervision: losses on the coarser levels of a network's way up, while it is trained.

Lee et al., Deeply-supervised nets, AISTATS 2015; weights that halve from level to level, as in
nnU-Net (Isensee et al., Nature Methods 18:203, 2021). What is exported has none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


class CoarseHeads(nn.Module):
    """Point-wise convolutions that tell the classes from what coarser levels have found.

    Parameters
    ----------
    network : Module
        With the modules ``merge``, finest first, and ``head``, as
        :class:`legseg_bids.networks.residual_unet.ResidualUNet3d` has them. What its levels find
        is kept whenever it computes.
    features : sequence of int
        Channels of its levels, finest first.
    weights : sequence of float
        Of the losses of the levels below the finest, in their order; the finest has 1.

    Raises
    ------
    ValueError
        If the network has fewer levels than there are weights.
    """

    def __init__(
        self, network: nn.Module, features: Sequence[int], weights: Sequence[float]
    ) -> None:
        super().__init__()
        levels = list(network.merge)[1:]  # type: ignore[arg-type]
        if len(weights) > len(levels):
            msg = (
                f"deep supervision of {len(weights)} levels; expected at most {len(levels)}, the "
                "network's levels between the finest and the coarsest"
            )
            raise ValueError(msg)
        classes = int(network.head.out_channels)  # type: ignore[union-attr, arg-type]
        self.weights = tuple(weights)
        self.heads = nn.ModuleList(
            nn.Conv3d(features[1 + i], classes, 1) for i in range(len(weights))
        )
        self._found: dict[int, Tensor] = {}
        for i in range(len(weights)):
            levels[i].register_forward_hook(self._keep(i))

    def _keep(self, level: int) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, found: Tensor) -> None:
            self._found[level] = found

        return hook

    def forward(self) -> list[Tensor]:
        """Logits (n, classes, z, y, x) of each level, of what the network computed last."""
        return [head(self._found.pop(i)) for i, head in enumerate(self.heads)]

    def joined(
        self, loss: Loss, finest: Tensor, coarse: Sequence[Tensor], target: Tensor
    ) -> Tensor:
        """Weighted mean of the losses of all levels.

        Parameters
        ----------
        loss : callable
            Of logits and a target of the same grid.
        finest : Tensor, shape (n, classes, z, y, x)
        coarse : sequence of Tensor
            Of :meth:`forward`.
        target : Tensor of int64, shape (n, z, y, x)
            A coarser voxel is what lies in its middle.
        """
        total = loss(finest, target)
        for weight, logits in zip(self.weights, coarse, strict=True):
            total = total + weight * loss(logits, coarser(target, logits.shape[2:]))
        return total / (1 + sum(self.weights))


def coarser(target: Tensor, shape: Sequence[int]) -> Tensor:
    """The classes on a coarser grid over the same space, (n, z, y, x) of int64.

    Examples
    --------
    >>> import torch
    >>> coarser(torch.arange(6).reshape(1, 1, 1, 6), (1, 1, 3)).flatten().tolist()
    [1, 3, 5]
    """
    # Whole numbers below 2^24 survive as floats, which is all that interpolation takes.
    small = nn.functional.interpolate(
        target[:, None].float(), size=tuple(shape), mode="nearest-exact"
    )
    return small[:, 0].long()
