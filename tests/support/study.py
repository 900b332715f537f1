"""A simulated study of many participants with two stations each, some images broken; and its run.

The volumes are tiny, the networks label by brightness, the graph is the real one.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from skeleton import SPACING, Image, legs, tree, write_dataset, write_image

RUN = Path(__file__).parents[2] / "run.py"
SHAPE = (40, 40, 5)
SLICES_SHARED = 1


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def _short(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-500]))


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(bytes(content))


def _text(path: Path) -> None:
    path.write_text("not an image\n" * 50)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("../../.git/annex/objects/gone")


def _sidecar(path: Path) -> None:
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text('{"EchoTime": ')


def _data(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        water, fat = legs(SHAPE, limbs=1)
        stem = path.with_name(path.name.partition(".")[0])
        write_image(stem, Image(change(np.abs(water - fat))))

    return spoil


#: Kind of damage: what does it, and what the result line must say.
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (_empty, "is empty (0 bytes)"),
    "cut": (_cut, "is truncated"),
    "short": (_short, "is truncated or damaged"),
    "flipped": (_flipped, "is damaged"),
    "text": (_text, "is not a NIfTI image"),
    "link": (_link, "datalad get"),
    "sidecar": (_sidecar, "is not JSON"),
    "zero": (_data(np.zeros_like), "no signal"),
    "plane": (_data(lambda data: data[..., :1]), "a single slice"),
    "volumes": (_data(lambda data: np.stack([data, data], -1)), "expected one 3-D volume"),
}


@dataclass(frozen=True)
class Study:
    """A dataset, and the damage of each broken image by its file name."""

    root: Path
    participants: int
    broken: dict[str, str]

    @property
    def good(self) -> list[str]:
        """Stems of the images that must be segmented."""
        names = (f"{stem(n, c).rpartition('/')[2]}" for n in _numbers(self) for c in (1, 2))
        return [name for name in names if f"{name}.nii.gz" not in self.broken]


def _numbers(study: Study) -> range:
    return range(1, study.participants + 1)


def stem(number: int, chunk: int) -> str:
    """Path of an image without extension."""
    label = f"sub-{number:03d}"
    return f"{label}/anat/{label}_acq-outphase_chunk-{chunk}_T1w"


def write_study(root: Path, participants: int, broken: int) -> Study:
    """Write a study in which this many images are broken, spread over participants and kinds."""
    images = {}
    for chunk in (1, 2):
        water, fat = legs(SHAPE, limbs=1, seed=chunk)
        affine = np.diag([*SPACING, 1.0])
        affine[2, 3] = (chunk - 1) * (SHAPE[2] - SLICES_SHARED) * SPACING[2]
        images[chunk] = Image(np.abs(water - fat), affine)
    numbers = range(1, participants + 1)
    write_dataset(root, {stem(n, c): images[c] for n in numbers for c in (1, 2)})
    damage: dict[str, str] = {}
    for index in range(broken):
        number = 1 + index * participants // broken
        path = root / f"{stem(number, 1 + index % 2)}.nii.gz"
        kind = list(DAMAGE)[index % len(DAMAGE)]
        DAMAGE[kind][0](path)
        damage[path.name] = kind
    return Study(root, participants, damage)


@dataclass
class Sample:
    """The main process at one moment: seconds, bytes, open files, images written."""

    seconds: float
    resident: int
    descriptors: int
    everybody: int


@dataclass
class Load:
    """A run and what it took."""

    code: int = -1
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)
    progress: str = ""
    samples: list[Sample] = field(default_factory=list)

    def growth(self, start: float = 0.4, stop: float = 0.95) -> float:
        """Bytes a second by which the main process grows between two shares of the run."""
        first, last = start * self.seconds, stop * self.seconds
        chosen = [s for s in self.samples if first < s.seconds < last]
        if len(chosen) < 3:
            return 0.0
        return float(np.polyfit([s.seconds for s in chosen], [s.resident for s in chosen], 1)[0])


def run_study(study: Study, output: Path, models: Path, *options: str) -> Load:
    """Run the application on a study, and watch its main process."""
    words = [study.root, output, "participant", "--models", models, "--skip-bids-validation"]
    environment = {**os.environ, "TMPDIR": str(output.parent), "OMP_NUM_THREADS": "1"}
    with (
        (output.parent / "out.txt").open("w+") as out,
        (output.parent / "err.txt").open("w+") as err,
    ):
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, str(RUN), *map(str, words), "--device", "cpu", *options],
            stdout=out,
            stderr=err,
            env=environment,
        )
        load = Load()
        watcher = threading.Thread(target=_watch, args=(process, load, begun))
        watcher.start()
        load.code = process.wait()
        load.seconds = time.monotonic() - begun
        watcher.join()
        out.seek(0)
        err.seek(0)
        load.lines, load.progress = out.read().splitlines(), err.read()
    return load


def _watch(process: subprocess.Popen[bytes], load: Load, begun: float) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    while process.poll() is None:
        try:
            proc = Path("/proc", str(process.pid))
            resident = int((proc / "statm").read_text().split()[1]) * page
            descriptors = len(list((proc / "fd").iterdir()))
            everybody = _family(process.pid, page)
        except (OSError, IndexError):
            return
        load.samples.append(Sample(time.monotonic() - begun, resident, descriptors, everybody))
        time.sleep(0.25)


def _family(process: int, page: int) -> int:
    """Resident memory of a process and all below it; shared pages count more than once."""
    total, waiting = 0, [process]
    while waiting:
        number = waiting.pop()
        try:
            total += int(Path(f"/proc/{number}/statm").read_text().split()[1]) * page
            children = Path(f"/proc/{number}/task/{number}/children").read_text()
        except (OSError, IndexError):
            continue
        waiting += map(int, children.split())
    return total


def problems(study: Study, load: Load, output: Path) -> list[str]:
    """What is wrong with a run; empty if all is as it should be."""
    found = []
    if load.code != 1:
        said = f"{load.lines[-1:]} {load.progress[-500:]}"
        found.append(f"exit code {load.code}, expected 1: {said}")
    for name, kind in study.broken.items():
        said = DAMAGE[kind][1]
        lines = [line for line in load.lines if f"/{name}: " in line or f": {name}: " in line]
        kinds = ("FAILED", "SKIPPED")
        if len(lines) != 1 or said not in lines[0] or not lines[0].startswith(kinds):
            found.append(f"{name} ({kind}) is told as {lines}")
    written = tree(output)
    for stem in study.good:
        name = stem.replace("_T1w", "_seg-muscles_dseg")
        for extension in (".nii.gz", ".tsv", ".json", ".png"):
            if not any(path.endswith(name + extension) for path in written):
                found.append(f"{name}{extension} is missing")
    for name in study.broken:
        if any(name.partition("_T1w")[0] + "_seg" in path for path in written):
            found.append(f"{name} has results")
    found += [f"{path} is left" for path in written if path.endswith(".tmp")]
    whole = study.participants - len({name.partition("_")[0] for name in study.broken})
    merged = sum(path.endswith("_desc-merged_dseg.nii.gz") for path in written)
    if merged < whole:
        found.append(f"{merged} merged images, expected at least {whole}")
    return found
