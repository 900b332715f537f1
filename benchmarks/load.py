#!/usr/bin/env python3
"""A study of 200 participants with two stations each and 5 % broken images, run to its end.

    python benchmarks/load.py [--participants 200] [--nprocs 2] [--folder DIR]

Volumes are tiny and the networks label by brightness, so what is measured is the application
itself: discovery, the graph, files, logs. It says what is wrong (and exits with 1), the time,
the memory of the main process over time, and its open files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from study import Load, problems, run_study, write_study
from tiny_models import write_models

MIB = 1024**2
BROKEN_SHARE = 0.05
MOST_GROWTH = 0.1
"""MiB for each image by which the main process may grow."""


def table(load: Load, rows: int = 12) -> str:
    """Time, memory and open files, at a few moments."""
    lines = ["  seconds  main MiB  all MiB  open files"]
    step = max(1, len(load.samples) // rows)
    lines += [
        f"  {s.seconds:7.1f}  {s.resident / MIB:8.1f}  {s.everybody / MIB:7.1f}"
        f"  {s.descriptors:10d}"
        for s in load.samples[::step]
    ]
    return "\n".join(lines)


def main() -> int:
    """Build, run, check, tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--participants", type=int, default=200)
    parser.add_argument("--nprocs", default="2")
    parser.add_argument("--folder", type=Path, help="keep everything here")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="legseg-load-"))
    folder.mkdir(parents=True, exist_ok=True)
    models = write_models(folder / "models")
    broken = round(2 * args.participants * BROKEN_SHARE)
    study = write_study(folder / "bids", args.participants, broken)
    output = folder / "out"
    load = run_study(study, output, models, "--nprocs", args.nprocs, "--omp-nthreads", "1")
    images = 2 * args.participants
    growth = load.growth() * load.seconds / images / MIB
    print(load.lines[-1] if load.lines else load.progress[-2000:])
    print(f"{images} images in {load.seconds:.0f} s ({load.seconds / images:.2f} s each)")
    print(table(load))
    print(f"main process: {growth:+.3f} MiB for each image")
    wrong = problems(study, load, output)
    if growth > MOST_GROWTH:
        wrong.append(f"memory grows by {growth:.3f} MiB an image, expected {MOST_GROWTH} at most")
    begun = time.monotonic()
    again = run_study(study, output, models, "--nprocs", args.nprocs, "--omp-nthreads", "1")
    print(f"again, with nothing but broken images to do: {time.monotonic() - begun:.1f} s")
    print(again.lines[-1] if again.lines else again.progress[-2000:])
    for line in wrong:
        print(f"WRONG: {line}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
