"""Result folders of nnU-Net: plans, labels and weights, and what is refused."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("dynamic_network_architectures")

from foreign_models import ARCHITECTURE, nnunet_network, nnunet_plans, write_nnunet_folder
from tiny_models import write_models

from legseg_bids.errors import LegsegError, ModelError
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import load_model
from legseg_bids.train.importing.checkpoint import read_weights
from legseg_bids.train.importing.nnunet import read_result_folder

PLANS_OF_2022 = {
    "architecture": None,
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 4,
    "unet_max_num_features": 6,
    "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3]],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2]],
    "n_conv_per_stage_encoder": [2, 2],
    "n_conv_per_stage_decoder": [2],
}


def random_network() -> Any:
    network = nnunet_network(3)
    torch.manual_seed(5)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    return network


LABELS = {"background": 0, "soleus": 1, "rectus_femoris": 2}


@pytest.mark.parametrize("changes", [{}, PLANS_OF_2022])
def test_both_engines_give_what_nnunet_gives(
    tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from legseg_bids.cli.import_model import main

    monkeypatch.setenv("LEGSEG_MODELS", str(write_models(tmp_path / "shipped")))
    network = random_network()
    folder = write_nnunet_folder(tmp_path, nnunet_plans(**changes), LABELS, None, network)
    assert main([str(folder), "--into", str(tmp_path / "m"), "--region", "lower"]) == 0
    model = load_model(tmp_path / "m", "lower_leg")
    image = np.random.default_rng(0).normal(0, 1, (1, 1, 8, 32, 48)).astype(np.float32)
    with torch.no_grad():
        expected = network.net(torch.from_numpy(image)).numpy()
    for engine in ("openvino", "torch"):
        (found,) = load_engine(model, engine, "cpu")(image)
        np.testing.assert_allclose(found, expected, atol=2e-4)
    spec = model.segmentation
    assert (spec.spacing, spec.patch, spec.channels) == ((6, 6, 10), (8, 32, 48), (0, 5, 61))
    assert spec.convention.fixed
    assert not spec.convention.scaling.masked
    assert spec.convention.scaling.name == "zscore"


def test_plans_are_read(tmp_path: Path) -> None:
    """Axes transposed as planned, voxels along x, y, z, intensities of a CT."""
    plans = nnunet_plans(
        spacing=[2.0, 10.0, 3.0], normalization_schemes=["CTNormalization"], patch_size=[8, 8, 8]
    )
    plans["transpose_forward"] = [2, 0, 1]
    intensities = {"mean": 100, "std": 50, "percentile_00_5": 5, "percentile_99_5": 900}
    plans["foreground_intensity_properties_per_channel"] = {"0": intensities}
    source = read_result_folder(write_nnunet_folder(tmp_path, plans), orientation="SPL")
    assert source.convention.orientation == "LSP"
    assert source.spacing == (2.0, 3.0, 10.0)
    scaling = source.convention.scaling
    assert (scaling.name, scaling.low, scaling.high) == ("fixed", 5, 900)
    assert (scaling.mean, scaling.std, scaling.masked) == (100, 50, False)


def test_inherited_configuration_and_last_fold(tmp_path: Path) -> None:
    plans = nnunet_plans()
    plans["configurations"]["2x"] = {"inherits_from": "3d_fullres", "patch_size": [4, 16, 16]}
    folder = write_nnunet_folder(tmp_path, plans)
    (folder / "fold_0").rename(folder / "fold_all")
    other = folder.rename(folder.with_name("nnUNetTrainer__nnUNetPlans__2x"))
    source = read_result_folder(other)
    assert source.patch == (4, 16, 16)
    assert "fold_all" in source.origin


def architecture(**changes: Any) -> dict[str, Any]:
    told = copy.deepcopy(ARCHITECTURE)
    told["arch_kwargs"] |= changes
    return told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": architecture(nonlin="os.system")}, "with its own nonlin"),
        ({"architecture": architecture(dropout_op="torch.nn.Dropout3d")}, "its own dropout_op"),
        ({"architecture": architecture(n_conv_per_stage=[2, 3])}, "varies the convolutions"),
        ({"architecture": architecture(features_per_stage=[4, 8])}, "does not fit the network"),
        ({"architecture": {"network_class_name": "my.Net", "arch_kwargs": {}}}, "network Net"),
        ({"normalization_schemes": ["MyNormalization"]}, "by MyNormalization"),
        ({"previous_stage": "3d_lowres"}, "second stage of a cascade"),
    ],
)
def test_plans_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_result_folder(write_nnunet_folder(tmp_path, nnunet_plans(**changes)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "leg": [1, 2]}, "regions that overlap"),
        ({"background": 0, "soleus": 2}, "without a gap"),
        ({"background": 0, "soleus left": 1, "soleus right": 2}, "expected --orientation: SAL"),
    ],
)
def test_labels_are_refused(tmp_path: Path, labels: dict[str, Any], message: str) -> None:
    with pytest.raises(LegsegError, match=message):
        read_result_folder(write_nnunet_folder(tmp_path, labels=labels))


def test_orientation_is_known_if_nnunet_made_it(tmp_path: Path) -> None:
    plans = nnunet_plans() | {"image_reader_writer": "NibabelIOWithReorient"}
    labels = {"background": 0, "soleus left": 1, "soleus right": 2}
    source = read_result_folder(write_nnunet_folder(tmp_path, plans, labels))
    assert source.convention.orientation == "SAR"


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
@pytest.mark.parametrize("content", [None, b"\x00{"])
def test_damaged_folder(tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = write_nnunet_folder(tmp_path)
    (folder / name).unlink()
    if content:
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(Path(name).name)):
        read_result_folder(folder)


def test_two_channels_and_a_folder_of_another_name(tmp_path: Path) -> None:
    folder = write_nnunet_folder(tmp_path)
    renamed = folder.rename(tmp_path / "mine")
    with pytest.raises(ModelError, match="trainer__plans__configuration"):
        read_result_folder(renamed)
    text = (renamed / "dataset.json").read_text()
    (renamed / "dataset.json").write_text(text.replace('{"0": "out"}', '{"0": "in", "1": "out"}'))
    with pytest.raises(ModelError, match="names 2 channels"):
        read_result_folder(renamed)


class Harm:
    """What a pickle calls when it is read without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    folder = write_nnunet_folder(tmp_path, extra={"logging": Harm(tmp_path / "harm")})
    with pytest.raises(ModelError, match=r"reading it could run code \(it asks for posix\.mkdir"):
        read_result_folder(folder)
    assert not (tmp_path / "harm").exists()


def test_checkpoint_without_weights_and_names_of_parallel_training(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="holds no network_weights"):
        read_weights(tmp_path / "a.pth")
    torch.save({"network_weights": {"module._orig_mod.w": torch.ones(1)}}, tmp_path / "b.pth")
    assert list(read_weights(tmp_path / "b.pth")) == ["w"]


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    folder = write_nnunet_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "dynamic_network_architectures.architectures.unet", None)
    with pytest.raises(ModelError, match=r"dynamic_network_architectures.*pip install"):
        read_result_folder(folder)
