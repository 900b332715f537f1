"""Shapes, gradients, size and export of every architecture that a recipe may name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from exported import run_exported

from legseg_bids.networks import create, names

FLAT = {"features": (4, 6, 8)}
DEEP = {"features": (4, 6, 8), "strides": ((1, 2, 2), (2, 2, 2))}
SHALLOW = {"features": (4, 6), "strides": ((2, 2, 2),)}
NNUNET = {**DEEP, "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3))}


@dataclass(frozen=True)
class Case:
    """A small network: an image that fits its steps, one that does not, other inputs."""

    name: str
    options: dict[str, Any]
    even: tuple[int, ...]
    odd: tuple[int, ...]
    more: tuple[list[float], ...] = ()


CASES = [
    Case("AttentionUNet", {"axes": 2, **FLAT}, (16, 12), (13, 10)),
    Case("AttentionUNet", {"axes": 3, **FLAT}, (8, 8, 12), (7, 9, 5)),
    Case("BlockUNet3d", {"block": "conv", **DEEP}, (4, 8, 12), (3, 9, 10)),
    *(
        Case("BlockUNet3d", {"block": block, "repeats": 1, **SHALLOW}, (4, 8, 6), (3, 9, 7))
        for block in ("resnet", "dense", "inception")
    ),
    Case("FCN", {"features": (2, 3, 4, 4, 4), "hidden": 8}, (64, 32), (70, 33)),
    Case("NnUNetPlain", NNUNET, (4, 8, 12), (3, 9, 10)),
    Case("NnUNetResidual", {**NNUNET, "blocks": (1, 1, 2)}, (4, 8, 12), (3, 9, 10)),
    Case("ResidualUNet3d", NNUNET, (4, 8, 12), (4, 8, 12)),
    Case("ResNet34UNet", {"decoder": (8, 8, 4, 4, 4)}, (64, 32), (70, 33)),
    Case("SixLevelVNet", {"features": (2, 4, 4, 4, 4, 6)}, (64, 32), (33, 47)),
    Case("SliceBySlice", {"network": {"name": "UNet2d", **FLAT}}, (3, 8, 12), (5, 7, 9)),
    Case("SpatialChannelUNet", FLAT, (16, 12), (13, 10), more=([12.0, 100.0],)),
    Case("UNet2d", FLAT, (16, 12), (13, 10)),
    Case("UNet2d", {"normalise": False, **FLAT}, (16, 12), (13, 10)),
    Case("VNet", {"axes": 2}, (32, 16), (17, 20)),
]
IDS = [f"{c.name}-{len(c.even)}d-{c.options.get('block', '')}" for c in CASES]
#: Heads that nnU-Net builds for deep supervision, which is off.
SPARE_HEADS = ("net.decoder.seg_layers.0.weight", "net.decoder.seg_layers.0.bias")
#: Networks whose outputs are not one map of logits; they have tests of their own.
OTHERS = {"LocatorNet", "MuscleTree", "RegionClassifier"}


def build(case: Case) -> torch.nn.Module:
    if case.name.startswith("NnUNet"):
        pytest.importorskip("dynamic_network_architectures")
    torch.manual_seed(0)
    return create(case.name, classes=3, **case.options)


def inputs(case: Case, shape: tuple[int, ...]) -> list[torch.Tensor]:
    image = torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(1))
    return [image, *(torch.tensor(m) for m in case.more)]


def count(name: str, **options: Any) -> int:
    """Parameters, without any memory for them."""
    with torch.device("meta"):
        return sum(p.numel() for p in create(name, **options).parameters())


def without_gradient(network: torch.nn.Module) -> list[str]:
    spare = SPARE_HEADS if hasattr(network, "net") else ()
    bad = []
    for name, p in network.named_parameters():
        if p.grad is None or not bool(p.grad.isfinite().all()):
            bad.append(name)
    return [name for name in bad if name not in spare]


def test_every_architecture_is_tested() -> None:
    assert {c.name for c in CASES} | OTHERS == set(names())


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_shape_gradients_and_export(case: Case) -> None:
    network = build(case)
    example = inputs(case, case.even)
    logits = network.train()(*example)
    assert logits.shape == (2, 3, *case.even)
    logits.square().mean().backward()
    assert without_gradient(network) == []
    network.eval()
    with torch.no_grad():
        assert network(*inputs(case, case.odd)).shape == (2, 3, *case.odd)
        # the application runs exported networks on patches of any size that fits their steps
        larger = inputs(case, (*case.even[:-1], 2 * case.even[-1]))
        expected = network(*larger).numpy()
    (got,) = run_exported(network, example, larger)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(got, expected, atol=1e-4 * scale)


def test_volumes_in_the_vnet() -> None:
    """Its 45 million weights are too many for a quick test: it is built without memory."""
    with torch.device("meta"):
        network = create("VNet", classes=3)
    assert {type(m) for m in network.modules() if "Conv" in type(m).__name__} >= {
        torch.nn.Conv3d,
        torch.nn.ConvTranspose3d,
    }
    seen = []
    network.net = torch.nn.Identity()
    network.net.register_forward_hook(lambda module, inputs, out: seen.append(out.shape[2:]))
    assert network(torch.zeros(1, 1, 16, 17, 40)).shape == (1, 1, 16, 17, 40)
    assert seen == [(16, 32, 48)]


def test_odd_sizes_are_padded_after_the_image() -> None:
    """The padding repeats the border, and the result lies where the image does."""
    network = create("UNet2d", classes=3, **FLAT).eval()
    image = torch.randn(1, 1, 13, 10)
    by_hand = torch.nn.functional.pad(image, (0, 2, 0, 3), mode="replicate")
    with torch.no_grad():
        assert torch.equal(network(image), network(by_hand)[..., :13, :10])


# ----------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("name", "options", "millions", "digits"),
    [
        # Long et al. 2015, table 1: FCN-VGG16, 134 M (21 classes, colour images)
        ("FCN", {"inputs": 3, "classes": 21}, 134, 0),
        # torchvision's ResNet-34 with the decoder of segmentation_models: 24,436,369
        ("ResNet34UNet", {"inputs": 3, "classes": 1}, 24.436369, 6),
        # The most used PyTorch U-Net (milesial), 3 → 1 channels: 31,037,633
        ("UNet2d", {"inputs": 3, "classes": 1}, 31.037633, 6),
    ],
)
def test_parameters_as_published(name, options, millions, digits) -> None:
    assert round(count(name, **options) / 1e6, digits) == millions


@pytest.mark.parametrize(("attention", "published"), [(False, 5.88), (True, 6.40)])
def test_parameters_of_the_attention_unet(attention: bool, published: float) -> None:
    """Oktay et al. 2018, table 1: 5.88 M and 6.40 M, decimals cut off."""
    parameters = count("AttentionUNet", classes=2, attention=attention)
    assert int(parameters / 1e4) / 100 == published


def pair(a: int, b: int, taps: int = 9) -> int:
    """Two convolutions a → b → b without bias, with batch normalisation."""
    return taps * (a * b + b * b) + 4 * b


def test_parameters_of_the_unet_by_hand() -> None:
    """Ronneberger et al. give no number. Two levels: pairs 1 → 4, 4 → 6, 8 → 4; up; head."""
    by_hand = pair(1, 4) + pair(4, 6) + (6 * 4 * 4 + 4) + pair(8, 4) + (4 * 3 + 3)
    assert count("UNet2d", classes=3, features=(4, 6)) == by_hand
    # one node a class for the place: 100 weights and a bias
    assert count("SpatialChannelUNet", classes=3, features=(4, 6)) == by_hand + 3 * 101


def test_parameters_of_the_vnet_by_hand() -> None:
    """Milletari et al. give no number; 16 to 256 channels, kernels of 5, PReLU of each channel."""
    five = 125
    total = five * 16 + 3 * 16  # first convolution; normalisation 2, PReLU 1 a channel
    for a, n in ((16, 1), (32, 2), (64, 3), (128, 2)):  # down: a → 2a, then n convolutions
        b = 2 * a
        total += 8 * a * b + 3 * b + n * (five * b * b + 3 * b) + b
    for a, b, n in ((256, 256, 2), (256, 128, 2), (128, 64, 1), (64, 32, 1)):  # up: a → b / 2
        half = b // 2
        total += 8 * a * half + half + 3 * half + n * (five * b * b + 3 * b) + b
    total += five * 32 * 2 + 3 * 2 + (2 * 2 + 2)  # 32 → 2 classes, then point by point
    assert count("VNet", classes=2) == total


def test_parameters_of_the_six_level_vnet_by_hand() -> None:
    """Agosti et al. give no number. Two levels, 1 → 2 → 4 → 2 → 3 classes, PReLU each channel."""
    first = (9 * 2 + 4) + 2 + 2  # one convolution with normalisation, short cut, PReLU
    down = (4 * 2 * 4 + 8) + 4
    encode = 2 * (9 * 16 + 8) + 4 + 4  # two convolutions, a PReLU between and one after
    up = (4 * 4 * 2 + 2) + 2
    decode = (9 * 4 * 2 + 4) + 4 * 2 + 2
    head = 2 * 3 + 3
    by_hand = first + down + encode + up + decode + head
    assert count("SixLevelVNet", classes=3, features=(2, 4)) == by_hand


def test_parameters_of_the_tree_are_those_of_its_parts() -> None:
    parts = count("RegionClassifier") + count("SixLevelVNet", classes=13)
    assert count("MuscleTree") == parts + count("SixLevelVNet", classes=8)


@pytest.mark.parametrize(
    ("block", "level"),
    [
        # 27 taps; normalisation has two parameters a channel. a → 8, kernels of 3.
        ("conv", lambda a: 27 * a * 8 + 16),
        ("resnet", lambda a: (27 * a * 4 + 8) + (27 * 4 * 8 + 16) + (a * 8 + 16)),
        # four convolutions of 2 new channels each, and the mixture
        ("dense", lambda a: sum(27 * (a + 2 * i) * 2 + 4 for i in range(4)) + (a + 8) * 8 + 16),
        # point | point, kernel | point, kernel, kernel | pool, point: 2 channels each
        ("inception", lambda a: 4 * (a * 2 + 4) + 3 * (27 * 4 + 4)),
    ],
)
def test_parameters_of_the_blocks_by_hand(block, level) -> None:
    """QMRITools gives no number. One level: stem 1 → 16, block 16 → 8, head 8 → 3."""
    by_hand = (16 + 32) + level(16) + (8 * 3 + 3)
    got = count("BlockUNet3d", classes=3, block=block, features=(8,), strides=(), repeats=1)
    assert got == by_hand


def test_parameters_of_the_shipped_architecture() -> None:
    """As in the model cards of the shipped networks: 21 channels of the thigh, 3.56 million."""
    assert count("ResidualUNet3d", classes=2) == 3_554_386


@pytest.mark.parametrize(
    ("name", "millions"),
    # 3d_fullres plan of 56 x 128 x 224 patches at 5 x 1.5 x 1.5 mm, as nnU-Net 2.8 reports them
    [("NnUNetPlain", 30.7), ("NnUNetResidual", 101.9)],
)
def test_parameters_of_nnunet(name: str, millions: float) -> None:
    pytest.importorskip("dynamic_network_architectures")
    assert round(count(name, classes=22) / 1e6, 1) == millions
