#!/usr/bin/env python3
"""Time and memory of the group level for many participants, all copies of one.

    python benchmarks/group.py OUTPUT [--participants 10000]

OUTPUT is a derivative with at least one participant; its tables and sidecars are copied under new
labels (images are empty files: the group level never reads them).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copies(source: Path, target: Path, participants: int) -> None:
    """A derivative of so many participants."""
    model = min(source.glob("sub-*"))
    texts = {
        path.relative_to(model).as_posix(): path.read_text() if path.suffix != ".gz" else ""
        for path in model.rglob("*_dseg.*")
        if path.suffix in (".tsv", ".json", ".gz")
    }
    for number in range(participants):
        label = f"sub-{number:05d}"
        for name, text in texts.items():
            path = target / label / name.replace(model.name, label)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace(model.name, label))
    description = "dataset_description.json"
    (target / description).write_text((source / description).read_text())


def main() -> int:
    """Copy, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--participants", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="legseg-group-") as folder:
        target = Path(folder, "out")
        target.mkdir()
        copies(args.output, target, args.participants)
        begun = time.monotonic()
        words = [sys.executable, str(ROOT / "run.py"), "-", str(target), "group"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        tables = list((target / "phenotype").glob("*.tsv"))
        size = sum(path.stat().st_size for path in tables)
    print(
        f"{args.participants} participants: {seconds:.1f} s, {usage.ru_maxrss / 1024:.0f} MiB, "
        f"{len(tables)} tables of {size / 1e6:.1f} MB together, exit code {process.returncode}"
    )
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
