#!/usr/bin/env python3
"""How much of the muscles' compartment has no label: what looks like holes in healthy legs.

    python benchmarks/holes.py OUTPUT [OUTPUT …] --participant-label 02 04

For real legs without labels: in a healthy one, muscles and bones fill the fascia but for vessels,
nerves and thin fat. In every slice the labels of a limb are closed (gaps of up to twice 6 mm, and
what is surrounded); the share of that which no label covers is told limb by limb. A patient's fat
between the muscles counts as well, so compare networks on the same image only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from legseg_bids.synth.sample import SUBCUTANEOUS

#: Half of the widest gap that is closed, mm.
REACH = 6.0
#: Slices at either end of a stack are left out: there muscles are cut.
ENDS = 2


def uncovered(labels: NDArray[Any], pixel: float) -> float:
    """Share of one limb's compartment without a label, 0 to 1; NaN where there is none.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
    pixel : float
        In plane, mm.
    """
    covered = (labels > 0) & (labels != SUBCUTANEOUS)
    reach = max(round(REACH / pixel), 1)
    disc = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), reach)
    missing = whole = 0
    for plane in np.moveaxis(covered[..., ENDS:-ENDS], -1, 0):
        wide = np.pad(plane, reach + 1)
        closed = ndimage.binary_fill_holes(ndimage.binary_closing(wide, disc))
        missing += int((closed & ~wide).sum())
        whole += int(closed.sum())
    return missing / whole if whole else float("nan")


def limbs(output: Path, participant: str) -> Iterator[tuple[str, float]]:
    """Name of an image and share without a label, of each half of each image."""
    for path in sorted(output.glob(f"sub-{participant}/**/*_seg-muscles_dseg.nii.gz")):
        image: Any = nib.load(path)
        labels = np.asanyarray(image.dataobj).astype(int)
        middle = labels.shape[0] // 2
        for half in (labels[:middle], labels[middle:]):
            yield path.name, uncovered(half, float(image.header.get_zooms()[0]))


def main() -> int:
    """Print a line for each output."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("outputs", nargs="+", type=Path, help="what legseg wrote")
    options.add_argument("--participant-label", nargs="+", required=True, dest="participants")
    chosen = options.parse_args()
    for output in chosen.outputs:
        shares = [share for p in chosen.participants for _, share in limbs(output, p)]
        if not shares:
            print(f"{output}: no *_seg-muscles_dseg.nii.gz of these participants", file=sys.stderr)
            return 1
        told = " ".join(f"{100 * share:5.1f}" for share in shares)
        print(f"{output}: {told}, mean {100 * np.nanmean(shares):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
