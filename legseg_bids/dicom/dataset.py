"""The files of a raw dataset beside its images: description, README, participants."""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from legseg_bids import __version__
from legseg_bids.bids.description import BIDS_VERSION
from legseg_bids.bids.write import (
    cannot_write,
    remove_leftovers,
    write_json,
    write_once,
    write_text,
)
from legseg_bids.dicom.found import Facts
from legseg_bids.errors import ExitCode, LegsegError, UsageError

RECORD = Path("code", "legseg-bidsify.tsv")
LOCK = Path("code", ".legseg-bidsify.lock")
OLDEST = 89
"""Ages above it are written as it: few people are that old."""
KEEP = {
    "sex": {"Description": "Sex", "Levels": {"M": "male", "F": "female", "O": "other"}},
    "age": {"Description": f"Age when scanned; {OLDEST} stands for {OLDEST} or more",
            "Units": "year"},
}  # fmt: skip
README = """\
# Magnetic resonance images of legs

Converted from DICOM by `legseg-bidsify`, which is part of legseg-bids.

`acq-outphase` is the image in opposed phase, `acq-inphase` the one in phase, `acq-water` and
`acq-fat` the reconstructed ones; `MEGRE` are single echoes. `chunk-` counts the stations of a leg
from the head end downwards, `run-` counts repeats. Labels of participants are running numbers.
"""


class Busy(LegsegError):
    """Somebody else is writing into the dataset."""

    exit_code = ExitCode.BUSY


@contextmanager
def locked(bids_dir: Path) -> Iterator[None]:
    """Keep other conversions out of a dataset while the block runs.

    The lock ends with the process, however that ends.

    Raises
    ------
    Busy
        If another conversion is at work.
    OutputError
        If the folder cannot be written.
    """
    path = bids_dir / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise cannot_write(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(
                f"another legseg-bidsify is writing into {bids_dir}; expected one at a time; "
                "run again when it has ended"
            ) from error
        # The file stays: whoever removed it could let two in at once.
        yield


def taken_labels(bids_dir: Path) -> frozenset[str]:
    """Labels of participants that a dataset has, with or without images."""
    folders = {path.name.removeprefix("sub-") for path in bids_dir.glob("sub-*") if path.is_dir()}
    listed = {row["participant_id"].removeprefix("sub-") for row in _participants(bids_dir)}
    return frozenset(folders | listed)


def write_dataset_files(bids_dir: Path) -> None:
    """Write the description and a README where there is none, and remove what a kill left.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    description = bids_dir / "dataset_description.json"
    if not description.exists():
        content = {
            "Name": "Magnetic resonance images of legs",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": "legseg-bidsify", "Version": __version__}],
        }
        write_json(description, content)
    if not any(bids_dir.glob("README*")):
        write_once(bids_dir / "README.md", README)
    remove_leftovers(bids_dir, deep=False)
    for folder in bids_dir.glob("sub-*"):
        remove_leftovers(folder)


def write_participants(bids_dir: Path, people: Mapping[str, Facts], keep: Iterable[str]) -> None:
    """Add participants to ``participants.tsv``; rows and columns that are there stay.

    Parameters
    ----------
    bids_dir : Path
        The dataset.
    people : mapping of str to Facts
        By label.
    keep : iterable of str
        ``sex`` and ``age`` are written only if named here.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    wanted = [key for key in KEEP if key in set(keep)]
    rows = {row["participant_id"]: dict(row) for row in _participants(bids_dir)}
    columns = list(dict.fromkeys(["participant_id", *(k for row in rows.values() for k in row)]))
    for label, facts in people.items():
        row = rows.setdefault(f"sub-{label}", {"participant_id": f"sub-{label}"})
        values = {"sex": _sex(facts), "age": _age(facts)}
        for key in wanted:
            if row.get(key, "n/a") == "n/a":
                row[key] = values[key]
    columns += [key for key in wanted if key not in columns]
    lines = ["\t".join(columns)]
    lines += ["\t".join(rows[key].get(c, "n/a") or "n/a" for c in columns) for key in sorted(rows)]
    text = "\n".join(lines) + "\n"
    path = bids_dir / "participants.tsv"
    if not path.exists() or path.read_text(encoding="utf-8-sig") != text:
        write_text(path, text)
    sidecar = bids_dir / "participants.json"
    if wanted and not sidecar.exists():
        write_json(sidecar, {key: KEEP[key] for key in wanted})


def checked_keep(text: str) -> tuple[str, ...]:
    """What ``--keep`` names.

    Raises
    ------
    UsageError
        If it names anything but sex and age.

    Examples
    --------
    >>> checked_keep("age,sex"), checked_keep("")
    (('age', 'sex'), ())
    """
    words = tuple(filter(None, (word.strip().lower() for word in text.split(","))))
    unknown = [word for word in words if word not in KEEP]
    if unknown:
        raise UsageError(
            f"--keep names {', '.join(unknown)}; expected {' or '.join(KEEP)}; nothing else of a "
            "person is written"
        )
    return words


def _participants(bids_dir: Path) -> list[dict[str, str]]:
    try:
        text = (bids_dir / "participants.tsv").read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return []
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [
        {key: value or "n/a" for key, value in row.items() if key}
        for row in rows
        if row.get("participant_id")
    ]


def _sex(facts: Facts) -> str:
    return facts.sex if facts.sex in ("M", "F", "O") else "n/a"


def _age(facts: Facts) -> str:
    """Whole years, of a DICOM age such as ``034Y``; ages in days, weeks and months in years."""
    units = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
    number, unit = facts.age[:-1], facts.age[-1:].upper()
    if not number.isdigit() or unit not in units:
        return "n/a"
    return str(min(OLDEST, int(int(number) / units[unit])))
