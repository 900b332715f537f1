"""What options change, and what is said of those that do not exist."""

from __future__ import annotations

import hashlib
import sys

import pytest

torch = pytest.importorskip("torch")

from legseg_bids.errors import ModelError
from legseg_bids.networks import create, names


def test_names_of_recipes_never_change() -> None:
    """Recipes and bundles of other people name these."""
    assert names() == (
        "AttentionUNet",
        "BlockUNet3d",
        "FCN",
        "LocatorNet",
        "MuscleTree",
        "NnUNetPlain",
        "NnUNetResidual",
        "RegionClassifier",
        "ResNet34UNet",
        "ResidualUNet3d",
        "SixLevelVNet",
        "SliceBySlice",
        "SpatialChannelUNet",
        "UNet2d",
        "VNet",
    )


@pytest.mark.parametrize(
    ("name", "digest"), [("ResidualUNet3d", "3cf88f"), ("LocatorNet", "d22825")]
)
def test_shipped_architectures_keep_their_weights(name: str, digest: str) -> None:
    """Names and shapes of all weights: shipped bundles are loaded by them."""
    with torch.device("meta"):
        state = create(name).state_dict()
    text = "\n".join(f"{k} {tuple(v.shape)}" for k, v in state.items())
    assert hashlib.sha256(text.encode()).hexdigest()[:6] == digest


def test_unknown_block_lists_the_known() -> None:
    with pytest.raises(ValueError, match="conv, resnet, dense, inception"):
        create("BlockUNet3d", block="transformer")


@pytest.mark.parametrize("name", ["BlockUNet3d", "NnUNetPlain", "NnUNetResidual"])
def test_inconsistent_plan_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one kernel a level"):
        create(name, features=(4, 8), strides=((1, 2, 2), (2, 2, 2)), kernels=((1, 3, 3),) * 2)


def test_schedule_says_what_is_halved() -> None:
    """With strides of 1 along z, slices are only compared, never merged."""
    flat = create("BlockUNet3d", features=(4, 8, 8), strides=((1, 2, 2), (1, 2, 2)))
    assert flat.step == (1, 4, 4)
    deeper = create("BlockUNet3d", features=(4,) * 4, strides=((2, 2, 2),) * 3)
    assert deeper.step == (8, 8, 8)


def test_nnunet_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dynamic_network_architectures.architectures.unet", None)
    with pytest.raises(ModelError, match="pip install nnunetv2"):
        create("NnUNetPlain")


def test_place_switches_classes_on_and_off() -> None:
    """The same slice at two places: logits differ by the factor of each class alone."""
    network = create("SpatialChannelUNet", classes=2, features=(4, 6)).eval()
    with torch.no_grad():
        network.place.weight.zero_()
        network.place.bias.zero_()
        network.place.weight[0, 10] = 1.0
        network.place.weight[1, 99] = 2.0
        image = torch.randn(1, 1, 8, 8).expand(4, 1, 8, 8)
        logits = network(image, torch.tensor([10.0, 10.9, 11.0, 100.0]))
    assert logits[0, 0].abs().max() > 0
    assert torch.equal(logits[0], logits[1])
    assert not logits[2].any()
    assert not logits[3, 0].any()
    assert logits[3, 1].abs().max() > 0
