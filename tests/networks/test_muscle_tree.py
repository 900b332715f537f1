from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from exported import run_exported

from legseg_bids.networks import create


def tree() -> torch.nn.Module:
    torch.manual_seed(0)
    return create(
        "MuscleTree",
        thigh_classes=3,
        leg_classes=5,
        features=(2, 4, 4),
        classifier_features=(4, 6),
    )


def test_three_outputs_gradients_and_export() -> None:
    network, image = tree().train(), torch.randn(2, 1, 12, 16)
    outputs = network(image)
    assert [tuple(o.shape) for o in outputs] == [(2, 2), (2, 3, 12, 16), (2, 5, 12, 16)]
    sum(o.square().mean() for o in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    with torch.no_grad():
        expected = network(image)
    for got, want in zip(run_exported(network, [image]), expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), atol=1e-4)


def test_each_slice_goes_through_its_own_branch() -> None:
    network = tree().eval()
    network.region.forward = lambda image: torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    image = torch.randn(2, 1, 13, 9)
    region, labels = network.labels(image)
    assert region.tolist() == [1, 0]
    assert labels.shape == (2, 13, 9)
    with torch.no_grad():
        assert torch.equal(labels[0], network.leg(image)[0].argmax(0))
        assert torch.equal(labels[1], network.thigh(image)[1].argmax(0))


def test_the_classifier_sees_any_size_alike() -> None:
    """A slice twice as fine is the same glance."""
    classifier = tree().region.eval()
    glance = torch.rand(1, 1, 128, 128)
    fine = glance.repeat_interleave(2, -1).repeat_interleave(2, -2)
    with torch.no_grad():
        assert torch.allclose(classifier(glance), classifier(fine), atol=1e-5)
