"""Reading the tidy tables of an evaluation, row by row: they need not fit into memory as text."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from legseg_bids.errors import NoInput
from legseg_bids.evaluate.observations import ALL, ITEM, NUMBERS, Observations, in_order


@dataclass
class _Reader:
    """Rows to positions and numbers, without keeping text."""

    columns: Sequence[str]
    known: dict[str, dict[object, int]] = field(default_factory=dict)
    rows: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[float] = field(default_factory=lambda: array("d"))
    status: list[str] = field(default_factory=list)

    def add(self, cells: Sequence[str]) -> None:
        row = dict(zip(self.columns, cells, strict=True))
        if row.get("slice", ALL) != ALL:
            return
        item = tuple(sys.intern(row[name]) for name in ITEM)
        self.rows.extend((self._place("model", row["model"]), self._place("item", item)))
        self.numbers.extend(number(row.get(name, "")) for name in NUMBERS)
        # The same word is kept once, whatever the number of rows.
        self.status.append(sys.intern(row.get("status", "")))

    def _place(self, kind: str, what: object) -> int:
        known = self.known.setdefault(kind, {})
        return known.setdefault(what, len(known))

    def observations(self) -> Observations:
        """Everything read, as arrays."""
        models = tuple(map(str, self.known.get("model", {})))
        items: tuple[tuple[str, ...], ...] = tuple(self.known.get("item", {}))  # type: ignore[arg-type]
        people = {name: at for at, name in enumerate(sorted({item[0] for item in items}))}
        structures = {name: at for at, name in enumerate(in_order(item[3] for item in items))}
        shape = len(models), len(items)
        place = np.array(self.rows, np.intp).reshape(-1, 2).T
        table = np.array(self.numbers).reshape(-1, len(NUMBERS)).T
        numbers = {name: np.full(shape, np.nan) for name in NUMBERS}
        for of_all, column in zip(numbers.values(), table, strict=True):
            of_all[place[0], place[1]] = column
        status = np.full(shape, "", "U20")
        status[place[0], place[1]] = self.status
        return Observations(
            models,
            tuple(people),
            tuple(structures),
            items,
            np.array([people[item[0]] for item in items], np.intp),
            np.array([structures[item[3]] for item in items], np.intp),
            MappingProxyType(numbers),
            status,
        )


def read_observations(path: Path) -> Observations:
    """Read a table of an evaluation; of a model and structure that occur twice, the last row.

    Parameters
    ----------
    path : Path
        ``evaluation.tsv``.

    Raises
    ------
    NoInput
        If it cannot be read, or is not such a table.
    """
    reader: _Reader | None = None
    for cells in rows_of(path, ("model", *ITEM, "dice")):
        if reader is None:
            reader = _Reader(cells)
        else:
            reader.add(cells)
    return (reader or _Reader(())).observations()


def rows_of(path: Path, required: Iterable[str] = ()) -> Iterator[list[str]]:
    """Cells of a table, row by row, the header first: a table need not fit into memory.

    Raises
    ------
    NoInput
        If it cannot be read, a column is missing, or a row has not as many cells as the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            columns = file.readline().rstrip("\r\n").split("\t")
            missing = [name for name in required if name not in columns]
            if missing:
                raise NoInput(
                    f"{path} has no column {', '.join(missing)}; expected a table as "
                    "legseg-evaluate writes it; evaluate again into a new folder"
                )
            yield columns
            for number_of_line, line in enumerate(file, start=2):
                cells = line.rstrip("\r\n").split("\t")
                if len(cells) != len(columns):
                    raise NoInput(
                        f"{path}, line {number_of_line}: {len(cells)} cells; expected "
                        f"{len(columns)} as in the header; evaluate again into a new folder"
                    )
                yield cells
    except (OSError, ValueError) as error:
        raise NoInput(
            f"{path} cannot be read ({error}); expected a table of legseg-evaluate; "
            "give the folder that it wrote"
        ) from error


def number(text: str) -> float:
    """Read a cell; NaN for nothing.

    Examples
    --------
    >>> number("0.5"), number("n/a")
    (0.5, nan)
    """
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")
