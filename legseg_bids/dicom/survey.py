"""What a folder of DICOM files holds: read from the headers alone, one file at a time."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from legseg_bids.dicom.found import Facts, Found, Frame, Grid, Survey, grid_of_slices
from legseg_bids.dicom.headers import Broken, Key, NotDicom, Read, facts_of, quiet, read_frames
from legseg_bids.errors import NoInput, UsageError

ID_DIGITS = 10
SHOWN = 20
"""So many files are named that cannot be read; the others are counted."""
TOGETHER = 0.01
"""Slices nearer than this lie at the same place, mm."""
Progress = Callable[[int, int], None]


@dataclass
class _Group:
    """Frames of one image, while files are read."""

    facts: Facts
    thickness: float
    frames: list[Frame] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)


@dataclass
class _Gathered:
    groups: dict[Key, _Group] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    broken: int = 0
    foreign: int = 0


def survey(source: Path, progress: Progress | None = None) -> Survey:
    """Look at every file below a folder.

    Only headers are read, and of each slice only where it lies is kept: 100,000 files take
    minutes and some tens of megabytes. Files that are not DICOM are counted, damaged ones are
    named; neither stops anything.

    Parameters
    ----------
    source : Path
        Folder of any depth; links to folders are not followed.
    progress : callable, optional
        Told after every hundredth file how many were read, and of how many.

    Returns
    -------
    Survey
        Its images in the order of participants, dates and series.

    Raises
    ------
    NoInput
        If it is not a folder, or holds no DICOM image.
    UsageError
        If pydicom is not installed.
    """
    if not source.is_dir():
        raise NoInput(f"{source} is not a folder; expected one with DICOM files; check the path")
    _require_pydicom()
    gathered = _Gathered()
    paths = list(_files(source, gathered))
    with quiet():
        for number, path in enumerate(paths, start=1):
            _look(path, source, gathered)
            if progress and (number % 100 == 0 or number == len(paths)):
                progress(number, len(paths))
    images = [image for key, group in gathered.groups.items() for image in _images(key, group)]
    if not images:
        raise NoInput(
            f"{source} holds no DICOM image ({len(paths)} files, {gathered.broken} damaged, "
            f"{gathered.foreign} of another kind); expected images of a magnetic resonance "
            "scanner; check the path, or add --nifti for NIfTI files"
            + "".join(f"\n  {problem}" for problem in gathered.problems[:3])
        )
    whole = _without_short_ones(images)
    return Survey(source, "dicom", _in_order(whole), _told(gathered), len(paths))


def _require_pydicom() -> None:
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "pydicom, which reads DICOM, is not installed; expected it beside this program; "
            "install legseg-bids[dicom]"
        ) from error


def _files(source: Path, gathered: _Gathered) -> Iterator[Path]:
    def tell(error: OSError) -> None:
        where = Path(error.filename or source).relative_to(source)
        gathered.problems.append(f"folder {where} cannot be read ({error.strerror})")

    for folder, folders, names in os.walk(source, onerror=tell):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                yield path


def _look(path: Path, source: Path, gathered: _Gathered) -> None:
    """Read one file, and put its frames to those of the same image."""
    try:
        frames = list(read_frames(path))
    except NotDicom:
        gathered.foreign += 1
        return
    except Broken as error:
        gathered.broken += 1
        if gathered.broken <= SHOWN:
            gathered.problems.append(f"{path.relative_to(source)} {error}")
        return
    for read in frames:
        group = gathered.groups.get(read.key)
        if group is None:
            group = gathered.groups[read.key] = _Group(facts_of(read), _thickness(read))
        # Copies of a file, as exports leave them, are not repeats.
        instance = hash((read.source.text("SOPInstanceUID") or read.frame.path, read.frame.number))
        if instance not in group.seen:
            group.seen.add(instance)
            group.frames.append(read.frame)


def _thickness(read: Read) -> float:
    return read.source.number("SliceThickness") or 1.0


def _told(gathered: _Gathered) -> tuple[str, ...]:
    more = gathered.broken - SHOWN
    cut = [f"and {more} more damaged files"] if more > 0 else []
    return (*gathered.problems, *cut)


def _images(key: Key, group: _Group) -> Iterator[Found]:
    """One image, or several if the same slices were taken several times (dynamics)."""
    rows = _by_place(key, group.frames)
    counts = Counter(len(row) for row in rows)
    facts = group.facts
    if len(counts) > 1:
        problem = (
            f"{len(group.frames)} slices at {len(rows)} places, not as often at each; "
            "some may be missing"
        )
        yield Found(identifier(key, facts, 0), facts, None, (), problem)
        return
    for turn in range(next(iter(counts))):
        frames = tuple(row[turn] for row in rows)
        grid, problem = _grid(key, frames, group.thickness)
        yield Found(identifier(key, facts, turn), facts, grid, frames, problem)


def _by_place(key: Key, frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames by their place along the normal of the slices; at each place in order of time."""
    normal = np.cross(key.orientation[:3], key.orientation[3:])
    rows: list[list[Frame]] = []
    last = -np.inf
    for along, frame in sorted(
        ((float(np.dot(normal, frame.position)), frame) for frame in frames),
        key=lambda pair: pair[0],
    ):
        if along - last > TOGETHER:
            rows.append([])
        last = along
        rows[-1].append(frame)
    return [sorted(row, key=lambda frame: (frame.order, frame.path, frame.number)) for row in rows]


def _grid(key: Key, frames: Sequence[Frame], thickness: float) -> tuple[Grid | None, str]:
    positions = np.array([frame.position for frame in frames])
    try:
        grid = grid_of_slices(key.orientation, key.spacing, key.size, positions, thickness)
    except ValueError as error:
        return None, str(error)
    return grid, ""


def _without_short_ones(images: Sequence[Found]) -> list[Found]:
    """Mark images that lack slices which others of the same acquisition have."""
    together: defaultdict[tuple[str, ...], list[Found]] = defaultdict(list)
    for image in images:
        facts = image.facts
        together[facts.patient, facts.study, facts.when].append(image)
    marked: list[Found] = []
    for members in together.values():
        grids = {image.grid for image in members if image.grid is not None}
        for image in members:
            longer = [
                grid.shape[2] for grid in grids if image.grid and image.grid.is_part_of(grid)
            ]
            problem = (
                f"it has {len(image.frames)} slices, where others of the same acquisition have "
                f"{max(longer)}; copy it again"
                if longer
                else image.problem
            )
            marked.append(replace(image, problem=problem))
    return marked


def identifier(key: Key, facts: Facts, turn: int) -> str:
    """Number of the series, and digits that stay the same whenever the image is found again."""
    text = repr((*key, turn))
    return f"s{facts.number:03d}-{hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]}"


def _in_order(images: Sequence[Found]) -> tuple[Found, ...]:
    def order(image: Found) -> tuple[object, ...]:
        facts = image.facts
        return (facts.study, facts.when, facts.patient, facts.number, facts.echo_time or 0.0,
                facts.part, facts.shows, image.id)  # fmt: skip

    first: dict[str, tuple[object, ...]] = {}
    for image in images:
        key = order(image)
        first[image.facts.patient] = min(first.get(image.facts.patient, key), key)
    ranked = sorted(images, key=lambda image: (first[image.facts.patient], order(image)))
    return tuple(without_twins(ranked))


def without_twins(images: Sequence[Found]) -> Iterator[Found]:
    """Give images of one identifier different ones: copies of the same files."""
    seen: Counter[str] = Counter()
    for image in images:
        seen[image.id] += 1
        twin = seen[image.id] > 1
        yield replace(image, id=f"{image.id}-{seen[image.id]}") if twin else image
