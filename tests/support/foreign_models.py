"""Networks in the layouts of other tools, whose right answer is known without training.

Where a voxel lies in its limb decides: with air a few voxels to the right of it, it is of the
class "right rim", and so on. A network that is fed a turned or mirrored image gives itself away.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

RIMS = ("right", "left", "back", "front")
"""Directions in which a rim class looks for air, the first that finds it wins."""
SHIFT = 3


class Rims(nn.Module):
    """Background, inside, and one class for each direction; axes as QMRITools has them.

    Input (n, 1, slice, row, column): slices run to the head, rows to the back, columns to the
    patient's left. Output (n, slice, row, column, class): probabilities, as a network of the
    Wolfram language that ends with TransposeLayer and SoftmaxLayer gives them.
    """

    def __init__(self, batch: bool = True, softmax: bool = True) -> None:
        super().__init__()
        self.batch, self.softmax = batch, softmax
        self.start = nn.Conv3d(1, 1, 1)
        self.mask = nn.Conv3d(1, 1, 1)
        width = 2 * SHIFT + 1
        self.head = nn.Conv3d(1, 2 + len(RIMS), (1, width, width), padding=(0, SHIFT, SHIFT))
        self.down = nn.Conv3d(1, 1, 3, stride=(1, 2, 2), padding=1)
        self.up = nn.Upsample(scale_factor=(1, 2, 2))
        with torch.no_grad():
            for module in (self.start, self.mask, self.head, self.down):
                module.weight.zero_()
                module.bias.zero_()
            self.start.weight.fill_(-1000.0)
            self.start.bias.fill_(1.0)
            self.mask.weight.fill_(-1.0)
            self.mask.bias.fill_(1.0)
            centre = self.head.weight[:, 0, 0, SHIFT, SHIFT]
            centre[0], self.head.bias[0] = -20.0, 10.0
            centre[1:] = 20.0
            self.head.bias[1:] = torch.tensor([-18.0, -10.0, -10.5, -11.0, -11.5])
            for number, (row, column) in enumerate(((0, -1), (0, 1), (1, 0), (-1, 0)), start=2):
                where = SHIFT + row * SHIFT, SHIFT + column * SHIFT
                self.head.weight[number, 0, 0, where[0], where[1]] = -20.0

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        image = image if self.batch else image[None]
        body = self.mask(torch.relu(self.start(image)))
        body = body + self.up(torch.relu(self.down(body)))  # adds nothing, but is there
        answer = self.head(body).permute(0, 2, 3, 4, 1)
        answer = torch.softmax(answer, -1) if self.softmax else answer
        return answer if self.batch else answer[0]


def rims_of(mask: np.ndarray, shift: tuple[int, int] = (SHIFT, SHIFT)) -> np.ndarray:
    """The right answer, for a body mask in canonical axes (x, y, z): 0 air, 1 inside, 2 … rims."""
    answer = mask.astype(int)
    dx, dy = shift
    ways = ((dx, 0), (-dx, 0), (0, -dy), (0, dy))  # right, left, back, front
    for number, (x, y) in reversed(list(enumerate(ways, start=2))):
        padded = np.pad(mask, ((dx, dx), (dy, dy), (0, 0)))
        nx, ny, _ = mask.shape
        beyond = padded[dx + x : dx + x + nx, dy + y : dy + y + ny]
        answer[mask & ~beyond] = number
    return answer


class TwoSides(nn.Module):
    """Left and right limb in one image (n, 1, z, y, x): the left one has another to its right."""

    def __init__(self, distance: int) -> None:
        super().__init__()
        self.mask = nn.Sequential(nn.Conv3d(1, 1, 1), nn.ReLU(), nn.Conv3d(1, 1, 1))
        self.head = nn.Conv3d(1, 3, (1, 1, 2 * distance + 1), padding=(0, 0, distance))
        with torch.no_grad():
            self.mask[0].weight.fill_(-1000.0)
            self.mask[0].bias.fill_(1.0)
            self.mask[2].weight.fill_(-1.0)
            self.mask[2].bias.fill_(1.0)
            self.head.weight.zero_()
            self.head.weight[1:, 0, 0, 0, distance] = 20.0
            self.head.weight[1, 0, 0, 0, -1] = 10.0  # something at a higher x: this is the left
            self.head.weight[2, 0, 0, 0, 0] = 10.0
            self.head.bias.copy_(torch.tensor([0.0, -15.0, -15.0]))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (n, 3, z, y, x): background, left, right."""
        return self.head(self.mask(image))


def export(network: nn.Module, path: Path, shape: Sequence[int], free: Sequence[int] = ()) -> Path:
    """Write a network as ONNX for an input of one shape; the axes `free` may have any size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(*shape),),
            str(path),
            input_names=["Input"],
            output_names=["Output"],
            dynamic_axes={"Input": {axis: f"a{axis}" for axis in free}} if free else None,
            opset_version=17,
            dynamo=False,
        )
    return path


def write_snap_labels(path: Path, names: Sequence[str]) -> Path:
    """A label file of ITK-SNAP as QMRITools keeps it beside its networks."""
    lines = ["#" * 48, "# ITK-SnAP Label Description File", "#" * 48]
    lines.append('    0     0    0    0        0  0  0    "0 Clear Label"')
    for i, name in enumerate(names, start=1):
        lines.append(f'   {i:2}   {10 * i:3}  100    0        1  1  1    "{i} {name}"')
    path.write_text("\n".join(lines) + "\n")
    return path


ARCHITECTURE: dict[str, Any] = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [4, 6],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2]],
        "n_conv_per_stage": [2, 2],
        "n_conv_per_stage_decoder": [2],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def nnunet_plans(**changes: Any) -> dict[str, Any]:
    """Plans of one configuration, ``3d_fullres``, with some of its values changed."""
    fullres = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "batch_size": 2,
        "patch_size": [8, 32, 48],
        "spacing": [10.0, 6.0, 6.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": ARCHITECTURE,
    }
    return {
        "dataset_name": "Dataset001_Legs",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": fullres | changes},
    }


def nnunet_network(classes: int = 2) -> nn.Module:
    """nnU-Net's plain network that passes the brightness on: class 1 is what is bright."""
    from legseg_bids.networks import create

    options: dict[str, Any] = {
        "classes": classes,
        "features": (4, 6),
        "strides": ((1, 2, 2),),
        "kernels": ((1, 3, 3), (3, 3, 3)),
    }
    network = create("NnUNetPlain", **options).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                module.weight.zero_()
                module.bias.zero_()
        for name, module in network.net.named_modules():
            if isinstance(module, nn.Conv3d):
                middle = [k // 2 for k in module.kernel_size]
                skip = module.in_channels // 2 if "decoder.stages" in name else 0
                first = skip if module.in_channels == 8 else 0
                module.weight[(slice(None), first, *middle)] = 1.0
        layer = network.net.decoder.seg_layers[-1]
        layer.weight.zero_()
        layer.weight[1:, 0] = 20.0
    return network


def write_nnunet_folder(
    parent: Path,
    plans: dict[str, Any] | None = None,
    labels: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    network: nn.Module | None = None,
) -> Path:
    """A result folder as ``nnUNetv2_train`` leaves it: plans, dataset, a fold's checkpoint."""
    folder = parent / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans or nnunet_plans()))
    names = labels or {"background": 0, "vastus lateralis": 1}
    dataset = {"channel_names": {"0": "out"}, "labels": names, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    weights = (network or nnunet_network(len(names))).net.state_dict()
    checkpoint = {
        "network_weights": weights,
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.6)], "lrs": [0.01]},
        "_best_ema": np.float64(0.55),
        "current_epoch": 1000,
        "init_args": {"configuration": "3d_fullres", "fold": 0},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint | (extra or {}), folder / "fold_0" / "checkpoint_final.pth")
    return folder
