"""Which files a dataset holds for the participants that were asked for (pybids)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import parse_name
from legseg_bids.bids.queries import QueryTable, load_queries
from legseg_bids.errors import NoFilterMatch, NoInput, ValidationError

IGNORED_FOLDERS = ("code", "derivatives", "models", "rawbids", "sourcedata", "stimuli")


@dataclass(frozen=True)
class Dataset:
    """Files of a BIDS dataset that may matter.

    Attributes
    ----------
    root : Path
        The dataset, absolute; links are not resolved.
    subjects : tuple of str
        Labels of the chosen participants.
    images, sidecars : tuple of Path
        Absolute paths, sorted.
    """

    root: Path
    subjects: tuple[str, ...]
    images: tuple[Path, ...]
    sidecars: tuple[Path, ...]


def index(
    bids_dir: Path, participants: Sequence[str] = (), sessions: Sequence[str] = ()
) -> Dataset:
    """List the images of the chosen participants and sessions.

    Only the chosen participants are looked at, so that one of a thousand takes no longer
    than one of one. Derivatives, source data and code are ignored.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    participants, sessions : sequence of str
        Labels, with or without ``sub-``/``ses-``; empty means all. Images without a session
        belong to every session.

    Raises
    ------
    NoInput
        If the folder does not exist or has no participants.
    ValidationError
        If it is not a BIDS dataset.
    NoFilterMatch
        If a participant does not exist, or a session is found for none of the participants.
    """
    root = Path(os.path.abspath(bids_dir))  # noqa: PTH100 - resolve() would follow DataLad links
    check_dataset(root)
    subjects = _choose_subjects(root, [label.removeprefix("sub-") for label in participants])
    wanted = [label.removeprefix("ses-") for label in sessions]
    table = load_queries()
    layout = _layout(root, subjects, everybody=not participants)
    images = _paths(layout, datatype=list(table.datatypes), suffix=list(table.suffixes),
                    extension=[".nii", ".nii.gz"])  # fmt: skip
    _check_sessions(images, wanted, root)
    kept = [path for path in images if not wanted or _session(path) in {None, *wanted}]
    return Dataset(root, subjects, _without_twins(kept), _sidecars(layout, table))


def check_dataset(root: Path) -> None:
    """Make sure that a folder is a BIDS dataset: it says so in ``dataset_description.json``.

    Raises
    ------
    NoInput
        If the folder does not exist.
    ValidationError
        If the description is missing or is not a JSON object.
    """
    description = root / "dataset_description.json"
    if not root.is_dir():
        raise NoInput(f"{root} is not a folder; expected a BIDS dataset; check the first argument")
    try:
        valid = isinstance(json.loads(description.read_text(encoding="utf-8-sig")), dict)
    except FileNotFoundError as error:
        raise ValidationError(
            f"{root} has no dataset_description.json; expected a BIDS dataset; "
            "give the dataset's root folder, or add the file"
        ) from error
    except (OSError, ValueError) as error:
        raise ValidationError(
            f"{description} cannot be read ({error}); expected a JSON object; repair the file"
        ) from error
    if not valid:
        raise ValidationError(f"{description} holds no JSON object; expected one; repair the file")


def _choose_subjects(root: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    known = sorted(path.name.removeprefix("sub-") for path in root.glob("sub-*") if path.is_dir())
    if not known:
        raise NoInput(f"{root} has no sub-* folder; expected participants; check the path")
    missing = [label for label in wanted if label not in known]
    if missing:
        raise NoFilterMatch(
            f"participant {', '.join(missing)} not found in {root}; expected one of "
            f"{_some(known)}; check --participant-label"
        )
    return tuple(sorted(set(wanted)) or known)


def _check_sessions(images: Iterable[Path], wanted: Sequence[str], root: Path) -> None:
    known = {_session(path) for path in images}
    missing = [label for label in wanted if label not in known]
    if missing and None not in known:
        found = sorted(label for label in known if label)
        raise NoFilterMatch(
            f"session {', '.join(missing)} not found in {root} for these participants; expected "
            f"one of {_some(found) or '(none has images)'}; check --session-label"
        )


def _layout(root: Path, subjects: Sequence[str], *, everybody: bool) -> Any:
    from bids import BIDSLayout, BIDSLayoutIndexer

    ignored: list[Any] = [re.compile(f"^/{folder}(/|$)") for folder in IGNORED_FOLDERS]
    ignored.append(re.compile(r"/\."))
    if not everybody:
        labels = "|".join(map(re.escape, subjects))
        ignored.append(re.compile(rf"^/sub-(?!(?:{labels})(?:[/_.]|$))"))
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignored)
    # Pinned: the coming default configuration renames entities and drops unknown suffixes.
    return BIDSLayout(root, validate=False, indexer=indexer, config=["bids", "derivatives"])


def _paths(layout: Any, **filters: Any) -> list[Path]:
    return sorted(Path(path) for path in layout.get(return_type="filename", **filters))


def _sidecars(layout: Any, table: QueryTable) -> tuple[Path, ...]:
    found = _paths(layout, extension=".json")
    return tuple(path for path in found if parse_name(path.name).suffix in table.suffixes)


def _without_twins(images: Sequence[Path]) -> tuple[Path, ...]:
    """Keep one of ``x.nii`` and ``x.nii.gz``, the latter."""
    twins = {path.with_suffix("") for path in images if path.suffix == ".gz"}
    return tuple(path for path in images if path not in twins)


def _session(path: Path) -> str | None:
    return parse_name(path.name).get("ses")


def _some(labels: Sequence[str], limit: int = 10) -> str:
    more = f" … ({len(labels)} in all)" if len(labels) > limit else ""
    return ", ".join(labels[:limit]) + more
