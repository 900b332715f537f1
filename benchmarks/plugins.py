#!/usr/bin/env python3
"""What nipype costs for each image, by plug-in: tiny images and networks, so little else remains.

    python benchmarks/plugins.py [--participants 6] [--ways calls Linear MultiProc SLURMGraph Dask]

Each way is a run with one participant and one with many; the difference, for each image, is what
an image costs, the rest is the start. The row "calls" is the same run with the same steps and the
same files between them, but each step is called directly, in the order of the graph, in one
process: what the other rows have more than that is nipype's. "segment_station" is the work on
arrays alone, in one call, without reading and writing.

SLURMGraph needs Slurm and a folder that its nodes see (--folder). Dask is ``hpc/legseg_dask.py``
with one local worker: a whole run of the application for each participant.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

STATIONS = 2
REPEATS = 3
ARGS: dict[str, dict[str, Any]] = {
    "Linear": {},
    "MultiProc": {"n_procs": 2},
    "SLURMGraph": {"sbatch_args": "--mem=1500M --cpus-per-task=1", "poll_sleep_duration": 0.5},
}
WAYS = ("calls", *ARGS, "Dask")


def call_steps(_plugin: Any, graph: Any, *_args: Any, **_more: Any) -> None:
    """Stand in for ``LinearPlugin.run``: call the steps, and keep no books."""
    import networkx as nx

    results: dict[Any, Any] = {}
    for node in nx.topological_sort(graph):
        for before, _, edge in graph.in_edges(node, data=True):
            for output, wanted in edge["connect"]:
                value = getattr(results[before].outputs, output)
                setattr(node.interface.inputs, wanted, value)
        folder = Path(node.output_dir())
        folder.mkdir(parents=True, exist_ok=True)
        results[node] = node.interface.run(cwd=str(folder))


def run_calls(words: list[str]) -> int:
    """Run the application with :func:`call_steps` in the place of nipype's engine."""
    from nipype.pipeline.plugins.linear import LinearPlugin

    from legseg_bids.cli.main import main as legseg

    LinearPlugin.run = call_steps
    return legseg(words)


def command(way: str, folder: Path, bids: Path, output: Path) -> list[str]:
    """The command line of a way."""
    options = ["--skip-bids-validation", "--models", str(folder / "models"), "--device", "cpu"]
    options += ["-w", str(folder / f"work-{output.name}")]
    if way == "Dask":
        legseg = folder / "legseg"
        legseg.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "run.py"} "$@"\n')
        legseg.chmod(0o755)
        words = [
            str(ROOT / "hpc/legseg_dask.py"),
            str(bids),
            str(output),
            "--program",
            str(legseg),
        ]
        return [*words, "--workers", "1", "--cpus", "1", "--", *options]
    options += ["--omp-nthreads", "1", "--nprocs", "1"]
    words = [str(bids), str(output), "participant", *options]
    if way == "calls":
        return [__file__, "--calls", *words]
    file = folder / f"{way}.json"
    file.write_text(json.dumps({"plugin": way, "plugin_args": ARGS[way]}))
    return [str(ROOT / "run.py"), *words, "--use-plugin", str(file)]


class Cost(NamedTuple):
    """Seconds by the clock, and seconds of the processors (of Slurm's jobs: not known)."""

    wall: float
    busy: float


def cost(way: str, folder: Path, participants: int) -> Cost:
    """What a run costs, the least of some."""
    from study import write_study

    bids = folder / f"bids-{participants}"
    if not bids.exists():
        write_study(bids, participants, broken=0)
    runs = []
    for number in range(1 if way == "SLURMGraph" else REPEATS):
        output = folder / f"{way}-{participants}-{number}"
        runs.append(run([sys.executable, *command(way, folder, bids, output)]))
        tables = len(list(output.glob("sub-*/anat/*_chunk-?_seg-muscles_dseg.tsv")))
        if tables != participants * STATIONS:
            sys.exit(f"{way}: {tables} tables; expected {participants * STATIONS}")
    return Cost(*(min(values) for values in zip(*runs, strict=True)))


def run(words: list[str]) -> Cost:
    """Run a command that must succeed."""
    begun = time.monotonic()
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, env=environment, **quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    return Cost(time.monotonic() - begun, usage.ru_utime + usage.ru_stime)


def segment_alone(folder: Path) -> Cost:
    """``segment_station`` of one of the images, the start of the networks included."""
    import nibabel as nib
    import numpy as np

    from legseg_bids.imaging.volume import Volume
    from legseg_bids.segment.pipeline import segment_station
    from legseg_bids.settings import Settings

    image = nib.load(next((folder / "bids-1").rglob("*.nii.gz")))
    volume = Volume(np.asanyarray(image.dataobj), image.affine)
    settings = Settings(folder, folder, models_dir=folder / "models", engine="openvino")
    runs = []
    for _ in range(1 + REPEATS):
        begun, busy = time.monotonic(), time.process_time()
        segment_station(volume, settings)
        runs.append((time.monotonic() - begun, time.process_time() - busy))
    return Cost(*(min(values) for values in zip(*runs[1:], strict=True)))


def image_of(few: Cost, many: Cost, images: int) -> Cost:
    """What one image costs, of a run with few and one with so many more."""
    return Cost(*((y - x) / images for x, y in zip(few, many, strict=True)))


def row(way: str, few: Cost, image: Cost, calls: Cost | None) -> str:
    """A line of the table: start, image, and how many times that of direct calls."""
    columns = []
    for name in Cost._fields:
        each = getattr(image, name)
        start = getattr(few, name) - STATIONS * each
        times = f"{each / getattr(calls, name):.2f}x" if calls else ""
        columns.append(f"{start:7.2f} {each:7.2f} {times:>7}")
    return f"{way:16} {'   '.join(columns)}"


def main(words: list[str]) -> int:
    """Run one participant and many each way, and tell the difference for each image."""
    if words[:1] == ["--calls"]:
        return run_calls(words[1:])
    from tiny_models import write_models

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--participants", type=int, default=6)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS[:3])
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args(words)
    calls = None
    with tempfile.TemporaryDirectory(prefix="legseg-plugins-", dir=args.folder) as name:
        home = Path(name)
        write_models(home / "models")
        print(f"{'':16} {'seconds':^23}   {'seconds of processors':^23}")
        print(f"{'way':16} {'   '.join(['  start   image        '] * 2)}")
        for way in args.ways:
            few, many = (cost(way, home, n) for n in (1, 1 + args.participants))
            image = image_of(few, many, args.participants * STATIONS)
            calls = image if way == "calls" else calls
            print(row(way, few, image, calls), flush=True)
        alone = segment_alone(home)
        print(row("segment_station", Cost(*(STATIONS * each for each in alone)), alone, calls))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
