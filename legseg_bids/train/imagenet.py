"""ImageNet weights to begin a ResNet-34 encoder with, from a file that the user gives.

Nothing is downloaded. The file is read only where networks are trained: a trained network holds
all its weights itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from legseg_bids.errors import ModelError
from legseg_bids.networks.resnet_unet import ResNet34UNet


def begin_with_imagenet(network: ResNet34UNet, path: Path) -> None:
    """Give the encoder the weights of torchvision's file.

    Raises
    ------
    ModelError
        If the file is missing, or holds other weights.
    """
    inputs = network.encoder.conv1.in_channels
    network.encoder.load_state_dict(imagenet_weights(path, inputs))


def imagenet_weights(path: Path, inputs: int) -> Mapping[str, Tensor]:
    """Encoder weights from torchvision's file, for images of any number of channels.

    The first convolution learnt on red, green and blue. For other numbers of channels its kernels
    are summed over the colours and shared out equally, so that a grey image excites it as the
    same image in colour would.

    Raises
    ------
    ModelError
        If the file is missing, or holds other weights.
    """
    if not path.is_file():
        msg = (
            f"no file {path}; expected the ResNet-34 weights of torchvision (resnet34-….pth); "
            "fetch them from pytorch.org, or begin without them"
        )
        raise ModelError(msg)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping) or "layer4.2.conv2.weight" not in content:
        msg = f"{path} holds no ResNet-34; expected the resnet34 weights of torchvision"
        raise ModelError(msg)
    out = {k: v for k, v in content.items() if not k.startswith("fc.")}
    first = out["conv1.weight"]
    if inputs != first.shape[1]:
        out["conv1.weight"] = first.sum(1, keepdim=True).repeat(1, inputs, 1, 1) / inputs
    return out
