"""Figures of a study for papers, as PNG (300 dpi) and SVG.

The same study gives the same bytes: no dates, no random names. Dots are a picture within the
SVG, so that thousands of them do not make it unusable; everything else is lines and text.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from legseg_bids import __version__
from legseg_bids.bids.write import remove, replacing, write_json
from legseg_bids.group.analysis import ANALYSED, Finding
from legseg_bids.group.boxes import Box, asymmetry_reach, box, boxes, thinned
from legseg_bids.group.statistics import Change, Comparison, Correlation, Floats, Interval
from legseg_bids.group.structures import COMPARTMENT, Measure, Structure, load_measures, on_white
from legseg_bids.group.study import Study, asymmetry

PREFIX = "group_"
MAX_DOTS = 400
"""Dots of a strip."""
FORMATS: Any = {
    "png": {"dpi": 300, "metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
    # Of dots alone; everything else has no dots per inch.
    "svg": {"dpi": 150, "metadata": {"Date": None}},
}
LOOK: Any = {
    "svg.hashsalt": "legseg",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
INK, BLUE, ORANGE = "#1c2733", "#0b6e8f", "#bf5b17"
TWO = (BLUE, "#12303f")
WIDTH, NAMES = 7.0, 1.75
"""Inches of a figure, and of the names at its left."""
FOR_A_BOX = 4
"""Values that a box needs; of fewer, the median is drawn."""
MAIN = ("volume", "mean_fat_fraction")
"""Measures of which effects are drawn."""


def write_figures(
    folder: Path, study: Study, findings: Sequence[Finding], mark: Path
) -> tuple[Path, ...]:
    """Write all figures, unless they are there; remove those that are no longer made.

    Parameters
    ----------
    folder : Path
        Made if need be.
    study : Study
        What was measured.
    findings : sequence of Finding
        Tests, of which effects are drawn.
    mark : Path
        File that remembers of what the figures were drawn; may be deleted at any time.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    digest = _digest(study, findings)
    before = _drawn_before(mark, digest)
    if before and all((folder / name).is_file() for name in before):
        return tuple(folder / name for name in before)
    remove([mark])
    written = save_figures(folder, PREFIX, _figures(study, findings))
    write_json(mark, {"Of": digest, "Figures": [path.name for path in written]})
    return written


@contextmanager
def _no_cache_in_the_home() -> Iterator[None]:
    """Matplotlib keeps its list of fonts in the home: here, in a folder that goes away."""
    if "MPLCONFIGDIR" in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="legseg-") as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            yield
        finally:
            del os.environ["MPLCONFIGDIR"]


def save_figures(
    folder: Path, prefix: str, figures: Iterable[tuple[str, Any]]
) -> tuple[Path, ...]:
    """Write figures as PNG and SVG, one after the other; they may be drawn while this runs.

    Those of an earlier run that are not among them are removed.

    Parameters
    ----------
    folder : Path
        Made if need be.
    prefix : str
        Beginning of every file name.
    figures : iterable of (str, matplotlib.figure.Figure)
        Names and figures.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    with _no_cache_in_the_home():
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg

    written: list[Path] = []
    with rc_context(LOOK):
        for name, figure in figures:
            FigureCanvasAgg(figure)
            for ending, how in FORMATS.items():
                path = folder / f"{prefix}{name}.{ending}"
                buffer = io.BytesIO()
                figure.savefig(buffer, format=ending, **how)
                with replacing(path) as file:
                    file.write(buffer.getbuffer())
                written.append(path)
    there = {path for path in folder.glob(f"{prefix}*") if path.suffix[1:] in FORMATS}
    remove(sorted(there - set(written)))
    return tuple(written)


def _digest(study: Study, findings: Sequence[Finding]) -> str:
    """All that a figure depends on, as one check sum."""
    digest = hashlib.sha256(__version__.encode())
    digest.update(repr((study.structures, list(study.values))).encode())
    masks = (study.whole, study.peak, study.words["quality"])
    for array in (*study.values.values(), *masks):
        digest.update(array.tobytes())
    for finding in findings:
        digest.update(repr(finding).encode())
    return digest.hexdigest()


def _drawn_before(mark: Path, digest: str) -> list[str]:
    """Names of the figures of an earlier run on the same study."""
    try:
        told = json.loads(mark.read_text(encoding="utf-8"))
        return [str(name) for name in told["Figures"]] if told["Of"] == digest else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _figures(study: Study, findings: Sequence[Finding]) -> Iterator[tuple[str, Any]]:
    """Names and figures, one at a time."""
    for measure in study.values:
        figure = _distribution(study, load_measures()[measure])
        if figure is not None:
            yield measure, figure
    uneven = asymmetry(study)
    if any(np.isfinite(values).any() for values in uneven.values()):
        yield "asymmetry", _asymmetry(study, uneven)
    for title, family in _families(findings):
        yield title, _forest(family)


def _distribution(study: Study, measure: Measure) -> Any:
    """Strips and boxes of all muscles and compartments, left above right."""
    of_all = boxes(study, measure.name, range(len(study.records)))
    rows = [
        (study.structures[columns[0]], columns)
        for columns in study.bases.values()
        if study.structures[columns[0]].kind in ("muscle", COMPARTMENT)
        and any(of_all[column] for column in columns)
    ]
    if not rows:
        return None
    figure, (axes,) = _axes(len(rows), 0.22)
    marks = _Marks()
    for place, (first, columns) in enumerate(rows):
        shift = 0.2 if len(columns) > 1 else 0.0
        for side, column in enumerate(columns):
            where = place + (2 * side - 1) * shift
            color = _colors(study, first, columns)[side]
            marks.strip(study.values[measure.name][:, column], where, 0.28, color)
            marks.box(of_all[column], where, 0.26)
    marks.draw(axes)
    _rows(axes, [first for first, _ in rows])
    unit = f" ({measure.unit})" if measure.unit else ""
    axes.set_xlabel(f"{measure.title}{unit}; upper strip left, lower strip right")
    axes.set_xlim(left=0)
    return figure


def _asymmetry(study: Study, uneven: dict[str, Floats]) -> Any:
    rows = [
        (study.structures[study.bases[name][0]], values)
        for name, values in uneven.items()
        if np.isfinite(values).any() and study.structures[study.bases[name][0]].kind in ANALYSED
    ] or [(study.structures[study.bases[name][0]], values) for name, values in uneven.items()]
    figure, (axes,) = _axes(len(rows), 0.18)
    marks = _Marks()
    summaries = [box(values) for _, values in rows]
    reach = asymmetry_reach(summaries)
    axes.axvspan(-10, 10, color=BLUE, alpha=0.07, linewidth=0)
    axes.axvline(0, color="#8a99a6", linewidth=0.8)
    for place, (first, values) in enumerate(rows):
        color = TWO[0] if first.kind == COMPARTMENT else on_white(first.color)
        marks.strip(np.clip(values, -reach, reach), place, 0.5, color)
        marks.box(summaries[place], place, 0.5)
    marks.draw(axes)
    axes.set_xlim(-1.04 * reach, 1.04 * reach)
    _rows(axes, [first for first, _ in rows])
    axes.set_xlabel(
        "Asymmetry of volume (%): right larger ← → left larger; dots at the edge lie beyond"
    )
    return figure


def _forest(family: Sequence[Finding]) -> Any:
    """Effects of one family with their confidence intervals, for each measure a panel."""
    measures = list(dict.fromkeys(finding.measure for finding in family))
    rows = list(dict.fromkeys(finding.structure for finding in family))
    figure, panels = _axes(len(rows), 0.18, len(measures), head=0.35)
    for axes, measure in zip(panels, measures, strict=True):
        axes.axvline(0, color="#8a99a6", linewidth=0.8)
        for finding in (f for f in family if f.measure == measure):
            effect = _effect(finding)
            if effect is None:
                continue
            where, color = rows.index(finding.structure), ORANGE if effect.value < 0 else BLUE
            axes.plot([effect.low, effect.high], [where, where], color=color, linewidth=1)
            fill = color if finding.p_holm < 0.05 else "white"
            axes.plot([effect.value], [where], "o", color=color, markersize=4, mfc=fill)
        _rows(axes, rows)
        axes.set_xlabel(f"{load_measures()[measure].title}: {_effect_title(family[0])}")
    figure.suptitle(_family_title(family[0]), fontsize=9)
    return figure


def _families(findings: Sequence[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """Findings by covariate (and pair of groups or sessions), each with a name for its file."""
    families: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        if finding.measure in MAIN:
            kind = type(finding.result).__name__
            families.setdefault((kind, finding.by, *finding.groups), []).append(finding)
    for number, family in enumerate(families.values(), 1):
        words = "-".join(file_word(text) for text in (family[0].by, *family[0].groups))
        yield f"effect-{number:02d}_{words[:60]}", family


def file_word(text: str) -> str:
    """Letters and digits of a text of somebody else, for a file name."""
    return "".join(char for char in text if char.isascii() and char.isalnum())[:24] or "x"


def _effect(finding: Finding) -> Interval | None:
    if isinstance(finding.result, Comparison):
        return finding.result.g
    if isinstance(finding.result, Correlation):
        return finding.result.rho
    return finding.result.percent


def _effect_title(finding: Finding) -> str:
    titles = {Comparison: "Hedges' g", Correlation: "Spearman's ρ", Change: "change (%)"}
    return titles[type(finding.result)]


def _family_title(finding: Finding) -> str:
    """Text of somebody else: no formulas, which matplotlib would read between dollar signs."""
    between = " → " if isinstance(finding.result, Change) else ": "
    text = between.join((finding.by, " − ".join(finding.groups))) if finding.groups else finding.by
    return text.replace("$", r"\$")


def _colors(study: Study, first: Structure, columns: Sequence[int]) -> Sequence[str]:
    if first.kind == COMPARTMENT:
        return TWO
    return [on_white(study.structures[column].color) for column in columns]


def _rows(axes: Any, rows: Sequence[Structure]) -> None:
    """Names at the left, first row on top."""
    names = [f"{s.name} (all)" if s.kind == COMPARTMENT else s.name for s in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6ecf0", linewidth=0.6)
    axes.set_axisbelow(True)


def _axes(rows: int, row: float, panels: int = 1, head: float = 0.1) -> tuple[Any, Any]:
    """A figure of so many rows (each of so many inches) with room for names at the left.

    The room is fixed: measuring the names takes longer than drawing everything else.
    """
    from matplotlib.figure import Figure

    height = 0.5 + head + row * rows
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    figure.subplots_adjust(
        left=NAMES / WIDTH, right=0.98, bottom=0.45 / height, top=1 - head / height, wspace=0.08
    )
    return figure, axes


@dataclass
class _Marks:
    """Dots and boxes of a whole figure: drawn at once, which is much faster than one by one."""

    dots: list[Floats] = field(default_factory=list)
    colors: list[str] = field(default_factory=list)
    lines: dict[str, list[list[tuple[float, float]]]] = field(
        default_factory=lambda: {"-": [], ":": []}
    )
    medians: list[list[tuple[float, float]]] = field(default_factory=list)

    def strip(self, values: Floats, where: float, thick: float, color: str) -> None:
        """Dots, scattered by their rank: the same study gives the same picture."""
        known = thinned(np.sort(values[np.isfinite(values)]), MAX_DOTS)
        scatter = (np.arange(len(known)) * 0.6180339887 % 1 - 0.5) * thick
        self.dots.append(np.column_stack([known, where + scatter]))
        self.colors += [color] * len(known)

    def box(self, summary: Box | None, where: float, thick: float) -> None:
        """Box and whiskers; a median alone where there are too few values for more."""
        if summary is None:
            return
        b, low, high = summary, where - thick / 2, where + thick / 2
        self.medians.append([(b.median, low), (b.median, high)])
        if b.n >= FOR_A_BOX:
            corners = [(b.first, low), (b.third, low), (b.third, high), (b.first, high)]
            self.lines["-" if b.usable else ":"] += [
                [(b.low, where), (b.first, where)],
                [(b.third, where), (b.high, where)],
                [*corners, corners[0]],
            ]

    def draw(self, axes: Any) -> None:
        """Put everything on the axes."""
        from matplotlib.collections import LineCollection

        if self.colors:
            x, y = np.concatenate(self.dots).T
            axes.scatter(x, y, s=2.5, c=self.colors, alpha=0.55, linewidths=0, rasterized=True)
        for style, lines in self.lines.items():
            axes.add_collection(
                LineCollection(lines, colors=INK, linewidths=0.7, linestyles=style)
            )
        axes.add_collection(LineCollection(self.medians, colors=INK, linewidths=1.6))
        axes.autoscale_view()
