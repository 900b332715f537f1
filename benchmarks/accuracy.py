#!/usr/bin/env python3
"""Dice similarity coefficients of a derivative against reference labels, sides pooled or not.

    python benchmarks/accuracy.py OUTPUT REFERENCE --scheme thigh_partial
    python benchmarks/accuracy.py OUTPUT tests/data/sample/derivatives/truth

OUTPUT is what ``legseg`` wrote, REFERENCE a BIDS derivative with ``*_dseg.nii.gz`` of the same
names. ``--scheme`` is the column of the label table that the reference uses (sides pooled);
without it the reference is in our own scheme.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from legseg_bids.anatomy.labels import label_by_index, load_labels
from legseg_bids.evaluate.overlap import Agreement, agreement, foreign_labels, mean_dice

Groups = Mapping[str, tuple[Sequence[int], Sequence[int]]]


def groups_of(scheme: str | None) -> Groups:
    """Name of a structure → our labels and the reference's."""
    if scheme is None:
        return {e.name: ((e.index,), (e.index,)) for e in load_labels()}
    named = {}
    for foreign, ours in foreign_labels(scheme).items():
        name = label_by_index(ours[0]).name.replace(" left", "")
        named[name] = (ours, (foreign,))
    return named


def compare(output: Path, reference: Path, groups: Groups) -> tuple[Agreement, ...]:
    """Agreement of one label image with its reference."""
    predicted, truth = nib.load(output), nib.load(reference)
    if not np.allclose(predicted.affine, truth.affine, atol=1e-3):
        sys.exit(f"{output.name}: affines differ; expected the same grid")
    pair = (np.asanyarray(i.dataobj).astype(int) for i in (predicted, truth))
    return agreement(*pair, groups)


def main() -> int:
    """Print one table for each reference image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--scheme", choices=("thigh_partial", "musclemap", "atlas"))
    options = parser.parse_args()
    groups = groups_of(options.scheme)
    references = sorted(options.reference.rglob("*_dseg.nii.gz"))
    if not references:
        sys.exit(f"no *_dseg.nii.gz under {options.reference}")
    means = []
    for reference in references:
        output = options.output / reference.relative_to(options.reference)
        if not output.exists():
            print(f"MISSING {output}")
            means.append(0.0)
            continue
        results = [r for r in compare(output, reference, groups) if r.reference]
        print(f"\n{output.name}\n{'structure':40} {'Dice':>6} {'volume':>8}")
        for r in results:
            print(f"{r.name:40} {r.dice:6.3f} {r.predicted / r.reference - 1:+8.1%}")
        means.append(mean_dice(results))
        print(f"{'mean of ' + str(len(results)) + ' structures':40} {means[-1]:6.3f}")
    print(f"\nmean over {len(means)} images: {np.mean(means):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
