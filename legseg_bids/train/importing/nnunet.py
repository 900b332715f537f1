"""A result folder of nnU-Net version 2 as a source.

Such a folder is named ``<trainer>__<plans>__<configuration>`` and holds ``plans.json``,
``dataset.json``, and the folds' checkpoints. What the network expects stands in the plans.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from legseg_bids.errors import ModelError, UsageError
from legseg_bids.imaging.scaling import Scaling
from legseg_bids.segment.convention import Convention
from legseg_bids.segment.models import TORCH
from legseg_bids.train.importing.checkpoint import read_weights
from legseg_bids.train.importing.names import meaning_of
from legseg_bids.train.importing.onnx_file import OnnxNetwork, read_onnx
from legseg_bids.train.importing.tables import read_label_table
from legseg_bids.train.importing.wrap import Source, Spacing

LARGEST_PLANS = 16 * 1024**2
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
REORIENTED = "NibabelIOWithReorient"
"""The reader of nnU-Net that brings every image to one orientation."""
SCALINGS = {
    "ZScoreNormalization": "zscore",
    "CTNormalization": "fixed",
    "NoNormalization": "none",
    "RescaleTo01Normalization": "range",
}
ARCHITECTURES = {"PlainConvUNet": "NnUNetPlain", "ResidualEncoderUNet": "NnUNetResidual"}
USUAL = {
    "conv_bias": (True,),
    "norm_op_kwargs": ({"eps": 1e-5, "affine": True},),
    "dropout_op": (None,),
    "nonlin": ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU"),
    "nonlin_kwargs": ({"inplace": True}, {"inplace": True, "negative_slope": 0.01}),
}
"""What nnU-Net always chooses; a network with anything else would compute something else."""


def read_result_folder(
    folder: Path, fold: str | None = None, orientation: str | None = None
) -> Source:
    """Read plans and labels, and turn the weights of one fold into ONNX.

    Parameters
    ----------
    folder : Path
    fold : str, optional
        Such as ``0`` or ``all``; by default the first there is.
    orientation : str, optional
        Where the axes of the training images lead to, in the order of nnU-Net's arrays (slices
        first). Needed if the labels have sides and nnU-Net did not reorient the images.

    Raises
    ------
    ModelError
        If a file is missing or cannot be used, or the network is of a kind that is not supported.
    UsageError
        If the orientation is needed and not given.
    """
    plans, names = _read(folder / "plans.json"), read_label_table(folder / "dataset.json")
    _require_one_channel(folder)
    configuration = _configuration(folder, plans)
    chosen = _fold(folder, fold)
    weights = read_weights(chosen)
    architecture = _architecture(folder, configuration, len(names))
    patch = tuple(int(n) for n in configuration["patch_size"])
    onnx, torch_weights = _converted(architecture, weights, patch, chosen)
    axes = _axes(folder, plans, names, orientation)
    return Source(
        onnx=onnx,
        origin=f"{folder.name}/{chosen.parent.name}/{chosen.name}",
        names=names,
        convention=Convention(orientation=axes, scaling=_scaling(folder, plans, configuration)),
        spacing=_spacing(configuration, axes, plans),
        patch=patch,
        files={TORCH: torch_weights},
        architecture=architecture,
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > LARGEST_PLANS:
        raise ModelError(
            f"{path} is not a file of at most {LARGEST_PLANS} bytes; expected a result folder "
            f"of nnU-Net 2 with plans.json, dataset.json and fold_X; check the path"
        )
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} cannot be read: {error}; expected JSON; copy it") from error
    if not isinstance(told, dict):
        raise ModelError(f"{path} holds no JSON object; expected nnU-Net's; copy it again")
    return told


def _require_one_channel(folder: Path) -> None:
    told = _read(folder / "dataset.json")
    channels = told.get("channel_names", told.get("modality", {}))
    if len(channels) != 1:
        raise ModelError(
            f"{folder / 'dataset.json'} names {len(channels)} channels of the image; expected "
            f"one; legseg-bids feeds the opposed-phase image alone"
        )


def _configuration(folder: Path, plans: Mapping[str, Any]) -> dict[str, Any]:
    """What the plans say of the configuration that the folder's name ends with."""
    name = folder.resolve().name.rpartition("__")[2]
    known = plans.get("configurations", {})
    if name not in known:
        raise ModelError(
            f"{folder} is named after no configuration of its plans ({', '.join(known)}); "
            f"expected trainer__plans__configuration; give the folder its name back"
        )
    told = dict(known[name])
    for _ in known:  # a configuration says what differs from another one
        parent = known.get(told.pop("inherits_from", ""), {})
        told = {**parent, **told}
    if told.get("previous_stage"):
        raise ModelError(
            f"{folder} is the second stage of a cascade; expected a network that needs no other; "
            f"give the folder of 3d_fullres"
        )
    lacking = [k for k in ("spacing", "patch_size", "normalization_schemes") if k not in told]
    if lacking:
        raise ModelError(
            f"{folder / 'plans.json'} lacks {', '.join(lacking)} of {name}; expected plans of "
            f"nnU-Net 2; copy them again"
        )
    return told


def _fold(folder: Path, fold: str | None) -> Path:
    folds = [fold] if fold else sorted(p.name.removeprefix("fold_") for p in folder.glob("fold_*"))
    for number in folds:
        for name in CHECKPOINTS:
            if (folder / f"fold_{number}" / name).is_file():
                return folder / f"fold_{number}" / name
    raise ModelError(
        f"{folder} has no {' or '.join(CHECKPOINTS)} in {', '.join(f'fold_{n}' for n in folds)}; "
        f"expected the checkpoint of one fold; copy it too, or choose another one with --fold"
    )


def _axes(
    folder: Path, plans: Mapping[str, Any], names: Sequence[str], orientation: str | None
) -> str:
    """Where the axes of the network lead to: those of the images, transposed as planned."""
    found = map(meaning_of, names)
    sided = any(meaning and meaning.side in ("left", "right") for meaning in found)
    if orientation is None and sided and plans.get("image_reader_writer") != REORIENTED:
        raise UsageError(
            f"{folder} tells left from right, and its plans do not say how the training images "
            f"were oriented; expected --orientation: SAL for images stored left, anterior, "
            f"superior (as dcm2niix writes axial stacks), SAR for right, anterior, superior"
        )
    base = orientation or "SAR"
    order = plans.get("transpose_forward", [0, 1, 2])
    if sorted(order) != [0, 1, 2] or len(base) != 3:
        raise ModelError(f"{folder / 'plans.json'} transposes axes by {order}; expected 0, 1, 2")
    return "".join(base[axis] for axis in order)


def _spacing(configuration: Mapping[str, Any], axes: str, plans: Mapping[str, Any]) -> Spacing:
    """Voxel size along x, y, z; a network of slices leaves their distance alone."""
    sizes = [float(n) for n in configuration["spacing"]]
    if len(sizes) == 2:
        median = plans.get("original_median_spacing_after_transp", [1.0])
        sizes = [float(median[0]), *sizes]
    along = {"LR": 0, "PA": 1, "IS": 2}
    found = [0.0, 0.0, 0.0]
    for letter, size in zip(axes, sizes, strict=True):
        found[next(i for pair, i in along.items() if letter in pair)] = size
    return found[0], found[1], found[2]


def _scaling(folder: Path, plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> Scaling:
    scheme = configuration["normalization_schemes"][0]
    if scheme not in SCALINGS:
        raise ModelError(
            f"{folder / 'plans.json'} scales intensities by {scheme}; expected one of "
            f"{', '.join(SCALINGS)}; train it with one of them"
        )
    inside = bool(configuration.get("use_mask_for_norm", [False])[0])
    if SCALINGS[scheme] != "fixed":
        return Scaling(SCALINGS[scheme], masked=inside)
    told = plans["foreground_intensity_properties_per_channel"]["0"]
    low, high = told["percentile_00_5"], told["percentile_99_5"]
    return Scaling(
        "fixed", False, float(low), float(high), float(told["mean"]), float(told["std"])
    )


def _architecture(folder: Path, configuration: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """Name and arguments in our registry, of plans in the new or in the old form."""
    told = configuration.get("architecture")
    name, options = (
        (str(told["network_class_name"]).rpartition(".")[2], told["arch_kwargs"])
        if told
        else _old_form(configuration)
    )
    strange = [key for key, usual in USUAL.items() if options.get(key, usual[0]) not in usual]
    if name not in ARCHITECTURES or strange:
        what = f"{name} with its own {', '.join(strange)}" if strange else name
        raise ModelError(
            f"{folder / 'plans.json'} asks for the network {what}; expected "
            f"{' or '.join(ARCHITECTURES)} as nnU-Net plans them; export it to ONNX where it was "
            f"trained, and import that"
        )
    kept: dict[str, Any] = {
        "name": ARCHITECTURES[name],
        "classes": classes,
        "features": [int(n) for n in options["features_per_stage"]],
        "strides": [_ints(s) for s in options["strides"][1:]],
        "kernels": [_ints(k) for k in options["kernel_sizes"]],
    }
    decoder = _spread(options["n_conv_per_stage_decoder"], len(kept["strides"]))
    if name == "PlainConvUNet":
        encoder = _spread(options["n_conv_per_stage"], len(kept["features"]))
        kept["convolutions"] = encoder[0]
        same = {*encoder, *decoder} == {encoder[0]}
    else:
        kept["blocks"] = _spread(options["n_blocks_per_stage"], len(kept["features"]))
        same = set(decoder) == {1}
    if not same or any(n != 1 for n in options["strides"][0]):
        raise ModelError(
            f"{folder / 'plans.json'} varies the convolutions of the levels ({decoder} going up); "
            f"expected nnU-Net's own plans; export the network to ONNX, and import that"
        )
    return kept


def _old_form(configuration: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Plans before nnU-Net 2.3: names of their own, features by rule."""
    kernels = configuration["conv_kernel_sizes"]
    base, largest = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    residual = str(configuration["UNet_class_name"]).startswith("Residual")
    encoder = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    return str(configuration["UNet_class_name"]), {
        "features_per_stage": [min(base * 2**i, largest) for i in range(len(kernels))],
        "kernel_sizes": kernels,
        "strides": configuration["pool_op_kernel_sizes"],
        encoder: configuration["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
    }


def _ints(values: Sequence[Any]) -> list[int]:
    return [int(n) for n in values]


def _spread(value: int | Sequence[int], count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else [int(n) for n in value]


def _converted(
    architecture: Mapping[str, Any], weights: Mapping[str, Any], patch: Sequence[int], path: Path
) -> tuple[OnnxNetwork, bytes]:
    """The network as ONNX, and its weights as safetensors for PyTorch."""
    from safetensors.torch import save

    from legseg_bids.networks import create

    options = dict(architecture)
    network = create(options.pop("name"), **options).eval()
    named = {f"net.{name}": tensor for name, tensor in weights.items()}
    try:
        network.load_state_dict(named)
    except RuntimeError as error:
        why = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{path} does not fit the network of the plans: {why}; expected the weights of "
            f"{architecture['name']}; check that plans and fold belong together"
        ) from error
    # Some tensors go by two names; safetensors wants each to have memory of its own.
    own = {name: tensor.clone().contiguous() for name, tensor in network.state_dict().items()}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(_onnx(network, patch))
        return read_onnx(file), save(own)


def _onnx(network: Any, patch: Sequence[int]) -> bytes:
    """ONNX with free axes, so that both engines can be compared on any multiple of the step."""
    import torch

    from legseg_bids.train.onnx_file import traced

    free = {0: "n", **{2 + i: axis for i, axis in enumerate("zyx"[-len(patch) :])}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"image": free, "logits": free}
        content: bytes = traced(network, torch.zeros(1, 1, *patch), ["logits"], axes)
    return content
