"""What to do after the stations: which of them become one image, and the graph for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.bids.merged import is_merged
from legseg_bids.bids.names import log_dir
from legseg_bids.bids.sets import MergedPaths, StationSet, merged_paths
from legseg_bids.bids.stations import Station
from legseg_bids.imaging.stacks import Grid, common_grid, contradictions, gaps
from legseg_bids.settings import GIB, Settings

BYTES_PER_VOXEL = 26
"""Of the common grid: what is merged (10), and a station while it is read and added. Measured:
peaks of 0.47 GiB for 21 million voxels, 0.62 with fat fractions, 1.13 for 61 million."""

BASELINE_GB = 0.2

GridReader = Callable[[Path, Station], Grid]


@dataclass(frozen=True)
class MergePlan:
    """Stations that become one image.

    Attributes
    ----------
    members : StationSet
        The set, with those that are left out.
    stations : tuple of Station
        Two or more, by rising output name.
    warnings : tuple of str
        Who is left out and why, and where nothing was imaged.
    mem_gb : float
        What merging will need.
    """

    members: StationSet
    stations: tuple[Station, ...]
    warnings: tuple[str, ...] = ()
    mem_gb: float = BASELINE_GB

    @property
    def title(self) -> str:
        """The merged image, for a person."""
        return f"{self.members.place}: {len(self.stations)} stations merged"

    @property
    def workflow(self) -> str:
        """Name of its graph."""
        return f"{self.stations[0].identifier}_merged_wf"

    def paths(self, output_dir: Path) -> MergedPaths:
        """The files of the merged image."""
        return merged_paths(output_dir, self.members.merged_name)

    def is_done(self, output_dir: Path, config_hash: str) -> bool:
        """Whether these stations were merged before, as they are now."""
        return is_merged(
            output_dir,
            self.members.merged_name,
            [station.output_name for station in self.stations],
            [station.output_name for station in self.members.stations],
            config_hash,
        )


def plan_merge(
    members: StationSet, finished: Sequence[Station], output_dir: Path, read_grid: GridReader
) -> MergePlan | None:
    """Decide which stations of a set can be merged.

    Parameters
    ----------
    members : StationSet
        A set of any size.
    finished : sequence of Station
        Its stations that have a result.
    output_dir : Path
        Root of the derivative.
    read_grid : callable
        ``read_grid(output_dir, station)`` gives the canonical grid of a finished station.

    Returns
    -------
    MergePlan or None
        None if there are less than two stations whose positions agree.

    Raises
    ------
    ImageError
        If the stations span more than a leg.
    """
    if len(finished) < 2:
        return None
    ordered = sorted(finished, key=lambda station: station.output_name)
    names = [station.output_name for station in ordered]
    grids = [read_grid(output_dir, station) for station in ordered]
    pairs = contradictions(grids)
    apart = {number for pair in pairs for number in (pair.first, pair.second)}
    kept = [number for number in range(len(ordered)) if number not in apart]
    if len(kept) < 2:
        return None
    lost = [s.output_name for s in members.stations if s.output_name not in names]
    warnings = [f"{name} has no result and is left out of the merged image" for name in lost]
    warnings += [pair.says(names[pair.first], names[pair.second]) for pair in pairs]
    warnings += _gap_warnings([names[n] for n in kept], [grids[n] for n in kept])
    voxels = 1
    for size in common_grid([grids[n] for n in kept]).shape:
        voxels *= size
    needed = BASELINE_GB + BYTES_PER_VOXEL * voxels / GIB
    return MergePlan(members, tuple(ordered[n] for n in kept), tuple(warnings), needed)


def init_merging_wf(
    plans: Sequence[MergePlan],
    settings: Settings,
    config_hash: str,
    work_dir: Path,
    run: str = "",
    name: str = "merging_wf",
) -> Any:
    """Graph of merging: one step for each set, independent of the others.

    Parameters
    ----------
    plans : sequence of MergePlan
        What to merge.
    settings : Settings
        Output folder.
    config_hash : str
        Hash of everything that can change a label.
    work_dir : Path
        Folder of the intermediate files.
    run : str
        Identifier of the run, for the sidecar.
    name : str
        Of the graph.

    Outputs
    -------
    None: the ``join`` nodes write to the output folder.
    """
    from nipype.pipeline.engine import Node, Workflow

    from legseg_bids.interfaces.whole_leg import MergeStations

    workflow = Workflow(name=name, base_dir=str(work_dir))
    for plan in plans:
        inner = Workflow(name=plan.workflow)
        merge = MergeStations(
            stations=[station.as_dict() for station in plan.stations],
            members=[station.output_name for station in plan.members.stations],
            name=plan.members.merged_name,
            warnings=list(plan.warnings),
            output_dir=str(settings.output_dir),
            config_hash=config_hash,
            run=run,
        )
        node = Node(merge, name="join", mem_gb=plan.mem_gb)
        folder = log_dir(settings.output_dir, plan.members.subject)
        node.config = {"execution": {"crashdump_dir": str(folder)}}
        inner.add_nodes([node])
        workflow.add_nodes([inner])
    return workflow


def _gap_warnings(names: Sequence[str], grids: Sequence[Grid]) -> list[str]:
    """What lies between stations and was not imaged, and between which."""
    warnings = []
    for low, high in gaps(grids):
        below = next(n for n, grid in zip(names, grids, strict=True) if grid.extent[1] == low)
        above = next(n for n, grid in zip(names, grids, strict=True) if grid.extent[0] == high)
        warnings.append(
            f"{high - low:.0f} mm of the leg between {below} and {above} were not imaged; muscles "
            f"that run through have a smaller volume (truncated: gap)"
        )
    return warnings
