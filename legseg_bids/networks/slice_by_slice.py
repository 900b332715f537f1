"""A 2-D network on a stack, slice by slice, so that it takes the place of a 3-D one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from legseg_bids.networks.any_size import AnySize
from legseg_bids.networks.registry import create, register


@register
class SliceBySlice(AnySize):
    """Each slice on its own; what lies above and below it plays no part.

    Parameters
    ----------
    network : mapping
        ``name`` and options of a 2-D network that takes one image and gives logits.
    inputs, classes : int
        Channels of the image and of the logits.

    Examples
    --------
    >>> import torch
    >>> network = SliceBySlice({"name": "UNet2d", "features": [4, 6]}, classes=3).eval()
    >>> network.step, network(torch.zeros(2, 1, 5, 8, 8)).shape
    ((1, 2, 2), torch.Size([2, 3, 5, 8, 8]))
    """

    def __init__(self, network: Mapping[str, Any], inputs: int = 1, classes: int = 2) -> None:
        super().__init__()
        options = {k: v for k, v in network.items() if k != "name"}
        self.flat = create(network["name"], inputs=inputs, classes=classes, **options)
        step = tuple(getattr(self.flat, "step", ()))
        if len(step) != 2:
            msg = f"SliceBySlice has network {network['name']!r}; expected a 2-D network"
            raise ValueError(msg)
        self.step = (1, *step)

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:
        """Logits of an image whose axes are multiples of ``step``."""
        n, c, z, y, x = image.shape
        slices = image.transpose(1, 2).reshape(n * z, c, y, x)
        logits: Tensor = self.flat(slices, *more)
        return logits.reshape(n, z, -1, y, x).transpose(1, 2)
