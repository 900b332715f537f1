"""The graph of one station and of a run: which step hands what to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import log_dir
from legseg_bids.bids.stations import Station
from legseg_bids.settings import GIB, Settings

STEPS = ("prepare", "locate", "segment", "merge", "measure", "write", "draw")


@dataclass(frozen=True)
class Networks:
    """Which networks a run uses, and what runs them.

    Attributes
    ----------
    folder : Path
        Where the model bundles are.
    engine, device : str
        Already decided: ``openvino`` or ``torch``; ``cpu``, ``cuda`` or ``cuda:N``.
    config_hash : str
        Changes with the version of the package and with any weight.
    """

    folder: Path
    engine: str
    device: str
    config_hash: str


def station_name(station: Station) -> str:
    """Name of a station's graph.

    Examples
    --------
    >>> from pathlib import Path
    >>> image = Path("/d/sub-1/anat/sub-1_T1w.nii.gz")
    >>> station_name(Station(Path("/d"), "1", None, "q", "opposed", {}, image, {}))
    'sub_1__T1w_wf'
    """
    return f"{station.identifier}_wf"


def init_station_wf(
    station: Station, settings: Settings, networks: Networks, run: str = "", name: str = ""
) -> Any:
    """Graph from the files of a station to its derivatives.

    Workflow Graph
    --------------
    prepare → locate → segment → merge → measure → write → draw

    Parameters
    ----------
    station : Station
        What to segment.
    settings : Settings
        Output folder, threads, memory, probabilities.
    networks : Networks
        What to segment it with.
    run : str
        Identifier of the run, for the sidecar.
    name : str
        Of the graph; by default :func:`station_name`.

    Inputs
    ------
    None: everything is set here.

    Outputs
    -------
    None: the ``write`` and ``draw`` nodes write to the output folder.
    """
    from nipype.pipeline.engine import Workflow

    workflow = Workflow(name=name or station_name(station))
    nodes = {node.name: node for node in _nodes(station, settings, networks, run)}
    links = [
        ("prepare", "prepared", ("locate", "segment", "merge", "measure", "write", "draw")),
        ("locate", "location", ("segment", "write")),
        ("segment", "candidates", ("merge", "write")),
        ("segment", "networks", ("write",)),
        ("merge", "labels", ("measure", "write", "draw")),
        ("measure", "measures", ("write",)),
        ("write", "sidecar", ("draw",)),
    ]
    if settings.write_probabilities:
        links.append(("segment", "probabilities", ("write",)))
    for source, field, targets in links:
        for target in targets:
            workflow.connect(nodes[source], field, nodes[target], field)
    _crash_into(workflow, log_dir(settings.output_dir, station.subject))
    return workflow


def init_legseg_wf(
    stations: Sequence[Station],
    settings: Settings,
    networks: Networks,
    work_dir: Path,
    run: str = "",
    name: str = "legseg_wf",
) -> Any:
    """Graph of a run: one :func:`init_station_wf` for each station, independent of the others.

    Parameters
    ----------
    stations : sequence of Station
        What to segment.
    settings, networks, run
        As for :func:`init_station_wf`.
    work_dir : Path
        Folder of the intermediate files.
    name : str
        Of the graph.
    """
    from nipype.pipeline.engine import Workflow

    workflow = Workflow(name=name, base_dir=str(work_dir))
    for station in stations:
        workflow.add_nodes([init_station_wf(station, settings, networks, run)])
    stop = str(settings.stop_on_first_crash).lower()
    workflow.config = {"execution": {"stop_on_first_crash": stop}}
    return workflow


def preload() -> None:
    """Import what the graph will need, while there is something to wait for."""
    import_module("nipype.pipeline.engine")
    for step in STEPS:
        import_module(f"legseg_bids.interfaces.{step}")


def _nodes(station: Station, settings: Settings, networks: Networks, run: str) -> list[Any]:
    """All nodes of a station with everything but what other nodes hand over."""
    from nipype.pipeline.engine import Node

    from legseg_bids.interfaces.draw import DrawOverlay
    from legseg_bids.interfaces.locate import LocateLimbs
    from legseg_bids.interfaces.measure import MeasureMuscles
    from legseg_bids.interfaces.merge import MergeLabels
    from legseg_bids.interfaces.prepare import PrepareImage
    from legseg_bids.interfaces.segment import SegmentRegions
    from legseg_bids.interfaces.write import WriteDerivatives

    files = [str(path) for path in station.files.values()]
    plain = station.as_dict()
    engine: dict[str, Any] = {
        "models_dir": str(networks.folder),
        "config_hash": networks.config_hash,
        "engine": networks.engine,
        "device": networks.device,
        "use_gpu": networks.device.startswith("cuda"),
        "num_threads": settings.omp_nthreads,
    }
    segment = SegmentRegions(
        title=station.stem,
        memory=settings.memory,
        keep_probabilities=settings.write_probabilities,
        **engine,
    )
    write = WriteDerivatives(
        station=plain,
        output_dir=str(settings.output_dir),
        config_hash=networks.config_hash,
        run=run,
    )
    draw = DrawOverlay(station=plain, output_dir=str(settings.output_dir))
    heavy: dict[str, Any] = {"n_procs": settings.omp_nthreads, "mem_gb": settings.memory / GIB}
    return [
        Node(PrepareImage(station=plain, in_files=files), name="prepare", mem_gb=0.5),
        Node(LocateLimbs(**engine), name="locate", mem_gb=0.5),
        Node(segment, name="segment", **heavy),
        Node(MergeLabels(), name="merge", mem_gb=0.5),
        Node(MeasureMuscles(), name="measure", mem_gb=0.3),
        Node(write, name="write", mem_gb=0.5),
        Node(draw, name="draw", mem_gb=0.3),
    ]


def _crash_into(workflow: Any, folder: Path) -> None:
    """Crash files of these nodes go to a folder (nipype's default is the current one)."""
    for name in workflow.list_node_names():
        workflow.get_node(name).config = {"execution": {"crashdump_dir": str(folder)}}
