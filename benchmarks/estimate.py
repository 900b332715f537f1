#!/usr/bin/env python3
"""What a large study costs on a cluster: node hours, storage, files, queue; the arithmetic.

    python benchmarks/estimate.py [--participants 10000] [--stations 2] [--output DIR]

With --output, the derivative of a run is measured, and files and bytes for each participant are
taken from it. Without it, what was measured on two stations of 320 x 320 x 31 voxels for each
participant stands in for it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from legseg_bids.cli.hpc import PLACE
from legseg_bids.cli.slurm import TABLE, Cost, cost_for, find_hpc_dir, load_costs

BLOCK = 4096


@dataclass(frozen=True)
class Footprint:
    """What one participant leaves behind: files, folders, bytes, bytes in whole blocks."""

    files: float
    folders: float
    size: float
    blocks: float


#: Two stations of 320 x 320 x 31 voxels, merged, from ``benchmarks/resources.py``; and the notes
#: and the log of a task.
PILOT = Footprint(files=43.0, folders=4.0, size=6.32e6, blocks=6.42e6)


def measure(output: Path) -> Footprint:
    """Mean of all participants of a derivative; what the group level wrote is left out."""
    participants = [path for path in output.glob("sub-*") if path.is_dir()]
    logs = [output / "logs" / path.name for path in participants]
    paths = [p for top in (*participants, *logs, output / PLACE) for p in (top, *top.rglob("*"))]
    paths += [path.with_name(f"{path.name}.html") for path in participants]
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    count = len(participants)
    return Footprint(
        files=len(sizes) / count,
        folders=sum(path.is_dir() for path in paths) / count,
        size=sum(sizes) / count,
        blocks=sum(-(-size // BLOCK) * BLOCK for size in sizes) / count,
    )


def report(
    participants: int,
    stations: int,
    cost: Cost,
    group: Cost,
    footprint: Footprint,
    tasks: int,
    share: float,
) -> list[str]:
    """Lines for a person.

    Parameters
    ----------
    participants, stations : int
        Of the study; stations of each participant.
    cost, group : Cost
        What was measured, from ``hpc/resources.tsv``.
    footprint : Footprint
        Of one participant.
    tasks : int
        At a time.
    share : float
        Of participants that have to run a second time.
    """
    one = cost.seconds(stations)
    hours = participants * (1 + share) * one / 3600
    request = cost.request(stations)
    fit = per_node(cost.cpus, request.memory_mb)
    inodes = footprint.files + footprint.folders
    table = {
        "a participant": f"{cost.base_seconds:g} s + {stations} x {cost.each_seconds:g} s = "
        f"{one:g} s on {cost.cpus} processors",
        f"all, {share:.0%} twice": f"{participants * (1 + share):.0f} x {one:g} s = "
        f"{hours:.1f} h of a task = {hours * cost.cpus:.1f} core hours",
        "asked for": f"{request.memory_mb} MB and {request.minutes} min a task",
        f"{tasks} at a time": f"{hours / tasks:.2f} h; {tasks * request.memory_mb / 1024:.0f} GB",
        "nodes of 64, 256 GB": f"{fit} tasks each; {hours / fit:.2f} node hours",
        "storage": f"{participants} x {footprint.size / 1e6:.2f} MB = "
        f"{participants * footprint.size / 1e9:.1f} GB "
        f"({participants * footprint.blocks / 1e9:.1f} GB in blocks of 4 kB)",
        "group table": f"{group.seconds(participants):.0f} s, "
        f"{group.base_mib + participants * group.each_mib:.0f} MiB",
        "inodes": f"{participants} x {inodes:.0f} = {participants * inodes:.0f}",
    }
    return [f"{name:20} {text}" for name, text in table.items()]


def per_node(cpus: int, memory_mb: int) -> int:
    """Tasks that fit on a node of 64 processors and 256 GB, of which 8 are the system's."""
    return min(64 // cpus, 248 * 1024 // memory_mb)


def main() -> int:
    """Print the estimate."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--participants", type=int, default=10_000)
    parser.add_argument("--stations", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=50, help="at a time")
    parser.add_argument("--again", type=float, default=0.02, help="share that runs twice")
    parser.add_argument("--output", type=Path, help="derivative of a pilot")
    args = parser.parse_args()
    costs = load_costs(find_hpc_dir() / TABLE)
    cost, group = cost_for(costs["participant"], args.cpus), cost_for(costs["group"], 1)
    footprint = measure(args.output) if args.output else PILOT
    print(f"for each participant: {footprint}")
    for line in report(
        args.participants, args.stations, cost, group, footprint, args.tasks, args.again
    ):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
