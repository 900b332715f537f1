#!/usr/bin/env python3
"""Seconds to find the images of one participant in a small and in a large dataset.

    python benchmarks/index.py [--participants 1000] [--repeats 5]

Every participant has two stations: an empty image and a sidecar each. Imports are not timed. The
ratio of the two times says whether the participants that were not asked for cost anything; the
last line is the whole large dataset.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SMALL = 10
SIDECAR = {"EchoTime": 0.00115, "MagneticFieldStrength": 3, "ImageType": ["DERIVED", "OUT_PHASE"]}


def write_skeleton(root: Path, participants: int) -> Path:
    """A dataset of empty images, two stations for each participant."""
    root.mkdir(parents=True)
    description = {"Name": "Benchmark", "BIDSVersion": "1.10.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    for number in range(participants):
        folder = root / f"sub-{number:05d}" / "anat"
        folder.mkdir(parents=True)
        for chunk in (1, 2):
            stem = folder / f"sub-{number:05d}_acq-outphase_chunk-{chunk}_T1w"
            stem.with_name(stem.name + ".nii.gz").touch()
            stem.with_name(stem.name + ".json").write_text(json.dumps(SIDECAR))
    return root


def seconds(root: Path, participants: Sequence[str], repeats: int) -> float:
    """Median time of finding the stations of these participants (none: of everybody)."""
    from legseg_bids.bids.discover import discover, index
    from legseg_bids.imaging.dixon import choose_opposed_echo

    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = discover(index(root, participants), choose_opposed_echo)
        times.append(time.perf_counter() - start)
        assert len(found.stations) == 2 * (len(participants) or len(list(root.glob("sub-*"))))
    return statistics.median(times)


def main() -> None:
    """Build the two datasets in a temporary folder, and time them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = write_skeleton(Path(folder, "small"), SMALL)
        large = write_skeleton(Path(folder, "large"), args.participants)
        seconds(small, ["00003"], 1)  # imports, and the cache of the file system
        of_small = seconds(small, ["00003"], args.repeats)
        of_large = seconds(large, ["00003"], args.repeats)
        everybody = seconds(large, [], 1)
    print(f"one of {SMALL}: {of_small:.3f} s")
    print(f"one of {args.participants}: {of_large:.3f} s ({of_large / of_small:.2f} times)")
    print(f"all of {args.participants}: {everybody:.2f} s")


if __name__ == "__main__":
    main()
