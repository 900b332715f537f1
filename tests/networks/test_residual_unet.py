from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from legseg_bids.networks import create
from legseg_bids.networks.residual_unet import ResidualUNet3d, receptive_radius, total_step

STRIDES = ((1, 2, 2), (2, 2, 2))
KERNELS = ((1, 3, 3), (3, 3, 3), (3, 3, 3))


def small(**options):
    torch.manual_seed(0)
    return ResidualUNet3d(
        classes=4, features=(4, 6, 8), strides=STRIDES, kernels=KERNELS, **options
    ).eval()


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 8, 12), (8, 16, 4)])
def test_keeps_the_shape(shape) -> None:
    assert small()(torch.zeros(2, 1, *shape)).shape == (2, 4, *shape)


def test_every_weight_gets_a_gradient() -> None:
    net = small().train()
    net(torch.randn(2, 1, 4, 16, 16)).square().mean().backward()
    without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_receptive_radius_bounds_the_influence() -> None:
    net = small().double()
    rz, ry, rx = receptive_radius(STRIDES, KERNELS)
    shape = (2 * rz + 8, 2 * ry + 8, 2 * rx + 8)
    shape = tuple(n + -n % s for n, s in zip(shape, total_step(STRIDES), strict=True))
    image = torch.rand(1, 1, *shape, dtype=torch.float64)
    middle = tuple(n // 2 for n in shape)
    changed = image.clone()
    changed[0, 0, *middle] += 10.0
    with torch.inference_mode():
        moved = (net(image) - net(changed)).abs().amax((0, 1)) > 1e-12
    reach = [int((torch.nonzero(moved)[:, a] - middle[a]).abs().max()) for a in range(3)]
    assert all(r > 0 for r in reach)
    assert reach[0] <= rz
    assert reach[1] <= ry
    assert reach[2] <= rx


@pytest.mark.parametrize(
    ("strides", "step"),
    [(((1, 2, 2),), (1, 2, 2)), (((1, 2, 2), (2, 2, 2), (2, 2, 2)), (4, 8, 8)), ((), (1, 1, 1))],
)
def test_total_step(strides, step) -> None:
    assert total_step(strides) == step


def test_inconsistent_plan_is_refused() -> None:
    with pytest.raises(ValueError, match="one kernel a level"):
        ResidualUNet3d(features=(4, 8), strides=STRIDES, kernels=KERNELS)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match="ResidualUNet3d"):
        create("UNet9000")
