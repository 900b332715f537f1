"""How far a network looks, against networks of which it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from foreign_models import Rims, export
from torch import nn

from legseg_bids.segment.models import ONNX, find_models_dir, load_model
from legseg_bids.train.importing.graph import Reach, largest_pair, reach_of
from legseg_bids.train.importing.onnx_file import read_onnx

FREE = (0, 2, 3, 4)


def reach(network: nn.Module, folder: Path, shape: tuple[int, ...] = (1, 1, 16, 16, 16)):
    free = (0, *range(2, len(shape)))
    layout = "NCDHW" if len(shape) == 5 else "NCHW"
    return reach_of(read_onnx(export(network, folder / "n.onnx", shape, free)), layout)


@pytest.mark.parametrize("name", ["thigh", "lower_leg"])
def test_shipped_networks_look_as_far_as_their_metadata_say(name: str) -> None:
    """Both are upper bounds, counted in different ways; the step is exact."""
    model = load_model(find_models_dir(), name, verify=False)
    found = reach_of(read_onnx(model.path / ONNX), "NCDHW")
    assert found is not None
    assert found.step == model.segmentation.step
    assert found.whole == ()
    for mine, told in zip(found.halo, model.segmentation.halo, strict=True):
        assert abs(mine - told) <= 0.05 * told


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([nn.Conv3d(1, 1, 1)], Reach((1, 1, 1), (0, 0, 0))),
        ([nn.Conv3d(1, 1, (1, 3, 5), padding=(0, 1, 2))], Reach((1, 1, 1), (0, 1, 2))),
        ([nn.Conv3d(1, 1, 3, padding=2, dilation=2), nn.GELU()], Reach((1, 1, 1), (2, 2, 2))),
        (
            [nn.MaxPool3d((1, 2, 2)), nn.ConvTranspose3d(1, 1, (1, 2, 2), stride=(1, 2, 2))],
            Reach((1, 2, 2), (1, 3, 3)),
        ),
        (
            [nn.Conv3d(1, 1, 3, stride=2, padding=1), nn.Upsample(scale_factor=2)],
            Reach((2, 2, 2), (3, 3, 3)),
        ),
        (
            [nn.Conv3d(1, 1, 1), nn.InstanceNorm3d(1), nn.Conv3d(1, 1, 3, padding=1)],
            Reach((1, 1, 1), (1, 1, 1), ("InstanceNormalization",)),
        ),
    ],
)  # fmt: skip
def test_by_hand(tmp_path: Path, layers: list[nn.Module], expected: Reach) -> None:
    assert reach(nn.Sequential(*layers), tmp_path) == expected


def test_nothing_beyond_the_halo_changes_a_voxel(tmp_path: Path) -> None:
    """The reach that was read from the graph holds when the network is run."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(1, 2, 3, padding=1), nn.GELU(), nn.Conv3d(2, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
        nn.Conv3d(4, 4, 3, 2, 1), nn.Upsample(scale_factor=2, mode="trilinear"),
        nn.ConvTranspose3d(4, 2, (1, 2, 2), (1, 2, 2)), nn.Conv3d(2, 2, 3, padding=1),
    ).eval()  # fmt: skip
    found = reach(network, tmp_path)
    assert found is not None
    assert found.step == (2, 4, 4)
    image = torch.rand(1, 1, 48, 64, 64, requires_grad=True)
    for z, y, x in ((24, 32, 32), (25, 33, 35)):
        (slope,) = torch.autograd.grad(network(image)[0, :, z, y, x].sum(), image)
        reached = slope[0, 0].abs().nonzero()
        far = (reached - torch.tensor([z, y, x])).abs().amax(0)
        assert all(f <= h for f, h in zip(far.tolist(), found.halo, strict=True))


def test_slices_have_two_axes(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.Upsample(scale_factor=2))
    assert reach(network, tmp_path, (1, 1, 16, 16)) == Reach((2, 2), (3, 3))


def test_what_is_not_understood(tmp_path: Path) -> None:
    assert reach(nn.Conv3d(1, 1, 3, stride=2, padding=1), tmp_path) is None
    assert reach(nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 16, 16, 16))), tmp_path) is None


def test_memory_of_a_fixed_network_is_told_before_it_is_run(tmp_path: Path) -> None:
    network = read_onnx(export(Rims(), tmp_path / "n.onnx", (1, 1, 4, 32, 32)))
    assert largest_pair(network) >= 4 * 2 * 6 * 4 * 32 * 32
