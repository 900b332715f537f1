"""Everything that participant runs have left behind, as plain rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.bids.derivative import read_legseg
from legseg_bids.bids.names import SEGMENTATION, parse_name
from legseg_bids.bids.sidecars import NOT_AVAILABLE

PATTERNS = tuple(f"sub-*/{between}*_seg-{SEGMENTATION}_dseg.tsv" for between in ("*/", "ses-*/*/"))


@dataclass(frozen=True)
class Collection:
    """What a derivative holds.

    Attributes
    ----------
    rows : tuple of dict of str to str
        One for each label of each finished image: ``participant_id``, ``session_id``,
        ``image`` (label image, relative to the derivative), and the columns of its table.
    images : dict of str to int
        Number of finished images by participant (``sub-01``); 0 where a participant was
        begun, or was expected, and has none.
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
    hashes = {path: read_legseg(path.with_suffix(".json")).get("ConfigHash") for path in tables}
    finished = [path for path in tables if hashes[path]]
    images = dict.fromkeys(_begun(derivatives_dir, expected), 0)
    for path in finished:
        images[_participant(path)] += 1
    rows = tuple(row for path in finished for row in _rows(path, derivatives_dir))
    unfinished = [path for path in tables if not hashes[path]]
    return Collection(rows, images, _notes(unfinished, {hashes[path] for path in finished}))


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
        "image": table.with_suffix(".nii.gz").relative_to(root).as_posix(),
    }
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [{**first, **row} for row in rows]


def _notes(unfinished: Sequence[Path], hashes: set[object]) -> tuple[str, ...]:
    notes = [f"{path.name} has no finished sidecar and is left out" for path in unfinished]
    if len(hashes) > 1:
        notes.append(
            f"the images were made with {len(hashes)} different versions or models; "
            "run all participants again with --overwrite to compare them"
        )
    return tuple(notes)
