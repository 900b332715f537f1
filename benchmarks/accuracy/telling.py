"""Print what the tables say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.accuracy.prediction import LEVELS, answered, fitted_near
from benchmarks.accuracy.studies import BINS, WAYS_TO_FEED
from benchmarks.accuracy.summary import (
    MEASURES,
    WELL_IN_VIEW,
    cases_of,
    grid,
    labels_of,
    muscle,
    present,
    summary,
)
from benchmarks.accuracy.tables import Row

_FORMATS = {"dice": "6.3f", "distance": "6.1f", "error": "5.0f"}


def tell_cases(rows: Sequence[Row]) -> None:
    """Means over the muscles of each case, then every muscle on its own."""
    rows = present(rows)
    _tell_means(rows)
    for factor in dict.fromkeys(row["factor"] for row in rows):
        _tell_muscles([row for row in rows if row["factor"] == factor], factor)
    _tell_stored(rows)


def _tell_means(rows: Sequence[Row]) -> None:
    names = ("n", "Dice", f"{WELL_IN_VIEW:.0f}+ mL", "worst", "HD95", "|dV|%", "missed", "fat")
    widths = (5, 6, 6, 6, 6, 5, 6, 5)
    head = " ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    print(f"{'case':28} {head}")
    for factor, value in cases_of(rows):
        mine = [r for r in rows if (r["factor"], r["value"]) == (factor, value)]
        worst = np.nanmin(grid(mine, "dice", [(factor, value)], labels_of(mine)))
        missed = sum(row["found"] == 0 for row in mine)
        large = [row for row in mine if row["volume"] >= WELL_IN_VIEW]
        print(
            f"{factor + ' ' + value:28} {len(mine):5d} {summary(mine, 'dice'):6.3f} "
            f"{summary(large, 'dice'):6.3f} {worst:6.3f} "
            f"{summary(mine, 'distance'):6.1f} {summary(mine, 'error'):5.0f} {missed:6d} "
            f"{np.mean([r['fat'] for r in mine]):5.2f}"
        )


def _tell_stored(rows: Sequence[Row]) -> None:
    """In how many files another label stands anywhere than in the image as it was scanned."""
    files = {
        (row["value"], row["person"]): row["differing"]
        for row in rows
        if np.isfinite(row.get("differing", np.nan))
    }
    if files:
        changed = {file: int(voxels) for file, voxels in files.items() if voxels}
        told = ", ".join(f"{way}, person {n}: {v} voxels" for (way, n), v in changed.items())
        print(
            f"\nstored otherwise: {len(changed)} of {len(files)} files have other labels  {told}"
        )


def _tell_muscles(rows: Sequence[Row], factor: str) -> None:
    cases, labels = cases_of(rows), labels_of(rows)
    for measure, title in MEASURES.items():
        table = grid(rows, measure, cases, labels)
        width = max(9, *(len(value) + 1 for _, value in cases))
        head = "".join(f"{value:>{width}}" for _, value in cases)
        print(f"\n{title + ', ' + factor:28}{head}")
        for label, line in zip(labels, table, strict=True):
            cells = "".join(f"{_cell(value, _FORMATS[measure]):>{width}}" for value in line)
            print(f"{muscle(label):28}{cells}")


def _cell(value: float, how: str) -> str:
    return format(value, how) if np.isfinite(value) else "-"


def tell_contrasts(rows: Sequence[Row]) -> None:
    """Mean Dice by the mean fat fraction of the muscles."""
    print(f"{'fat fraction':14} {'n':>4} " + " ".join(f"{name:>9}" for name in WAYS_TO_FEED))
    for low, high in ((0.0, 0.15), (0.15, 0.3), (0.3, 0.45), (0.45, 1.0), (0.0, 1.0)):
        mine = [r for r in rows if low <= r["fat"] < high and np.isfinite(r["opposed"])]
        if mine:
            means = (f"{np.mean([r[name] for r in mine]):9.3f}" for name in WAYS_TO_FEED)
            print(f"{low:4.2f} to {high:4.2f}   {len(mine):4d} {' '.join(means)}")


def tell_trust(rows: Sequence[Row]) -> None:
    """Rank correlation, and the mean Dice at each level of the mean probability."""
    from scipy.stats import spearmanr

    found = answered(rows)
    sure, dice = (np.array([r[key] for r in found]) for key in ("confidence", "dice"))
    print(f"{len(found)} muscles, Spearman {spearmanr(sure, dice).statistic:.3f}")
    print("confidence\tdice")
    for level, near in zip(LEVELS, fitted_near(found)[1], strict=True):
        if near.size >= 10:
            print(f"{level:.2f}\t{near.mean():.3f}")


def tell_calibration(rows: Sequence[Row]) -> None:
    """Share of voxels that are right at each probability, and the expected calibration error.

    Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    sure, voxels, right = (
        np.array([row[name] for row in rows], float) for name in ("probability", "voxels", "right")
    )
    bins = np.clip((sure * BINS).astype(int), 0, BINS - 1)
    gap = 0.0
    print(f"{'probability':>12} {'right':>7} {'voxels':>8}")
    for k in np.unique(bins):
        mine = bins == k
        count = voxels[mine].sum()
        mean, share = (sure[mine] * voxels[mine]).sum() / count, right[mine].sum() / count
        gap += abs(mean - share) * count / voxels.sum()
        print(f"{mean:12.3f} {share:7.3f} {count / voxels.sum():8.1%}")
    print(f"expected calibration error {gap:.3f}")


TELL: Mapping[str, Callable[[Sequence[Row]], None]] = {
    "bands": tell_cases,
    "curves": tell_cases,
    "contrasts": tell_contrasts,
    "trust": tell_trust,
    "calibration": tell_calibration,
}
