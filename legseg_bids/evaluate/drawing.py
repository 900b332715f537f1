"""Pieces of the figures of an evaluation: colours, layouts, boxes.

Models have the colours of Okabe & Ito (Color Universal Design, 2008), which people with colour
vision deficiency can tell apart, and another marker each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from legseg_bids.evaluate.observations import structure_title
from legseg_bids.group.boxes import box, thinned
from legseg_bids.group.figures import FOR_A_BOX
from legseg_bids.group.figures import INK as INK
from legseg_bids.group.statistics import Floats

COLORS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b5b5b", "#8c6d1f",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: Any = ("-", "--", "-.", ":")
MAX_MODELS = len(COLORS)
"""Models that are drawn."""
SOFT, GRID = "#8a99a6", "#e6ecf0"
WIDTH = 7.2
"""Inches: two columns of a journal."""
ONE_COLUMN = 22
"""Structures up to which one column of rows is enough."""
NAMES = 1.45
"""Inches for names at the left."""
MAX_NAME = 26
MAX_DOTS = 300
FAR = 3.0
"""Times as far as nearly all values: beyond, even a median is not drawn."""


def plain(text: str, longest: int = MAX_NAME) -> str:
    r"""Shorten a text of somebody else, and keep matplotlib from reading formulas in it.

    Examples
    --------
    >>> plain("a$b", 10), plain("x" * 30, 5)
    ('a\\$b', 'xxxx…')
    """
    text = "".join(char if char.isprintable() else "?" for char in text)
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    return short.replace("$", r"\$")


def rows_figure(
    structures: Sequence[str], each: float, head: float = 0.35
) -> tuple[Any, list[tuple[Any, list[int]]]]:
    """A figure with a row for each structure, in two columns where there are many.

    Parameters
    ----------
    structures : sequence of str
    each : float
        Inches of a row.
    head : float
        Inches above, for the legend.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : list of (axes, list of int)
        Axes, and which structures are in it, from top to bottom.
    """
    from matplotlib.figure import Figure

    columns = 1 if len(structures) <= ONE_COLUMN else 2
    rows = -(-len(structures) // columns)
    height = head + 0.5 + each * rows
    figure = Figure(figsize=(WIDTH, height))
    wide = (WIDTH - 0.15) / columns
    panels = []
    for column in range(columns):
        chosen = list(range(column * rows, min((column + 1) * rows, len(structures))))
        left = column * wide + NAMES
        axes = figure.add_axes(
            (left / WIDTH, 0.45 / height, (wide - NAMES - 0.05) / WIDTH, each * rows / height)
        )
        axes.set_yticks(
            range(len(chosen)),
            [plain(structure_title(structures[at])) for at in chosen],
            fontsize=7,
        )
        axes.set_ylim(rows - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        for line in range(1, rows):
            axes.axhline(line - 0.5, color=GRID, linewidth=0.5, zorder=0)
        panels.append((axes, chosen))
    return figure, panels


def same_scale(panels: Sequence[tuple[Any, Any]], low: float | None, high: float) -> None:
    """Give all panels the same horizontal axis."""
    for axes, _ in panels:
        axes.set_xlim(low, high if high != low else high + 1)


def legend(figure: Any, names: Sequence[str], mark: Callable[[int], Any]) -> None:
    """Names above the panels, if there are several.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    names : sequence of str
    mark : callable
        From the place of a name to its patch or line.
    """
    if len(names) > 1:
        handles = [mark(at) for at in range(len(names))]
        figure.legend(
            handles,
            [plain(name) for name in names],
            loc="upper center",
            ncols=min(4, len(names)),
            frameon=False,
            borderaxespad=0.2,
        )


def patch(at: int) -> Any:
    """What a model looks like in boxes and bars."""
    from matplotlib.patches import Patch

    return Patch(facecolor=COLORS[at % MAX_MODELS], edgecolor=INK, linewidth=0.5)


def line(at: int) -> Any:
    """What a model looks like in curves."""
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        color=COLORS[at % MAX_MODELS],
        marker=MARKERS[at % MAX_MODELS],
        linestyle=DASHES[at % len(DASHES)],
        markersize=4,
    )


def offsets(count: int) -> list[tuple[float, float]]:
    """Middle and thickness of so many marks within a row.

    Examples
    --------
    >>> offsets(2)
    [(-0.2, 0.34), (0.2, 0.34)]
    """
    each = 0.8 / count
    return [
        (round((at - (count - 1) / 2) * each, 6), round(0.85 * each, 6)) for at in range(count)
    ]


def boxes(axes: Any, values: Sequence[Floats], shift: float, thick: float, color: str) -> None:
    """Horizontal boxes with whiskers and outliers, one for each row; empty rows stay empty.

    Of so few values that a box says nothing, dots and the median are drawn.
    """
    from matplotlib.collections import LineCollection

    lines, medians, outside = [], [], []
    for row, of_one in enumerate(values):
        summary, y = box(of_one), row + shift
        if summary is None:
            continue
        low, high = y - thick / 2, y + thick / 2
        medians.append([(summary.median, low), (summary.median, high)])
        if summary.n < FOR_A_BOX:
            outside += [(float(value), y) for value in of_one[np.isfinite(of_one)]]
            continue
        axes.barh(
            y,
            summary.third - summary.first,
            thick,
            left=summary.first,
            color=color,
            alpha=0.75,
            linewidth=0,
        )
        lines += [
            [(summary.low, y), (summary.first, y)],
            [(summary.third, y), (summary.high, y)],
        ]
        outside += [(value, y) for value in _outside(of_one, summary.low, summary.high)]
    axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.6))
    axes.add_collection(LineCollection(medians, colors=INK, linewidths=1.3))
    if outside:
        x, y_of = np.array(outside).T
        few = all(len(of_one) < FOR_A_BOX for of_one in values)
        size = 12 if few else 2.5
        axes.scatter(x, y_of, s=size, color=color, linewidths=0, rasterized=True, zorder=3)


def reach(values: Floats, better: str, middles: Floats | None = None) -> tuple[float, float]:
    """Ends of an axis: shares end at 1; elsewhere a few far values must not squeeze the rest.

    Parameters
    ----------
    values : ndarray of float
        All that is drawn.
    better : str
        ``high`` for shares, ``low`` for distances and errors.
    middles : ndarray of float, optional
        Medians, which should be seen unless they are very far.
    """
    known = values[np.isfinite(values)]
    seen = np.array([]) if middles is None else middles[np.isfinite(middles)]
    if not known.size:
        return 0.0, 1.0
    if better == "high":
        low = min(float(np.quantile(known, 0.005)), float(seen.min(initial=1.0)))
        return max(0.0, np.floor(10 * (low - 0.05)) / 10), 1.0
    most = float(np.quantile(known, 0.98))
    return 0.0, max(1e-6, 1.1 * most, min(1.05 * float(seen.max(initial=0.0)), FAR * most))


def small_panels(
    count: int, columns: int, each: float, head: float, gap: float = 0.55
) -> tuple[Any, Iterator[Any]]:
    """Many small axes in a grid; the figure, and the axes one after the other.

    Sizes in inches, but the gap between rows: in heights of an axes.
    """
    from matplotlib.figure import Figure

    columns = min(columns, max(count, 1))
    rows = max(1, -(-count // columns))
    height = head + 0.5 + each * rows
    figure = Figure(figsize=(WIDTH, height))
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.075, right=0.985, bottom=0.45 / height, top=1 - head / height, wspace=0.32,
        hspace=gap,
    )  # fmt: skip
    flat = list(grid.flat)
    for axes in flat[count:]:
        axes.set_axis_off()
    for axes in flat[:count]:
        axes.tick_params(labelsize=5.5, length=2, pad=1.5)
    return figure, iter(flat[:count])


def _outside(values: Floats, low: float, high: float) -> list[float]:
    known = values[np.isfinite(values)]
    far = thinned(np.sort(known[(known < low) | (known > high)]), MAX_DOTS)
    return [float(value) for value in far]
