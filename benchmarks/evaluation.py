#!/usr/bin/env python3
"""Time and memory of ``legseg-evaluate``: many cases, more cases, and once more.

    python benchmarks/evaluation.py [--cases 50 500] [--structures 40] [--workers 2] [--slices]

Each case has two legs of as many structures as asked for, drawn as sectors of rings, and a model
that moves and swells them a little. Every file is different. The memory is that of the largest
worker, sampled while it works; it must not grow with the number of cases. The second run finds
everything done. ``--page`` adds statistics, figures and page, whose time and memory are told, too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from legseg_bids.anatomy.labels import load_labels  # noqa: E402

AFFINE = np.diag([1.5, 1.5, 6.0, 1.0])
TICK = 0.05
MUSCLES = [label for label in load_labels() if label.side in ("left", "right")]


@dataclass(frozen=True)
class Ran:
    """Seconds by the clock and of processors; peak of main process and largest worker, MiB."""

    seconds: float
    cpu: float
    main: float
    worker: float
    code: int


def limb(size: int, slices: int, numbers: list[int], turn: float, swell: float) -> np.ndarray:
    """Rings cut into sectors, (size, size, slices): four rings of as many sectors as it takes."""
    x, y, z = np.meshgrid(np.arange(size), np.arange(size), np.arange(slices), indexing="ij")
    x, y = x - size / 2, y - size / 2 - 1.5 * np.sin(z / 5)
    radius, angle = np.hypot(x, y) / (0.46 * size * swell), np.arctan2(y, x) + turn + 0.02 * z
    rings, per_ring = 4, -(-len(numbers) // 4)
    sector = ((angle / (2 * np.pi)) % 1 * per_ring).astype(int)
    place = np.minimum((radius * rings).astype(int), rings) * per_ring + sector
    table = np.zeros((rings + 1) * per_ring, np.uint8)
    table[: len(numbers)] = numbers
    return table[place]


def write_case(root: Path, number: int, args: argparse.Namespace) -> None:
    """A reference and a prediction of one participant."""
    rng = np.random.default_rng(number)
    chosen = [label.index for label in MUSCLES[: args.structures]]
    sides = [[i for i in chosen if i % 2 == odd] for odd in (1, 0)]
    for folder, turn, swell in (
        ("reference", 0.0, 1.0),
        ("model", rng.normal(0, 0.03), rng.normal(1, 0.02)),
    ):
        size = 0.9 + 0.001 * (number % 100)
        legs = [limb(args.pixels, args.slices_each, s, turn, size * swell) for s in sides]
        name = f"sub-{number:05d}"
        path = root / folder / name / "anat" / f"{name}_acq-opp_seg-x_dseg.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(np.concatenate(legs), AFFINE), path)


def simulate(root: Path, cases: int, args: argparse.Namespace) -> None:
    """Folders ``reference`` and ``model``."""
    for number in range(cases):
        write_case(root, number, args)
    rows = "".join(f"{label.index}\t{label.name}\n" for label in load_labels())
    for folder in ("reference", "model"):
        (root / folder / "dseg.tsv").write_text(f"index\tname\n{rows}")


def run(root: Path, args: argparse.Namespace) -> Ran:
    """Run the command, and watch its processes."""
    words = [sys.executable, "-m", "legseg_bids.cli.evaluate", root / "reference", root / "model"]
    words += ["--out", root / "out", "--workers", str(args.workers)]
    words += ["--slices"] if args.slices else []
    words += [] if args.page else ["--no-page"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([str(word) for word in words], env=environment, **quiet)
    seen: dict[int, tuple[float, float]] = {}
    watcher = threading.Thread(target=watch, args=(process, seen), daemon=True)
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - begun
    watcher.join()
    cpu = sum(seconds for _, seconds in seen.values())
    peak = seen.pop(process.pid, (0.0, 0.0))[0]
    return Ran(seconds, cpu, peak, max((one for one, _ in seen.values()), default=0.0), code)


def watch(process: subprocess.Popen[bytes], seen: dict[int, tuple[float, float]]) -> None:
    """Note peak and processor time of a process and those below it, until it has ended."""
    while process.poll() is None:
        for pid in [process.pid, *below(process.pid)]:
            now = peak_of(pid), cpu_of(pid)
            seen[pid] = tuple(map(max, seen.get(pid, now), now))
        time.sleep(TICK)


def cpu_of(pid: int) -> float:
    """Processor time of a process, s; 0 where it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def below(pid: int) -> list[int]:
    """Processes that a process began, and those that these began."""
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    children = [int(word) for text in lists for word in text.split()]
    return [one for child in children for one in (child, *below(child))]


def peak_of(pid: int) -> float:
    """Peak memory of a process, MiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM")), 0.0)


def main() -> int:
    """Simulate, run twice for each number of cases, tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--structures", type=int, default=40)
    parser.add_argument("--pixels", type=int, default=160, help="of one leg, along x and y")
    parser.add_argument("--slices-each", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slices", action="store_true", help="measure slices, too")
    parser.add_argument("--page", action="store_true", help="statistics, figures and page, too")
    args = parser.parse_args()
    workers = []
    for cases in args.cases:
        with tempfile.TemporaryDirectory(prefix="legseg-evaluation-") as folder:
            simulate(Path(folder), cases, args)
            time.sleep(2.5)  # so that files are known by their time stamps
            first, second = (run(Path(folder), args) for _ in range(2))
            size = sum(p.stat().st_size for p in Path(folder, "out").glob("*.tsv")) / 1e6
        print(
            f"{cases} cases of {args.structures} structures: {first.seconds:.1f} s "
            f"({first.cpu / cases:.2f} s of processor time each), once more "
            f"{second.seconds:.1f} s ({second.cpu:.1f} s); largest worker "
            f"{first.worker:.0f} MiB, main process {first.main:.0f} MiB; "
            f"tables {size:.1f} MB; exit codes {first.code}, {second.code}",
            flush=True,
        )
        workers.append(first.worker)
    if len(workers) > 1:
        print(f"memory of a worker, most cases over fewest: {workers[-1] / workers[0]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
