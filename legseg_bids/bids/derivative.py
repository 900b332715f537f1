"""All files of one station, written in an order that makes "done" certain.

The sidecar of the label image is removed first and written last: where it exists with the
hash of this configuration, everything else exists and belongs to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from legseg_bids import __version__
from legseg_bids.bids.measures import MeasureTables, lost_map, wanted_measures, write_measures
from legseg_bids.bids.names import OutputPaths, output_paths
from legseg_bids.bids.sidecars import (
    confidence_sidecar,
    dseg_sidecar,
    mask_sidecar,
    probseg_sidecar,
    provenance,
    table_text,
)
from legseg_bids.bids.stations import Station
from legseg_bids.bids.write import (
    remove,
    write_json,
    write_labels,
    write_probabilities,
    write_text,
)

Checksums = Callable[[Station], dict[str, str]]
Neighbours = Mapping[str, Mapping[str, str] | None]


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
    confidence : ndarray of float, shape (i, j, k), or None
        Probability of the label that a voxel has, from 0 to 1; what stations are merged by.
    measures : MeasureTables
        Compartments, profiles, limbs, and the map of the fat fraction.
    details : mapping
        What the sidecar says in its ``Legseg`` object beside version, hash and checksums:
        models, engine, location, warnings.
    """

    labels: npt.NDArray[Any]
    rows: Sequence[object]
    mask: npt.NDArray[Any] | None = None
    probabilities: npt.NDArray[Any] | None = None
    probability_names: Sequence[str] = ()
    confidence: npt.NDArray[Any] | None = None
    measures: MeasureTables = field(default_factory=MeasureTables)
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
    paths = output_paths(output_dir, station.output_name)
    table = table_text(result.rows)
    result.measures.texts()  # whatever is wrong with them, nothing has been touched yet
    remove([paths.sidecar])
    write_labels(paths.labels, result.labels, header)
    _write_mask(paths, station, header, result)
    _write_confidence(paths, station, header, result)
    _write_probabilities(paths, station, header, result)
    write_measures(paths, result.measures, header, provenance(station))
    write_text(paths.table, table)
    legseg = {
        "Version": __version__,
        "ConfigHash": config_hash,
        "SourceSHA256": checksums(station),
        **result.measures.told(),
        **result.details,
    }
    write_json(paths.sidecar, dseg_sidecar(station, legseg))
    return paths


def why_not_done(
    output_dir: Path,
    station: Station,
    config_hash: str,
    *,
    neighbours: Callable[[], Neighbours] = dict,
    probabilities: bool = False,
    figure: bool = False,
    sums: Checksums | None = None,
) -> str:
    """Say why a station was not finished before, with the same configuration and input.

    The input are its own files and those of its neighbours, with whose knowledge it was located.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    station : Station
        What would be segmented.
    config_hash : str
        Hash of everything that can change a label.
    neighbours : callable
        Gives the check sums of the other stations of the set; called only if all else fits.
    probabilities, figure : bool
        Whether these files are wanted too.
    sums : callable
        Gives the check sums of a station; by default :func:`checksums`.

    Returns
    -------
    str
        Empty if the station is done.
    """
    paths = output_paths(output_dir, station.output_name)
    wanted = [paths.sidecar, paths.labels, paths.table, paths.mask, paths.mask_sidecar]
    wanted += [paths.confidence, paths.confidence_sidecar, *wanted_measures(paths)]
    wanted += [paths.probabilities, paths.probabilities_sidecar] if probabilities else []
    wanted += [paths.figure] if figure else []
    missing = next((path.name for path in wanted if not path.is_file()), "")
    if missing:
        return f"{missing} is missing"
    legseg = read_legseg(paths.sidecar)
    lost = next(lost_map(paths, legseg), None)
    if lost is not None:
        return f"{lost.name} is missing"
    if legseg.get("ConfigHash") != config_hash:
        return "it was made by another version or with other networks"
    try:
        same = legseg.get("SourceSHA256") == (sums or checksums)(station)
    except OSError:
        return "its source cannot be read"
    if not same:
        return "its source has changed"
    if not _same_neighbours(legseg.get("Neighbours", {}), neighbours()):
        return "it was located with other stations than those that are chosen now"
    return ""


def _same_neighbours(before: object, now: Neighbours) -> bool:
    """Whether the neighbours are those of before, as far as they can be read now.

    One that was read then and cannot be read now (content that DataLad has dropped) takes
    nothing back.
    """
    return (
        isinstance(before, dict)
        and before.keys() == now.keys()
        and all(sums is None or before[name] == sums for name, sums in now.items())
    )


def sidecar_of(labels: Path) -> Path:
    """The JSON of a label image of the derivative.

    Examples
    --------
    >>> sidecar_of(Path("sub-1_T1w_seg-muscles_dseg.nii.gz")).name
    'sub-1_T1w_seg-muscles_dseg.json'
    """
    return labels.with_name(labels.name.removesuffix(".nii.gz") + ".json")


def read_legseg(sidecar: Path) -> dict[str, Any]:
    """Read our own object from a sidecar; empty if there is none or it cannot be read."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = content.get("Legseg") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def checksums(station: Station, sum_of: Callable[[Path], str] | None = None) -> dict[str, str]:
    """SHA-256 of each file that a station is made from, by role.

    Of a role that is one volume of a file, the number of the volume stands behind.

    Parameters
    ----------
    station : Station
    sum_of : callable
        Gives the sum of a file; by default :func:`sha256`.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    sums = {role: (sum_of or sha256)(path) for role, path in sorted(station.files.items())}
    return {
        role: f"{text}[{station.volumes[role]}]" if role in station.volumes else text
        for role, text in sums.items()
    }


def sha256(path: Path) -> str:
    """SHA-256 of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_mask(paths: OutputPaths, station: Station, header: Any, result: StationResult) -> None:
    if result.mask is None:
        remove([paths.mask, paths.mask_sidecar])
    else:
        write_labels(paths.mask, result.mask.astype("uint8"), header)
        write_json(paths.mask_sidecar, mask_sidecar(station))


def _write_probabilities(
    paths: OutputPaths, station: Station, header: Any, result: StationResult
) -> None:
    if result.probabilities is None:
        remove([paths.probabilities, paths.probabilities_sidecar])
        return
    names, volumes = list(result.probability_names), result.probabilities.shape[-1]
    if len(names) != volumes:
        raise ValueError(f"{len(names)} names for {volumes} probabilities; expected one for each")
    write_probabilities(paths.probabilities, result.probabilities, header)
    write_json(paths.probabilities_sidecar, probseg_sidecar(station, names))


def _write_confidence(
    paths: OutputPaths, station: Station, header: Any, result: StationResult
) -> None:
    if result.confidence is None:
        remove([paths.confidence, paths.confidence_sidecar])
        return
    write_probabilities(paths.confidence, result.confidence, header)
    write_json(paths.confidence_sidecar, confidence_sidecar(station))
