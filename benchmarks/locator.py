#!/usr/bin/env python3
"""Sides and parts that the locator sees in every station of a dataset, and in each limb alone.

    python benchmarks/locator.py DATASET

Of a station with both limbs every limb is also cut out, with nothing of the other one left, at
its place and in the middle of an image of its own: its side must then be told from its shape
alone. Exit code 1 if a side is wrong. What a station shows is printed for the eye: nobody
labelled the parts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.adaptation.real import Real, stations
from legseg_bids.anatomy.regions import Side
from legseg_bids.imaging.limbs import LimbBox, split_limbs
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment import pipeline
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import Model, find_models_dir, load_model


def alone(real: Real, limb: LimbBox) -> Iterator[Volume]:
    """One limb with nothing around it: where it was, and cut to its box."""
    volume = real.prepared.volume
    data = np.where(limb.mask, volume.data, 0)
    yield Volume(data, volume.affine)
    x, y, _ = limb.box
    yield Volume(np.pad(data[x, y], [(8, 8), (8, 8), (0, 0)]), volume.affine)


def side_of(volume: Volume, locator: Model) -> Side:
    """The side that is told for an image of one limb."""
    canonical, mask, _, _ = pipeline.prepare(volume)
    limbs = split_limbs(mask, canonical.spacing)
    largest = max(limbs, key=lambda one: int(one.mask.sum()))
    place = pipeline.locate_station(canonical, mask, (largest,), locator, load_engine)
    return place.sides[0]


def told(real: Real) -> str:
    """Parts along the stack, such as ``knee 3, upper 20``."""
    runs = [(part.name.lower(), len(list(same))) for part, same in groupby(real.location.parts)]
    return ", ".join(f"{name} {count}" for name, count in runs)


def main() -> int:
    """Print what is seen; 1 if a side is wrong."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("dataset", type=Path)
    options.add_argument("--models", type=Path)
    chosen = options.parse_args()
    models = find_models_dir(chosen.models)
    locator = load_model(models, pipeline.LOCATOR)
    right = total = 0
    for real in stations(chosen.dataset, models):
        sides = ", ".join(real.location.sides)
        print(f"sub-{real.participant}: {sides}; {told(real)}")
        if len(real.prepared.limbs) != 2:
            continue
        for limb, side in zip(real.prepared.limbs, (Side.LEFT, Side.RIGHT), strict=True):
            found = [side_of(volume, locator) for volume in alone(real, limb)]
            right, total = right + found.count(side), total + len(found)
            print(f"  {side} alone: {', '.join(found)}")
    print(f"{right} of {total} sides of single limbs right")
    return 0 if right == total else 1


if __name__ == "__main__":
    sys.exit(main())
