#!/usr/bin/env python3
"""What nipype costs for each image, by plug-in: tiny images and networks, so little else remains.

    python benchmarks/plugins.py [--participants 6] [--plugins Linear MultiProc SLURMGraph]

What is printed is all time: the little work itself, the same for all, and what the plug-in adds:
scheduling, files between steps, and the start of workers or jobs. So compare rows with each other.
SLURMGraph needs Slurm and a folder that its nodes see (--folder).
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from study import write_study
from tiny_models import write_models

ROOT = Path(__file__).resolve().parents[1]
STATIONS = 2
ARGS = {
    "Linear": {},
    "MultiProc": {"n_procs": 2},
    "SLURMGraph": {"sbatch_args": "--mem=1500M --cpus-per-task=1", "poll_sleep_duration": 0.5},
}


def seconds(folder: Path, participants: int, plugin: str) -> float:
    """Wall time of a run of the application, validation left out."""
    study = write_study(folder / f"bids-{participants}", participants, broken=0)
    file = folder / f"{plugin}.json"
    file.write_text(json.dumps({"plugin": plugin, "plugin_args": ARGS[plugin]}))
    words = [study.root, folder / f"out-{plugin}-{participants}", "participant"]
    words += ["--skip-bids-validation", "--models", folder / "models", "--device", "cpu"]
    words += ["--use-plugin", file, "--omp-nthreads", "1", "-w", folder / f"work-{plugin}"]
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, ROOT / "run.py", *words],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return time.monotonic() - begun


def main() -> int:
    """Run one participant and many, and tell the difference for each image."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--participants", type=int, default=6)
    parser.add_argument("--plugins", nargs="+", choices=ARGS, default=["Linear", "MultiProc"])
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="legseg-plugins-", dir=args.folder))
    write_models(home / "models")
    print(f"{'plug-in':12} {'start':>7} {'image':>7}   seconds")
    for plugin in args.plugins:
        few, many = (seconds(home, n, plugin) for n in (1, 1 + args.participants))
        image = (many - few) / (args.participants * STATIONS)
        print(f"{plugin:12} {few - STATIONS * image:7.2f} {image:7.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
