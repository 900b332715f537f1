"""The files of a merged image: written so that "done" is certain, as those of a station.

The sidecar is removed first and written last. It holds the check sums of the stations' own
results, so that a merged image whose stations have changed is known for what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from legseg_bids import __version__
from legseg_bids.bids.derivative import read_legseg, sha256
from legseg_bids.bids.manual import original_labels
from legseg_bids.bids.measures import MeasureTables, lost_map, wanted_measures, write_measures
from legseg_bids.bids.names import FAT_FRACTION, SEGMENTATION, output_paths
from legseg_bids.bids.sets import MergedPaths, merged_paths
from legseg_bids.bids.sidecars import merged_provenance, merged_sidecar, table_text
from legseg_bids.bids.write import remove, write_json, write_labels, write_text

Sums = dict[str, dict[str, str]]
FAT_ENDING = f"_label-fat_desc-{FAT_FRACTION}_probseg.nii.gz"


@dataclass(frozen=True)
class MergedResult:
    """The whole leg, on a grid of its own.

    Attributes
    ----------
    labels : ndarray of int, shape (x, y, z)
        One value for each structure.
    affine : ndarray, shape (4, 4)
        Voxel indices to RAS+ millimetres.
    rows : sequence of mappings or dataclass instances
        Measures of each label.
    sums : dict
        From :func:`station_sums`, of the results that were merged.
    members : sequence of str
        Output names of all stations of the set, merged or not.
    measures : MeasureTables
        Compartments, profiles, limbs, and the map of the fat fraction.
    details : mapping
        What else the sidecar says in its ``Legseg`` object.
    """

    labels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    rows: Sequence[object]
    sums: Sums
    members: Sequence[str]
    measures: MeasureTables = field(default_factory=MeasureTables)
    details: Mapping[str, Any] = field(default_factory=dict)


def station_sums(output_dir: Path, names: Sequence[str]) -> Sums:
    """SHA-256 of what merging reads of each station, by its label image.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    names : sequence of str
        Output names of the stations.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    return {labels: sums_of(output_dir / labels) for labels in _labels(output_dir, names)}


def write_merged(
    output_dir: Path, name: str, result: MergedResult, config_hash: str
) -> MergedPaths:
    """Write label image, tables, map of the fat fraction and sidecar.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    name : str
        See :attr:`legseg_bids.bids.sets.StationSet.merged_name`.
    result : MergedResult
        What to write.
    config_hash : str
        Hash of everything that can change a label.

    Raises
    ------
    OutputError
        If a file cannot be written; the image then does not count as done.
    """
    paths = merged_paths(output_dir, name)
    table = table_text(result.rows)
    result.measures.texts()  # whatever is wrong with them, nothing has been touched yet
    remove_merged(paths)
    header = _header(result)
    write_labels(paths.labels, result.labels, header)
    write_measures(paths, result.measures, header, merged_provenance(list(result.sums)))
    write_text(paths.table, table)
    legseg = {
        "Version": __version__,
        "ConfigHash": config_hash,
        "Set": list(result.members),
        "StationSHA256": result.sums,
        **result.measures.told(),
        **result.details,
    }
    write_json(paths.sidecar, merged_sidecar(list(result.sums), legseg))
    return paths


def is_merged(
    output_dir: Path, name: str, stations: Sequence[str], members: Sequence[str], config_hash: str
) -> bool:
    """Tell whether these stations were merged before, as they are now.

    Parameters
    ----------
    output_dir, name
        As for :func:`write_merged`.
    stations, members : sequence of str
        Output names of the stations to merge, and of all stations of their set.
    config_hash : str
        Hash of everything that can change a label.
    """
    paths = merged_paths(output_dir, name)
    legseg = read_legseg(paths.sidecar)
    wanted = (paths.labels, paths.table, paths.figure, *wanted_measures(paths))
    return (
        all(path.is_file() for path in wanted)
        and not any(lost_map(paths, legseg))
        and legseg.get("ConfigHash") == config_hash
        and legseg.get("Set") == list(members)
        and holds(output_dir, legseg)
        and list(legseg["StationSHA256"]) == _labels(output_dir, stations)
    )


def holds(
    output_dir: Path, legseg: Mapping[str, Any], digest: Callable[[Path], str] = sha256
) -> bool:
    """Whether the stations' results are those that a merged image was made from.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    legseg : mapping
        From the sidecar of the merged image.
    digest : callable
        Gives the SHA-256 of a file; whoever remembers it need not read the file again.
    """
    try:
        return all(
            (output_dir / labels).is_file() and sums == sums_of(output_dir / labels, digest)
            for labels, sums in legseg["StationSHA256"].items()
        )
    except (KeyError, AttributeError, OSError):
        return False


def sums_of(labels: Path, digest: Callable[[Path], str] = sha256) -> dict[str, str]:
    """SHA-256 of what merging reads of a station, by its label image, automatic or corrected.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    stem = original_labels(labels).name.removesuffix("_dseg.nii.gz")
    confidence = labels.with_name(f"{stem}_desc-confidence_probseg.nii.gz")
    table = labels.with_name(f"{labels.name.removesuffix('.nii.gz')}.tsv")
    files = {"Labels": labels, "Confidence": confidence, "Table": table}
    fat = labels.with_name(f"{stem.removesuffix(f'_seg-{SEGMENTATION}')}{FAT_ENDING}")
    files |= {"FatFraction": fat} if fat.is_file() else {}
    return {role: digest(path) for role, path in files.items()}


def remove_merged(paths: MergedPaths) -> None:
    """Remove a merged image, its sidecar first.

    Raises
    ------
    OutputError
        If a file cannot be removed.
    """
    remove([paths.sidecar, *(path for path in vars(paths).values() if path != paths.sidecar)])


def _labels(output_dir: Path, names: Sequence[str]) -> list[str]:
    """Label images of stations, relative to the derivative, sorted."""
    paths = (output_paths(output_dir, name).labels for name in names)
    return sorted(path.relative_to(output_dir).as_posix() for path in paths)


def _header(result: MergedResult) -> Any:
    """Header of a grid that no source image has."""
    kind: Any = nib.Nifti1Header
    header = kind()
    header.set_data_shape(result.labels.shape)
    header.set_sform(result.affine, code=1)
    header.set_qform(result.affine, code=1, strip_shears=True)
    header.set_xyzt_units("mm", "sec")
    return header
