"""Tables that grow task by task, and say of which weights they are.

A table is a TSV beside a JSON sidecar. Rows of a task (one person in one case) say how many they
are, so that an interrupted benchmark knows what is whole and goes on with the rest.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.bids.write import replacing, write_json
from legseg_bids.errors import UsageError

Row = dict[str, Any]
#: Columns of text and of whole numbers; all others hold real numbers.
TEXT = frozenset({"factor", "value", "image", "structure"})
WHOLE = frozenset({"person", "label", "rows", "voxels", "right"})
#: Of a case's facts: what it is, by name.
CASES = "Cases"


@dataclass(frozen=True, order=True)
class Task:
    """One person in one case (``factor`` and ``value``)."""

    factor: str
    value: str
    person: int


def task_of(row: Row) -> Task:
    """The task that a row belongs to."""
    return Task(row["factor"], row["value"], row["person"])


class Table:
    """Rows of one study of one network in a file.

    Parameters
    ----------
    path : Path
        The TSV; made if need be.
    columns : sequence of str
        ``factor``, ``value``, ``person`` and ``rows`` among them.
    facts : mapping
        What the rows depend on, for the sidecar. Under ``Cases`` a digest of each case.
    replace : bool
        Whether a table with other facts is moved aside.

    Raises
    ------
    UsageError
        If there is a table with other facts.
    OutputError
        If the file cannot be written.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], facts: Mapping[str, Any], replace: bool = False
    ) -> None:
        self.path, self.columns = path, tuple(columns)
        sidecar = path.with_suffix(".json")
        before = json.loads(sidecar.read_text("utf-8")) if sidecar.exists() else None
        self.rows = _whole_tasks(read_table(path)) if path.exists() else []
        other = _differences(before, facts) if self.rows else ()
        if other and not replace:
            raise UsageError(
                f"{path} was made with another {' and '.join(other)}; expected the same; give "
                f"another --out, or --replace to move it aside"
            )
        if other:
            _move_aside(path)
            self.rows = []
        known = before.get(CASES, {}) if before and self.rows else {}
        write_json(sidecar, {**facts, CASES: {**known, **facts[CASES]}})
        self._write()

    @property
    def done(self) -> frozenset[Task]:
        """Tasks that need not be computed again."""
        return frozenset(map(task_of, self.rows))

    def add(self, task: Task, rows: Sequence[Row]) -> None:
        """Append the rows of a task to the file."""
        # A task without any row is written as one that is counted nowhere: it is done, too.
        rows = rows or [{"label": 0, "volume": 0.0}]
        full = [{**vars(task), "rows": len(rows)} | row for row in rows]
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text(full))
        self.rows += full

    def finish(self, order: Sequence[Task]) -> None:
        """Sort the file by task, so that it does not tell who came first."""
        place = {task: at for at, task in enumerate(order)}
        last = len(place)
        self.rows.sort(key=lambda row: place.get(task_of(row), last))
        self._write()

    def _write(self) -> None:
        head = "\t".join(self.columns) + "\n"
        with replacing(self.path) as file:
            file.write((head + self._text(self.rows)).encode())

    def _text(self, rows: Sequence[Row]) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(
            buffer, self.columns, restval="", delimiter="\t", lineterminator="\n"
        )
        writer.writerows(rows)
        return buffer.getvalue()


def read_table(path: Path) -> list[Row]:
    """Rows of a table with numbers as numbers; what is empty is NaN; a torn last line is none."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    raw = csv.DictReader(lines, delimiter="\t")
    return [{key: _value(key, text) for key, text in row.items()} for row in raw]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table at once, without sidecar."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(buffer.getvalue().encode())


def _value(key: str, text: str) -> Any:
    if key in TEXT:
        return text
    if key in WHOLE:
        return int(text)
    return float(text or "nan")


def _whole_tasks(rows: Sequence[Row]) -> list[Row]:
    """Rows of tasks that have as many as they say."""
    count: dict[Task, int] = {}
    for row in rows:
        count[task_of(row)] = count.get(task_of(row), 0) + 1
    return [row for row in rows if count[task_of(row)] == row["rows"]]


def _differences(before: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What is not as it was; cases only where both know them."""
    if before is None:
        return ("(unknown) origin",)
    out = [key for key in facts if key != CASES and before.get(key) != facts[key]]
    known = before.get(CASES, {})
    out += [
        f"case {name!r}"
        for name, digest in facts[CASES].items()
        if known.get(name, digest) != digest
    ]
    return tuple(out)


def _move_aside(path: Path) -> None:
    """Give a table and its sidecar the first free name with a number."""
    number = 1
    while path.with_name(f"{path.stem}.old{number}.tsv.txt").exists():
        number += 1
    aside = path.with_name(f"{path.stem}.old{number}.tsv.txt")
    path.rename(aside)
    sidecar = path.with_suffix(".json")
    if sidecar.exists():
        sidecar.rename(aside.with_suffix(".json"))
