"""Architectures only, each a ``torch.nn.Module`` in a registry by name.

Packages beyond PyTorch (MONAI, nnU-Net's) are imported by the network that needs them, when it is
built.
"""

from __future__ import annotations

from legseg_bids.networks import (
    attention_unet,
    block_unet,
    fcn,
    locator,
    muscle_tree,
    nnunet,
    residual_unet,
    resnet_unet,
    slice_by_slice,
    unet,
    vnet,
)
from legseg_bids.networks.registry import create, names

__all__ = [
    "attention_unet",
    "block_unet",
    "create",
    "fcn",
    "locator",
    "muscle_tree",
    "names",
    "nnunet",
    "residual_unet",
    "resnet_unet",
    "slice_by_slice",
    "unet",
    "vnet",
]
