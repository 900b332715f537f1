"""Pieces of the figures: where they are saved, tables as colours, bars.

Colours are the one-hue scales of matplotlib, and for networks those of Okabe & Ito, with a marker
each: both can be told apart by people with colour vision deficiency.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.summary import Floats
from legseg_bids.bids.write import replacing
from legseg_bids.group.figures import INK, LOOK

WIDTH = 7.2
#: Inches for the names of muscles.
NAMES = 1.75
SOFT, GRID = "#8a99a6", "#e6ecf0"
#: Where there is no value.
ABSENT = "#d9d9d9"


def save(figure: Any, path: Path) -> Path:
    """Write an SVG; the same figure, the same bytes, and neither date nor path in it.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context(LOOK):
        figure.savefig(buffer, format="svg", metadata=metadata)
    with replacing(path) as file:
        file.write(_slim(buffer.getvalue()).encode())
    return path


def _slim(svg: str) -> str:
    """Without comments (each text stands in one, too), indents, and digits that nobody sees."""
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r"^\s+", "", svg, flags=re.MULTILINE)
    return re.sub(r"(\d\.\d{2})\d+", r"\1", svg)


def new_figure(height: float) -> Any:
    """A figure as wide as two columns of a journal, so many inches high."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(LOOK):
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(figure)
    return figure


def panel(figure: Any, left: float, bottom: float, width: float, height: float) -> Any:
    """Axes at a place in inches."""
    from matplotlib import rc_context

    w, h = figure.get_size_inches()
    with rc_context(LOOK):
        return figure.add_axes((left / w, bottom / h, width / w, height / h))


def heat_map(
    axes: Any,
    values: Floats,
    names: Sequence[str],
    columns: Sequence[str],
    scale: tuple[str, float, float],
    digits: int | None = None,
) -> None:
    """A table as colours, with its numbers.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    values : ndarray of float, shape (rows, columns)
        NaN is grey.
    names, columns : sequence of str
        Of rows (none: they are named elsewhere) and of columns.
    scale : tuple
        Name of the colours, lowest and highest value.
    digits : int, optional
        After the point; without, no numbers are written.
    """
    from matplotlib import colormaps
    from matplotlib.colors import Normalize, to_rgba

    colours, norm = colormaps[scale[0]], Normalize(*scale[1:], clip=True)
    # One picture for all cells: a path for each would make a file of megabytes.
    cells = np.where(np.isfinite(values)[..., None], colours(norm(values)), to_rgba(ABSENT))
    axes.imshow(cells, interpolation="none", aspect="auto")
    if digits is not None:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = sum(colours(norm(value))[:3]) < 1.6
                axes.text(
                    column, row + 0.04, f"{value:.{digits}f}", ha="center", va="center",
                    fontsize=6.5, color="white" if dark else INK,
                )  # fmt: skip
    for line in range(1, values.shape[1]):
        axes.axvline(line - 0.5, color="white", linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xticks(range(len(columns)), columns, fontsize=6.5)
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def bars(axes: Any, values: Floats, digits: int, sign: bool, colour: str) -> None:
    """Horizontal bars with their numbers beside them, the first at the top."""
    places = np.arange(len(values))
    axes.barh(places, np.nan_to_num(values), 0.66, color=colour, linewidth=0)
    for place, value in zip(places, values, strict=True):
        text = f"{value:{'+' if sign else ''}.{digits}f}" if np.isfinite(value) else "none found"
        text = text.replace("-", "\N{MINUS SIGN}") if sign else text
        left = np.isfinite(value) and value < 0
        axes.annotate(
            text, (np.nan_to_num(value), place), (-2 if left else 2, 0),
            textcoords="offset points", va="center", ha="right" if left else "left", fontsize=6.5,
        )  # fmt: skip
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.axvline(0, color=SOFT, linewidth=0.8)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=6.5, length=2)
