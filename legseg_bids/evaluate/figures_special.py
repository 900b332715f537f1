"""Figures about one question each: agreement of volumes, position along a structure, confusion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from legseg_bids.evaluate.confusion import (
    LAST,
    Confusion,
    read_confusion,
)
from legseg_bids.evaluate.drawing import (
    COLORS,
    DASHES,
    GRID,
    INK,
    MARKERS,
    MAX_DOTS,
    MAX_MODELS,
    SOFT,
    legend,
    line,
    plain,
    small_panels,
)
from legseg_bids.evaluate.observations import ALL, SLICES, structure_title
from legseg_bids.evaluate.profiles import Profiles, read_profiles
from legseg_bids.evaluate.summaries import Agreed, volumes
from legseg_bids.group.statistics import Floats

if TYPE_CHECKING:
    from legseg_bids.evaluate.compared import Compared

MAX_CONFUSED = 24
"""Structures of a heat map."""
FEW_PARTS = 4
"""Parts of a length of which a line alone is hard to see."""
LEAST_CONFUSED = 0.005
"""Share of a structure's voxels from which a confusion is drawn."""


def agreement_figures(compared: Compared) -> Iterator[tuple[str, Any]]:
    """Bland-Altman plots: all structures together, and of each model each structure."""
    seen, models = compared.seen, compared.seen.models[:MAX_MODELS]
    found = {(a.model, a.structure): a for a in compared.agreed}
    of_all = [volumes(seen, at) for at in range(len(models))]
    if any((model, ALL) in found for model in models):
        figure, panels = small_panels(len(models), 2, 2.3, 0.3, 0.3)
        for at, (axes, model) in enumerate(zip(panels, models, strict=True)):
            measured, reference = (values[:, -1] for values in of_all[at])
            _bland_altman(axes, measured, reference, found.get((model, ALL)), at)
            axes.set_title(plain(model), fontsize=8)
            axes.tick_params(labelsize=7)
        _bland_altman_axes(figure)
        yield "blandaltman_all", figure
    for at, model in enumerate(models):
        shown = [k for k, name in enumerate(seen.structures) if (model, name) in found]
        if shown:
            yield f"blandaltman_model-{at + 1}", _of_structures(compared, at, shown, found)


def profile_figures(out: Path) -> Iterator[tuple[str, Any]]:
    """Dice over the position along the structure, if slices were evaluated."""
    path = out / SLICES
    profiles = read_profiles(path) if path.is_file() else None
    if profiles is None:
        return
    models = profiles.models[:MAX_MODELS]
    figure, (axes,) = small_panels(1, 1, 2.6, 0.35)
    _profile(axes, profiles, len(profiles.structures), len(models), band=True)
    axes.tick_params(labelsize=7)
    _profile_axes(figure, models)
    yield "slices_all", figure
    figure, panels = small_panels(len(profiles.structures), 6, 1.0, 0.5)
    for column, axes in enumerate(panels):
        _profile(axes, profiles, column, len(models), band=len(models) <= 2)
        axes.set_title(plain(structure_title(profiles.structures[column]), 24), fontsize=6, pad=2)
    _profile_axes(figure, models)
    yield "slices_structures", figure


def confusion_figures(out: Path) -> Iterator[tuple[str, Any]]:
    """A heat map of the largest confusions of each model."""
    path = out / "confusion.tsv"
    confusion = read_confusion(path) if path.is_file() else None
    if confusion is None:
        return
    for at in range(min(MAX_MODELS, len(confusion.models))):
        figure = _heat_map(confusion, at)
        if figure is not None:
            yield f"confusion_model-{at + 1}", figure


def _of_structures(
    compared: Compared, at: int, shown: list[int], found: dict[tuple[str, str], Agreed]
) -> Any:
    seen, model = compared.seen, compared.seen.models[at]
    measured, reference = volumes(seen, at)
    figure, panels = small_panels(len(shown), 6, 1.0, 0.45)
    for column, axes in zip(shown, panels, strict=True):
        name = seen.structures[column]
        values = measured[:, column], reference[:, column]
        _bland_altman(axes, *values, found.get((model, name)), at, small=True)
        axes.set_title(plain(structure_title(name), 24), fontsize=6, pad=2)
    figure.suptitle(plain(model, 60), fontsize=8, y=1 - 0.1 / figure.get_figheight())
    _bland_altman_axes(figure)
    return figure


def _bland_altman(
    axes: Any, measured: Floats, reference: Floats, agreed: Agreed | None, at: int, *,
    small: bool = False,
) -> None:  # fmt: skip
    there = np.flatnonzero(np.isfinite(measured) & np.isfinite(reference))
    if len(there) > MAX_DOTS:
        there = there[np.linspace(0, len(there) - 1, MAX_DOTS).round().astype(int)]
    x = (measured[there] + reference[there]) / 2
    axes.scatter(
        x, measured[there] - reference[there], s=4 if small else 12, color=COLORS[at],
        marker=MARKERS[at], alpha=0.7, linewidths=0, rasterized=True,
    )  # fmt: skip
    axes.axhline(0, color=SOFT, linewidth=0.6)
    if agreed is None:
        return
    limits = agreed.limits
    for interval, style in ((limits.bias, "-"), (limits.lower, "--"), (limits.upper, "--")):
        axes.axhline(interval.value, color=INK, linewidth=0.8, linestyle=style)
        if not small:
            axes.axhspan(interval.low, interval.high, color=COLORS[at], alpha=0.12, linewidth=0)
            axes.annotate(
                f"{interval.value:+.3g}", (1, interval.value), xycoords=("axes fraction", "data"),
                ha="right", va="bottom", fontsize=7,
            )  # fmt: skip


def _bland_altman_axes(figure: Any) -> None:
    figure.supxlabel(
        "Mean of model and reference (cm³)", fontsize=8, y=0.06 / figure.get_figheight()
    )
    figure.supylabel("Model less reference (cm³)", fontsize=8, x=0.003)


def _profile(axes: Any, profiles: Profiles, column: int, models: int, *, band: bool) -> None:
    """Median over participants, and the range between quartiles."""
    for at in range(models):
        first, median, third = profiles.quartiles[at, column]
        there = np.isfinite(median)
        x = profiles.position[there]
        if band:
            axes.fill_between(
                x, first[there], third[there], color=COLORS[at], alpha=0.18, linewidth=0
            )
        axes.plot(
            x,
            median[there],
            color=COLORS[at],
            linewidth=1,
            linestyle=DASHES[at % len(DASHES)],
            marker="." if len(x) < FEW_PARTS else "",
            markersize=3,
        )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)


def _profile_axes(figure: Any, models: tuple[str, ...]) -> None:
    legend(figure, models, line)
    height = figure.get_figheight()
    figure.supxlabel(
        "Position along the structure in the reference (%): inferior → superior", fontsize=8,
        y=0.06 / height,
    )  # fmt: skip
    figure.supylabel("Dice of the slice", fontsize=8, x=0.003)


def _heat_map(confusion: Confusion, at: int) -> Any:
    """Rows: what the reference says; columns: what the model says instead."""
    from matplotlib.figure import Figure

    rows, columns = confused(confusion, at)
    if not rows:
        return None
    table = 100 * confusion.shares[at][np.ix_(rows, columns)]
    table[np.equal.outer(rows, columns)] = np.nan
    names = [_called(confusion.names[k]) for k in rows]
    stray = 100 * confusion.stray[at][columns]
    if np.isfinite(stray).any():
        # What is not a structure cannot be found too much.
        stray[[confusion.names[k] in LAST for k in columns]] = np.nan
        table = np.vstack([table, stray])
        names.append("Background*")
    width, height = 2.5 + 0.235 * len(columns), 2.0 + 0.2 * len(names)
    figure = Figure(figsize=(max(width, 3.6), height))
    axes = figure.add_axes(
        (1.55 / max(width, 3.6), 0.3 / height, 0.235 * len(columns) / max(width, 3.6),
         0.2 * len(names) / height)
    )  # fmt: skip
    top = max(1.0, float(np.nanmax(table, initial=1.0)))
    image = axes.imshow(table, cmap="Blues", vmin=0, vmax=top, aspect="auto")
    axes.set_facecolor("#eef1f3")
    for (row, column), value in np.ndenumerate(table):
        if value >= 1:
            color = "white" if value > top / 2 else INK
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=5.5, color=color
            )
    axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=6.5)
    titles = [plain(_called(confusion.names[k])) for k in columns]
    axes.set_xticks(range(len(columns)), titles, fontsize=6.5, rotation=60, ha="left")
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=1)
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0, 0.03, 1)))
    bar.set_label("% of the voxels of the row", fontsize=6.5)
    bar.ax.tick_params(labelsize=6)
    figure.text(
        0.01, 0.06 / height,
        f"{plain(confusion.models[at], 40)}. Row: reference, column: model. * % of the column's "
        "voxels that are background in the reference", fontsize=6,
    )  # fmt: skip
    return figure


def confused(confusion: Confusion, at: int) -> tuple[list[int], list[int]]:
    """Rows and columns with the largest confusions of one model, in anatomical order.

    Returns
    -------
    rows, columns : list of int
        Positions in ``names``; empty if nothing is confused.
    """
    shares = np.nan_to_num(confusion.shares[at])
    np.fill_diagonal(shares, 0)
    words = [k for k, name in enumerate(confusion.names) if name in LAST]
    shares[words] = 0
    worst = np.argsort(-shares.max(axis=1), kind="stable")[:MAX_CONFUSED]
    rows = sorted(int(k) for k in worst if shares[k].max() >= LEAST_CONFUSED)
    if not rows:
        return [], []
    taken = shares[rows].max(axis=0)
    best = np.argsort(-taken, kind="stable")[: MAX_CONFUSED + len(words)]
    columns = {int(k) for k in best if taken[k] >= LEAST_CONFUSED} | set(rows)
    return rows, sorted(columns)


def _called(name: str) -> str:
    return name.capitalize() if name in LAST else structure_title(name)
