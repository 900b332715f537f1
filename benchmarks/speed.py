#!/usr/bin/env python3
"""Seconds and peak memory of every step, for one two-limb station of 320 x 320 x 31 voxels.

    python benchmarks/speed.py [--threads 2] [--image IMAGE.nii.gz]

The station is the sample thighs brought to 1.5 x 1.5 x 6 mm, or an image of your own. First each
step alone, in this process, with the share of the time that is not the network; then the whole
command, imports and writing included, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE = REPOSITORY / "tests/data/sample/sub-01/anat/sub-01_acq-outphase_chunk-1_T1w.nii.gz"
SHAPE, SPACING = (320, 320, 31), (1.5, 1.5, 6.0)


def station(image: Path | None) -> nib.nifti1.Nifti1Image:
    """The image that is timed."""
    from scipy.ndimage import affine_transform

    if image is not None:
        return nib.load(image)
    source = nib.load(SAMPLE)
    data, zooms = source.get_fdata(), source.header.get_zooms()[:3]
    scale = np.array(SPACING) / zooms
    middle = (np.array(data.shape) - 1) / 2 - scale * (np.array(SHAPE) - 1) / 2
    out = affine_transform(data, scale, middle, SHAPE, order=1)
    affine = np.diag([*SPACING, 1.0])
    return nib.nifti1.Nifti1Image(out.round().astype(np.int16), affine)


class PeakMemory(threading.Thread):
    """Largest resident memory of this process, looked at every 5 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.going = 0, True

    def run(self) -> None:
        """Look until told to stop."""
        page = os.sysconf("SC_PAGE_SIZE")
        while self.going:
            text = Path("/proc/self/statm").read_text()
            self.peak = max(self.peak, int(text.split()[1]) * page)
            time.sleep(0.005)


def steps(image: nib.nifti1.Nifti1Image, threads: int) -> None:
    """Print the time of each step, the first and the second time."""
    from legseg_bids.imaging.volume import Volume
    from legseg_bids.segment.pipeline import segment_station
    from legseg_bids.settings import Settings

    settings = Settings(Path("-"), Path("-"), engine="openvino", omp_nthreads=threads)
    volume = Volume(np.asanyarray(image.dataobj), image.affine)
    watch = PeakMemory()
    watch.start()
    runs = [dict(segment_station(volume, settings).seconds) for _ in range(2)]
    watch.going = False
    print(f"{'step':16} {'first':>8} {'second':>8}   seconds")
    for step in runs[0]:
        print(f"{step:16} {runs[0][step]:8.2f} {runs[1].get(step, 0.0):8.2f}")
    for name, run in zip(("first", "second"), runs, strict=True):
        total = sum(run.values())
        rest = 1 - run.get("network", 0.0) / total
        print(f"{name + ' total':16} {total:8.2f}   {rest:.0%} of it is not the network")
    print(f"peak memory of this process {watch.peak / 1e6:.0f} MB")


def whole_command(image: nib.nifti1.Nifti1Image, threads: int) -> None:
    """Print time and peak memory of the command from start to finished derivative."""
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "out"
        anat = raw / "sub-01" / "anat"
        anat.mkdir(parents=True)
        description = {"Name": "speed", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
        (raw / "dataset_description.json").write_text(json.dumps(description))
        nib.save(image, anat / "sub-01_acq-outphase_T1w.nii.gz")
        (anat / "sub-01_acq-outphase_T1w.json").write_text("{}")
        command = [
            sys.executable,
            str(REPOSITORY / "run.py"),
            str(raw),
            str(out),
            "participant",
            "--skip-bids-validation",
            "--nprocs",
            "1",
            "--omp-nthreads",
            str(threads),
        ]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(
            f"whole command   {seconds:8.2f} s, peak {peak / 1e6:.0f} MB, "
            f"exit code {done.returncode}"
        )
        if done.returncode:
            print(done.stdout, done.stderr)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, str(REPOSITORY / "run.py"), "--help"], capture_output=True, check=True
    )
    print(f"--help          {time.perf_counter() - start:8.2f} s")


def main() -> int:
    """Time the steps, then the whole command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--image", type=Path)
    options = parser.parse_args()
    image = station(options.image)
    print(f"image {image.shape}, {options.threads} thread(s)")
    steps(image, options.threads)
    whole_command(image, options.threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
