"""All settings of one run, in one frozen dataclass that is passed explicitly."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

GIB = 1024**3


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do.

    Attributes
    ----------
    bids_dir, output_dir : Path
        The dataset that is read and the derivative that is written.
    work_dir : Path or None
        Where intermediate files go; ``None`` means a private temporary folder.
    participants, sessions : tuple of str
        Labels without ``sub-``/``ses-``; empty means all.
    models_dir : Path or None
        Folder of the model bundles; ``None`` means those shipped.
    engine : str
        ``auto``, ``openvino`` or ``torch``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    nprocs, omp_nthreads : int
        Processes at a time; threads of each.
    memory : int
        Ceiling for one process, bytes.
    overwrite, write_probabilities, merge_stations, write_reports : bool
        Segment what is done already; write a map for each label; join the stations of a
        session into one image of the whole leg; write a page for each participant.
    filter_file : Path or None
        Which files a query may take (``--bids-filter-file``).
    stop_on_first_crash, clean_workdir : bool
        Stop at the first image that fails; remove the intermediate files of what succeeded.
    plugin_file : Path or None
        How nipype is to run the graph (``--use-plugin``).
    write_graph, resource_monitor : bool
        Draw the graph; record time, memory and processor of each step. Both go to the logs.
    random_seed : int or None
        Recorded only: no label depends on a random number.
    """

    bids_dir: Path
    output_dir: Path
    work_dir: Path | None = None
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    models_dir: Path | None = None
    engine: str = "auto"
    device: str = "auto"
    nprocs: int = 1
    omp_nthreads: int = 1
    memory: int = 2 * GIB
    overwrite: bool = False
    write_probabilities: bool = False
    skip_bids_validation: bool = False
    stop_on_first_crash: bool = False
    merge_stations: bool = True
    write_reports: bool = True
    filter_file: Path | None = None
    clean_workdir: bool = False
    plugin_file: Path | None = None
    write_graph: bool = False
    resource_monitor: bool = False
    random_seed: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for TOML or JSON (``None`` left out)."""
        return {
            key: str(value) if isinstance(value, Path) else value
            for key, value in asdict(self).items()
            if value is not None
        }


def config_hash(version: str, model_sums: dict[str, str]) -> str:
    """Short hash of everything that can change a label.

    Memory, threads and paths are left out on purpose: they do not change the result.

    Parameters
    ----------
    version : str
        Version of the package.
    model_sums : dict
        SHA-256 of each model file, by name.

    Examples
    --------
    >>> config_hash("0.1.0", {"thigh": "aa"}) == config_hash("0.1.0", {"thigh": "ab"})
    False
    """
    text = json.dumps({"version": version, "models": model_sums}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
