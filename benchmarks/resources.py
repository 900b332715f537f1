#!/usr/bin/env python3
"""Measure ``hpc/resources.tsv``: start, time and peak memory of a station, by threads.

    python benchmarks/resources.py [--threads 1 2 4] [--keep DIR]

Stations are those of the sample brought to 320 x 320 x 31 voxels of 1.5 x 1.5 x 6 mm. A run with
one participant of one station, and a run with one of two, tell start and station apart; merging
is counted to the station. The fastest of five runs counts. The row of the group is from
``benchmarks/group.py``. Run it on an idle machine with at least as many processors as threads.
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

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "tests/data/sample/sub-01/anat"
REPEATS = 5
SHAPE, SPACING = (320, 320, 31), (1.5, 1.5, 6.0)


def write_dataset(root: Path, stations: int) -> Path:
    """One participant with thighs, or thighs and calves."""
    anat = root / "sub-01" / "anat"
    anat.mkdir(parents=True)
    facts = {"Name": "resources", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (root / "dataset_description.json").write_text(json.dumps(facts))
    for source in sorted(SAMPLE.glob("*.nii.gz"))[:stations]:
        image = nib.load(source)
        scale = np.array(SPACING) / image.header.get_zooms()[:3]
        start = (np.array(image.shape) - 1) / 2 - scale * (np.array(SHAPE) - 1) / 2
        data = affine_transform(image.get_fdata(), scale, start, SHAPE, order=1)
        affine = image.affine @ np.diag([*scale, 1.0])
        affine[:3, 3] += image.affine[:3, :3] @ start
        nib.save(nib.nifti1.Nifti1Image(data.round().astype(np.int16), affine), anat / source.name)
        sidecar = source.with_name(source.name.replace(".nii.gz", ".json"))
        (anat / sidecar.name).write_text(sidecar.read_text())
    return root


def run(bids: Path, output: Path, threads: int) -> tuple[float, float]:
    """Seconds, and MiB of the process at its largest."""
    words = [bids, output, "participant", "--skip-bids-validation", "--device", "cpu"]
    words += ["--nprocs", str(threads), "--omp-nthreads", str(threads)]
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"legseg ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def main() -> int:
    """Print the rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--keep", type=Path, help="keep datasets and outputs here")
    args = parser.parse_args()
    home = args.keep or Path(tempfile.mkdtemp(prefix="legseg-resources-"))
    one, two = (write_dataset(home / f"bids-{n}", n) for n in (1, 2))
    print("level\tcpus\tbase_mib\teach_mib\tbase_seconds\teach_seconds")
    for threads in args.threads:
        first, _ = min(run(one, home / f"out-1-{threads}-{n}", threads) for n in range(REPEATS))
        both, peak = min(run(two, home / f"out-2-{threads}-{n}", threads) for n in range(REPEATS))
        station = both - first
        row = (threads, f"{peak:.0f}", 0, f"{max(first - station, 0):.1f}", f"{station:.1f}")
        print("participant", *row, sep="\t", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
