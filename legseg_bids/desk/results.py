"""The finished images of a project: what there is to look at, to correct and to take away."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.bids.finished import REQUIRED as REQUIRED_COLUMNS
from legseg_bids.bids.finished import DamagedTable, FinishedImage, finished_images, read_table
from legseg_bids.bids.manual import original_labels
from legseg_bids.bids.names import printable
from legseg_bids.desk.refusals import NotThere
from legseg_bids.report.findings import read_sidecar
from legseg_bids.report.subject import report_path
from legseg_bids.report.tables import RANK, Column, muscle_table, number


@dataclass(frozen=True)
class Result:
    """A finished image, or the correction that stands for it.

    Attributes
    ----------
    id : str
        Short, the same as long as the image has its name.
    image : FinishedImage
        Where its files are.
    """

    id: str
    image: FinishedImage

    @property
    def original(self) -> Path:
        """The label image that was made first."""
        return original_labels(self.image.labels)

    @property
    def name(self) -> str:
        """The same, relative to the derivative."""
        return self.original.relative_to(self.image.root).as_posix()

    def labels(self, *, original: bool = False) -> Path:
        """The label image that counts, or the one that was made first."""
        return self.original if original else self.image.labels

    def table(self, *, original: bool = False) -> Path:
        """The measurements that belong to it."""
        return _with(self.labels(original=original), ".tsv")

    @property
    def figure(self) -> Path:
        """The picture; that of the correction, if there is one."""
        figure = self.image.paths.figure
        first = figure.with_name(self.original.name.removesuffix(".nii.gz") + ".png")
        return figure if figure.is_file() else first

    @property
    def report(self) -> Path:
        """The page of the participant."""
        return report_path(self.image.root, self.image.subject)


def all_results(output: Path) -> list[Result]:
    """Every finished image, by participant and session; the whole leg before its stations."""
    images = sorted(
        finished_images(output),
        key=lambda i: (i.subject, i.session or "", not i.merged, i.replaced, i.stem),
    )
    return [Result(_identifier(output, image), image) for image in images]


def find_result(output: Path, identifier: str) -> Result:
    """One finished image.

    Raises
    ------
    NotThere
        If there is none with this identifier.
    """
    for result in all_results(output):
        if result.id == identifier:
            return result
    raise NotThere(
        "there is no such result in the project; expected one of the list; load the page again"
    )


def described(result: Result) -> dict[str, Any]:
    """What the list of results tells of one."""
    image = result.image
    rows = _rows(result.table())
    qualities = Counter(row["quality"] for row in rows if row.get("quality") in RANK)
    warnings = image.legseg.get("Warnings", [])
    return {
        "id": result.id,
        "participant": printable(image.subject),
        "session": printable(image.session) if image.session else None,
        "title": _title(image),
        "image": printable(result.name),
        "quality": max(qualities, key=RANK.__getitem__, default=None),
        "qualities": {word: qualities.get(word, 0) for word in RANK},
        "corrected": image.manual,
        "merged": image.merged,
        "replaced": image.replaced,
        "warnings": [printable(text) for text in (*image.notes, *_texts(warnings))],
    }


def measures(result: Result, *, original: bool = False) -> dict[str, Any]:
    """The measurements of a result, in the columns and units of its report.

    Raises
    ------
    DamagedTable
        If the table cannot be read.
    """
    table = result.table(original=original)
    rows = read_table(table, REQUIRED_COLUMNS)
    columns = muscle_table(rows, read_sidecar(table.with_suffix(".json"))).columns
    shown = [
        {"key": one.key, "title": one.title, "unit": one.unit, "description": one.description}
        for one in columns
    ]
    return {"columns": shown, "rows": [_measured(row, columns) for row in rows]}


def structures() -> list[dict[str, Any]]:
    """The label scheme, for the legend and the brush."""
    return [
        {
            "index": label.index,
            "name": label.name,
            "abbreviation": label.abbreviation,
            "side": label.side,
            "tissue": label.tissue,
            "color": label.color,
        }
        for label in load_labels()
    ]


def _measured(row: Mapping[str, str], columns: Sequence[Column]) -> dict[str, Any]:
    named = {key: printable(row.get(key, "")) for key in ("name", "abbreviation", "side")}
    return {
        "index": int(number(row.get("index")) or 0),
        **named,
        **{column.key: _value(row, column) for column in columns},
        "quality_reasons": _text(row.get("quality_reasons")),
    }


def _value(row: Mapping[str, str], column: Column) -> float | str | None:
    if column.factor is None:
        return _text(row.get(column.key))
    value = number(row.get(column.key))
    return None if value is None else round(value * column.factor, 6)


def _texts(values: object) -> list[str]:
    return [text for text in values if isinstance(text, str)] if isinstance(values, list) else []


def _text(cell: str | None) -> str | None:
    return None if cell in (None, "", "n/a") else printable(str(cell))


def _rows(table: Path) -> Iterable[Mapping[str, str]]:
    try:
        return read_table(table)
    except DamagedTable:
        return []


def _title(image: FinishedImage) -> str:
    session = f", session {image.session}" if image.session else ""
    if image.merged:
        return printable(f"Whole leg, {len(image.members)} stations merged{session}")
    return printable(f"Station {image.stem.partition('_seg-')[0]}{session}")


def _identifier(output: Path, image: FinishedImage) -> str:
    name = original_labels(image.labels).relative_to(output).as_posix()
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]


def _with(labels: Path, extension: str) -> Path:
    return labels.with_name(labels.name.removesuffix(".nii.gz") + extension)
