"""V-Net: Milletari et al., 3DV 2016. MONAI's implementation, for images of any size."""

from __future__ import annotations

from torch import Tensor

from legseg_bids.networks.any_size import AnySize
from legseg_bids.networks.registry import register


@register
class VNet(AnySize):
    """V-Net of five levels, 16 to 256 channels, kernels of 5.

    Parameters
    ----------
    inputs, classes : int
        Channels of the image and of the logits; 16 must be divisible by ``inputs``.
    axes : {2, 3}
        Slices or volumes.
    dropout : float
        Share of the channels dropped on the coarse levels while training.
    """

    def __init__(
        self, inputs: int = 1, classes: int = 2, axes: int = 3, dropout: float = 0.5
    ) -> None:
        super().__init__()
        from monai.networks.nets.vnet import VNet as MonaiVNet

        self.step = (16,) * axes
        self.net = MonaiVNet(
            spatial_dims=axes,
            in_channels=inputs,
            out_channels=classes,
            act="prelu",
            dropout_prob_down=dropout,
            dropout_prob_up=(dropout, dropout),
            dropout_dim=axes,
        )

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of an image whose axes are multiples of 16."""
        out: Tensor = self.net(image)
        return out
