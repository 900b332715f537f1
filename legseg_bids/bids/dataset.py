"""Which files a dataset holds for the participants that were asked for (pybids)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.bids.filters import Filters
from legseg_bids.bids.names import parse_name
from legseg_bids.bids.queries import QueryTable, load_queries
from legseg_bids.bids.spellings import IMAGE_EXTENSIONS, Spelling, read_spelling
from legseg_bids.errors import NoFilterMatch, NoInput, ValidationError


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
    offered : tuple of Path
        Images of the chosen participants and sessions, also those that no filter lets pass.
    not_text : tuple of Path
        Files that were left out because their names are not UTF-8.
    """

    root: Path
    subjects: tuple[str, ...]
    images: tuple[Path, ...]
    sidecars: tuple[Path, ...]
    offered: tuple[Path, ...] = ()
    not_text: tuple[Path, ...] = ()


def index(
    bids_dir: Path,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    filters: Filters | None = None,
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
    filters : Filters, optional
        Images that no query may take are left out.

    Raises
    ------
    NoInput
        If the folder does not exist or has no participants.
    ValidationError
        If it is not a BIDS dataset.
    NoFilterMatch
        If a participant does not exist, a session is found for none of the participants, or
        the filters leave no image.
    """
    root = Path(os.path.abspath(bids_dir))  # noqa: PTH100 - resolve() would follow DataLad links
    check_dataset(root)
    subjects = _choose_subjects(root, [label.removeprefix("sub-") for label in participants])
    wanted = [label.removeprefix("ses-") for label in sessions]
    table = load_queries()
    looker = _Looker(frozenset(subjects), frozenset(table.folders))
    files = _files(root, looker)
    images = [path for path in files if path.name.endswith(IMAGE_EXTENSIONS)]
    spelt = {path: spelling for path in images if (spelling := _spelling(path, root, table))}
    _check_sessions({spelling.session for spelling in spelt.values()}, wanted, root)
    kept = {p: s for p, s in spelt.items() if not wanted or s.session in {None, *wanted}}
    chosen = _filtered(kept, filters, root) if filters else kept
    emptied = {s.subject for s in kept.values()} - {s.subject for s in chosen.values()}
    return Dataset(
        root=root,
        subjects=tuple(label for label in subjects if label not in emptied),
        images=_without_twins(list(chosen)),
        sidecars=_sidecars(files, images),
        offered=_without_twins(list(kept)),
        not_text=tuple(root / name for name in sorted(looker.not_text)),
    )


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


def _check_sessions(known: set[str | None], wanted: Sequence[str], root: Path) -> None:
    missing = [label for label in wanted if label not in known]
    if missing and None not in known:
        found = sorted(label for label in known if label)
        raise NoFilterMatch(
            f"session {', '.join(missing)} not found in {root} for these participants; expected "
            f"one of {_some(found) or '(none has images)'}; check --session-label"
        )


def _filtered(
    images: Mapping[Path, Spelling], filters: Filters, root: Path
) -> dict[Path, Spelling]:
    chosen = {path: s for path, s in images.items() if filters.allows_any(s)}
    if images and not chosen:
        raise NoFilterMatch(
            f"none of {len(images)} images in {root} passes the filter; expected one or more; "
            "check --bids-filter-file"
        )
    return chosen


class _Looker:
    """Says to pybids which paths not to look at: it asks objects with a ``search`` method.

    Only what may hold images of the chosen participants is looked at, so that one of a thousand
    takes no longer than one of ten, a folder linked into itself ends, and a name that is no
    text (on which the database of pybids would stop) is set aside.
    """

    def __init__(self, subjects: frozenset[str], folders: frozenset[str]) -> None:
        self.subjects = subjects
        self.folders = folders
        self.not_text: set[str] = set()

    def search(self, path: str) -> bool:
        """Tell whether a path below the root, as ``/sub-01/anat``, is to be ignored."""
        first, *below = path.strip("/").split("/")
        chosen = first.startswith("sub-") and first.removeprefix("sub-") in self.subjects
        if not (self._leads_on(below) if chosen and below else chosen or self._is_general(path)):
            return True
        try:
            path.encode()
        except UnicodeEncodeError:
            self.not_text.add(path.strip("/"))
            return True
        return False

    def _is_general(self, path: str) -> bool:
        """Tell whether this is a sidecar in the root, which may hold for everybody."""
        return path.count("/") == 1 and path.endswith(".json")

    def _leads_on(self, below: Sequence[str]) -> bool:
        """Tell whether ``[ses-*/]<folder>/<file>``, or a part of it, may lead to an image."""
        if below[0].startswith("ses-") and len(below) > 1:
            below = below[1:]
        if len(below) == 1:
            name = below[0]
            return name in self.folders or name.startswith("ses-") or name.endswith(".json")
        is_file = below[1].endswith((*IMAGE_EXTENSIONS, ".json")) and below[1][0] != "."
        return len(below) == 2 and below[0] in self.folders and is_file


def _files(root: Path, looker: _Looker) -> list[Path]:
    from bids import BIDSLayout, BIDSLayoutIndexer

    indexer = BIDSLayoutIndexer(
        validate=False,
        index_metadata=False,
        ignore=[looker],
        # Else a file of this name anywhere in the dataset would change the configuration.
        config_filename="/no configuration/",
    )
    # The smallest configuration: names are taken apart by our own rules, for the sake of those
    # that are not BIDS.
    layout = BIDSLayout(root, validate=False, indexer=indexer, config=["bids"])
    return sorted(Path(path) for path in layout.get(return_type="filename"))


def _spelling(path: Path, root: Path, table: QueryTable) -> Spelling | None:
    return read_spelling(path.relative_to(root), table)


def _sidecars(files: Iterable[Path], images: Iterable[Path]) -> tuple[Path, ...]:
    suffixes = {parse_name(path.name).suffix for path in images}
    found = (path for path in files if path.name.endswith(".json"))
    return tuple(path for path in found if parse_name(path.name).suffix in suffixes)


def _without_twins(images: Sequence[Path]) -> tuple[Path, ...]:
    """Keep one of ``x.nii`` and ``x.nii.gz``, the latter."""
    twins = {path.with_suffix("") for path in images if path.suffix == ".gz"}
    return tuple(path for path in images if path not in twins)


def _some(labels: Sequence[str], limit: int = 10) -> str:
    more = f" … ({len(labels)} in all)" if len(labels) > limit else ""
    return ", ".join(labels[:limit]) + more
