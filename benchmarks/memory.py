#!/usr/bin/env python3
"""Peak memory of every step for stations of several sizes, and bytes a voxel.

    python benchmarks/memory.py [--sizes 128x64x20 320x320x31] [--threads 1] [--write]

The stations are the sample thighs (opposed phase, water and fat) brought to each size. Each step
runs in a fresh process, as a worker does that has done nothing before; its peak is what the
kernel says of that process, imports included. A line is fitted to the peaks over the number of
voxels and lies above all of them. ``--write`` puts it into ``workflows/data/memory.tsv``, from
which the graph declares what each step needs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE = REPOSITORY / "legseg_bids/workflows/data/memory.tsv"
SAMPLE = REPOSITORY / "tests/data/sample/sub-02/anat"
SIZES = ("128x64x20", "192x96x31", "256x256x31", "320x320x40", "512x384x48")
FIELD_OF_VIEW = (480.0, 240.0, 360.0)
MIB = 1024**2

Peaks = dict[str, list[tuple[int, float]]]


def dataset(root: Path, shape: tuple[int, int, int]) -> Path:
    """A dataset of one station with three images of this shape."""
    water, fat = (_resized(SAMPLE / f"sub-02_acq-dixon{role}_chunk-1_T1w.nii.gz", shape)
                  for role in ("water", "fat"))  # fmt: skip
    anat = root / "sub-01" / "anat"
    anat.mkdir(parents=True)
    description = {"Name": "memory", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    affine = np.diag([a / b for a, b in zip(FIELD_OF_VIEW, shape, strict=True)] + [1.0])
    images = {"outphase": abs(water - fat), "water": water, "fat": fat}
    for role, data in images.items():
        image = nib.nifti1.Nifti1Image(data.round().astype(np.int16), affine)
        image.header.set_xyzt_units("mm", "sec")
        nib.save(image, anat / f"sub-01_acq-{role}_T1w.nii.gz")
        (anat / f"sub-01_acq-{role}_T1w.json").write_text("{}")
    return root


def _resized(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    from scipy.ndimage import affine_transform

    data = nib.load(path).get_fdata(dtype=np.float32)
    scale = np.array(data.shape) / np.array(shape)
    return affine_transform(data, scale, scale / 2 - 0.5, shape, order=1)


def graph(bids: Path, work: Path, threads: int) -> Any:
    """The graph of the only station, with the shipped networks."""
    from legseg_bids.bids.dataset import index
    from legseg_bids.bids.description import write_dataset_files
    from legseg_bids.bids.discover import discover
    from legseg_bids.bids.places import prepare_output
    from legseg_bids.bids.sets import find_sets
    from legseg_bids.imaging.dixon import choose_opposed_echo
    from legseg_bids.settings import Settings
    from legseg_bids.workflows.nipype_settings import configure_nipype
    from legseg_bids.workflows.run import choose_networks
    from legseg_bids.workflows.station import init_legseg_wf

    configure_nipype()
    settings = Settings(bids, work / "out", engine="openvino", omp_nthreads=threads)
    prepare_output(settings.output_dir)
    write_dataset_files(settings.output_dir, bids)
    stations = discover(index(bids), choose_opposed_echo).stations
    if [len(station.files) for station in stations] != [3]:
        sys.exit(f"expected one station of three images, found {stations}")
    return init_legseg_wf(find_sets(stations), settings, choose_networks(settings), work)


class FreshProcesses:
    """A plug-in for nipype that runs each step in a process of its own, and weighs it."""

    def __init__(self, threads: int) -> None:
        self.peaks: dict[str, float] = {}
        self.plugin_args: dict[str, Any] = {}
        self._threads = threads

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:  # noqa: ARG002
        """Run all steps, one after another."""
        from nipype.pipeline.engine.utils import topological_sort

        context = multiprocessing.get_context("spawn")
        for node in topological_sort(graph)[0]:
            with ProcessPoolExecutor(1, context, _start, (self._threads,)) as pool:
                step = str(node.fullname).rpartition(".")[2]
                self.peaks[step] = pool.submit(_run, node).result()


def _start(threads: int) -> None:
    import os

    from legseg_bids.workflows.nipype_settings import configure_nipype

    configure_nipype()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def _run(node: Any) -> float:
    """Run a step; peak memory of this process, MiB."""
    from legseg_bids.workflows.monitor import highest

    node.run()
    return highest() / MIB


def measure(sizes: Iterable[str], threads: int) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Size, voxels, and peak of each step in MiB."""
    for size in sizes:
        x, y, z = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            bids = dataset(Path(folder) / "bids", (x, y, z))
            plugin = FreshProcesses(threads)
            graph(bids, Path(folder) / "work", threads).run(plugin=plugin)
        yield size, x * y * z, plugin.peaks


def line_above(points: Iterable[tuple[int, float]]) -> tuple[float, float]:
    """Line through peaks over voxels, moved up so that none lies above: MiB, bytes a voxel."""
    voxels, peaks = np.array(list(points), float).T
    slope = max(0.0, float(np.polyfit(voxels, peaks, 1)[0])) if len(voxels) > 1 else 0.0
    return float((peaks - slope * voxels).max()), slope * MIB


def show(rows: Mapping[str, tuple[float, float]]) -> str:
    """The table, as the package holds it."""
    lines = ["step\tbase_mib\tbytes_per_voxel"]
    lines += [f"{step}\t{base:.0f}\t{slope:.1f}" for step, (base, slope) in rows.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into the package's table")
    options = parser.parse_args()
    peaks: Peaks = {}
    for size, voxels, found in measure(options.sizes, options.threads):
        print(size, voxels, *(f"{step}={peak:.0f}" for step, peak in found.items()), flush=True)
        for step, peak in found.items():
            peaks.setdefault(step, []).append((voxels, peak))
    table = show({step: line_above(points) for step, points in peaks.items()})
    print(table, end="")
    if options.write:
        TABLE.write_text(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
