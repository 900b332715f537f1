"""All files of one station, written in an order that makes "done" certain.

The sidecar of the label image is removed first and written last: where it exists with the
hash of this configuration, everything else exists and belongs to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from legseg_bids import __version__
from legseg_bids.bids.names import OutputPaths, output_paths
from legseg_bids.bids.sidecars import dseg_sidecar, mask_sidecar, probseg_sidecar, table_text
from legseg_bids.bids.stations import Station
from legseg_bids.bids.write import (
    cannot_write,
    write_json,
    write_labels,
    write_probabilities,
    write_text,
)


@dataclass(frozen=True)
class StationResult:
    """What was computed for one station, on the grid of its source.

    Attributes
    ----------
    labels : ndarray of int, shape (i, j, k)
        One value for each structure.
    rows : sequence of mappings or dataclass instances
        Measures of each label (columns of ``data/columns.json``).
    mask : ndarray of bool, shape (i, j, k), or None
        Voxels inside the legs.
    probabilities : ndarray of float, shape (i, j, k, labels), or None
        From 0 to 1.
    probability_names : sequence of str
        Abbreviation for each volume of the probabilities.
    details : mapping
        What the sidecar says in its ``Legseg`` object beside version, hash and checksums:
        models, engine, location, warnings.
    """

    labels: npt.NDArray[Any]
    rows: Sequence[object]
    mask: npt.NDArray[Any] | None = None
    probabilities: npt.NDArray[Any] | None = None
    probability_names: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def write_station(
    output_dir: Path, station: Station, header: Any, result: StationResult, config_hash: str
) -> OutputPaths:
    """Write all files of one station.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    station : Station
        What was segmented.
    header : nibabel.Nifti1Header
        Header of the source image.
    result : StationResult
        What was computed.
    config_hash : str
        Hash of everything that can change a label.

    Returns
    -------
    OutputPaths
        Names of the files; those that were not asked for are not written.

    Raises
    ------
    OutputError
        If a file cannot be written; the station then does not count as done.
    ValueError
        If an array does not fit the source, or a measure has no description.
    """
    paths = output_paths(output_dir, station.source_name)
    table = table_text(result.rows)
    _remove(paths.sidecar)
    write_labels(paths.labels, result.labels, header)
    _write_mask(paths, station, header, result)
    _write_probabilities(paths, station, header, result)
    write_text(paths.table, table)
    legseg = {
        "Version": __version__,
        "ConfigHash": config_hash,
        "SourceSHA256": checksums(station),
        **result.details,
    }
    write_json(paths.sidecar, dseg_sidecar(station, legseg))
    return paths


def is_done(
    output_dir: Path,
    station: Station,
    config_hash: str,
    *,
    probabilities: bool = False,
    figure: bool = False,
) -> bool:
    """Tell whether a station was finished before, with the same configuration and input.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    station : Station
        What would be segmented.
    config_hash : str
        Hash of everything that can change a label.
    probabilities, figure : bool
        Whether these files are wanted too.
    """
    paths = output_paths(output_dir, station.source_name)
    wanted = [paths.labels, paths.table]
    wanted += [paths.probabilities, paths.probabilities_sidecar] if probabilities else []
    wanted += [paths.figure] if figure else []
    if not all(path.is_file() for path in wanted):
        return False
    legseg = read_legseg(paths.sidecar)
    if legseg.get("ConfigHash") != config_hash:
        return False
    try:
        return bool(legseg.get("SourceSHA256") == checksums(station))
    except OSError:
        return False


def read_legseg(sidecar: Path) -> dict[str, Any]:
    """Read our own object from a sidecar; empty if there is none or it cannot be read."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = content.get("Legseg") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def checksums(station: Station) -> dict[str, str]:
    """SHA-256 of each file that a station is made from, by role.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    return {role: _sha256(path) for role, path in sorted(station.files.items())}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _write_mask(paths: OutputPaths, station: Station, header: Any, result: StationResult) -> None:
    if result.mask is None:
        _remove_all([paths.mask, paths.mask_sidecar])
    else:
        write_labels(paths.mask, result.mask.astype("uint8"), header)
        write_json(paths.mask_sidecar, mask_sidecar(station))


def _write_probabilities(
    paths: OutputPaths, station: Station, header: Any, result: StationResult
) -> None:
    if result.probabilities is None:
        _remove_all([paths.probabilities, paths.probabilities_sidecar])
        return
    names, volumes = list(result.probability_names), result.probabilities.shape[-1]
    if len(names) != volumes:
        raise ValueError(f"{len(names)} names for {volumes} probabilities; expected one for each")
    write_probabilities(paths.probabilities, result.probabilities, header)
    write_json(paths.probabilities_sidecar, probseg_sidecar(station, names))


def _remove_all(paths: Iterable[Path]) -> None:
    """Files of an earlier run that would no longer belong to the labels."""
    for path in paths:
        _remove(path)
