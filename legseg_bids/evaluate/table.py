"""The tables of an evaluation, written row by row: they need not fit into memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from legseg_bids.bids.sidecars import to_tsv
from legseg_bids.bids.write import remove, replacing, write_json

EVALUATION, SLICES, CONFUSION, LEFT_OUT, TROUBLES = (
    "evaluation", "evaluation_slices", "confusion", "left_out", "troubles",
)  # fmt: skip
#: Tables that share their columns with another one.
LIKE = {SLICES: EVALUATION}
Row = Mapping[str, object]


@cache
def load_columns(table: str) -> Mapping[str, Mapping[str, Any]]:
    """Columns of a table of an evaluation, in order, each with its description.

    Parameters
    ----------
    table : str
        ``evaluation``, ``evaluation_slices``, ``confusion``, ``left_out`` or ``troubles``.

    Examples
    --------
    >>> list(load_columns("confusion"))[-3:]
    ['reference', 'predicted', 'voxels']
    """
    text = resources.files(__package__).joinpath("data", "evaluation_columns.json")
    return MappingProxyType(json.loads(text.read_text("utf-8"))[LIKE.get(table, table)])


class Tables:
    """Tables that are written at the same time; each appears when all are whole.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        Which tables.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder, self.names = folder, tuple(names)
        self._stack, self._files = ExitStack(), dict[str, IO[bytes]]()

    def __enter__(self) -> Tables:
        for name in self.names:
            file = self._stack.enter_context(replacing(self.path(name)))
            self._files[name] = file
            file.write("\t".join(load_columns(name)).encode() + b"\n")
        return self

    def __exit__(self, *told: Any) -> None:
        self._stack.__exit__(*told)

    def path(self, name: str) -> Path:
        """Where a table lies."""
        return self.folder / f"{name}.tsv"

    def add(self, name: str, rows: Iterable[Row]) -> None:
        """Append rows; what a row does not have is ``n/a``."""
        columns = list(load_columns(name))
        _, _, body = to_tsv(columns, rows).partition("\n")
        self._files[name].write(body.encode("utf-8", errors="replace"))


def write_sidecars(folder: Path, names: Iterable[str], facts: Mapping[str, Any]) -> list[Path]:
    """Describe the columns of tables, and how they were made, in JSON files beside them.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        Which tables.
    facts : mapping
        How they were made; kept in one object.
    """
    paths = []
    for name in names:
        path = folder / f"{name}.json"
        write_json(path, {**load_columns(name), "Legseg": dict(facts)})
        paths.append(path)
    return paths


def remove_table(folder: Path, name: str) -> None:
    """Remove a table that an earlier evaluation wrote, and its sidecar."""
    remove([folder / f"{name}.tsv", folder / f"{name}.json"])


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a table, one after the other."""
    with path.open(encoding="utf-8") as file:
        columns = file.readline().rstrip("\n").split("\t")
        for line in file:
            yield dict(zip(columns, line.rstrip("\n").split("\t"), strict=True))
