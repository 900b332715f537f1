"""Which image goes where: the names of the files, before any of them is made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from legseg_bids.dicom.found import Found, Survey
from legseg_bids.dicom.mapping import Row
from legseg_bids.dicom.roles import ECHOES, load_roles
from legseg_bids.dicom.stations import arrange
from legseg_bids.errors import UsageError


@dataclass(frozen=True)
class Planned:
    """One image and the file that it becomes.

    Attributes
    ----------
    image : Found
        What is converted.
    row : Row
        What was decided about it.
    target : str
        Path of the image within the dataset, with forward slashes.
    """

    image: Found
    row: Row
    target: str


@dataclass
class _Slot:
    """What tells the images of one examination apart."""

    image: Found
    row: Row
    station: int
    run: int
    acquisition: int
    echo: int = 0


def plan(survey: Survey, rows: Sequence[Row], before: Iterable[Row] = ()) -> tuple[Planned, ...]:
    """Name the file of every image that is wanted.

    Parameters
    ----------
    survey : Survey
        What was found.
    rows : sequence of Row
        What was decided; rows of images that were not found are ignored.
    before : iterable of Row
        What earlier runs have written: such names stay with their images.

    Raises
    ------
    UsageError
        If two images would get one name.

    Examples
    --------
    >>> target_name("01", "", "opposed", station=2)
    'sub-01/anat/sub-01_acq-outphase_chunk-2_T1w.nii.gz'
    """
    by_id = {row.id: row for row in rows}
    earlier = tuple(before)
    written = {row.id: row.written for row in earlier if row.written}
    exams: defaultdict[tuple[str, str], list[Found]] = defaultdict(list)
    for image in survey.images:
        row = by_id.get(image.id)
        if row is not None and row.wanted and image.grid is not None:
            exams[row.participant, row.session].append(image)
    planned: list[Planned] = []
    for (participant, session), images in exams.items():
        others = {
            row.station
            for row in (*earlier, *rows)
            if row.wanted and (row.participant, row.session) == (participant, session)
        }
        planned += _exam(images, by_id, written, len(others) > 1)
    _check_unique(planned)
    return tuple(planned)


def target_name(
    participant: str,
    session: str,
    role: str,
    *,
    station: int = 0,
    run: int = 0,
    acquisition: int = 1,
    echo: int = 0,
    part: bool = False,
) -> str:
    """Path of an image in the dataset.

    Parameters
    ----------
    participant, session : str
        Labels; an empty session is none.
    role : str
        One of ``data/roles.tsv``.
    station, run, echo : int
        Numbers; 0 leaves the entity out.
    acquisition : int
        From 2 on, told in ``acq-``.
    part : bool
        Whether ``part-`` is needed.

    Examples
    --------
    >>> target_name("01", "a", "echo_phase", run=2, echo=3, part=True)
    'sub-01/ses-a/anat/sub-01_ses-a_run-2_echo-3_part-phase_MEGRE.nii.gz'
    """
    spelt = load_roles()[role]
    acq = (f"dixon{acquisition}" if acquisition > 1 else "") + spelt.acq
    entities = {
        "sub": participant,
        "ses": session,
        "acq": acq,
        "run": str(run or ""),
        "echo": str(echo or ""),
        "part": spelt.part if part else "",
        "chunk": str(station or ""),
    }
    stem = "_".join(f"{key}-{value}" for key, value in entities.items() if value)
    folders = [f"sub-{participant}", *([f"ses-{session}"] if session else []), "anat"]
    return "/".join([*folders, f"{stem}_{spelt.suffix}.nii.gz"])


def _exam(
    images: Sequence[Found], rows: dict[str, Row], written: dict[str, str], several: bool
) -> list[Planned]:
    """Name the images of one examination."""
    slots = _slots(images, rows)
    _number_echoes(slots)
    taken = set(written.values())
    repeated = any(slot.run > 1 for slot in slots)
    planned: list[Planned] = []
    groups: defaultdict[tuple[int, int, int], list[_Slot]] = defaultdict(list)
    for slot in slots:
        groups[slot.station, slot.acquisition, slot.run].append(slot)
    for group in groups.values():
        fresh = [slot for slot in group if slot.image.id not in written]
        names = _free_names(fresh, group, several, repeated, taken)
        taken |= set(names.values())
        for slot in group:
            name = written.get(slot.image.id) or names[slot.image.id]
            planned.append(Planned(slot.image, slot.row, name))
    return planned


def _slots(images: Sequence[Found], rows: dict[str, Row]) -> list[_Slot]:
    """Runs and acquisitions within the stations that were decided upon."""
    stations: defaultdict[int, list[Found]] = defaultdict(list)
    for image in images:
        stations[int(rows[image.id].station)].append(image)
    roles = {image.id: rows[image.id].role for image in images}
    slots: list[_Slot] = []
    for station, members in sorted(stations.items()):
        places = arrange(members, roles)
        # Lattices of one station may lie apart: somebody wanted it so.
        ranks = {key: (place.station, place.acquisition) for key, place in places.items()}
        order = sorted(set(ranks.values()))
        for image in members:
            acquisition = order.index(ranks[image.id]) + 1
            run = places[image.id].run
            slots.append(_Slot(image, rows[image.id], station, run, acquisition))
    return slots


def _number_echoes(slots: Sequence[_Slot]) -> None:
    """Number the echo times of each run, from the shortest."""
    times: defaultdict[tuple[int, int, int], set[float]] = defaultdict(set)
    echoes = [slot for slot in slots if slot.row.role in ECHOES.values()]
    for slot in echoes:
        times[slot.station, slot.acquisition, slot.run].add(_time(slot))
    for slot in echoes:
        ranked = sorted(times[slot.station, slot.acquisition, slot.run])
        slot.echo = ranked.index(_time(slot)) + 1


def _time(slot: _Slot) -> float:
    return round(slot.image.facts.echo_time or 0.0, 6)


def _free_names(
    fresh: Sequence[_Slot],
    group: Sequence[_Slot],
    several: bool,
    repeated: bool,
    taken: Collection[str],
) -> dict[str, str]:
    """Names of one run; if one of them belongs to another image, of the next free run."""
    if not fresh:
        return {}
    parts = any(slot.row.role in set(ECHOES.values()) - {"echo"} for slot in group)
    run = fresh[0].run
    while True:
        names = {
            slot.image.id: target_name(
                slot.row.participant,
                slot.row.session,
                slot.row.role,
                station=slot.station if several else 0,
                run=run if repeated or run > 1 else 0,
                acquisition=slot.acquisition,
                echo=slot.echo,
                part=parts and bool(slot.echo),
            )
            for slot in fresh
        }
        if not set(names.values()) & set(taken):
            return names
        run += 1


def _check_unique(planned: Iterable[Planned]) -> None:
    first: dict[str, str] = {}
    for item in planned:
        other = first.setdefault(item.target, item.row.id)
        if other != item.row.id:
            raise UsageError(
                f"{other} and {item.row.id} would both become {item.target}; expected one image "
                "for each role of a station; change the role or the station of one in the "
                "mapping file, or leave it out"
            )
