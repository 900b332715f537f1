"""Find, read and verify the shipped networks (one MONAI Bundle each).

A bundle is a folder with ``configs/metadata.json`` and the weights. What legseg-bids needs
to know about a network beyond MONAI's schema stands in the metadata's ``legseg`` object.
Weights are verified against their SHA-256 each time they are read, before anything looks into
them. Only formats that hold numbers and no code are read (ONNX, safetensors); a pickle, which
can run whatever its maker liked, is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from legseg_bids.anatomy.labels import BACKGROUND, load_labels
from legseg_bids.anatomy.regions import Region
from legseg_bids.errors import ModelError
from legseg_bids.segment.convention import Convention, read_convention

METADATA = "configs/metadata.json"
ONNX = "models/model.onnx"
TORCH = "models/model.safetensors"
Number = TypeVar("Number", int, float)

UNREPORTED = -1
"""Channel of a structure that the network knows but that is not written."""


@dataclass(frozen=True)
class SegmentationSpec:
    """What a segmentation network expects and gives.

    Attributes
    ----------
    region : Region
        Stretch of the limb that it knows.
    spacing : tuple of float
        Voxel size it was trained on along (x, y, z), mm.
    native_z_above : float
        Slices farther apart than this (mm) are left as they are.
    channels : tuple of int
        Left label index of each output channel; 0 background, -1 not reported. Labels of both
        sides if the network sees both limbs at once.
    step, halo, patch : tuple of int
        Product of the strides, radius of the receptive field, and default patch,
        in voxels along (z, y, x).
    bytes_per_voxel : float
        Peak memory while running, per voxel of a patch.
    convention : Convention
        In what a network that was made elsewhere differs from ours.
    """

    region: Region
    spacing: tuple[float, float, float]
    native_z_above: float
    channels: tuple[int, ...]
    step: tuple[int, int, int]
    halo: tuple[int, int, int]
    patch: tuple[int, int, int]
    bytes_per_voxel: float
    convention: Convention = field(default_factory=Convention)

    @property
    def labels(self) -> tuple[int, ...]:
        """Indices that the network reports, rising, background first; left ones of a limb."""
        return tuple(sorted({max(channel, BACKGROUND) for channel in self.channels}))


@dataclass(frozen=True)
class LocatorSpec:
    """What the slice classifier expects and gives.

    Attributes
    ----------
    size : int
        Side of its square input, pixels.
    pixel_mm : float
        Size of a pixel, mm.
    """

    size: int
    pixel_mm: float


@dataclass(frozen=True)
class Model:
    """A network on disk.

    Attributes
    ----------
    name : str
        Name of the bundle, which is the name of its folder.
    path : Path
        The bundle's folder.
    version : str
        From the metadata.
    spec : SegmentationSpec or LocatorSpec
    network : Mapping
        ``name`` of the architecture in the registry, and its keyword arguments.
    sha256 : Mapping of str to str
        Check sums of the weights by path within the bundle.
    trained : Mapping
        How it was trained, as the metadata say; empty if they do not.
    """

    name: str
    path: Path
    version: str
    spec: SegmentationSpec | LocatorSpec
    network: Mapping[str, Any]
    sha256: Mapping[str, str]
    trained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def segmentation(self) -> SegmentationSpec:
        """The specification of a segmentation network.

        Raises
        ------
        ModelError
            If this is a network of another kind.
        """
        if not isinstance(self.spec, SegmentationSpec):
            raise ModelError(f"{self.path} is a locator; expected a segmentation network")
        return self.spec

    @property
    def locator(self) -> LocatorSpec:
        """The specification of the slice classifier.

        Raises
        ------
        ModelError
            If this is a network of another kind.
        """
        if not isinstance(self.spec, LocatorSpec):
            raise ModelError(f"{self.path} is a segmentation network; expected a locator")
        return self.spec

    def weights(self, file: str) -> bytes:
        """Read a file of weights and verify it.

        Parameters
        ----------
        file : str
            Path within the bundle: :data:`ONNX` or :data:`TORCH`.

        Raises
        ------
        ModelError
            If the file is another one, missing, not listed in the metadata, or damaged.
        """
        _require_known(self.path, file)
        path = self.path / file
        if file not in self.sha256:
            raise ModelError(
                f"{self.path / METADATA} has no SHA-256 for {file}; expected it under "
                f"legseg.sha256; use another engine or export the model again"
            )
        if not path.is_file():
            raise ModelError(_missing(path))
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256[file]:
            raise ModelError(
                f"{path} has SHA-256 {found}; its metadata say {self.sha256[file]}; "
                f"the file is damaged or was changed: install it again"
            )
        return content


def find_models_dir(explicit: Path | None = None) -> Path:
    """Folder that holds the bundles.

    The first that exists of: the one asked for, ``$LEGSEG_MODELS``, the one inside the
    installed package, the one of the source tree. The first two must exist if given.

    Parameters
    ----------
    explicit : Path, optional
        What the user asked for.

    Raises
    ------
    ModelError
        If there is none.
    """
    package = Path(__file__).resolve().parents[1]
    asked = explicit or os.environ.get("LEGSEG_MODELS")
    choices = [Path(asked)] if asked else [package / "_models", package.parent / "models"]
    for choice in choices:
        if choice.is_dir():
            return choice
    raise ModelError(
        f"no folder of models at {' or '.join(map(str, choices))}; expected the bundles "
        f"locator, thigh and lower_leg (and hip, if there is one); give it with --models or "
        f"$LEGSEG_MODELS"
    )


def load_model(directory: Path, name: str, verify: bool = True) -> Model:
    """Read a bundle's metadata and check that its weights are there and whole.

    Parameters
    ----------
    directory : Path
        Folder of the bundles.
    name : str
        ``locator``, ``thigh``, ``lower_leg``, ``hip`` or ``leg``.
    verify : bool
        Whether to compute the check sums now. Whoever reads weights through
        :meth:`Model.weights` verifies them in any case.

    Raises
    ------
    ModelError
        If a file is missing, the metadata cannot be read or lack a key or name weights that
        could hold code, or a check sum is wrong.
    """
    path = Path(directory) / name
    metadata = _read_json(path / METADATA)
    try:
        model = _parse(name, path, metadata)
    except KeyError as error:
        raise ModelError(
            f"{path / METADATA} lacks the key {error}; expected a legseg bundle; "
            f"export or install the model again"
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path / METADATA} cannot be used: {error}; export or install the model again"
        ) from error
    for file in model.sha256:
        _require_known(path, file)
        if not (path / file).is_file():
            raise ModelError(_missing(path / file))
        if verify:
            model.weights(file)
    return model


def _require_known(bundle: Path, file: str) -> None:
    """Refuse pickles, and paths that lead out of the bundle."""
    if file not in (ONNX, TORCH):
        raise ModelError(
            f"{bundle / METADATA} names the weights {file!r}; expected {ONNX} and {TORCH}, which "
            f"can hold no code; export the model again with legseg-export"
        )


def _missing(path: Path) -> str:
    return (
        f"model file {path} does not exist; expected the weights that its metadata name; "
        f"install the models again or point --models at them"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(_missing(path)) from None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}; expected JSON; install the model again"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}; expected a JSON object")
    return content


def _parse(name: str, path: Path, metadata: Mapping[str, Any]) -> Model:
    ours = metadata["legseg"]
    kind = ours["kind"]
    if kind not in ("segmentation", "locator"):
        raise ValueError(f"legseg.kind is {kind!r}, expected segmentation or locator")
    return Model(
        name=name,
        path=path,
        version=str(metadata["version"]),
        spec=_locator(ours) if kind == "locator" else _segmentation(ours),
        network=dict(ours["network"]),
        sha256={str(file): str(digest) for file, digest in ours["sha256"].items()},
        trained=dict(ours.get("trained", {})),
    )


def _segmentation(ours: Mapping[str, Any]) -> SegmentationSpec:
    convention = read_convention(ours.get("convention", {}))
    return SegmentationSpec(
        region=Region(ours["region"]),
        spacing=_positive("spacing", _three("spacing", ours["spacing"], float)),
        native_z_above=float(ours["native_z_above"]),
        channels=_channels(ours["channels"], both=convention.view == "stack"),
        step=_positive("step", _three("step", ours["step"], int)),
        halo=_three("halo", ours["halo"], int),
        patch=_positive("patch", _three("patch", ours["patch"], int)),
        bytes_per_voxel=float(ours["bytes_per_voxel"]),
        convention=convention,
    )


def _locator(ours: Mapping[str, Any]) -> LocatorSpec:
    for key, expected in (
        ("sides", ["left", "right", "both"]),
        ("parts", ["foot", "lower", "knee", "upper", "hip"]),
    ):
        if list(ours[key]) != expected:
            raise ValueError(f"legseg.{key} is {ours[key]}, expected {expected}")
    return LocatorSpec(size=int(ours["size"]), pixel_mm=float(ours["pixel_mm"]))


def _three(key: str, values: Any, kind: type[Number]) -> tuple[Number, Number, Number]:
    if len(values) != 3:
        raise ValueError(f"legseg.{key} is {values}, expected three numbers")
    a, b, c = (kind(value) for value in values)
    return a, b, c


def _positive(key: str, values: tuple[Number, Number, Number]) -> tuple[Number, Number, Number]:
    if min(values) <= 0:
        raise ValueError(f"legseg.{key} is {values}, expected numbers above zero")
    return values


def _channels(values: Any, both: bool) -> tuple[int, ...]:
    """Check that every channel is a label that a left limb can have, or either of both."""
    channels = tuple(int(value) for value in values)
    known = {label.index for label in load_labels() if both or label.side != "right"}
    odd = [c for c in channels if c not in known | {BACKGROUND, UNREPORTED}]
    if odd or BACKGROUND not in channels:
        which = "labels of either side" if both else "left or unpaired labels"
        raise ValueError(f"legseg.channels are {channels}, expected 0 and {which} or -1")
    return channels
