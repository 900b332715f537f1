from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from legseg_bids.errors import ModelError
from legseg_bids.networks import create
from legseg_bids.train.imagenet import begin_with_imagenet, imagenet_weights

#: Some of the names in torchvision's resnet34 file, with the shapes they have there.
TORCHVISION = {
    "conv1.weight": (64, 3, 7, 7),
    "bn1.running_var": (64,),
    "layer1.0.conv1.weight": (64, 64, 3, 3),
    "layer2.0.downsample.0.weight": (128, 64, 1, 1),
    "layer2.0.downsample.1.bias": (128,),
    "layer4.2.bn2.num_batches_tracked": (),
    "layer4.2.conv2.weight": (512, 512, 3, 3),
    "fc.weight": (1000, 512),
    "fc.bias": (1000,),
}


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with random weights, laid out as torchvision's."""
    path = tmp_path_factory.mktemp("imagenet") / "resnet34.pth"
    torch.manual_seed(3)
    with torch.device("meta"):
        encoder = create("ResNet34UNet", inputs=3).encoder
    weights = {
        k: torch.rand(v.shape) if v.dtype.is_floating_point else torch.tensor(7)
        for k, v in encoder.state_dict().items()
    }
    weights |= {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}
    torch.save(weights, path)
    return path


def test_names_and_shapes_are_those_of_torchvision(imagenet: Path) -> None:
    weights = torch.load(imagenet, weights_only=True)
    assert {k: tuple(weights[k].shape) for k in TORCHVISION} == TORCHVISION
    # torchvision: 21,797,672 parameters, and two statistics a normalised channel, and counters
    trained = [v for k, v in weights.items() if "running" not in k and "tracked" not in k]
    assert sum(v.numel() for v in trained) == 21_797_672


def test_encoder_begins_from_the_file(imagenet: Path) -> None:
    network = create("ResNet34UNet", inputs=3, decoder=(4, 4, 4, 4, 4))
    begin_with_imagenet(network, imagenet)
    weights = torch.load(imagenet, weights_only=True)
    own = network.encoder.state_dict()
    assert set(weights) - set(own) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(weights[k], v) for k, v in own.items())


def test_a_grey_image_excites_as_in_colour(imagenet: Path) -> None:
    grey = torch.rand(1, 1, 16, 16)
    colour = imagenet_weights(imagenet, 3)["conv1.weight"]
    one = imagenet_weights(imagenet, 1)["conv1.weight"]
    two = imagenet_weights(imagenet, 2)["conv1.weight"]
    conv = torch.nn.functional.conv2d
    expected = conv(grey.expand(1, 3, 16, 16), colour)
    assert torch.allclose(conv(grey, one), expected, atol=1e-4)
    assert torch.allclose(conv(grey.expand(1, 2, 16, 16), two), expected, atol=1e-4)


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.pth.*torchvision"):
        imagenet_weights(tmp_path / "nothing.pth", 1)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth holds no ResNet-34"):
        imagenet_weights(tmp_path / "other.pth", 1)
