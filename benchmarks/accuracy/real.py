"""A derivative against reference labels: Dice, HD95 and volume error of every structure.

Only slices that the reference covers count. Of a reference with both sides in one number, ours
are taken together, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.tables import Row
from legseg_bids.anatomy.labels import label_by_index, load_labels
from legseg_bids.errors import ImageError, NoInput
from legseg_bids.evaluate.overlap import dice, distance95, foreign_labels
from legseg_bids.imaging.volume import spacing_of

#: Columns of the label table that a reference may use.
SCHEMES = ("thigh_partial", "musclemap", "atlas")
Groups = Mapping[str, tuple[Sequence[int], Sequence[int]]]


def groups_of(scheme: str | None) -> Groups:
    """Name of a structure → our labels and the reference's.

    Parameters
    ----------
    scheme : str or None
        One of :data:`SCHEMES`, sides pooled; None: the reference has our own labels.
    """
    if scheme is None:
        return {e.name: ((e.index,), (e.index,)) for e in load_labels()}
    named = {}
    for foreign, ours in foreign_labels(scheme).items():
        name = label_by_index(ours[0]).name.replace(" left", "")
        named[name] = (ours, (foreign,))
    return named


def compare(output: Path, reference: Path, groups: Groups) -> Iterator[Row]:
    """One row for each structure of a reference image.

    Columns: ``image``, ``structure``, ``dice``, ``distance`` (95th percentile of the distance
    between the outlines, mm), ``error`` (relative volume error, in percent), ``volume`` and
    ``found`` (mL), and ``within``, the Dice coefficient over the slices in which the reference has
    this structure: what is left of a disagreement when they differ on where it ends. An output
    that is missing has found nothing.

    Raises
    ------
    ImageError
        If the two are on different grids.
    """
    truth: Any = nib.load(reference)
    wanted = np.asanyarray(truth.dataobj).astype(int)
    found = np.zeros_like(wanted)
    if output.exists():
        image: Any = nib.load(output)
        if image.shape != truth.shape or not np.allclose(image.affine, truth.affine, atol=1e-3):
            raise ImageError(
                f"{output} has {image.shape} voxels, its reference {truth.shape}, or another "
                f"affine; expected the same grid; segment the image of the reference"
            )
        found = np.asanyarray(image.dataobj).astype(int)
    covered = np.flatnonzero(wanted.any(axis=(0, 1)))
    if covered.size:
        part = slice(covered[0], covered[-1] + 1)
        wanted, found = wanted[..., part], found[..., part]
    for name, (ours, theirs) in groups.items():
        true = np.isin(wanted, list(theirs))
        if true.any():
            row = _row(true, np.isin(found, list(ours)), spacing_of(truth.affine))
            yield {"image": reference.name, "structure": name} | row


def _row(
    true: NDArray[np.bool_], found: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> Row:
    ml = float(np.prod(spacing)) / 1000
    there = true.any(axis=(0, 1))
    return {
        "dice": dice(found, true),
        "distance": distance95(found, true, spacing),
        "error": 100 * (found.sum() / true.sum() - 1),
        "volume": true.sum() * ml,
        "found": found.sum() * ml,
        "within": dice(found[..., there], true[..., there]),
    }


def compare_all(output: Path, reference: Path, scheme: str | None) -> list[Row]:
    """Rows of every label image below a reference derivative.

    Raises
    ------
    NoInput
        If there is none.
    ImageError
        See :func:`compare`.
    """
    references = sorted(reference.rglob("*_dseg.nii.gz"))
    if not references:
        raise NoInput(f"no *_dseg.nii.gz under {reference}; expected a BIDS derivative")
    groups = groups_of(scheme)
    return [
        row
        for one in references
        for row in compare(output / one.relative_to(reference), one, groups)
    ]


def tell_real(rows: Sequence[Row]) -> None:
    """Print a table for each image, and the means."""
    means: list[float] = []
    for image in dict.fromkeys(row["image"] for row in rows):
        mine = [row for row in rows if row["image"] == image]
        print(
            f"\n{image}\n{'structure':40} {'Dice':>6} {'within':>6} {'HD95 mm':>8} {'volume':>8}"
        )
        for r in mine:
            pair = f"{r['dice']:6.3f} {r['within']:6.3f}"
            print(f"{r['structure']:40} {pair} {r['distance']:8.1f} {r['error']:+7.1f}%")
        means.append(float(np.mean([row["dice"] for row in mine])))
        within = np.mean([row["within"] for row in mine])
        known = [row["distance"] for row in mine if np.isfinite(row["distance"])]
        away = np.median(known) if known else np.nan
        size = np.median([abs(row["error"]) for row in mine])
        title = f"mean Dice, medians, of {len(mine)} structures"
        print(f"{title:40} {means[-1]:6.3f} {within:6.3f} {away:8.1f} {size:7.1f}%")
    print(f"\nmean over {len(means)} images: {np.mean(means):.3f}")
