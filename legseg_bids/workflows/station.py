"""The graph of one station, of a set and of a run: which step hands what to which."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import log_dir
from legseg_bids.bids.sets import StationSet
from legseg_bids.bids.stations import Station
from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.memory import mem_gb, voxels_of

STEPS = ("prepare", "classify", "locate", "segment", "merge", "measure", "write", "draw")
LOOKING = STEPS[:2]
"""The steps of a station that is done, but whose neighbours are not: they need its view."""


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
    station: Station,
    settings: Settings,
    networks: Networks,
    run: str = "",
    name: str = "",
) -> Any:
    """Graph from the files of a station that is alone to its derivatives.

    Workflow Graph
    --------------
    prepare → classify → locate → segment → merge → measure → write → draw

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
    nodes = _nodes(station, settings, networks, run)
    for source, field, target, wanted in _links(settings):
        workflow.connect(nodes[source], field, nodes[target], wanted)
    _crash_into(workflow, log_dir(settings.output_dir, station.subject))
    return workflow


def init_set_wf(
    members: StationSet,
    settings: Settings,
    networks: Networks,
    run: str = "",
    todo: Container[str] | None = None,
) -> Any:
    """Graph of a set of stations, which meet where they are located.

    Workflow Graph
    --------------
    look (prepare → classify, each station) → gather → label (locate → … → draw, each to do)

    Parameters
    ----------
    members : StationSet
        Two stations or more.
    settings, networks, run
        As for :func:`init_station_wf`.
    todo : container of str or None
        Output names of the stations to segment; None means all. The others, which are done, are
        only looked at, because their neighbours need it.

    Outputs
    -------
    None: the ``write`` and ``draw`` nodes write to the output folder.
    """
    from nipype.interfaces.utility import Merge
    from nipype.pipeline.engine import Node, Workflow

    workflow = Workflow(name=set_name(members))
    look, label = Workflow(name="look"), Workflow(name="label")
    gather = Node(Merge(len(members.stations)), name="gather")
    for number, station in enumerate(members.stations, start=1):
        name = station_name(station)
        nodes = _nodes(station, settings, networks, run)
        looking = Workflow(name=name)
        looking.connect(nodes["prepare"], "prepared", nodes["classify"], "prepared")
        look.add_nodes([looking])
        workflow.connect(look, f"{name}.classify.view", gather, f"in{number}")
        if todo is not None and station.output_name not in todo:
            continue
        labelling = Workflow(name=name)
        label.add_nodes([labelling])
        labelling.add_nodes([node for step, node in nodes.items() if step not in LOOKING])
        workflow.connect(gather, "out", label, f"{name}.locate.views")
        for source, field, target, wanted in _links(settings):
            if target in LOOKING or source == "classify":
                continue
            if source in LOOKING:
                start, end = f"{name}.{source}.{field}", f"{name}.{target}.{wanted}"
                workflow.connect(look, start, label, end)
            else:
                labelling.connect(nodes[source], field, nodes[target], wanted)
    _crash_into(workflow, log_dir(settings.output_dir, members.subject))
    return workflow


def init_legseg_wf(
    sets: Sequence[StationSet],
    settings: Settings,
    networks: Networks,
    work_dir: Path,
    run: str = "",
    name: str = "legseg_wf",
    todo: Container[str] | None = None,
) -> Any:
    """Graph of a run: sets of stations, independent of each other.

    One :func:`init_set_wf` for each set, or :func:`init_station_wf` for a station that is alone.

    Parameters
    ----------
    sets : sequence of StationSet
        What to look at.
    settings, networks, run
        As for :func:`init_station_wf`.
    work_dir : Path
        Folder of the intermediate files.
    name : str
        Of the graph.
    todo : container of str or None
        Output names of the stations to segment; None means all. A set without any is left out.
    """
    from nipype.pipeline.engine import Workflow

    workflow = Workflow(name=name, base_dir=str(work_dir))
    for members in sets:
        names = [station.output_name for station in members.stations]
        if todo is not None and not any(name in todo for name in names):
            continue
        if len(names) == 1:
            inner = init_station_wf(members.stations[0], settings, networks, run)
        else:
            inner = init_set_wf(members, settings, networks, run, todo)
        workflow.add_nodes([inner])
    stop = str(settings.stop_on_first_crash).lower()
    workflow.config = {"execution": {"stop_on_first_crash": stop}}
    return workflow


def set_name(members: StationSet) -> str:
    """Name of the graph of a set."""
    return f"{members.stations[0].identifier}_set_wf"


def station_folders(home: Path, members: StationSet, station: Station) -> tuple[Path, ...]:
    """Where the steps of a station keep their files.

    Parameters
    ----------
    home : Path
        Folder of the graph of :func:`init_legseg_wf`.
    members : StationSet
        The station's set.
    station : Station
    """
    name = station_name(station)
    if len(members.stations) == 1:
        return (home / name,)
    return home / set_name(members) / "look" / name, home / set_name(members) / "label" / name


def preload() -> None:
    """Import what the graph will need, while there is something to wait for."""
    import_module("nipype.pipeline.engine")
    for step in STEPS:
        import_module(f"legseg_bids.interfaces.{step if step != 'prepare' else 'tolerant'}")


def _links(settings: Settings) -> list[tuple[str, str, str, str]]:
    """What each step hands to which: step, output, step, input."""
    table = [
        ("prepare", "prepared", ("classify", "segment", "merge", "measure", "write", "draw")),
        ("classify", "view", ("locate",)),
        ("locate", "location", ("segment", "write")),
        ("locate", "neighbours", ("write",)),
        ("segment", "candidates", ("merge", "write")),
        ("segment", "networks", ("write",)),
        ("merge", "labels", ("measure", "write", "draw")),
        ("measure", "measures", ("write",)),
        ("write", "sidecar", ("draw",)),
    ]
    if settings.write_probabilities:
        table.append(("segment", "probabilities", ("write",)))
    return [
        (source, field, target, "views" if field == "view" else field)
        for source, field, targets in table
        for target in targets
    ]


def _nodes(station: Station, settings: Settings, networks: Networks, run: str) -> dict[str, Any]:
    """All nodes of a station with everything but what other nodes hand over."""
    from nipype.pipeline.engine import Node

    from legseg_bids.interfaces.classify import ClassifySlices
    from legseg_bids.interfaces.draw import DrawOverlay
    from legseg_bids.interfaces.locate import LocateLimbs
    from legseg_bids.interfaces.measure import MeasureMuscles
    from legseg_bids.interfaces.merge import MergeLabels
    from legseg_bids.interfaces.segment import SegmentRegions
    from legseg_bids.interfaces.tolerant import TryToPrepare
    from legseg_bids.interfaces.write import WriteDerivatives

    plain = station.as_dict()
    voxels = voxels_of(station.files.values())
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
    nodes = [
        Node(TryToPrepare(station=plain), name="prepare", mem_gb=mem_gb("prepare", voxels)),
        Node(
            ClassifySlices(station=plain, **engine),
            name="classify",
            mem_gb=mem_gb("classify", voxels),
        ),
        Node(LocateLimbs(station=plain), name="locate", mem_gb=mem_gb("locate", voxels)),
        Node(segment, name="segment", **heavy),
        Node(MergeLabels(), name="merge", mem_gb=mem_gb("merge", voxels)),
        Node(MeasureMuscles(), name="measure", mem_gb=mem_gb("measure", voxels)),
        Node(write, name="write", mem_gb=mem_gb("write", voxels)),
        Node(draw, name="draw", mem_gb=mem_gb("draw", voxels)),
    ]
    return {node.name: node for node in nodes}


def _crash_into(workflow: Any, folder: Path) -> None:
    """Crash files of these nodes go to a folder (nipype's default is the current one)."""
    for name in workflow.list_node_names():
        workflow.get_node(name).config = {"execution": {"crashdump_dir": str(folder)}}
