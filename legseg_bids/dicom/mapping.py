"""The mapping file: one row for each image of the source, and what it becomes."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from legseg_bids.bids.write import write_text
from legseg_bids.dicom.found import Found, Grid, Survey
from legseg_bids.dicom.people import Asked, Known, name_people
from legseg_bids.dicom.roles import ASK, LEAVE_OUT, Guess, guess_role, load_roles
from legseg_bids.dicom.stations import Place, arrange
from legseg_bids.errors import UsageError

NOTHING = "n/a"
PREFIXES = {"participant": "sub-", "session": "ses-"}
OTHER_WORDS = {"-": LEAVE_OUT, "": ASK}
ANSWERS = ("participant", "session", "role", "station")


@dataclass(frozen=True)
class Row:
    """What one image becomes.

    Attributes
    ----------
    id : str
        Of the image; stays the same whenever the source is looked at.
    participant, session : str
        Labels without ``sub-`` and ``ses-``; an empty session is none.
    role : str
        One of ``data/roles.tsv``.
    station : str
        A number.
    guess : str
        What the role probably is, where it must be asked.
    question : str
        What must be answered, or why the image is left out.
    vendor, description : str
        For people.
    images : int
        Slices.
    written : str
        The file that was made of it, relative to the dataset.

    ``?`` stands in each of the first four that must be answered.
    """

    id: str
    participant: str
    session: str = ""
    role: str = ASK
    station: str = "1"
    guess: str = ""
    question: str = ""
    vendor: str = ""
    description: str = ""
    images: int = 0
    written: str = ""

    @property
    def decided(self) -> bool:
        """Whether nothing is left to ask."""
        if self.role == LEAVE_OUT:
            return True
        return ASK not in (self.participant, self.session, self.role, self.station)

    @property
    def wanted(self) -> bool:
        """Whether it is to be converted."""
        return self.role != LEAVE_OUT


COLUMNS = tuple(field.name for field in fields(Row))


def draft(
    survey: Survey,
    known: Iterable[Row] = (),
    asked: Asked | None = None,
    people: Known | None = None,
) -> tuple[Row, ...]:
    """Propose what each image of a survey becomes.

    Parameters
    ----------
    survey : Survey
        What was found.
    known : iterable of Row
        Rows of an earlier draft or run; what stands there is kept.
    asked : Asked, optional
        Labels that a person wants.
    people : Known, optional
        Labels that are taken, and whose they are where that is known.

    Returns
    -------
    tuple of Row
        One for each image, in the order of the survey.
    """
    before = {row.id: _asked_for(row, asked) for row in known}
    guesses = _guesses(survey.images)
    wanted = [image for image in survey.images if guesses[image.id].role != LEAVE_OUT]
    # What is left out belongs to somebody, too: an answer may say that it is wanted.
    labels = name_people(wanted or survey.images, before.values(), asked, people)
    places = _places(survey.images, guesses, labels, before)
    return tuple(
        before.get(image.id) or _row(image, guesses[image.id], labels, places)
        for image in survey.images
    )


def _asked_for(row: Row, asked: Asked | None) -> Row:
    """An earlier row with the labels that are wanted now, unless its image is written."""
    if asked is None or row.written:
        return row
    return replace(
        row,
        participant=asked.participant or row.participant,
        session=asked.session or row.session,
    )


def _guesses(images: Sequence[Found]) -> dict[str, Guess]:
    """A role for each; stitched images are left out where their stations are there."""
    echoes = _echo_counts(images)
    guesses = {image.id: guess_role(image, echoes[image.id]) for image in images}
    single = {i.facts.study for i in images if not i.facts.stitched and guesses[i.id].role
              != LEAVE_OUT}  # fmt: skip
    for image in images:
        if image.facts.stitched and image.facts.study in single:
            guesses[image.id] = Guess(
                LEAVE_OUT, question="left out: stitched by the scanner; its stations are there"
            )
    return guesses


def _echo_counts(images: Sequence[Found]) -> dict[str, int]:
    """How many echo times the series of each image has."""
    times: defaultdict[object, set[float]] = defaultdict(set)
    for image in images:
        if image.facts.echo_time:
            times[_train(image)].add(round(image.facts.echo_time, 6))
    return {image.id: len(times[_train(image)]) for image in images}


def _train(image: Found) -> object:
    return image.facts.patient, image.facts.series, image.facts.shows


def _places(
    images: Sequence[Found],
    guesses: Mapping[str, Guess],
    labels: Mapping[str, tuple[str, str, str]],
    before: Mapping[str, Row],
) -> dict[str, Place]:
    """Stations by identifier; numbers that were given before stay."""
    exams: defaultdict[tuple[str, ...], list[Found]] = defaultdict(list)
    for image in images:
        if image.grid is not None and guesses[image.id].role != LEAVE_OUT:
            label, session, _ = labels.get(image.facts.patient + image.facts.study, ("", "", ""))
            exams[image.facts.patient, label, session].append(image)
    roles = {key: guess.role for key, guess in guesses.items()}
    found: dict[str, Place] = {}
    for (_, label, session), exam in exams.items():
        places = arrange(exam, roles)
        theirs = [r for r in before.values() if (r.participant, r.session) == (label, session)]
        numbers = _numbers(places, theirs)
        found |= {key: replace(p, station=numbers[p.station]) for key, p in places.items()}
    return found | _beside(images, found)


def _beside(images: Sequence[Found], places: Mapping[str, Place]) -> dict[str, Place]:
    """Stations of images that are left out, where they show the same place as wanted ones."""
    wanted: defaultdict[tuple[str, str], list[tuple[Grid, Place]]] = defaultdict(list)
    for image in images:
        if image.grid is not None and image.id in places:
            exam = image.facts.patient, image.facts.study
            wanted[exam].append((image.grid, places[image.id]))
    found: dict[str, Place] = {}
    for image in images:
        if image.grid is None or image.id in places:
            continue
        near = wanted[image.facts.patient, image.facts.study]
        place = next((place for grid, place in near if grid.is_near(image.grid)), None)
        if place:
            found[image.id] = replace(place, question="")
    return found


def _numbers(places: Mapping[str, Place], before: Sequence[Row]) -> dict[int, int]:
    """Numbers of stations: those that stand in earlier rows, and free ones for the others."""
    given = {row.id: int(row.station) for row in before if row.wanted and row.station.isdigit()}
    numbers = {place.station: given[key] for key, place in places.items() if key in given}
    if not given:
        return {place.station: place.station for place in places.values()}
    free = itertools.count(max(given.values()) + 1)
    for station in sorted({place.station for place in places.values()} - set(numbers)):
        numbers[station] = next(free)
    return numbers


def _row(
    image: Found,
    guess: Guess,
    labels: Mapping[str, tuple[str, str, str]],
    places: Mapping[str, Place],
) -> Row:
    facts = image.facts
    label, session, who = labels.get(facts.patient + facts.study, (NOTHING, "", ""))
    place = places.get(image.id)
    out = guess.role == LEAVE_OUT
    asked = place.question if place and not out else ""
    questions = [guess.question, *([] if out else [who, asked])]
    return Row(
        id=image.id,
        participant=label,
        session=session,
        role=guess.role,
        # Of what is left out, nobody knows the place; it is asked if somebody wants it after all.
        station=ASK if asked or place is None else str(place.station),
        guess=guess.guess,
        question="; ".join(filter(None, questions)),
        vendor=facts.vendor,
        description=facts.description,
        images=len(image.frames),
    )


def read_mapping(path: Path) -> tuple[Row, ...]:
    """Read a mapping file, as people and spreadsheets leave it.

    Labels may have their ``sub-`` and ``ses-`` or not; columns that are missing are empty; unknown
    columns are ignored.

    Raises
    ------
    UsageError
        If it cannot be read, lacks a column that is needed, or holds what is no answer; the
        message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}); expected a mapping file; check the path"
        ) from error
    lines = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_MINIMAL)
    missing = {"id", "role"} - set(lines.fieldnames or ())
    if missing:
        raise UsageError(
            f"{path} has no column {', '.join(sorted(missing))}; expected a table separated by "
            f"tabs with {', '.join(COLUMNS)}; save it as text with tabs"
        )
    rows = [_parsed(line, path, number) for number, line in enumerate(lines, start=2)]
    twice = [key for key, count in Counter(row.id for row in rows).items() if count > 1]
    if twice:
        raise UsageError(f"{path} has {twice[0]} twice; expected one row each; remove one")
    return tuple(rows)


def write_mapping(path: Path, rows: Iterable[Row]) -> None:
    """Write a mapping file in one piece.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    lines = ["\t".join(COLUMNS)]
    for row in rows:
        cells = {key: str(value) for key, value in asdict(row).items()}
        for key, prefix in PREFIXES.items():
            if cells[key] and cells[key] not in (ASK, NOTHING):
                cells[key] = prefix + cells[key]
        # A quotation mark at the start of a cell would swallow the lines after it.
        kept = (" ".join(cells[c].replace('"', "'").split()) or NOTHING for c in COLUMNS)
        lines.append("\t".join(kept))
    write_text(path, "\n".join(lines) + "\n")


def joined(rows: Iterable[Row], others: Iterable[Row]) -> tuple[Row, ...]:
    """Rows, and those of others whose images are not among them."""
    kept = {row.id: row for row in rows}
    return (*kept.values(), *(row for row in others if row.id not in kept))


def undecided(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows with a question left."""
    return tuple(row for row in rows if not row.decided)


def _parsed(line: Mapping[str, str | None], path: Path, number: int) -> Row:
    cells = {key: (line.get(key) or "").strip() for key in COLUMNS}
    cells = {key: "" if value == NOTHING else value for key, value in cells.items()}
    for key, prefix in PREFIXES.items():
        cells[key] = cells[key].removeprefix(prefix)
    role = OTHER_WORDS.get(cells["role"], cells["role"].lower().replace(" ", "_"))
    row = Row(
        **{**{key: cells[key] for key in COLUMNS if key != "images"}, "role": role},
        images=int(cells["images"]) if cells["images"].isdigit() else 0,
    )
    row = replace(row, participant=row.participant or ASK, station=row.station or ASK)
    _check(row, f"{path}, line {number}")
    return row


def _check(row: Row, where: str) -> None:
    if not row.id:
        raise UsageError(f"{where} has no id; expected that of the draft; restore it")
    if row.role != ASK and row.role not in load_roles():
        raise UsageError(
            f"{where}: the role of {row.id} is {row.role!r}; expected one of "
            f"{', '.join(load_roles())}"
        )
    for what in ("participant", "session"):
        label = getattr(row, what)
        if row.wanted and label not in ("", ASK) and not re.fullmatch(r"[A-Za-z0-9]+", label):
            raise UsageError(
                f"{where}: the {what} of {row.id} is {label!r}; expected letters and digits only"
            )
    if row.wanted and row.station != ASK and not re.fullmatch(r"[1-9][0-9]{0,2}", row.station):
        raise UsageError(
            f"{where}: the station of {row.id} is {row.station!r}; expected a number from 1 on"
        )
