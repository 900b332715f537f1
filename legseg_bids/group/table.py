"""The tables of a study: one row for each participant, and one for each structure.

The long table has every measurement of every image that counts; the wide one has one measurement
of each structure, see :mod:`legseg_bids.group.study`. The column ``*_truncated`` (of compartments
``*_complete``) says whether even that one is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.finished import DamagedTable, read_table
from legseg_bids.bids.sidecars import NOT_AVAILABLE, cell, load_columns, to_tsv
from legseg_bids.bids.write import replacing, write_json, write_text
from legseg_bids.group.covariates import read_descriptions
from legseg_bids.group.structures import KINDS, describe, tissue_descriptions
from legseg_bids.group.study import WORDS, Floats, Study, asymmetry

LONG_FIRST: dict[str, Mapping[str, Any]] = {
    "participant_id": {"Description": "Participant, with sub-"},
    "session_id": {"Description": "Session, with ses-; n/a for an image without one"},
    "image": {"Description": "Label image that was measured, relative to the derivative"},
    "kind": {
        "Description": "What the row tells of",
        "Levels": {
            "muscle": "a labelled muscle",
            "compartment": "muscles that work together, measured as one",
            "tissue": "a tissue of the whole limb",
            "bone": "a labelled bone",
            "fat": "labelled subcutaneous fat",
        },
    },
}
ASYMMETRY = {
    "Description": "Difference of volume between left and right, in percent of their mean: "
    "100 (L - R) / ((L + R) / 2); n/a unless both are whole and of sufficient quality",
    "Units": "%",
}
AT_ONCE = 500
"""Rows of the wide table that are put together at once."""
RULE = (
    "One row for each participant. Of several images of a structure one counts: that which is "
    "not cut by the field of view, else the one with the largest volume"
)


@dataclass(frozen=True)
class WideColumn:
    """One column of the wide table: a measure of a structure, in one session.

    Attributes
    ----------
    structure, measure : str
        Abbreviation, and what is told of it.
    session : str
        ``ses-…``, or ``n/a`` for images without a session.
    values : ndarray, shape (records,)
        Numbers or words; NaN or empty where there is none.
    description : mapping
        What the sidecar says of it.
    """

    structure: str
    measure: str
    session: str
    values: NDArray[Any]
    description: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Column header, as ``RF_L_volume`` or ``RF_L_volume_ses-2``."""
        ending = "" if self.session == NOT_AVAILABLE else f"_{self.session}"
        return f"{self.structure}_{self.measure}{ending}"


def long_columns() -> dict[str, Mapping[str, Any]]:
    """Columns of the long table, each with its description.

    Examples
    --------
    >>> list(long_columns())[:5]
    ['participant_id', 'session_id', 'image', 'kind', 'index']
    """
    return {
        **LONG_FIRST,
        **load_columns(),
        "complete": load_columns("compartments")["complete"],
    }


class LongTable:
    """The long table, written row by row: a study need not fit into memory.

    Parameters
    ----------
    file : binary file
        Open for writing.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._columns = list(long_columns())
        write_line(file, self._columns)

    def add(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Append rows."""
        for row in rows:
            cells = [row.get(column) or NOT_AVAILABLE for column in self._columns]
            if not "".join(cells).isprintable():
                cells = [cell(text) for text in cells]
            write_line(self._file, cells)


def write_line(file: Any, cells: Sequence[str]) -> None:
    """Write one row of a table to a binary file."""
    file.write(("\t".join(cells) + "\n").encode("utf-8", errors="replace"))


def wide_columns(study: Study) -> Iterator[WideColumn]:
    """Columns of the wide table: sessions, then structures, then measures; none that is empty."""
    uneven = asymmetry(study)
    for session in study.sessions:
        chosen = np.array([record.session == session for record in study.records])
        told = "" if session == NOT_AVAILABLE else f" ({session})"
        for key, called, measure, values, text in _told(study, uneven):
            if _there(values[chosen]).any():
                description = {**text, "Description": f"{called}{told}: {text['Description']}"}
                yield WideColumn(key, measure, session, values, description)


def write_wide(root: Path, study: Study, participants: Sequence[str]) -> Path:
    """Write ``phenotype/legseg.tsv`` and its description; participants without a result too.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    path = root / "phenotype" / "legseg.tsv"
    columns = list(wide_columns(study))
    place = {(r.participant, r.session): index for index, r in enumerate(study.records)}
    with replacing(path) as file:
        write_line(file, ["participant_id", *(column.name for column in columns)])
        for start in range(0, len(participants), AT_ONCE):
            some = participants[start : start + AT_ONCE]
            for cells in zip(some, *(_cells(c, some, place) for c in columns), strict=True):
                write_line(file, cells)
    content: dict[str, Any] = {
        "Description": RULE,
        "MeasurementToolMetadata": {"Description": "legseg-bids, automatic leg-muscle volumes"},
    }
    write_json(path.with_suffix(".json"), content | {c.name: c.description for c in columns})
    return path


def write_long_sidecar(path: Path) -> None:
    """Describe the columns of the long table.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    tissues = "; ".join(f"{name}: {text}" for name, text in tissue_descriptions().items())
    content = {
        "Description": "One row for each structure of each image. A merged image stands for its "
        f"stations. Kinds are {', '.join(KINDS)}; tissues are {tissues}",
        **long_columns(),
    }
    write_json(path.with_suffix(".json"), content)


def write_participants(root: Path, images: Mapping[str, int]) -> Path:
    """Write ``participants.tsv``: who was tried, and the number of images; keep other columns.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    images : mapping of str to int
        Finished images by participant (``sub-01``).

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = root / "participants.tsv"
    try:
        before = {row["participant_id"]: row for row in read_table(path, ["participant_id"])}
    except DamagedTable:
        before = {}
    others = next(iter(before.values()), {}).keys() - {"participant_id", "images"}
    ordered = [name for name in next(iter(before.values()), {}) if name in others]
    # Somebody put these columns here; a participant of whom they tell something stays.
    kept = {name for name, row in before.items() if any(row[c] != NOT_AVAILABLE for c in others)}
    rows = [
        {**before.get(name, {}), "participant_id": name, "images": images.get(name, 0)}
        for name in sorted(kept | images.keys())
    ]
    write_text(path, to_tsv(["participant_id", "images", *ordered], rows))
    described = _described(path.with_suffix(".json"), ordered)
    write_json(path.with_suffix(".json"), described)
    return path


def _described(path: Path, others: Sequence[str]) -> dict[str, Any]:
    """The description of ``participants.tsv``, with what others wrote of their columns."""
    before = read_descriptions(path)
    return {
        "Description": "Participants that were segmented, or that were tried",
        "images": {"Description": "Number of images that were segmented; 0 if none was"},
        **{name: before[name] for name in others if name in before},
    }


def _told(
    study: Study, uneven: Mapping[str, Floats]
) -> Iterator[tuple[str, str, str, NDArray[Any], Mapping[str, Any]]]:
    """All that is told of each structure: key, name, measure, values, description."""
    for place, structure in enumerate(study.structures):
        side = "" if structure.side == NOT_AVAILABLE else f" {structure.side}"
        for measure, of_all in _in_order(study):
            values = of_all[:, place]
            if _there(values).any():
                text = describe(structure, measure)
                yield structure.key, structure.name + side, measure, values, text
    for name, values in uneven.items():
        first = study.structures[study.bases[name][0]]
        yield first.base, first.name, "asymmetry", values, ASYMMETRY


def _in_order(study: Study) -> Iterator[tuple[str, NDArray[Any]]]:
    """Measures and words as they follow each other in the wide table."""
    numbers = [name for name in study.values if name != "volume"]
    for measure in ("volume", "truncated", "complete", *numbers, "quality"):
        kind: Mapping[str, NDArray[Any]] = study.words if measure in WORDS else study.values
        if measure in kind:
            yield measure, kind[measure]


def _there(values: NDArray[Any]) -> NDArray[np.bool_]:
    there = np.isfinite(values) if values.dtype.kind == "f" else values != ""
    return np.asarray(there, bool)


def _cells(
    column: WideColumn, participants: Sequence[str], place: Mapping[tuple[str, str], int]
) -> list[str]:
    """Cells of these participants; place is the number of a record."""
    there = [place.get((participant, column.session), -1) for participant in participants]
    # Where there is no record, the last one is taken, and replaced.
    values = column.values[there].tolist()
    return [
        NOT_AVAILABLE if index < 0 else cell(value)
        for index, value in zip(there, values, strict=True)
    ]
