"""Write the bundle of a network that was made elsewhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata as packages
from importlib import resources
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

from legseg_bids import __version__
from legseg_bids.anatomy.labels import BACKGROUND, label_by_index
from legseg_bids.anatomy.regions import Region
from legseg_bids.errors import OutputError, UsageError
from legseg_bids.segment.convention import Convention
from legseg_bids.segment.models import METADATA, UNREPORTED, find_models_dir, load_model
from legseg_bids.segment.pipeline import NETWORKS, WHOLE_LEG, bundles_in

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
    "0.8.1/meta_schema_20240725.json"
)


def bundle_name(region: Region) -> str:
    """Name of the bundle that the application looks for.

    Examples
    --------
    >>> bundle_name(Region.UPPER), bundle_name(Region.WHOLE)
    ('thigh', 'leg')
    """
    return WHOLE_LEG if region is Region.WHOLE else NETWORKS[region]


@contextmanager
def new_bundle(models: Path, name: str, overwrite: bool) -> Iterator[Path]:
    """Folder to write a bundle into; it gets its name when the block ends well.

    Raises
    ------
    UsageError
        If there is such a bundle already that is no copy of a shipped one, or it would never be
        used, or ``models`` holds the shipped ones.
    OutputError
        If it cannot be written.
    """
    final = models / name
    if models.exists() and models.resolve() == find_models_dir().resolve():
        raise UsageError(
            f"{models} holds the models that a run uses by default; expected another folder, or "
            f"one of them would be lost; choose one with --into"
        )
    if name != WHOLE_LEG and (models / WHOLE_LEG).exists():
        raise UsageError(
            f"{models / WHOLE_LEG} stands for the whole leg, so that {name} would never be used; "
            f"expected a folder without it; remove it, or choose another folder with --into"
        )
    if final.exists() and not overwrite and not _is_shipped(final):
        raise UsageError(
            f"{final} exists; expected a folder without it; choose another one with --into, or "
            f"replace it with --overwrite"
        )
    try:
        models.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{name}-", dir=models) as folder:
            begun = Path(folder) / name
            for inner in ("configs", "docs", "models"):
                (begun / inner).mkdir(parents=True)
            yield begun
            load_model(begun.parent, name)
            if final.exists():
                final.rename(Path(folder) / "replaced")
            begun.rename(final)
        _complete(models)
    except OSError as error:
        raise OutputError(
            f"{models} cannot be written ({error}); expected a writable folder with space left; "
            f"free space, change permissions, or choose another one with --into"
        ) from error


def _is_shipped(bundle: Path) -> bool:
    """Whether a bundle is a copy of a shipped one, as :func:`_complete` makes them."""
    files = bundle / METADATA, find_models_dir() / bundle.name / METADATA
    return all(file.is_file() for file in files) and len({f.read_bytes() for f in files}) == 1


def _complete(models: Path) -> None:
    """Copy the shipped bundles that a run with this folder needs besides."""
    for name in bundles_in(models):
        if not (models / name).exists():
            shutil.copytree(find_models_dir() / name, models / name)


def convention_as_json(convention: Convention) -> dict[str, Any]:
    """What differs from our own networks, and nothing else."""
    ours, told = asdict(Convention()), asdict(convention)
    scaling = {k: v for k, v in told["scaling"].items() if v != ours["scaling"][k]}
    kept = {k: v for k, v in told.items() if k != "scaling" and v != ours[k]}
    return {**kept, **({"scaling": scaling} if scaling else {})}


def write_metadata(
    bundle: Path, facts: Mapping[str, Any], files: Mapping[str, bytes], origin: str
) -> None:
    """Write weights, metadata and model card; the metadata last.

    Parameters
    ----------
    bundle : Path
    facts : Mapping
        The ``legseg`` object without check sums.
    files : Mapping of str to bytes
        Weights by path within the bundle.
    origin : str
        Name of what was imported.
    """
    sums = {}
    for name, content in files.items():
        (bundle / name).write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    told = _metadata({**facts, "sha256": sums}, origin)
    (bundle / "docs" / "README.md").write_text(_card(told, origin), encoding="utf-8")
    text = json.dumps(told, indent=2) + "\n"
    (bundle / METADATA).write_text(text, encoding="utf-8")


def _metadata(facts: Mapping[str, Any], origin: str) -> dict[str, Any]:
    special = {BACKGROUND: "background", UNREPORTED: "other structures"}
    channels = [special.get(c) or label_by_index(c).name for c in facts["channels"]]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": [f"{step}*n" for step in facts["step"]],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {"0": "gradient echo in opposed phase, or in phase"},
    }
    answer = {
        **image,
        "type": "probabilities",
        "format": facts["convention"].get("output", "logits"),
        "num_channels": len(channels),
        "channel_def": {str(i): name for i, name in enumerate(channels)},
    }
    del answer["modality"]
    return {
        "schema": SCHEMA,
        "version": __version__,
        "changelog": {__version__: "imported"},
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch").split("+")[0],
        "numpy_version": _version("numpy"),
        "required_packages_version": {},
        "name": f"imported {bundle_name(Region(facts['region']))}",
        "task": f"Segmentation of the structures of the {facts['region']} leg",
        "description": f"Imported from {origin}.",
        "authors": "Whoever made it",
        "copyright": "As its authors say",
        "data_source": "As its authors say",
        "data_type": "unknown",
        "intended_use": "Research; not for diagnosis.",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": answer}},
        "legseg": dict(facts),
    }


def _version(package: str) -> str:
    try:
        return packages.version(package)
    except packages.PackageNotFoundError:
        return "0"


def _card(told: Mapping[str, Any], origin: str) -> str:
    facts = told["legseg"]
    values = {
        "name": told["name"],
        "task": told["task"],
        "version": __version__,
        "origin": origin,
        "how": "\n".join(_how(facts)),
        "reported": sum(c > 0 for c in facts["channels"]),
        "channels": len(facts["channels"]),
        "sha256": "\n".join(f"| {k} | `{v}` |" for k, v in facts["sha256"].items()),
    }
    template = resources.files(__package__).joinpath("data", "card.md")
    return Template(template.read_text(encoding="utf-8")).substitute(values)


def _how(facts: Mapping[str, Any]) -> Iterator[str]:
    """The convention as a list of Markdown."""
    x, y, z = facts["spacing"]
    convention = facts["convention"]
    native = convention.get("native_spacing", False)
    yield f"- voxels: {'of the image' if native else f'{x:g} × {y:g} × {z:g} mm (x, y, z)'}"
    size = " × ".join(map(str, facts["patch"]))
    fixed = convention.get("fixed", False)
    yield f"- patches: {f'always {size}' if fixed else 'as large as the memory allows'} (z, y, x)"
    for key, value in convention.items():
        if key not in ("native_spacing", "fixed"):
            yield f"- {key.replace('_', ' ')}: `{json.dumps(value)}`"
