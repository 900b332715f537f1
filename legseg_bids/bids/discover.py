"""From files to stations: which image is taken as what, and why.

For each station the ordered queries of ``data/queries.json`` are asked; the first that can
give an opposed-phase volume wins. Whatever gives none is reported with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from legseg_bids.bids import metadata as sidecar
from legseg_bids.bids.candidates import Candidate, group, names
from legseg_bids.bids.choosing import Choice, EchoChooser, Unfit, choose, choose_water_fat
from legseg_bids.bids.dataset import Dataset, index
from legseg_bids.bids.names import parse_name
from legseg_bids.bids.queries import Query, QueryTable, load_queries
from legseg_bids.bids.stations import Discovery, Skipped, Station
from legseg_bids.errors import ImageError

__all__ = ["discover", "index"]


def discover(dataset: Dataset, choose_echo: EchoChooser) -> Discovery:
    """Find every station, and say of everything else why it is left out.

    Parameters
    ----------
    dataset : Dataset
        From `index`.
    choose_echo : callable
        ``choose_echo(echo_times, b0)`` with echo times in seconds and the field in tesla gives
        the position of the echo to take and raises ValueError when none is near enough to
        opposed phase.

    Returns
    -------
    Discovery
        Stations and skipped files. No image is opened, and nothing is raised for one.
    """
    table = load_queries()
    outcomes = [_ask(images, dataset, table, choose_echo) for images in group(dataset, table)]
    stations = tuple(outcome for outcome in outcomes if isinstance(outcome, Station))
    skipped = tuple(outcome for outcome in outcomes if isinstance(outcome, Skipped))
    return Discovery(stations, (*_without_images(dataset, table), *skipped))


def _ask(
    images: Sequence[Candidate], dataset: Dataset, table: QueryTable, choose_echo: EchoChooser
) -> Station | Skipped:
    """Ask the queries in order; the first that fits gives the station."""
    refused: list[str] = []
    for query in table.queries:
        try:
            choice = choose(query, images, choose_echo)
            if choice is not None:
                _check_usable(choice, dataset.root)
                full = _with_companions(choice, images, table)
                return _station(query, full, refused, dataset, table)
        except Unfit as error:
            refused.append(str(error))
        except ImageError as error:
            # Falling back on another query here would give other labels on another machine.
            refused.append(str(error))
            break
    return _skip(images, refused)


def _check_usable(choice: Choice, root: Path) -> None:
    for image in choice.files.values():
        if image.problem:
            raise ImageError(image.problem)
        if not image.path.exists():
            relative = image.path.relative_to(root)
            raise ImageError(
                f"{relative} is a broken link; expected the image itself; "
                f"fetch it: datalad get {relative}"
            )


def _with_companions(choice: Choice, images: Sequence[Candidate], table: QueryTable) -> Choice:
    """Add the water and fat images of the same station, for the fat fraction."""
    query = next(query for query in table.queries if query.kind == "water_fat")
    try:
        pair = None if "water" in choice.files else choose_water_fat(query, images)
    except Unfit:
        pair = None
    if pair is None:
        return choice
    absent = [image for image in pair.files.values() if not image.path.exists()]
    if absent:
        note = f"no fat fraction, {names(absent)} is a broken link"
        return Choice(choice.files, choice.because, (*choice.notes, note))
    return Choice({**choice.files, **pair.files}, choice.because, choice.notes)


def _station(
    query: Query, choice: Choice, refused: Sequence[str], dataset: Dataset, table: QueryTable
) -> Station:
    source = choice.source
    entities = dict(source.name.entities)
    return Station(
        dataset=dataset.root,
        subject=entities.get("sub", ""),
        session=entities.get("ses"),
        query=query.name,
        kind=query.kind,
        files={role: image.path for role, image in choice.files.items()},
        source=source.path,
        entities=entities,
        metadata=_handed_on(source.metadata, query, table),
        reason=_reason(query, choice, refused),
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
    taken = ", ".join(f"{i.path.name} as {role}" for role, i in choice.files.items())
    notes = "".join(f"; {note}" for note in (*choice.notes, *refused))
    return f"{taken} (query {query.name}: {choice.because}){notes}"


def _skip(images: Sequence[Candidate], refused: Sequence[str]) -> Skipped:
    first = images[0].name
    reason = "; ".join(refused) or _nothing_matches(images)
    paths = tuple(image.path for image in images)
    return Skipped(first.get("sub") or "", first.get("ses"), paths, reason)


def _nothing_matches(images: Sequence[Candidate]) -> str:
    problem = next((image.problem for image in images if image.problem), None)
    if problem:
        return problem
    if not any(image.magnitude for image in images):
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


def _without_images(dataset: Dataset, table: QueryTable) -> list[Skipped]:
    seen = {parse_name(path.name).get("sub") for path in dataset.images}
    reason = (
        "no image to look at; expected NIfTI files in the anat folder with a suffix of "
        f"{', '.join(table.suffixes)}; check the session labels, if any were given"
    )
    return [Skipped(label, None, (), reason) for label in dataset.subjects if label not in seen]
