"""Figures of the tables in a folder, as SVG for the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.drawing import (
    GRID,
    NAMES,
    WIDTH,
    bars,
    heat_map,
    new_figure,
    panel,
    save,
)
from benchmarks.accuracy.factors import FACTORS, factor_titles
from benchmarks.accuracy.summary import (
    MEASURES,
    Floats,
    cases_of,
    grid,
    labels_of,
    muscle,
    person_means,
    present,
    summary,
)
from benchmarks.accuracy.tables import Row, read_table
from legseg_bids.errors import NoInput
from legseg_bids.evaluate.drawing import COLORS, DASHES, MARKERS

PREFIX = "accuracy-"
ROW = 0.165
#: Inches above a table for the names of its columns.
HEAD = 1.2
#: Colours of each measure, from the lowest to the highest value.
SCALES = {
    "dice": ("Blues", 0.3, 1.0),
    "distance": ("Oranges", 0.0, 25.0),
    "error": ("Purples", 0.0, 60.0),
}
DIGITS = {"dice": 2, "distance": 1, "error": 0}
#: Order of the networks, from the foot upwards; others follow.
ORDER = ("lower_leg", "thigh", "hip")
#: Panels of the curves in a line, and inches from line to line.
ACROSS, DOWN = 5, 1.5
#: Inches between the tables of two factors.
BETWEEN = 0.1
#: Factors in a line of the tables of curves.
IN_A_LINE = 9
Tables = Mapping[str, Sequence[Row]]


def draw(tables: Path, figures: Path) -> list[Path]:
    """Draw all that there are tables of.

    Parameters
    ----------
    tables : Path
        Folder with ``bands-*.tsv``, ``curves-*.tsv`` and ``real-*.tsv``.
    figures : Path
        Folder for ``accuracy-*.svg``; made if need be.

    Raises
    ------
    NoInput
        If there is no table.
    OutputError
        If a figure cannot be written.
    """
    bands, curves, real = (tables_of(tables, kind) for kind in ("bands", "curves", "real"))
    made = {f"bands-{name}": bands_figure(rows) for name, rows in bands.items()}
    made |= {f"curves-{name}": muscle_curves_figure(rows) for name, rows in curves.items()}
    made |= {f"real-{name}": real_figure(rows) for name, rows in real.items()}
    if curves:
        made["curves"] = curves_figure(curves)
    if not made:
        raise NoInput(f"no table in {tables}; expected bands-*.tsv, curves-*.tsv or real-*.tsv")
    return [save(figure, figures / f"{PREFIX}{name}.svg") for name, figure in made.items()]


def tables_of(folder: Path, kind: str) -> dict[str, list[Row]]:
    """Network (or name) → rows, of one kind of table."""
    found = {
        path.stem.removeprefix(f"{kind}-").replace("_", "-"): read_table(path)
        for path in folder.glob(f"{kind}-*.tsv")
    }
    place = {name.replace("_", "-"): at for at, name in enumerate(ORDER)}
    order = sorted(found, key=lambda name: (place.get(name, len(ORDER)), name))
    return {name: found[name] for name in order if found[name]}


def bands_figure(rows: Sequence[Row]) -> Any:
    """Three tables of muscles by bands, with their numbers; the first line is all muscles."""
    rows = present(rows)
    cases, labels = cases_of(rows), labels_of(rows)
    names = ["All muscles", *map(muscle, labels)]
    high = ROW * len(names)
    figure = new_figure(high + HEAD + 0.05)
    wide = (WIDTH - NAMES - 0.25) / 3
    for at, measure in enumerate(MEASURES):
        values = _with_all(rows, measure, cases, labels)
        axes = panel(figure, NAMES + at * (wide + 0.1), 0.05, wide, high)
        shown = [value for _, value in cases]
        heat_map(axes, values, names if at == 0 else (), shown, SCALES[measure], DIGITS[measure])
        axes.axhline(0.5, color="white", linewidth=2.5)
        axes.xaxis.tick_top()
        for tick in axes.get_xticklabels():
            tick.set(rotation=90)
        figure.text(
            (NAMES + at * (wide + 0.1)) / WIDTH, 1 - 0.14 / (high + HEAD + 0.05), _how(measure),
            fontsize=8, weight="bold",
        )  # fmt: skip
    return figure


def _with_all(
    rows: Sequence[Row], measure: str, cases: Sequence[tuple[str, str]], labels: Sequence[int]
) -> Floats:
    """Summaries of all muscles together, and below them of each, by case."""
    of_all = [
        summary([row for row in rows if (row["factor"], row["value"]) == case], measure)
        for case in cases
    ]
    return np.vstack([of_all, grid(rows, measure, cases, labels)])


def _how(measure: str) -> str:
    """Heading of a measure over people."""
    return {
        "dice": "Dice, mean",
        "distance": "HD95, mm, median",
        "error": "|Volume error|, %, median",
    }[measure]


def _cases_by_factor(rows: Sequence[Row]) -> dict[str, list[tuple[str, str]]]:
    """Factors in the order of their table, those that it does not know last."""
    known = [factor.name for factor in FACTORS]
    names = dict.fromkeys(row["factor"] for row in rows)
    order = [n for n in known if n in names] + [n for n in names if n not in known]
    return {name: cases_of(rows, name) for name in order}


def _title(factor: str) -> str:
    return factor_titles().get(factor, factor)


def curves_figure(tables: Tables) -> Any:
    """A small panel for each factor, a line for each network: mean Dice of the people."""
    from matplotlib.lines import Line2D

    seen = {name: present(rows) for name, rows in tables.items()}
    factors = _cases_by_factor([row for rows in seen.values() for row in rows])
    lines = -(-len(factors) // ACROSS)
    each, high = (WIDTH - 0.4) / ACROSS, DOWN * lines + 0.3
    figure = new_figure(high)
    lowest = 1.0
    panels = []
    for at, (factor, cases) in enumerate(factors.items()):
        left, bottom = 0.35 + at % ACROSS * each, high - 0.45 - DOWN * (at // ACROSS) - 0.95
        axes = panel(figure, left, bottom, each - 0.12, 0.95)
        panels.append(axes)
        for number, rows in enumerate(seen.values()):
            lowest = min(lowest, _curve(axes, rows, cases, number))
        _name_values(axes, [value for _, value in cases])
        axes.set_title(_title(factor), fontsize=7, loc="left", pad=3)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        if at % ACROSS:
            axes.set_yticklabels([])
    for axes in panels:
        axes.set_ylim(max(0.0, np.floor(10 * lowest - 0.2) / 10), 1.0)
    marks = [
        Line2D([], [], color=COLORS[n], marker=MARKERS[n], linestyle=DASHES[n], markersize=4)
        for n in range(len(seen))
    ]
    names = [name.replace("-", " ") for name in seen]
    figure.legend(marks, names, loc="upper right", ncols=len(names), frameon=False, fontsize=7)
    figure.text(0.01, 1 - 0.2 / high, "Dice, mean of the people ± standard error", fontsize=8)
    return figure


def _name_values(axes: Any, values: Sequence[str]) -> None:
    """Values along x, at equal distances; words are turned."""
    axes.tick_params(length=2, pad=2, labelsize=6.5)
    axes.set_xticks(range(len(values)), values)
    axes.set_xlim(-0.3, len(values) - 0.7)
    if max(map(len, values)) > 5:
        for tick in axes.get_xticklabels():
            tick.set(rotation=32, ha="right", rotation_mode="anchor", fontsize=6)


def _curve(axes: Any, rows: Sequence[Row], cases: Sequence[tuple[str, str]], number: int) -> float:
    """Draw one network; the lowest value that is drawn."""
    means = [person_means(rows, case) for case in cases]
    middle = np.array([v.mean() if v.size else np.nan for v in means])
    error = np.array([v.std(ddof=1) / np.sqrt(v.size) if v.size > 1 else 0.0 for v in means])
    axes.errorbar(
        np.arange(len(cases)) + 0.06 * (number - 1), middle, error, color=COLORS[number],
        marker=MARKERS[number], linestyle=DASHES[number], linewidth=1.2, markersize=3.5,
        elinewidth=0.7,
    )  # fmt: skip
    return float(np.nanmin(middle - error, initial=1.0))


def muscle_curves_figure(rows: Sequence[Row]) -> Any:
    """Dice of every muscle at every value of every factor, as colours."""
    rows = present(rows)
    labels, factors = labels_of(rows), _cases_by_factor(rows)
    items = list(factors.items())
    blocks = [items[at : at + IN_A_LINE] for at in range(0, len(items), IN_A_LINE)]
    row = 0.8 * ROW
    each = row * (len(labels) + 1) + 1.05
    figure = new_figure(each * len(blocks) + 0.4)
    for at, block in enumerate(blocks):
        bottom = each * (len(blocks) - 1 - at) + 0.95
        _block(figure, rows, block, labels, bottom, row)
    _colour_bar(figure, SCALES["dice"], "Dice, mean")
    return figure


def _block(
    figure: Any,
    rows: Sequence[Row],
    factors: Sequence[tuple[str, list[tuple[str, str]]]],
    labels: Sequence[int],
    bottom: float,
    row: float,
) -> None:
    """Tables of some factors beside one another, the muscles named at the left."""
    names, high = ["All muscles", *map(muscle, labels)], row * (len(labels) + 1)
    columns = sum(len(cases) for _, cases in factors)
    each = (WIDTH - NAMES - 0.1 - BETWEEN * (len(factors) - 1)) / columns
    left = NAMES
    for at, (factor, cases) in enumerate(factors):
        values = _with_all(rows, "dice", cases, labels)
        axes = panel(figure, left, bottom, each * len(cases), high)
        shown = [value for _, value in cases]
        heat_map(axes, values, () if at else names, shown, SCALES["dice"])
        axes.axhline(0.5, color="white", linewidth=2)
        for tick in axes.get_xticklabels():
            tick.set(rotation=90, fontsize=6)
        title = textwrap.fill(_title(factor).split(",")[0], 10)
        axes.set_title(title, fontsize=6.5, loc="left", pad=3)
        left += each * len(cases) + BETWEEN


def _colour_bar(figure: Any, scale: tuple[str, float, float], title: str) -> None:
    """What the colours mean, in the lower left corner."""
    from matplotlib import colormaps

    name, low, high = scale
    axes = panel(figure, 0.15, 0.25, 1.2, 0.1)
    axes.imshow(
        colormaps[name](np.linspace(0, 1, 64))[None],
        extent=(low, high, 0, 1),
        aspect="auto",
        interpolation="none",
    )
    axes.set_yticks([])
    axes.set_xticks(np.linspace(low, high, 3))
    axes.tick_params(labelsize=6.5, length=2, pad=2)
    axes.set_title(title, fontsize=7, loc="left", pad=3)


def real_figure(rows: Sequence[Row]) -> Any:
    """Bars of every structure, mean over the images that have it."""
    names = list(dict.fromkeys(row["structure"] for row in rows))
    high = ROW * len(names)
    figure = new_figure(high + 0.6)
    wide = (WIDTH - NAMES - 0.2) / 3
    titles = ("Dice", "HD95, mm", "Volume error, %")
    for at, (measure, title) in enumerate(zip(MEASURES, titles, strict=True)):
        of_one = ([r[measure] for r in rows if r["structure"] == name] for name in names)
        values = np.array([_mean(v) for v in of_one])
        axes = panel(figure, NAMES + at * (wide + 0.05), 0.3, wide - 0.1, high)
        bars(axes, values, DIGITS[measure], measure == "error", COLORS[at])
        axes.set_yticks(range(len(names)), names if at == 0 else [""] * len(names), fontsize=7)
        axes.set_title(title, fontsize=8, weight="bold", loc="left")
        low, top = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
        if measure == "dice":
            axes.set_xlim(0, 1.15)
            axes.set_xticks((0, 0.25, 0.5, 0.75, 1))
        else:
            spare = 0.2 * max(top - low, 1.0)
            axes.set_xlim(low - spare if low < 0 else 0, top + spare)
    return figure


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
