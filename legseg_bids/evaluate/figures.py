"""Figures of an evaluation for papers, as PNG (300 dpi) and SVG; the same tables, the same bytes.

What is drawn of a structure is a value of each participant, never of each image. At most
:data:`~legseg_bids.evaluate.drawing.MAX_MODELS` models are drawn, the first of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from legseg_bids.evaluate.drawing import (
    COLORS,
    DASHES,
    GRID,
    INK,
    MARKERS,
    MAX_MODELS,
    SOFT,
    boxes,
    legend,
    line,
    offsets,
    patch,
    plain,
    reach,
    rows_figure,
    same_scale,
)
from legseg_bids.evaluate.figures_special import (
    agreement_figures,
    confusion_figures,
    profile_figures,
)
from legseg_bids.evaluate.observations import ALL, Metric, load_metrics, structure_title
from legseg_bids.evaluate.outcomes import OPERATORS
from legseg_bids.group.figures import file_word, save_figures

if TYPE_CHECKING:
    from legseg_bids.evaluate.compared import Compared
    from legseg_bids.evaluate.summaries import Summary

PREFIX = "evaluation_"
DRAWN = ("dice", "hd95", "abs_relative_volume_error")
"""Metrics that are drawn for every structure."""
LEAST_SPOKES = 3


def write_figures(out: Path, compared: Compared) -> list[Path]:
    """Write all figures into ``figures``; remove those of an earlier run that are not made now.

    Raises
    ------
    NoInput
        If a table of the evaluation cannot be read.
    OutputError
        If a file cannot be written.
    """
    return list(save_figures(out / "figures", PREFIX, _figures(out, compared)))


def _figures(out: Path, compared: Compared) -> Iterator[tuple[str, Any]]:
    """Names and figures, one at a time."""
    for name in DRAWN:
        metric = load_metrics()[name]
        yield f"box_{name}", _boxes(compared, metric)
        yield f"mean_{name}", _bars(compared, metric)
    if len(compared.seen.structures) >= LEAST_SPOKES:
        yield "radar_dice", _radar(compared, load_metrics()["dice"])
    for grouping in compared.groupings.used:
        yield f"groups_{file_word(grouping.name)}", _groups(compared, grouping.name)
    if any(outcome.kind == OPERATORS for outcome in compared.tests):
        yield "operators_dice", _operators(compared, load_metrics()["dice"])
    yield from agreement_figures(compared)
    yield from profile_figures(out)
    yield from confusion_figures(out)


def _boxes(compared: Compared, metric: Metric) -> Any:
    """Box of participants for each structure and model; all structures first."""
    seen = compared.seen
    values = metric.scale * seen.single(metric)[:MAX_MODELS]
    # All structures first.
    values = np.concatenate([values[:, :, -1:], values[:, :, :-1]], axis=2)
    names = (ALL, *seen.structures)
    models = seen.models[:MAX_MODELS]
    figure, panels = rows_figure(names, 0.1 + 0.085 * len(models))
    medians = [s.median for s in compared.summaries if s.metric == metric.name and not s.by]
    low, high = reach(values, metric.better, metric.scale * np.array(medians))
    for axes, chosen in panels:
        for at, (shift, thick) in enumerate(offsets(len(models))):
            columns = [values[at, :, column] for column in chosen]
            boxes(axes, columns, shift, thick, COLORS[at])
        axes.set_xlabel(metric.label)
    same_scale(panels, low, high)
    legend(figure, models, patch)
    return figure


def _bars(compared: Compared, metric: Metric) -> Any:
    """Mean over participants with its 95 % interval, for each structure and model."""
    seen, models = compared.seen, compared.seen.models[:MAX_MODELS]
    names = (ALL, *seen.structures)
    told = {
        (s.model, s.structure): s
        for s in compared.summaries
        if s.metric == metric.name and not s.by and s.n
    }
    figure, panels = rows_figure(names, 0.1 + 0.075 * len(models))
    ends = [s.mean.high if s.mean else s.average for s in told.values()]
    for axes, chosen in panels:
        for at, (shift, thick) in enumerate(offsets(len(models))):
            for row, column in enumerate(chosen):
                summary = told.get((models[at], names[column]))
                if summary:
                    _bar(axes, summary, metric.scale, row + shift, thick, COLORS[at])
        axes.set_xlabel(f"{metric.label}, mean and 95 % CI", fontsize=7.5)
    high = 1.0 if metric.better == "high" else 1.05 * metric.scale * max(ends, default=1.0)
    same_scale(panels, 0.0, high)
    legend(figure, models, patch)
    return figure


def _bar(axes: Any, summary: Summary, scale: float, y: float, thick: float, color: str) -> None:
    axes.barh(y, scale * summary.average, thick, color=color, alpha=0.75, linewidth=0)
    if summary.mean:
        ends = [scale * summary.mean.low, scale * summary.mean.high]
        axes.plot(ends, [y, y], color=INK, linewidth=0.9)


def _radar(compared: Compared, metric: Metric) -> Any:
    """Median of each structure as a spoke, for each model a closed line."""
    from matplotlib.figure import Figure

    seen, models = compared.seen, compared.seen.models[:MAX_MODELS]
    told = {
        (s.model, s.structure): s.median
        for s in compared.summaries
        if s.metric == metric.name and not s.by and s.n
    }
    figure = Figure(figsize=(7.2, 7.2))
    axes: Any = figure.add_axes((0.2, 0.19, 0.6, 0.6), projection="polar")
    angle = 2 * np.pi * np.arange(len(seen.structures)) / len(seen.structures)
    lowest = 1.0
    for at, model in enumerate(models):
        values = [told.get((model, name), np.nan) for name in seen.structures]
        lowest = min([lowest, *(value for value in values if np.isfinite(value))])
        axes.plot(
            [*angle, angle[0]], [*values, values[0]], color=COLORS[at], linewidth=1.1,
            marker=MARKERS[at], markersize=3, linestyle=DASHES[at % len(DASHES)],
        )  # fmt: skip
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_rlim(max(0.0, np.floor(10 * lowest - 0.5) / 10), 1.0)
    axes.set_rlabel_position(0)
    axes.tick_params(axis="y", labelsize=6, labelcolor=INK)
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines["polar"].set_color(SOFT)
    axes.set_xticks(angle, [])
    _spoke_names(axes, angle, seen.structures)
    legend(figure, models, line)
    figure.text(0.01, 0.01, f"{metric.title}: median over participants", fontsize=8)
    return figure


def _spoke_names(axes: Any, angle: Any, structures: Sequence[str]) -> None:
    """Names along their spokes, never upside down."""
    top = axes.get_rmax() + 0.03 * (axes.get_rmax() - axes.get_rmin())
    for at, name in zip(angle, structures, strict=True):
        # Angles run clockwise from the top.
        turned = 90 - np.degrees(at)
        left = at > np.pi
        axes.text(
            at, top, plain(structure_title(name)), fontsize=6.3, rotation_mode="anchor",
            rotation=turned + 180 if left else turned, va="center",
            ha="right" if left else "left",
        )  # fmt: skip


def _groups(compared: Compared, by: str) -> Any:
    """Box of each model and group, for the metrics that are drawn; over all structures."""
    from matplotlib.figure import Figure

    seen, models = compared.seen, compared.seen.models[:MAX_MODELS]
    grouping = next(one for one in compared.groupings.used if one.name == by)
    height = 0.9 + 0.28 * len(models) * len(grouping.levels)
    figure = Figure(figsize=(7.2, height))
    panels = figure.subplots(1, len(DRAWN), sharey=True)
    labels: list[str] = []
    for axes, name in zip(panels, DRAWN, strict=True):
        metric = load_metrics()[name]
        values = metric.scale * seen.single(metric)[:MAX_MODELS, :, -1]
        labels = []
        for at, model in enumerate(models):
            of_groups = [values[at, grouping.member == k] for k in range(len(grouping.levels))]
            boxes(axes, of_groups, at * len(of_groups), 0.6, COLORS[at])
            sizes = [int(np.isfinite(group).sum()) for group in of_groups]
            labels += [
                f"{plain(model, 16)}: {plain(level, 14)} ({n})"
                for level, n in zip(grouping.levels, sizes, strict=True)
            ]
        axes.set_xlabel(metric.label)
        axes.set_xlim(*reach(values, metric.better))
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.4, -0.6)
    figure.subplots_adjust(
        left=0.25, right=0.98, bottom=0.45 / height, top=1 - 0.3 / height, wspace=0.14
    )
    figure.suptitle(f"All structures, by {plain(grouping.title, 60)} (participants)", fontsize=8)
    return figure


def _operators(compared: Compared, metric: Metric) -> Any:
    """Median of each model and of the raters, structure by structure."""
    tests = [t for t in compared.tests if t.kind == OPERATORS and t.metric == metric.name]
    models = compared.seen.models[:MAX_MODELS]
    names = list(dict.fromkeys([ALL, *(t.structure for t in tests)]))
    figure, panels = rows_figure(names, 0.1 + 0.06 * len(models))
    for axes, chosen in panels:
        for outcome in tests:
            column = names.index(outcome.structure)
            if column in chosen and outcome.model in models:
                at = models.index(outcome.model)
                y = chosen.index(column) + offsets(len(models))[at][0]
                ours, theirs = (metric.scale * median for median in outcome.medians)
                axes.plot([ours, theirs], [y, y], color=COLORS[at], linewidth=0.9)
                axes.plot([theirs], [y], "|", color=INK, markersize=6, markeredgewidth=1.4)
                axes.plot([ours], [y], MARKERS[at], color=COLORS[at], markersize=3.5)
        axes.set_xlabel(f"{metric.title}, median (|: between raters)")
    medians = metric.scale * np.array([median for t in tests for median in t.medians])
    same_scale(panels, *reach(medians, metric.better, medians))
    legend(figure, models, line)
    return figure
