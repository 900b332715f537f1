"""Files that describe the derivative as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from legseg_bids import __version__
from legseg_bids.bids.write import write_once

# A prefix of every folder name that people give (legseg, legseg-bids, legseg_bids-0.1.0): BIDS
# wants the folder of a nested derivative to contain this name.
GENERATOR = "legseg"
BIDS_VERSION = "1.10.0"
# Without the slash: the schema validator does not understand "figures/".
IGNORED = ("*.html", "figures", "group_*")
CONTAINER_VARIABLES = {
    "Type": "LEGSEG_CONTAINER_TYPE",
    "Tag": "LEGSEG_CONTAINER_TAG",
    "URI": "LEGSEG_CONTAINER_URI",
}
README = """\
# legseg-bids

Leg muscles, segmented on opposed-phase (Dixon) MRI by legseg-bids.

Each image of the input gives, under the name of its source with `_seg-muscles`:

- `*_dseg.nii.gz`: one value for each muscle and side (odd left, even right), on the grid of
  the source image;
- `*_dseg.tsv`: name, voxels, volume (mL) and more for each value that occurs;
- `*_dseg.json`: what the image was made from and with, and what the columns of the table mean.
  This file is written last: where it exists, the image is finished.

Beside these stand tables of groups of muscles (`*_desc-compartments_dseg.tsv`), of areas slice
by slice (`*_desc-profiles_dseg.tsv`) and of whole limbs (`*_desc-limbs_dseg.tsv`), each with a
JSON that says what its columns mean, and, where the source tells it, a map of the fat fraction
(`*_label-fat_desc-fatfraction_probseg.nii.gz`).

Where a leg was scanned in several stations, `*_desc-merged_dseg.*` is one image and one table
of all of them, and `*_desc-merged…` are its other files. Use them instead of the stations' own:
they overlap.

`*_desc-manual_dseg.*` and `*_desc-mergedmanual_dseg.*`, where there are any, were corrected by
hand, or merged from stations that were. Use them instead of those of the same name without
`manual`: the reports and the group level do.

`*_label-leg_mask.nii.gz` holds the voxels inside the legs, `*_desc-confidence_probseg.nii.gz`
how probable the label of each voxel is, and `*_seg-muscles_probseg.nii.gz` (on demand) the
probability of each structure. `sub-*/figures` holds pictures, `logs` the settings of each
run, and `phenotype/legseg.tsv` (after the group step) one row of volumes for each participant;
`group_volumes.tsv` has the same and more as one row for each structure of each image. `group.html`
shows the study, `figures` and the other tables `group_*.tsv` hold its pictures and statistics.

All other segmentations are automatic. Look at them before you use them.
"""


def write_dataset_files(
    output_dir: Path, bids_dir: Path | None, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Write ``dataset_description.json``, ``README.md`` and ``.bidsignore``.

    Many jobs may do so at the same time: each file is moved into place whole, and only if
    its content changes.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    bids_dir : Path or None
        The input dataset; None keeps the description of an earlier run.
    environ : mapping
        Environment; ``LEGSEG_CONTAINER_TYPE``, ``_TAG`` and ``_URI`` name the container.

    Returns
    -------
    str or None
        Version that wrote here before, if it was another one.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    before = _read_or_none(output_dir)
    kept = before if bids_dir is None else None
    content = kept or describe(output_dir, bids_dir, environ)
    write_once(output_dir / "dataset_description.json", _json(content))
    write_once(output_dir / "README.md", README)
    write_once(output_dir / ".bidsignore", "".join(f"{line}\n" for line in IGNORED))
    version = _version(before)
    return version if version != __version__ else None


def describe(
    output_dir: Path, bids_dir: Path | None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Compose ``dataset_description.json``.

    Licence and DOI of the input are handed on, nobody's name is.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    bids_dir : Path or None
        The input dataset.
    environ : mapping
        Environment, for the container.
    """
    source = (_read_or_none(bids_dir) if bids_dir else None) or {}
    content: dict[str, Any] = {
        "Name": "Leg-muscle segmentations (legseg-bids)",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [generated_by(environ)],
    }
    if bids_dir:
        content["DatasetLinks"] = {"raw": dataset_link(output_dir, bids_dir, source)}
    if source.get("DatasetDOI"):
        content["SourceDatasets"] = [{"DOI": source["DatasetDOI"]}]
    if source.get("License"):
        content["License"] = source["License"]
    return content


def dataset_link(output_dir: Path, bids_dir: Path, source: Mapping[str, Any]) -> str:
    """Say where ``bids:raw:`` points to.

    The DOI of the input where it has one and the output lies elsewhere, else the way from the
    output to the input; no absolute path, which would tell a host's folders.

    Examples
    --------
    >>> dataset_link(Path("/d/derivatives/legseg"), Path("/d"), {})
    '../..'
    """
    target, root = output_dir.resolve(), bids_dir.resolve()
    doi = source.get("DatasetDOI")
    if doi and not target.is_relative_to(root):
        return str(doi)
    return Path(os.path.relpath(root, target)).as_posix()


def generated_by(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Name this program, its version, and the container it runs in.

    Examples
    --------
    >>> generated_by({"LEGSEG_CONTAINER_TYPE": "docker"})["Container"]
    {'Type': 'docker'}
    """
    container = {
        key: environ[variable]
        for key, variable in CONTAINER_VARIABLES.items()
        if variable in environ
    }
    return {
        "Name": GENERATOR,
        "Version": __version__,
        "Description": "legseg-bids: labelled leg muscles from Dixon MRI",
        **({"Container": container} if container else {}),
    }


def read_description(dataset: Path) -> dict[str, Any] | None:
    """Read ``dataset_description.json``; None where there is none.

    Raises
    ------
    OSError, json.JSONDecodeError
        If it is there but cannot be read.
    """
    path = dataset / "dataset_description.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    return content if isinstance(content, dict) else {}


def _read_or_none(dataset: Path) -> dict[str, Any] | None:
    try:
        return read_description(dataset)
    except (OSError, ValueError):
        return None


def _version(description: Mapping[str, Any] | None) -> str:
    try:
        return str((description or {})["GeneratedBy"][0]["Version"])
    except (KeyError, IndexError, TypeError):
        return __version__


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
