"""Stations, repeats and acquisitions: which images show the same place of the same leg."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from legseg_bids.dicom.found import Found, Grid


@dataclass(frozen=True)
class Place:
    """Where an image belongs within an examination.

    Attributes
    ----------
    station : int
        Fields of view, from 1 at the head end downwards; those beside each other from the
        patient's right to the left.
    run : int
        Repeats of the same grid, from 1, in the order in which they were made.
    acquisition : int
        Different grids at the same place, from 1, in the order of their series.
    question : str
        What must be answered about it; else empty.
    """

    station: int
    run: int = 1
    acquisition: int = 1
    question: str = ""


@dataclass
class _Lattice:
    """Images of one grid."""

    grid: Grid
    images: list[Found] = field(default_factory=list)


def arrange(images: Sequence[Found], roles: dict[str, str]) -> dict[str, Place]:
    """Number the stations, runs and acquisitions of one examination.

    Images with voxels at the same places are of one lattice; lattices that overlap by more than
    half along all three axes show the same place, which is a station. Within a lattice, images of
    the same role are repeats.

    Parameters
    ----------
    images : sequence of Found
        Of one participant and session; all have a grid.
    roles : dict of str to str
        What each shows, by identifier: two images of a run differ in it.

    Returns
    -------
    dict of str to Place
        By identifier.
    """
    lattices = _lattices(images)
    places: dict[str, Place] = {}
    for station, members in enumerate(_stations(lattices), start=1):
        ranked = sorted(members, key=lambda lattice: min(map(_turn, lattice.images)))
        for acquisition, lattice in enumerate(ranked, start=1):
            for image, run in _runs(lattice.images, roles):
                question = _lost_position(image, lattice.images)
                places[image.id] = Place(station, run, acquisition, question)
    return places


def _lattices(images: Iterable[Found]) -> list[_Lattice]:
    found: list[_Lattice] = []
    for image in images:
        assert image.grid is not None
        same = next((known for known in found if known.grid.is_same(image.grid)), None)
        if same is None:
            same = _Lattice(image.grid)
            found.append(same)
        same.images.append(image)
    return found


def _stations(lattices: Sequence[_Lattice]) -> list[list[_Lattice]]:
    """Lattices that show the same place, from head to foot, then from right to left."""
    found: list[list[_Lattice]] = []
    for lattice in lattices:
        near = [members for members in found if any(m.grid.is_near(lattice.grid) for m in members)]
        if near:
            near[0].append(lattice)
        else:
            found.append([lattice])
    return sorted(found, key=lambda members: _height(members[0].grid))


def _height(grid: Grid) -> tuple[float, float]:
    """For sorting: the higher first (to 1 cm), then the patient's right."""
    x, _, z = np.mean(grid.bounds(), axis=0).tolist()
    return -round(z / 10), -x


def _turn(image: Found) -> tuple[str, int]:
    return image.facts.when, image.facts.number


def _runs(images: Sequence[Found], roles: dict[str, str]) -> list[tuple[Found, int]]:
    """The run of each: the one with its acquisition time, else the first that lacks its like."""
    runs: list[dict[tuple[object, ...], Found]] = []
    found: list[tuple[Found, int]] = []
    for image in sorted(images, key=_turn):
        facts = image.facts
        kind = (roles.get(image.id, ""), facts.part, facts.echo_time if _is_echo(image, roles)
                else None)  # fmt: skip
        free = [number for number, run in enumerate(runs) if kind not in run]
        timed = [n for n in free if any(i.facts.when == facts.when for i in runs[n].values())]
        if not free:
            runs.append({})
            free = [len(runs) - 1]
        chosen = (timed or free)[0]
        runs[chosen][kind] = image
        found.append((image, chosen + 1))
    return found


def _is_echo(image: Found, roles: dict[str, str]) -> bool:
    return roles.get(image.id, "").startswith(("echo", "?"))


def _lost_position(image: Found, images: Sequence[Found]) -> str:
    """Ask where images lie at one place, but say that their coordinates are not the same ones."""
    frames = {i.facts.frame_of_reference for i in images if i.facts.frame_of_reference}
    if len(frames) < 2:
        return ""
    first = min(images, key=_turn).facts
    if image.facts.frame_of_reference == first.frame_of_reference:
        return ""
    return (
        f"lies at the same place as series {first.number}, but counts its position from another "
        "point: a repeat (leave the number of the station), or another station (change it)?"
    )
