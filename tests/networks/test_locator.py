from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from legseg_bids.networks import create


def test_two_heads() -> None:
    net = create("LocatorNet", features=(4, 6, 8, 8, 8)).eval()
    side, part = net(torch.rand(3, 1, 128, 128))
    assert side.shape == (3, 3)
    assert part.shape == (3, 5)


def test_halves_are_told_apart() -> None:
    """Pooling must not make a picture and its mirror image the same."""
    torch.manual_seed(0)
    net = create("LocatorNet", features=(4, 6, 8, 8, 8)).eval()
    image = torch.rand(1, 1, 128, 128)
    assert not torch.allclose(net(image)[0], net(image.flip(-1))[0], atol=1e-5)


def test_every_weight_gets_a_gradient() -> None:
    net = create("LocatorNet", features=(4, 6, 8, 8, 8)).train()
    side, part = net(torch.rand(4, 1, 128, 128))
    (side.square().mean() + part.square().mean()).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())
