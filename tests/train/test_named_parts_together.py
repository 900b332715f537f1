"""A network, a loss and augmentations, all by name, as a recipe will put them together."""

from __future__ import annotations

import tomllib

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from legseg_bids.networks import create
from legseg_bids.train.augment import Sample, random_patch, read_augmentation
from legseg_bids.train.losses import LossSum

RECIPE = """
loss = "dice + 0.5*masked_cross_entropy(mask='fn_or_fp') + 0.1*border_cross_entropy"
[network]
name = "UNet2d"
features = [8, 16]
[augment.mirror]
[augment.rotation]
in_plane = [-10, 10]
[augment.elastic]
mm = [0, 2]
[augment.rician]
snr = [20, 50]
"""


def two_muscles() -> Sample:
    """A bright and a dark muscle of the left limb, in a body."""
    labels = torch.zeros(3, 40, 40, dtype=torch.long)
    labels[:, 8:32, 8:19], labels[:, 8:32, 21:32] = 61, 55
    grey = torch.tensor([0.1, 0.5, 1.0])[(labels == 61).long() + 2 * (labels == 55).long()]
    return Sample(grey[None], labels, (6.0, 2.0, 2.0))


def test_a_network_learns() -> None:
    torch.manual_seed(0)
    recipe = tomllib.loads(RECIPE)
    network = create(classes=3, **recipe["network"])
    loss, augmentation = LossSum(recipe["loss"]), read_augmentation(recipe["augment"])
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    channel = torch.zeros(152, dtype=torch.long)
    channel[[61, 62]], channel[[55, 56]] = 1, 2
    losses = []
    for step in range(25):
        patch = random_patch(augmentation.apply(two_muscles(), step), (2, 32, 32), step)
        value = loss(network(patch.image.transpose(0, 1)), channel[patch.labels])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
