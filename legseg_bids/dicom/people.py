"""Labels for people and their examinations, which tell nothing about them."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from legseg_bids.dicom.found import Found
from legseg_bids.errors import OutputError, UsageError

ASK = "?"
WIDTH = 2


class KnownRow(Protocol):
    """What is used of a row of the mapping."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def participant(self) -> str: ...  # noqa: D102
    @property
    def session(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Asked:
    """Labels that a person wants.

    Attributes
    ----------
    participant, session : str
        Labels, for all images; empty to number them.
    """

    participant: str = ""
    session: str = ""


@dataclass(frozen=True)
class Known:
    """Labels of a dataset.

    Attributes
    ----------
    taken : frozenset of str
        Labels that exist.
    labels : mapping of str to str
        Label by identifier of the patient, from a key file.
    """

    taken: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)


def name_people(
    images: Sequence[Found],
    known: Iterable[KnownRow],
    asked: Asked | None = None,
    people: Known | None = None,
) -> dict[str, tuple[str, str, str]]:
    """Give each participant a number and, where there are several, each examination.

    People are told apart by ``PatientID``. Whoever has an image that is known keeps the label; the
    others get the next free number, in the order of their examinations. Studies of one day are one
    examination.

    Parameters
    ----------
    images : sequence of Found
        In the order in which participants are to be numbered.
    known : iterable of rows
        Rows with ``id``, ``participant`` and ``session`` of an earlier run.
    asked : Asked, optional
        Labels that a person wants.
    people : Known, optional
        Labels that exist.

    Returns
    -------
    dict of str to (str, str, str)
        Label, session (empty for none) and question, by patient and study, joined.

    Raises
    ------
    UsageError
        If one label is wanted for several people.
    """
    asked, people, rows = asked or Asked(), people or Known(), list(known)
    by_id = {row.id: row for row in rows}
    patients: dict[str, list[Found]] = {}
    for image in images:
        patients.setdefault(image.facts.patient, []).append(image)
    if asked.participant and len(patients) > 1:
        raise UsageError(
            f"--participant {asked.participant} is given, but the source holds {len(patients)} "
            "people; expected one; leave the option out, or give the folder of one person"
        )
    taken = set(people.taken) | {row.participant for row in rows}
    found: dict[str, tuple[str, str, str]] = {}
    for patient, theirs in patients.items():
        before = [by_id[image.id] for image in theirs if image.id in by_id]
        question = _doubt(patient, theirs)
        label = (
            asked.participant or _label_before(patient, before, people) or theirs[0].facts.label
        )
        if not label:
            label = ASK if question else next_label(taken)
            taken.add(label)
        else:
            question = ""
        sessions = _sessions(theirs, by_id, [r for r in rows if r.participant == label])
        for study, session in sessions.items():
            found[patient + study] = (label, asked.session or session, question)
    return found


def next_label(taken: Iterable[str]) -> str:
    """The next free number.

    Examples
    --------
    >>> next_label(["01", "07", "pilot"]), next_label([]), next_label(["sub099", "099"])
    ('08', '01', '100')
    """
    numbers = [label for label in taken if label.isascii() and label.isdigit()]
    width = max([WIDTH, *map(len, numbers)])
    return f"{max(map(int, numbers), default=0) + 1:0{width}d}"


def _label_before(patient: str, before: Sequence[KnownRow], people: Known) -> str:
    told = [row.participant for row in before if row.participant not in ("", ASK)]
    return told[0] if told else people.labels.get(patient, "")


def _doubt(patient: str, images: Sequence[Found]) -> str:
    """Why it is not sure who this is."""
    studies = {image.facts.study for image in images}
    if not patient and len(studies) > 1:
        return f"no PatientID in {len(studies)} examinations; whose are they?"
    births, sexes = (
        {image.facts.person.split("|")[part] for image in images if image.facts.person} - {""}
        for part in (0, 1)
    )
    if len(births) > 1 or len(sexes) > 1:
        several = max(len(births), len(sexes))
        return f"one PatientID, but {several} birth dates or sexes; whose is it?"
    return ""


def _sessions(
    images: Sequence[Found], by_id: Mapping[str, KnownRow], rows: Sequence[KnownRow]
) -> dict[str, str]:
    """Label of each study; none where there is only one."""
    studies: defaultdict[str, list[Found]] = defaultdict(list)
    for image in images:
        studies[image.facts.study].append(image)
    told = {
        study: by_id[image.id].session
        for study, members in studies.items()
        for image in members
        if image.id in by_id
    }
    used = {row.session for row in rows} | set(told.values())
    if len(studies) == 1 and not used and not images[0].facts.session:
        return {next(iter(studies)): ""}
    # A first examination without a label counts as the first one.
    labels = {label if label else "01" for label in used}
    sessions = {s: i[0].facts.session for s, i in studies.items() if i[0].facts.session}
    labels |= set(sessions.values())
    for study in sorted(studies):
        if study not in told and study not in sessions:
            sessions[study] = next_label(labels)
            labels.add(sessions[study])
    return {**told, **sessions}


def read_key(path: Path) -> dict[str, str]:
    """Read which label stands for which ``PatientID``; nothing where there is no such file.

    Raises
    ------
    UsageError
        If it is there but is no key file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
        return {row["patient_id"]: row["participant_id"].removeprefix("sub-") for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be used as a key file ({error!r}); expected the columns "
            "participant_id and patient_id; name another file with --key"
        ) from error


def write_key(path: Path, labels: Mapping[str, str]) -> None:
    """Write which label stands for which ``PatientID``, for the owner's eyes only (mode 0600).

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = sorted((label, " ".join(patient.split())) for patient, label in labels.items())
    lines = ["participant_id\tpatient_id", *(f"sub-{label}\t{patient}" for label, patient in rows)]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        # Created with this mode: at no time can others read it.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write("\n".join(lines) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); expected a writable folder; "
            "name another file with --key"
        ) from error
