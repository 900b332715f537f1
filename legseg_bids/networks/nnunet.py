"""nnU-Net's two architectures, built by nnU-Net's own package.

Plain: Isensee et al., Nature Methods 18:203, 2021. Residual encoder ("ResEnc M"): Isensee et al.,
MICCAI 2024. The package ``dynamic_network_architectures`` comes with ``nnunetv2``; weights that
nnU-Net trained have the same names as those of ``net`` here.

Both normalise by the statistics of each image (instance normalisation): what they make of a voxel
depends on the whole patch, so that another patch size may change labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from legseg_bids.errors import ModelError
from legseg_bids.networks.any_size import AnySize, product_of_strides
from legseg_bids.networks.registry import register

PACKAGE = "dynamic_network_architectures.architectures.unet"
FEATURES = (32, 64, 128, 256, 320, 320)
STRIDES = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
KERNELS = ((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
NORMS = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
CONVS = {2: nn.Conv2d, 3: nn.Conv3d}


def _architecture(name: str) -> Any:
    try:
        return getattr(import_module(PACKAGE), name)
    except ImportError as error:
        msg = (
            "nnU-Net's networks need the package dynamic_network_architectures, which cannot be "
            f"imported ({error}); expected it beside nnunetv2; run: pip install nnunetv2"
        )
        raise ModelError(msg) from error


class _FromNnUNet(AnySize):
    """What both variants share."""

    def __init__(
        self,
        name: str,
        inputs: int,
        classes: int,
        features: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        **more: Any,
    ) -> None:
        super().__init__()
        if not len(features) == len(kernels) == len(strides) + 1:
            msg = (
                f"{len(features)} features, {len(kernels)} kernels, {len(strides)} strides; "
                "expected one kernel a level and one stride fewer"
            )
            raise ValueError(msg)
        axes = len(kernels[0])
        self.step = product_of_strides(strides)
        self.net = _architecture(name)(
            input_channels=inputs,
            n_stages=len(features),
            features_per_stage=list(features),
            conv_op=CONVS[axes],
            kernel_sizes=[list(k) for k in kernels],
            strides=[[1] * axes, *(list(s) for s in strides)],
            num_classes=classes,
            conv_bias=True,
            norm_op=NORMS[axes],
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=False,
            **more,
        )

    def compute(self, image: Tensor, *more: Tensor) -> Tensor:  # noqa: ARG002
        """Logits of an image whose axes are multiples of ``step``."""
        out: Tensor = self.net(image)
        return out


@register
class NnUNetPlain(_FromNnUNet):
    """nnU-Net's plain U-Net: convolutions, instance normalisation, leaky rectifiers.

    Parameters
    ----------
    inputs, classes : int
        Channels of the image and of the logits.
    features : sequence of int
        Channels of each level, finest first.
    strides, kernels : sequence of sequence of int
        As in :class:`~legseg_bids.networks.residual_unet.ResidualUNet3d`; two numbers each make
        it a network of slices.
    convolutions : int
        Convolutions a level.

    Raises
    ------
    ModelError
        If nnU-Net's package is not installed.
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        features: Sequence[int] = FEATURES,
        strides: Sequence[Sequence[int]] = STRIDES,
        kernels: Sequence[Sequence[int]] = KERNELS,
        convolutions: int = 2,
    ) -> None:
        super().__init__(
            "PlainConvUNet",
            inputs,
            classes,
            features,
            strides,
            kernels,
            n_conv_per_stage=[convolutions] * len(features),
            n_conv_per_stage_decoder=[convolutions] * (len(features) - 1),
        )


@register
class NnUNetResidual(_FromNnUNet):
    """nnU-Net's U-Net with a residual encoder and a light decoder (ResEnc).

    Parameters
    ----------
    inputs, classes, features, strides, kernels
        As in :class:`NnUNetPlain`.
    blocks : sequence of int
        Residual blocks of each level.

    Raises
    ------
    ModelError
        If nnU-Net's package is not installed.
    """

    def __init__(
        self,
        inputs: int = 1,
        classes: int = 2,
        features: Sequence[int] = FEATURES,
        strides: Sequence[Sequence[int]] = STRIDES,
        kernels: Sequence[Sequence[int]] = KERNELS,
        blocks: Sequence[int] = (1, 3, 4, 6, 6, 6),
    ) -> None:
        super().__init__(
            "ResidualEncoderUNet",
            inputs,
            classes,
            features,
            strides,
            kernels,
            n_blocks_per_stage=list(blocks),
            n_conv_per_stage_decoder=[1] * (len(features) - 1),
        )
