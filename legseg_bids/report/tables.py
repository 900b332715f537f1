"""The measurements of an image as tables for a person: rounded, with units, and sortable."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.bids.sidecars import NOT_AVAILABLE, load_columns

Row = Mapping[str, str]
NOTHING = "–"
CUT = {"none": "not cut", "proximal": "upper end", "distal": "lower end", "both": "both ends"}
CUT["gap"] = "a gap"
WORDS = {"true": "yes", "false": "no"}
MARKS = {"good": "✓", "check": "!", "poor": "✗"}
"""A sign for each quality, beside its word and colour."""
RANK = {"good": 0, "check": 1, "poor": 2}
SPARK_WIDTH, SPARK_HEIGHT = 72.0, 18.0


@dataclass(frozen=True)
class Column:
    """A column that is shown: of which table, under what title and unit, times what, how precise.

    `description` is what the sidecar says about it; `factor` is None for text.
    """

    table: str
    key: str
    title: str
    unit: str
    factor: float | None
    digits: int
    description: str = ""


@dataclass(frozen=True)
class Cell:
    """What is shown, what is sorted by, and a sign or an explanation beside it."""

    text: str
    sort: str
    kind: str = ""
    mark: str = ""
    more: str = ""


@dataclass(frozen=True)
class Line:
    """A row: what it is about, its cells, its colour, and its area along the limb (SVG points)."""

    key: str
    name: str
    cells: tuple[Cell, ...]
    color: str = ""
    includes: str = ""
    spark: str = ""


@dataclass(frozen=True)
class Table:
    """A table that is shown; without lines it is left out."""

    columns: tuple[Column, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def sparks(self) -> bool:
        """Whether any line has an area along the limb."""
        return any(line.spark for line in self.lines)


@cache
def shown_columns() -> tuple[Column, ...]:
    """All columns that a page can show, in order (``data/shown.tsv``)."""
    text = resources.files(__package__).joinpath("data", "shown.tsv").read_text(encoding="utf-8")
    return tuple(
        Column(
            row["table"],
            row["column"],
            row["title"],
            row["unit"],
            float(row["factor"]) if row["factor"] else None,
            int(row["digits"] or 0),
        )
        for row in csv.DictReader(text.splitlines(), delimiter="\t")
    )


def muscle_table(
    rows: Sequence[Row], described: Mapping[str, object], profiles: Sequence[Row] = ()
) -> Table:
    """The table of all labels of an image, as far as the measurements go.

    Parameters
    ----------
    rows : sequence of mapping
        Of the table of the labels; any column may be missing or ``n/a``.
    described : mapping
        The sidecar, for what the columns mean.
    profiles : sequence of mapping
        Areas slice by slice, if there are any.
    """
    columns = _present("muscles", rows, described)
    names = {label.abbreviation: label.name for label in load_labels()}
    sparks = sparklines(profiles)
    lines = [
        Line(
            key=row.get("abbreviation", ""),
            name=names.get(row.get("abbreviation", ""), row.get("name", "")),
            cells=_cells(row, columns),
            color=_color(row),
            includes=_known(row.get("includes")),
            spark=sparks.get((row.get("abbreviation", ""), row.get("side", "")), ""),
        )
        for row in rows
    ]
    return Table(columns, tuple(lines))


def other_table(
    kind: str, key: str, rows: Sequence[Row], described: Mapping[str, object]
) -> Table:
    """The table of compartments (`key` ``compartment``) or of limbs (`key` ``side``)."""
    columns = _present(kind, rows, described)
    return Table(columns, tuple(_other_line(kind, key, row, columns) for row in rows))


def sparklines(profiles: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Area along the limb of each structure and side, as points of an SVG polyline.

    The left end is the lowest slice of the image, the right end the highest; all structures
    share both, so that rows can be compared. Each has its own height.
    """
    areas: dict[tuple[str, str], dict[int, float]] = {}
    for row in profiles:
        at, area = number(row.get("slice")), number(row.get("csa"))
        if at is not None and area is not None:
            key = (row.get("structure", ""), row.get("side", ""))
            areas.setdefault(key, {})[int(at)] = area
    slices = [at for found in areas.values() for at in found]
    if not slices or min(slices) == max(slices):
        return {}
    low, width = min(slices), max(slices) - min(slices)
    return {key: _points(found, low, width) for key, found in areas.items()}


def number(text: object) -> float | None:
    """A finite number, or None.

    Examples
    --------
    >>> number("2.5"), number("n/a"), number(None), number("nan")
    (2.5, None, None, None)
    """
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _other_line(kind: str, key: str, row: Row, columns: Iterable[Column]) -> Line:
    parts = (kind, row.get(key, ""), row.get("side", ""))
    return Line(
        key="-".join(dict.fromkeys(part for part in parts if part)),
        name=_plain(row.get(key, "")),
        cells=_cells(row, columns),
        includes=_known(row.get("includes")).replace(",", ", ").replace("  ", " "),
    )


def _points(found: Mapping[int, float], low: int, width: int) -> str:
    top = max(found.values()) or 1.0
    pairs = (
        (SPARK_WIDTH * (at - low) / width, SPARK_HEIGHT * (1 - 0.92 * found[at] / top))
        for at in sorted(found)
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def _present(
    table: str, rows: Sequence[Row], described: Mapping[str, object]
) -> tuple[Column, ...]:
    """Columns of which at least one row knows something, with what they mean."""
    chosen = (column for column in shown_columns() if column.table == table)
    return tuple(
        replace(column, description=_meaning(column, described))
        for column in chosen
        if any(_known(row.get(column.key)) for row in rows)
    )


def _meaning(column: Column, described: Mapping[str, object]) -> str:
    told = described.get(column.key) or load_columns().get(column.key)
    return str(told.get("Description", "")) if isinstance(told, Mapping) else ""


def _cells(row: Row, columns: Iterable[Column]) -> tuple[Cell, ...]:
    return tuple(_cell(row, column) for column in columns)


def _cell(row: Row, column: Column) -> Cell:
    text = _known(row.get(column.key))
    if column.factor is not None:
        return _numeric(text, column)
    if column.key == "quality":
        more = _known(row.get("quality_reasons"))
        rank = str(RANK.get(text, 3))
        return Cell(text or NOTHING, rank, "quality", MARKS.get(text, ""), more)
    if column.key == "truncated":
        beside = "and at the edge of the picture" * (row.get("cut_in_plane") == "true")
        kind = "cut" if text != "none" or beside else ""
        return Cell(CUT.get(text, text or NOTHING), text, kind, more=beside)
    return Cell(WORDS.get(text, text or NOTHING), text)


def _numeric(text: str, column: Column) -> Cell:
    value = number(text)
    if value is None:
        return Cell(NOTHING, "", "number", more="not available")
    scaled = value * (column.factor or 1.0)
    shown = f"{scaled:.{column.digits}f}".replace("-", "−")
    return Cell(shown, repr(round(scaled, 6)), "number")


def _color(row: Row) -> str:
    """The colour of the scheme, else none: the table's own text is not to be trusted."""
    return _colors().get(row.get("abbreviation", ""), "")


@cache
def _colors() -> Mapping[str, str]:
    return {label.abbreviation: label.color for label in load_labels()}


def _known(text: str | None) -> str:
    return "" if text in (None, NOT_AVAILABLE) else str(text)


def _plain(text: str) -> str:
    """``triceps_surae`` as people write it."""
    words = text.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
