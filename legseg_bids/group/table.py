"""The tables of a study: one row for each participant, and one for each muscle.

Where the stations of a leg were merged, both tables take the merged image and leave out the
stations that it was made from. Of a muscle that several images of a participant (and session)
still show, the wide table takes one measurement, never a sum, as images overlap: the one that is
not cut by the first or last slice; among these, one not cut in plane; among these, the largest
volume. The column ``*_truncated`` says whether even that one is cut. The long table has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.links import refuse_links
from legseg_bids.bids.sidecars import NOT_AVAILABLE, load_columns, to_tsv
from legseg_bids.bids.write import write_json, write_text
from legseg_bids.errors import NoInput
from legseg_bids.group.collect import Collection, collect

MEASURES = ("volume", "truncated", "mean_fat_fraction")
OPTIONAL_MEASURES = frozenset({"mean_fat_fraction"})
LONG_FIRST = ("participant_id", "session_id", "image")


@dataclass(frozen=True)
class WideColumn:
    """One column of the wide table: a measure of a structure, in one session.

    Attributes
    ----------
    abbreviation, measure : str
        Structure and what is told of it.
    session : str
        ``ses-…``, or ``n/a`` for images without a session.
    """

    abbreviation: str
    measure: str
    session: str

    @property
    def name(self) -> str:
        """Column header, as ``RF_L_volume`` or ``RF_L_volume_ses-2``."""
        ending = "" if self.session == NOT_AVAILABLE else f"_{self.session}"
        return f"{self.abbreviation}_{self.measure}{ending}"


@dataclass(frozen=True)
class GroupResult:
    """What the group step wrote.

    Attributes
    ----------
    collection : Collection
        What it was made from; ``missing`` and ``notes`` belong into the log.
    wide, long : Path
        The two tables.
    """

    collection: Collection
    wide: Path
    long: Path


def write_group(derivatives_dir: Path, expected: Sequence[str] = ()) -> GroupResult:
    """Write the tables of a study from the derivatives alone.

    Parameters
    ----------
    derivatives_dir : Path
        Output folder of the participant runs.
    expected : sequence of str
        Labels of participants that ought to be there; those without a result are listed.

    Raises
    ------
    NoInput
        If there is no finished image at all.
    OutputError
        If a table cannot be written, or a folder of the derivative leads elsewhere.
    """
    collection = collect(derivatives_dir, expected)
    if not collection.rows and not any(collection.images.values()):
        raise NoInput(
            f"{derivatives_dir} has no finished segmentation; expected *_dseg.tsv and JSON; "
            "run the participant level into this folder first"
        )
    refuse_links(derivatives_dir)
    write_dataset_files(derivatives_dir, None)
    _write_participants(derivatives_dir, collection)
    wide = _write_wide(derivatives_dir, collection)
    long = _write_long(derivatives_dir, collection)
    return GroupResult(collection, wide, long)


def wide_columns(rows: Sequence[Mapping[str, str]]) -> list[WideColumn]:
    """Columns of the wide table: sessions, then structures by index, then measures."""
    sessions = sorted({row["session_id"] for row in rows}, key=lambda s: (s != NOT_AVAILABLE, s))
    found = {row["abbreviation"] for row in rows}
    abbreviations = [label.abbreviation for label in load_labels() if label.abbreviation in found]
    measures = [m for m in MEASURES if m not in OPTIONAL_MEASURES or _any(rows, m)]
    return [
        WideColumn(abbreviation, measure, session)
        for session in sessions
        for abbreviation in abbreviations
        for measure in measures
    ]


def choose_row(rows: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """Choose one of several measurements of the same structure (see the module's rule).

    Examples
    --------
    >>> cut = {"truncated": "both", "cut_in_plane": "false", "volume": "300"}
    >>> whole = {"truncated": "none", "cut_in_plane": "false", "volume": "250"}
    >>> choose_row([cut, whole])["volume"]
    '250'
    """
    return max(
        rows,
        key=lambda row: (
            row.get("truncated") == "none",
            row.get("cut_in_plane") != "true",
            _number(row.get("volume")),
        ),
    )


def wide_rows(collection: Collection) -> list[dict[str, str]]:
    """One row for each participant; those without a result have ``n/a`` throughout."""
    columns = wide_columns(collection.rows)
    groups: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for row in collection.rows:
        key = (row["participant_id"], row["session_id"], row["abbreviation"])
        groups.setdefault(key, []).append(row)
    chosen = {key: choose_row(rows) for key, rows in groups.items()}

    def cell(participant: str, column: WideColumn) -> str:
        row = chosen.get((participant, column.session, column.abbreviation), {})
        return row.get(column.measure, NOT_AVAILABLE)

    return [
        {"participant_id": participant, **{c.name: cell(participant, c) for c in columns}}
        for participant in sorted(collection.images)
    ]


def wide_sidecar(columns: Sequence[WideColumn]) -> dict[str, Any]:
    """JSON that describes the wide table."""
    names = {label.abbreviation: label.name for label in load_labels()}
    described = load_columns()
    content: dict[str, Any] = {
        "Description": "One row for each participant; of several images of a muscle, the one "
        "that is not cut by the field of view, else the one with the largest volume",
        "MeasurementToolMetadata": {"Description": "legseg-bids, automatic leg-muscle volumes"},
    }
    for column in columns:
        base = dict(described[column.measure])
        where = "" if column.session == NOT_AVAILABLE else f" ({column.session})"
        base["Description"] = f"{names[column.abbreviation]}{where}: {base['Description']}"
        content[column.name] = base
    return content


def _write_wide(root: Path, collection: Collection) -> Path:
    columns = wide_columns(collection.rows)
    path = root / "phenotype" / "legseg.tsv"
    header = ["participant_id", *(column.name for column in columns)]
    write_text(path, to_tsv(header, wide_rows(collection)))
    write_json(path.with_suffix(".json"), wide_sidecar(columns))
    return path


def _write_long(root: Path, collection: Collection) -> Path:
    path = root / "group_volumes.tsv"
    write_text(path, to_tsv([*LONG_FIRST, *load_columns()], collection.rows))
    return path


def _write_participants(root: Path, collection: Collection) -> None:
    rows = [{"participant_id": p, "images": n} for p, n in sorted(collection.images.items())]
    write_text(root / "participants.tsv", to_tsv(["participant_id", "images"], rows))
    described = {
        "Description": "Participants that were segmented, or that were tried",
        "images": {"Description": "Number of images that were segmented; 0 if none was"},
    }
    write_json(root / "participants.json", described)


def _any(rows: Iterable[Mapping[str, str]], measure: str) -> bool:
    return any(row.get(measure, NOT_AVAILABLE) != NOT_AVAILABLE for row in rows)


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return 0.0
