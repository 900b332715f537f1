#!/usr/bin/env python3
"""Time and memory of the 95th percentile of surface distances: ours, MONAI, surface-distance.

    python benchmarks/metrics.py [--sizes 320x320x31 320x320x120] [--repeats 3]

The labels are those of the sample data (thighs and lower legs of a simulated person, both sides)
brought to each size; the prediction is a copy whose outlines are moved by a smooth random field
(1.5 mm, standard deviation). Each tool measures all structures of the case in a fresh process that
has imported it before the clock starts; MONAI and surface-distance are given one pair of masks
after another (both cut out the box themselves). Ours measures overlap, volumes and the other
distances as well. Time is CPU time (all tools on one thread), the best of the repeats; memory is
what the peak lies above the resident size with both images loaded. The largest difference is that
of the 95th percentile of any structure to ours.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import resource
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
TRUTH = REPOSITORY / "tests/data/sample/derivatives/truth/sub-01/anat"
SIZES = ("320x320x31", "320x320x120")
MOVED_MM, SMOOTH_MM = 1.5, 12.0
MIB = 1024.0
Spacing = tuple[float, ...]
Labels = np.ndarray
Case = tuple[Labels, Labels, Spacing]
Measure = Callable[[Case], dict[int, float]]


def case(shape: tuple[int, int, int], seed: int = 0) -> Case:
    """Reference, prediction and voxel size: both stations, one above the other."""
    import nibabel as nib
    from scipy.ndimage import gaussian_filter, map_coordinates

    images = [nib.load(path) for path in sorted(TRUTH.glob("*_dseg.nii.gz"))]
    whole = np.concatenate([np.asarray(i.dataobj) for i in images[::-1]], axis=2)
    width = whole.shape[0]
    square = np.zeros((width, width, whole.shape[2]), whole.dtype)
    square[:, : whole.shape[1]] = whole
    sides = np.array(images[0].header.get_zooms()[:3]) * square.shape
    spacing = sides / shape
    finer = [new / old for new, old in zip(shape, square.shape, strict=True)]
    places = [(np.arange(n) + 0.5) / f - 0.5 for n, f in zip(shape, finer, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    random = np.random.default_rng(seed)
    field = [gaussian_filter(random.standard_normal(shape), SMOOTH_MM / spacing) for _ in grid]
    moved = [
        place + f / f.std() * MOVED_MM / (mm * fine)
        for place, f, mm, fine in zip(grid, field, spacing, finer, strict=True)
    ]
    reference, predicted = (
        np.asfortranarray(map_coordinates(square, at, order=0)) for at in (grid, moved)
    )
    return reference.astype(np.uint8), predicted.astype(np.uint8), tuple(map(float, spacing))


def ours(definition: str) -> Measure:
    """All structures in one pass; everything else is measured on the way."""
    from legseg_bids.evaluate.metrics import measure_pairs

    def measure(data: Case) -> dict[int, float]:
        reference, predicted, spacing = data
        found = measure_pairs(
            predicted, reference, structures(reference), spacing, definition=definition
        )
        return {one.label: one.surfaces.hd95 for one in found}

    return measure


def monai() -> Measure:
    """``compute_hausdorff_distance``, structure by structure."""
    import torch
    from monai.metrics import compute_hausdorff_distance

    torch.set_num_threads(1)

    def one(reference: Labels, predicted: Labels, spacing: Spacing) -> float:
        masks = (torch.from_numpy(m)[None, None] for m in (predicted, reference))
        found = compute_hausdorff_distance(
            *masks, include_background=True, percentile=95, spacing=list(spacing)
        )
        return float(found)

    return each(one)


def deepmind() -> Measure:
    """``compute_surface_distances`` and ``compute_robust_hausdorff``."""
    import surface_distance

    def one(reference: Labels, predicted: Labels, spacing: Spacing) -> float:
        found = surface_distance.compute_surface_distances(reference, predicted, spacing)
        return float(surface_distance.compute_robust_hausdorff(found, 95))

    return each(one)


def each(measure: Callable[[Labels, Labels, Spacing], float]) -> Measure:
    """Give a tool that knows masks one structure after another."""

    def all_of(data: Case) -> dict[int, float]:
        reference, predicted, spacing = data
        return {n: measure(reference == n, predicted == n, spacing) for n in structures(reference)}

    return all_of


def structures(reference: Labels) -> list[int]:
    """Labels of the reference."""
    return [int(n) for n in np.unique(reference) if n]


TOOLS = {
    "legseg area": lambda: ours("area"),
    "surface-distance": deepmind,
    "legseg voxel": lambda: ours("voxel"),
    "MONAI": monai,
}


def run(tool: str, shape: tuple[int, int, int], repeats: int) -> tuple[float, float, dict]:
    """Best time, growth of the peak in MiB, and distances."""
    warnings.simplefilter("ignore")
    data = case(shape)
    measure = TOOLS[tool]()
    small = tuple(image[:, :, ::8] for image in data[:2])
    measure((*small, data[2]))  # whatever is loaded late
    release()
    before = resident()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        found = measure(data)
        times.append(time.process_time() - started)
    return min(times), peak() - before, found


def release() -> None:
    """Forget the peak so far (Linux), so that only what follows counts."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / MIB


def resident() -> float:
    """Resident size now, MiB."""
    return _status("VmRSS")


def peak() -> float:
    """Largest resident size since :func:`release`, MiB."""
    try:
        return _status("VmHWM")
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print("| voxels | structures | tool | s | times ours | peak MiB | largest difference, mm |")
    print("|---|---|---|---|---|---|---|")
    for size in options.sizes:
        x, y, z = map(int, size.split("x"))
        results = {}
        for tool in TOOLS:
            with ProcessPoolExecutor(1, context) as pool:
                results[tool] = pool.submit(run, tool, (x, y, z), options.repeats).result()
        for own, other in (("legseg area", "surface-distance"), ("legseg voxel", "MONAI")):
            for tool in (own, other):
                seconds, memory, found = results[tool]
                off = max(abs(found[n] - d) for n, d in results[own][2].items())
                ratio = seconds / results[own][0]
                print(f"| {size} | {len(found)} | {tool} | {seconds:.2f} | {ratio:.1f} | "
                      f"{memory:.0f} | {off:.1e} |", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
