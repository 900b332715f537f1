"""From an ONNX network and what is known about it to a bundle that the application runs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from legseg_bids.anatomy.regions import Region
from legseg_bids.errors import ModelError, UsageError
from legseg_bids.imaging.scaling import Scaling
from legseg_bids.segment.convention import Convention, axes_of
from legseg_bids.segment.models import ONNX
from legseg_bids.train.importing.bundle import (
    bundle_name,
    convention_as_json,
    new_bundle,
    write_metadata,
)
from legseg_bids.train.importing.graph import largest_pair, reach_of
from legseg_bids.train.importing.onnx_file import Dims, OnnxNetwork
from legseg_bids.train.importing.probe import Answer, probe
from legseg_bids.train.importing.tables import Channels, decide, write_mapping

GIB = 1024**3
PATCH = (32, 112, 112)
"""Default size of patches, voxels along z, y, x."""
NEVER = 1000.0
"""Slices farther apart than this (mm) would be left as they are; those of slices always are."""
MULTILABEL = ("Sigmoid", "HardSigmoid")
Number = TypeVar("Number", int, float)
Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Source:
    """A network, and what its makers say of it.

    Attributes
    ----------
    onnx : OnnxNetwork
    origin : str
        What it was made from, for the model card.
    names : tuple of str
        Names of the channels.
    convention : Convention
        As far as it does not follow from the network itself.
    spacing : tuple of float or None
        Voxel size along (x, y, z), mm; ``None`` if it is fed the voxels of the image.
    patch : tuple of int or None
        Size of all patches along the network's own axes, if they are to have one.
    files : Mapping of str to bytes
        Other weights by path within the bundle.
    architecture : Mapping
        Name in the registry and arguments, if it has them.
    """

    onnx: OnnxNetwork
    origin: str
    names: tuple[str, ...]
    convention: Convention
    spacing: Spacing | None
    patch: tuple[int, ...] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    architecture: Mapping[str, Any] = field(default_factory=lambda: {"name": "onnx"})


@dataclass(frozen=True)
class Wanted:
    """What the user wants of a bundle.

    Attributes
    ----------
    models : Path
        Folder of the bundles.
    region : Region
        Which stretch of the limb the network is for.
    mapping : Path
        Mapping file.
    memory : int
        Bytes that one patch may take.
    overwrite : bool
        Whether it may replace a bundle.
    """

    models: Path
    region: Region
    mapping: Path
    memory: int = 8 * GIB
    overwrite: bool = False


@dataclass(frozen=True)
class Shape:
    """How large the patches of a network are; along its own axes D, H, W."""

    step: tuple[int, ...]
    halo: tuple[int, ...]
    patch: tuple[int, ...]
    fixed: bool
    warnings: tuple[str, ...] = ()


def liked(name: str) -> Mapping[str, Any]:
    """What networks of one maker have in common.

    Raises
    ------
    UsageError
        If nothing is known of the maker.

    Examples
    --------
    >>> liked("qmritools")["orientation"]
    'SPL'
    """
    text = resources.files(__package__).joinpath("data", "likes.toml").read_text("utf-8")
    known = tomllib.loads(text)
    if name not in known:
        raise UsageError(
            f"nothing is known of networks like {name!r}; expected {' or '.join(known)}; leave "
            f"--like out and give --orientation, --scaling and --spacing"
        )
    found: Mapping[str, Any] = known[name]
    return found


def wrap(source: Source, wanted: Wanted) -> tuple[Path, tuple[str, ...]]:
    """Write a bundle.

    Parameters
    ----------
    source : Source
    wanted : Wanted

    Returns
    -------
    bundle : Path
    warnings : tuple of str
        What the user should know of the network.

    Raises
    ------
    ModelError
        If the network, its labels, or both together cannot be used.
    UsageError
        If the bundle exists, or a patch takes more memory than allowed.
    OutputError
        If it cannot be written.
    """
    channels = decide(source.names, wanted.mapping)
    layout = input_layout(source.onnx)
    shape = _shape(source, layout)
    name = bundle_name(wanted.region)
    with new_bundle(wanted.models, name, wanted.overwrite) as bundle:
        answer = _try(source.onnx, layout, shape, wanted, bundle)
        convention = _settled(source, layout, shape, channels, answer)
        facts = _facts(source, wanted, shape, channels, convention)
        facts["bytes_per_voxel"] = max(1, round(answer.bytes / prod(shape.patch)))
        files = {ONNX: source.onnx.content, **source.files}
        write_mapping(bundle / "docs" / "labels.tsv", channels)
        write_metadata(bundle, facts, files, source.origin)
    return wanted.models / name, shape.warnings


def input_layout(network: OnnxNetwork) -> str:
    """Order of the axes of a network's input, from their number and sizes.

    Raises
    ------
    ModelError
        If it does not take images of one channel with the channel first.
    """
    dims = network.dims
    if len(dims) == 5 and dims[1] in (1, None):
        return "NCDHW"
    if len(dims) == 4 and dims[1] == 1:
        return "NCHW"
    if len(dims) == 4 and dims[0] == 1:
        return "CDHW"
    raise ModelError(
        f"{network.path} takes an input of {_told(dims)}; expected one channel, before the axes "
        f"of space: (batch, 1, z, y, x), (1, z, y, x) or (batch, 1, y, x); export it so"
    )


def _told(dims: Dims) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in dims) + ")"


def _space(dims: Dims, layout: str) -> Dims:
    """Sizes along D, H, W; a network of slices takes one at a time."""
    found = tuple(n for n, axis in zip(dims, layout, strict=True) if axis in "DHW")
    return found if len(found) == 3 else (1, *found)


def _shape(source: Source, layout: str) -> Shape:
    """Size of the patches: fixed by the network, fixed by the user, or free."""
    flat = "D" not in layout
    dims = _space(source.onnx.dims, layout)
    asked = source.patch
    if asked is not None and flat and len(asked) == 3:
        asked = (1, *asked[1:])
    asked = (1, *asked) if asked is not None and len(asked) == 2 else asked
    if asked is not None or any(n is not None for n in dims[flat:]):
        patch = tuple(n or (asked or PATCH)[i] for i, n in enumerate(dims))
        if asked is not None and patch != asked:
            raise UsageError(
                f"patches of {asked} were asked for, but {source.onnx.path} takes {_told(dims)} "
                f"only; leave --patch out, or export it with free axes"
            )
        return Shape(patch, (0, 0, 0), patch, True)
    reach = reach_of(source.onnx, layout)
    if reach is None:
        raise ModelError(
            f"{source.onnx.path} does what legseg-import does not understand, so that it cannot "
            f"tell how far the network looks; expected convolutions, pooling and resizing; give "
            f"the size of the patches that it was trained on with --patch"
        )
    warnings = (_depends(reach.whole),) if reach.whole else ()
    step, halo = ((1, *reach.step), (0, *reach.halo)) if flat else (reach.step, reach.halo)
    patch = _multiple(_to_network(PATCH, source.convention.orientation), step)
    return Shape(step, halo, (1, *patch[1:]) if flat else patch, False, warnings)


def _depends(operators: Sequence[str]) -> str:
    return (
        f"the network looks at all of a patch ({', '.join(operators)}): labels may change with "
        f"the memory of a run; fix the size of the patches with --patch"
    )


def _multiple(sizes: Sequence[int], step: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-n // s) * s for n, s in zip(sizes, step, strict=True))


def _to_network(sizes: Sequence[Number], orientation: str) -> tuple[Number, ...]:
    """From our axes z, y, x to the network's D, H, W."""
    return tuple(sizes[axis] for axis, _ in axes_of(orientation))


def _to_ours(sizes: Sequence[Number], orientation: str) -> list[Number]:
    """From the network's axes D, H, W to ours z, y, x."""
    order = [axis for axis, _ in axes_of(orientation)]
    return [sizes[order.index(axis)] for axis in range(3)]


def _try(network: OnnxNetwork, layout: str, shape: Shape, wanted: Wanted, bundle: Path) -> Answer:
    """Run the network once on the largest patch of which the size is known."""
    if shape.fixed:
        _require(largest_pair(network), shape, wanted.memory)
    file = bundle / ONNX
    file.write_bytes(network.content)
    sizes = dict(zip("DHW", shape.patch, strict=True)) | {"N": 1, "C": 1}
    answer = probe(file, [sizes[axis] for axis in layout])
    if shape.fixed:
        _require(answer.bytes, shape, wanted.memory)
    return answer


def _require(needed: int, shape: Shape, memory: int) -> None:
    if needed > memory:
        raise UsageError(
            f"a patch of {' × '.join(map(str, shape.patch))} voxels, which the network takes and "
            f"no other, needs {needed / GIB:.1f} GiB; {memory / GIB:.1f} are allowed; raise "
            f"--mem, or export the network with free axes or for smaller patches"
        )


def _settled(
    source: Source, layout: str, shape: Shape, channels: Channels, answer: Answer
) -> Convention:
    """The convention with what the network itself tells."""
    last = source.onnx.proto.graph.node[-1].op_type
    if last in MULTILABEL:
        raise ModelError(
            f"{source.onnx.path} ends with {last}, so that classes may overlap; expected one "
            f"class for each voxel (logits, or softmax); export it without that"
        )
    output = _output_layout(source.onnx.path, layout, shape, len(channels.names), answer)
    axis = output.index("C")
    certain = answer.low >= 0 and answer.sums_to_one[axis]
    return replace(
        source.convention,
        view="stack" if channels.both_sides else "limb",
        mirror=source.convention.mirror and not channels.both_sides,
        input_layout=layout,
        output_layout=output,
        output="probabilities" if certain else "logits",
        native_spacing=source.spacing is None,
        fixed=shape.fixed,
    )


def _output_layout(path: Path, layout: str, shape: Shape, classes: int, answer: Answer) -> str:
    """Where the classes stand in the answer: as in the input, or last."""
    sizes = dict(zip("DHW", shape.patch, strict=True)) | {"N": 1}
    space = layout.replace("C", "")
    found = None
    for axes in (layout, f"{space}C", layout.replace("N", ""), f"{space}C".replace("N", "")):
        if len(axes) != len(answer.shape):
            continue
        fits = all(a == "C" or sizes[a] == n for a, n in zip(axes, answer.shape, strict=True))
        if fits and answer.shape[axes.index("C")] == classes:
            return axes
        found = found or (answer.shape[axes.index("C")] if fits else None)
    if found:
        raise ModelError(
            f"{path} gives {found} classes; the label table has {classes}, background included; "
            f"expected a name for each class; give the table that belongs to this network"
        )
    raise ModelError(
        f"{path} answers an input of {tuple(sizes[a] for a in space)} voxels with an array of "
        f"{answer.shape}; expected {classes} classes for each voxel; export it with its logits or "
        f"probabilities at full resolution"
    )


def _facts(
    source: Source, wanted: Wanted, shape: Shape, channels: Channels, convention: Convention
) -> dict[str, Any]:
    orientation = convention.orientation
    flat = "D" not in convention.input_layout
    return {
        "kind": "segmentation",
        "region": str(wanted.region),
        "spacing": list(source.spacing or (1.0, 1.0, 1.0)),
        "native_z_above": 0.0 if flat else NEVER,
        "channels": list(channels.labels),
        "step": _to_ours(shape.step, orientation),
        "halo": _to_ours(shape.halo, orientation),
        "patch": _to_ours(shape.patch, orientation),
        "convention": convention_as_json(convention),
        "network": dict(source.architecture),
    }


def named_convention(
    like: Mapping[str, Any], orientation: str | None, scaling: str | None
) -> Convention:
    """Convention from what is known of the maker, and what the user says.

    Raises
    ------
    UsageError
        If an orientation or a scaling is unknown.
    """
    name = scaling or like.get("scaling", "slices")
    try:
        return Convention(
            orientation=orientation or like.get("orientation", "SAR"),
            mirror=like.get("mirror", True),
            scaling=Scaling(name),
        )
    except ValueError as error:
        message = str(error).replace("legseg.convention.", "")
        raise UsageError(f"{message}; correct the option") from error
