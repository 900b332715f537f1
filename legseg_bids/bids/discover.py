"""From files to stations: which image is taken as what, and why.

For each station the ordered queries of ``data/queries.json`` are asked; the first that can
give an opposed-phase volume wins. Whatever gives none is reported with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.bids import metadata as sidecar
from legseg_bids.bids.candidates import Candidate, group, names
from legseg_bids.bids.choosing import (
    Choice,
    EchoChooser,
    InPhaseChooser,
    Unfit,
    choose,
    choose_in_phase,
    choose_water_fat,
)
from legseg_bids.bids.dataset import Dataset, index
from legseg_bids.bids.filters import Filters
from legseg_bids.bids.names import output_path, printable
from legseg_bids.bids.queries import Query, QueryTable, load_queries
from legseg_bids.bids.spellings import (
    family_of,
    name_problem,
    read_spelling,
    standard_entities,
    standard_name,
)
from legseg_bids.bids.stations import Discovery, Skipped, Station
from legseg_bids.errors import ImageError

__all__ = ["discover", "index"]


@dataclass(frozen=True)
class _Search:
    """What all stations share."""

    dataset: Dataset
    table: QueryTable
    choose_echo: EchoChooser
    filters: Filters
    choose_in_phase: InPhaseChooser | None


def discover(
    dataset: Dataset,
    choose_echo: EchoChooser,
    filters: Filters | None = None,
    choose_in_phase: InPhaseChooser | None = None,
) -> Discovery:
    """Find every station, and say of everything else why it is left out.

    Parameters
    ----------
    dataset : Dataset
        From `index`.
    choose_echo : callable
        ``choose_echo(echo_times, b0)`` with echo times in seconds and the field in tesla gives
        the position of the echo to take and raises ValueError when none is near enough to
        opposed phase.
    filters : Filters, optional
        Which images each query may take; those that no query may take are not mentioned.
    choose_in_phase : callable, optional
        ``choose_in_phase(echo_times, b0, opposed)`` gives the positions of the in-phase echo that
        goes with an opposed one, and of a second opposed one or None; or None. Without it, no
        fat fraction comes from echoes.

    Returns
    -------
    Discovery
        Stations and skipped files. Of images at most the header is read (where a sidecar lists
        several echo times), and nothing is raised for one.
    """
    table = load_queries()
    search = _Search(dataset, table, choose_echo, filters or Filters(), choose_in_phase)
    outcomes = [_ask(images, search) for images in group(dataset, table)]
    found = [outcome for outcome in outcomes if isinstance(outcome, Station)]
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    stations, doubles = _without_doubles(found)
    return Discovery(stations, (*_unlisted(dataset, table), *skipped, *doubles))


def _ask(images: Sequence[Candidate], search: _Search) -> Station | Skipped | None:
    """Ask the queries in order; the first that fits gives the station."""
    visible = [image for image in images if search.filters.allows_any(image.spelling)]
    if not visible:
        return None
    refused: list[str] = []
    for query in search.table.queries:
        mine = [i for i in visible if search.filters.allows(query.name, i.spelling)]
        try:
            choice = choose(query, mine, search.choose_echo)
            if choice is not None:
                _check_usable(choice, search.dataset.root)
                whole = _with_companions(choice, visible, mine, search)
                return _station(query, whole, refused, search)
        except Unfit as error:
            refused.append(str(error))
        except ImageError as error:
            # Falling back on another query here would give other labels on another machine.
            refused.append(str(error))
            break
    return _skip(visible, refused)


def _check_usable(choice: Choice, root: Path) -> None:
    problem = name_problem(choice.source.spelling)
    if problem:
        raise ImageError(f"{choice.source.path.name} {problem}")
    for image in choice.files.values():
        if image.problem:
            raise ImageError(image.problem)
        # A broken link is a station all the same: it fails by name when it is read, and its
        # neighbours know that it is there.
        if image.path.exists() and not image.path.is_file():
            relative = image.path.relative_to(root)
            raise ImageError(f"{relative} is no file; expected an image; copy it again")


def _with_companions(
    choice: Choice, images: Sequence[Candidate], own: Sequence[Candidate], search: _Search
) -> Choice:
    """Add other images of the same station, for the fat fraction: water and fat, or in phase."""
    query = next(query for query in search.table.queries if query.kind == "water_fat")
    mine = [image for image in images if search.filters.allows(query.name, image.spelling)]
    try:
        pair = None if "water" in choice.files else choose_water_fat(query, mine)
    except Unfit:
        pair = None
    if "water" in choice.files:
        return choice
    found = pair.files if pair else choose_in_phase(choice, own, search.choose_in_phase)
    absent = [image for image in found.values() if not image.path.is_file()]
    if absent:
        note = f"no fat fraction, {names(absent)} is a broken link"
        return Choice(choice.files, choice.because, (*choice.notes, note))
    return Choice({**choice.files, **found}, choice.because, choice.notes)


def _station(query: Query, choice: Choice, refused: Sequence[str], search: _Search) -> Station:
    source = choice.source
    spelling = source.spelling
    complex_parts = "real" in choice.files
    return Station(
        dataset=search.dataset.root,
        subject=spelling.subject,
        session=spelling.session,
        query=query.name,
        kind=query.kind,
        files={role: image.path for role, image in choice.files.items()},
        source=source.path,
        entities=standard_entities(spelling, without_part=complex_parts),
        metadata=_handed_on(source.metadata, query, search.table),
        reason=_reason(query, choice, refused),
        volumes={r: i.volume for r, i in choice.files.items() if i.volume is not None},
        output_name=standard_name(spelling, without_part=complex_parts),
        family=family_of(spelling, source.match.rest),
    )


def _handed_on(found: Mapping[str, Any], query: Query, table: QueryTable) -> dict[str, Any]:
    kept = {key: found[key] for key in table.metadata if key in found}
    time, _ = sidecar.echo_time(found)
    # |W − F| has no echo time of its own.
    if time is None or query.kind == "water_fat":
        kept.pop("EchoTime", None)
        return kept
    return {**kept, "EchoTime": time}


def _reason(query: Query, choice: Choice, refused: Sequence[str]) -> str:
    taken = ", ".join(f"{image.shown} as {role}" for role, image in choice.files.items())
    notes = "".join(f"; {note}" for note in (*choice.notes, *refused))
    return printable(f"{taken} (query {query.name}: {choice.because}){notes}")


def _without_doubles(found: Sequence[Station]) -> tuple[tuple[Station, ...], list[Skipped]]:
    """Of stations whose outputs would have one name, keep the first by path."""
    first: dict[Path, Station] = {}
    for station in sorted(found, key=lambda station: station.source):
        first.setdefault(output_path(Path(), station.output_name), station)
    kept = {station.source for station in first.values()}
    doubles = [
        _double(station, first[output_path(Path(), station.output_name)])
        for station in found
        if station.source not in kept
    ]
    return tuple(station for station in found if station.source in kept), doubles


def _double(station: Station, other: Station) -> Skipped:
    reason = printable(
        f"{station.source_name} and {other.source_name} would both give "
        f"{output_path(Path(), station.output_name).name}; expected names that differ in letters "
        "or digits of an entity; rename one, or choose with --bids-filter-file"
    )
    return Skipped(station.subject, station.session, tuple(station.files.values()), reason)


def _skip(images: Sequence[Candidate], refused: Sequence[str]) -> Skipped:
    spelling = images[0].spelling
    problems = dict.fromkeys(image.problem for image in images if image.problem)
    reason = "; ".join(problems or refused) or _nothing_matches(images)
    paths = tuple(dict.fromkeys(image.path for image in images))
    session = spelling.session and printable(spelling.session)
    return Skipped(printable(spelling.subject), session, paths, printable(reason))


def _nothing_matches(images: Sequence[Candidate]) -> str:
    parts = {image.part for image in images}
    if len(parts & {"real", "imaginary"}) == 1 and "magnitude" not in parts:
        found = "is one half of a complex image (real and imaginary)"
    elif "magnitude" not in parts:
        found = "is a phase, real or imaginary image"
    elif any(image.role == "in_phase" for image in images):
        found = "is in phase, where fat and muscle look alike"
    else:
        said = next((i.match.because for i in images if i.match.because), "")
        found = f"is unclear: {said}" if said else "does not say what it shows"
    return (
        f"{names(images)} {found}; expected opposed phase, echoes, or water and fat; name the "
        "contrast in acq- (as acq-outphase) or in ImageType"
    )


def _unlisted(dataset: Dataset, table: QueryTable) -> list[Skipped]:
    """Participants without images, and files whose names are no text."""
    spellings = (read_spelling(path.relative_to(dataset.root), table) for path in dataset.images)
    seen = {spelling.subject for spelling in spellings if spelling is not None}
    suffixes = dict.fromkeys(words.suffix for words in table.types.values())
    reason = (
        f"no image to look at; expected NIfTI files in a folder {', '.join(table.folders)} with a "
        f"suffix of {', '.join(suffixes)}; check the session labels, if any were given"
    )
    empty = [label for label in dataset.subjects if label not in seen]
    return [
        *(Skipped(printable(label), None, (), reason) for label in empty),
        *(_not_text(path, dataset.root) for path in dataset.not_text),
    ]


def _not_text(path: Path, root: Path) -> Skipped:
    subject = path.relative_to(root).parts[0].removeprefix("sub-")
    reason = f"{path.name} is not named in UTF-8; expected letters and digits; rename it"
    return Skipped(printable(subject), None, (path,), printable(reason))
