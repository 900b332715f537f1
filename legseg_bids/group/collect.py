"""Everything that participant runs have left behind, as plain rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.bids.derivative import read_legseg
from legseg_bids.bids.merged import holds
from legseg_bids.bids.names import SEGMENTATION, parse_name, printable
from legseg_bids.bids.sets import MERGED
from legseg_bids.bids.sidecars import NOT_AVAILABLE

PATTERNS = tuple(
    f"sub-*/{between}*_seg-{SEGMENTATION}{merged}_dseg.tsv"
    for between in ("*/", "ses-*/*/")
    for merged in ("", f"_desc-{MERGED}")
)
REQUIRED = frozenset({"index", "name", "abbreviation", "volume"})
"""Columns without which a table says nothing."""


@dataclass(frozen=True)
class Collection:
    """What a derivative holds.

    Attributes
    ----------
    rows : tuple of dict of str to str
        One for each label of each finished image: ``participant_id``, ``session_id``,
        ``image`` (label image, relative to the derivative), and the columns of its table. A
        merged image stands for the stations that it was made from.
    images : dict of str to int
        Number of finished images by participant (``sub-01``), merged ones not counted; 0 where
        a participant was begun, or was expected, and has none.
    notes : tuple of str
        What a reader of the tables must know: unfinished images, mixed configurations.
    """

    rows: tuple[dict[str, str], ...]
    images: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Participants without a finished image, sorted."""
        return tuple(sorted(name for name, count in self.images.items() if not count))


def collect(derivatives_dir: Path, expected: Sequence[str] = ()) -> Collection:
    """Read the tables of all finished images.

    An image is finished when its JSON sidecar is there, which is written last.

    Parameters
    ----------
    derivatives_dir : Path
        Output folder of the participant runs; nothing else is read.
    expected : sequence of str
        Labels (without ``sub-``) of participants that ought to be there.
    """
    tables = sorted({path for pattern in PATTERNS for path in derivatives_dir.glob(pattern)})
    told = {path: _told(path.with_suffix(".json")) for path in tables}
    finished = [path for path in tables if told[path]]
    merged = [path for path in finished if "StationSHA256" in told[path]]
    outdated = [path for path in merged if not holds(derivatives_dir, told[path])]
    replaced = {
        derivatives_dir / labels
        for path in merged
        if path not in outdated
        for labels in told[path]["StationSHA256"]
    }
    images = dict.fromkeys(_begun(derivatives_dir, expected), 0)
    for path in finished:
        images[_participant(path)] += path not in merged
    used = [p for p in finished if p not in outdated and _labels(p) not in replaced]
    rows: list[dict[str, str]] = []
    damaged = []
    for path in used:
        try:
            rows += _rows(path, derivatives_dir)
        except (OSError, ValueError, csv.Error) as error:
            damaged.append(f"{path.name} cannot be used ({printable(str(error))})")
    unfinished = [path for path in tables if path not in finished]
    hashes = {told[path]["ConfigHash"] for path in used}
    return Collection(tuple(rows), images, _notes(unfinished, outdated, damaged, hashes))


def _told(sidecar: Path) -> dict[str, Any]:
    """Our own object in a sidecar; empty if the image is unfinished or somebody changed it."""
    legseg = read_legseg(sidecar)
    sums = legseg.get("StationSHA256", {})
    sound = isinstance(legseg.get("ConfigHash"), str) and isinstance(sums, dict)
    return legseg if sound else {}


def _begun(derivatives_dir: Path, expected: Sequence[str]) -> list[str]:
    folders = [*derivatives_dir.glob("sub-*"), *derivatives_dir.glob("logs/sub-*")]
    begun = {path.name for path in folders if path.is_dir()}
    return sorted(begun | {f"sub-{label.removeprefix('sub-')}" for label in expected})


def _participant(table: Path) -> str:
    return f"sub-{parse_name(table.name).get('sub')}"


def _rows(table: Path, root: Path) -> list[dict[str, str]]:
    session = parse_name(table.name).get("ses")
    first = {
        "participant_id": _participant(table),
        "session_id": f"ses-{session}" if session else NOT_AVAILABLE,
        "image": _labels(table).relative_to(root).as_posix(),
    }
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if any(not row.keys() >= REQUIRED or None in (*row, *row.values()) for row in rows):
        raise ValueError("its columns are not those that this program writes")
    return [{**row, **first} for row in rows]


def _labels(table: Path) -> Path:
    return table.with_suffix(".nii.gz")


def _notes(
    unfinished: Sequence[Path],
    outdated: Sequence[Path],
    damaged: Sequence[str],
    hashes: set[object],
) -> tuple[str, ...]:
    notes = [f"{path.name} has no finished sidecar and is left out" for path in unfinished]
    notes += [
        f"{path.name} was merged from stations that have changed since and is left out; "
        "run the participant level again"
        for path in outdated
    ]
    notes += [
        f"{told} and is left out; run the participant again with --overwrite" for told in damaged
    ]
    if len(hashes) > 1:
        notes.append(
            f"the images were made with {len(hashes)} different versions or models; "
            "run all participants again with --overwrite to compare them"
        )
    return tuple(notes)
