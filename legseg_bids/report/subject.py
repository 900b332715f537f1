"""The page about a participant: all images, what was measured, and what to look at.

The page holds a hash of all it was made from, and how many source images it had for its pictures;
while the hash holds and no more sources are there, it is not made again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from legseg_bids import __version__
from legseg_bids.bids.derivative import sha256
from legseg_bids.bids.finished import DamagedTable, FinishedImage, finished_images, read_table
from legseg_bids.bids.finished import rows as label_rows
from legseg_bids.bids.names import printable
from legseg_bids.bids.write import write_text
from legseg_bids.report.findings import Findings, read_findings, read_sidecar
from legseg_bids.report.methods import methods_facts
from legseg_bids.report.page import assets_digest, render, render_methods
from legseg_bids.report.pictures import (
    SLICES,
    SLICES_OF_A_LEG,
    Picture,
    front_pictures,
    slice_pictures,
)
from legseg_bids.report.scene import Scene, crop
from legseg_bids.report.tables import Row, Table, muscle_table, other_table
from legseg_bids.report.troubles import Trouble, troubles
from legseg_bids.report.volumes import LARGEST, viewer_data

STAMP = re.compile(rb'<meta name="legseg-inputs" content="([0-9a-f]{64})-(\d+)">')
STAMP_WITHIN = 4096
"""Bytes from the start of a page within which its stamp stands."""
FILES = ("labels", "table", "sidecar", "compartments", "profiles", "limbs")
OF_ALL = 3 * LARGEST
"""Bytes of the images of a page together; of more than three, each is coarser."""
LEAST = 200_000

Stamp = tuple[str, int]


class SceneReader(Protocol):
    """Reads label images with what they were drawn on."""

    def available(self, image: FinishedImage) -> int:
        """How many of its source files are there now."""

    def read(self, image: FinishedImage) -> Scene:
        """Labels, and the image as far as it can be read."""


@dataclass(frozen=True)
class Section:
    """What the page tells of one image."""

    id: str
    title: str
    merged: bool
    replaced: bool
    slices: tuple[Picture, ...]
    fronts: tuple[Picture, ...]
    viewer: Mapping[str, Any]
    muscles: Table
    compartments: Table
    limbs: Table
    findings: Findings
    warnings: tuple[str, ...]
    qualities: Mapping[str, int]


def report_path(derivatives_dir: Path, subject: str) -> Path:
    """Where the page of a participant lies.

    Examples
    --------
    >>> report_path(Path("out"), "01").as_posix()
    'out/sub-01.html'
    """
    return derivatives_dir / f"sub-{subject}.html"


def write_subject_report(
    derivatives_dir: Path,
    subject: str,
    sources: SceneReader,
    now: Iterable[Trouble] = (),
) -> Path:
    """Write the page of a participant, unless it is there and nothing has changed.

    One image is in memory at a time.

    Parameters
    ----------
    derivatives_dir : Path
        Root of the derivative.
    subject : str
        Label without ``sub-``.
    sources : SceneReader
        Reads the images.
    now : iterable of Trouble
        What became of images in a run that is not logged yet.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = report_path(derivatives_dir, subject)
    images = _in_order(finished_images(derivatives_dir, subject))
    bad = troubles(derivatives_dir, subject, images, now)
    stamp = _stamp(images, sources, bad)
    if not _holds(stamp_of(path), stamp):
        page = _compose(derivatives_dir, subject, images, sources, bad)
        write_text(path, render({**page, "stamp": "{}-{}".format(*stamp)}))
    return path


def is_current(
    derivatives_dir: Path, subject: str, sources: SceneReader, now: Iterable[Trouble] = ()
) -> bool:
    """Whether the page is there and shows what is there; parameters as for writing it."""
    images = _in_order(finished_images(derivatives_dir, subject))
    bad = troubles(derivatives_dir, subject, images, now)
    stamp = stamp_of(report_path(derivatives_dir, subject))
    return _holds(stamp, _stamp(images, sources, bad))


def has_content(derivatives_dir: Path, subject: str, now: Iterable[Trouble] = ()) -> bool:
    """Whether there is anything to tell: an image, or one that failed."""
    images = finished_images(derivatives_dir, subject)
    return bool(images or troubles(derivatives_dir, subject, images, now))


def stamp_of(path: Path) -> Stamp:
    """What a page was made from: a hash, empty if there is no such page, and how many sources."""
    try:
        with path.open("rb") as file:
            found = STAMP.search(file.read(STAMP_WITHIN))
    except OSError:
        return "", 0
    return (found[1].decode("ascii"), int(found[2])) if found else ("", 0)


def _holds(before: Stamp, now: Stamp) -> bool:
    """Sources that were there and are not there now (dropped, not mounted) take nothing back."""
    return before[0] == now[0] and before[1] >= now[1]


def _stamp(images: Sequence[FinishedImage], sources: SceneReader, bad: Sequence[Trouble]) -> Stamp:
    told: list[Any] = [__version__, assets_digest(), [vars(trouble) for trouble in bad]]
    for image in images:
        paths = [getattr(image.paths, name) for name in FILES]
        sums = [sha256(path) if path.is_file() else "" for path in paths]
        told.append([image.stem, image.replaced, sums, *image.notes])
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return digest, sum(map(sources.available, images))


def _in_order(images: Iterable[FinishedImage]) -> list[FinishedImage]:
    """By session; the whole leg before its stations."""
    return sorted(images, key=lambda i: (i.session or "", not i.merged, i.replaced, i.stem))


def _compose(
    derivatives_dir: Path,
    subject: str,
    images: Sequence[FinishedImage],
    sources: SceneReader,
    bad: Sequence[Trouble],
) -> dict[str, Any]:
    """Everything that the template asks for."""
    largest = max(LEAST, min(LARGEST, OF_ALL // max(1, len(images))))
    sections = [_section(derivatives_dir, image, sources, largest) for image in images]
    tables = [t for s in sections for t in (s.muscles, s.compartments, s.limbs)]
    return {
        "subject": printable(f"sub-{subject}"),
        "version": __version__,
        "sections": sections,
        "troubles": bad,
        "methods": render_methods(methods_facts(images, tables)),
    }


def _section(
    derivatives_dir: Path, image: FinishedImage, sources: SceneReader, largest: int
) -> Section:
    scene, problems = _scene(image, sources)
    rows = _rows(image, problems)
    described = read_sidecar(image.paths.sidecar)
    findings = read_findings(derivatives_dir, image)
    small = scene and crop(scene)
    count = SLICES_OF_A_LEG if image.merged else SLICES
    return Section(
        id=image.stem,
        title=_title(image),
        merged=image.merged,
        replaced=image.replaced,
        slices=slice_pictures(small, count) if small else (),
        fronts=front_pictures(small) if small else (),
        viewer=viewer_data(small, largest) if small else {},
        muscles=muscle_table(rows, described, _side_table(image, "profiles", problems)[0]),
        compartments=_other(image, "compartments", "compartment", problems),
        limbs=_other(image, "limbs", "side", problems),
        findings=findings,
        warnings=(*map(printable, image.notes), *findings.warnings, *problems, *_doubts(rows)),
        qualities=Counter(row["quality"] for row in rows if row.get("quality", "n/a") != "n/a"),
    )


def _scene(image: FinishedImage, sources: SceneReader) -> tuple[Scene | None, list[str]]:
    """The image; without it, the page still has its tables."""
    try:
        scene = sources.read(image)
    except Exception as error:  # noqa: BLE001 - one bad image must not cost the page
        return None, [printable(f"no pictures: {error}")]
    return scene, [printable(scene.problem)] if scene.problem else []


def _rows(image: FinishedImage, problems: list[str]) -> list[Row]:
    try:
        return list(label_rows(image))
    except DamagedTable as error:
        problems.append(printable(str(error)))
        return []


def _side_table(
    image: FinishedImage, name: str, problems: list[str]
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of another table of the image, and its sidecar; both empty if there is none."""
    path: Path = getattr(image.paths, name)
    if not path.is_file():
        return [], {}
    try:
        return list(read_table(path)), read_sidecar(path.with_suffix(".json"))
    except DamagedTable as error:
        problems.append(printable(str(error)))
        return [], {}


def _other(image: FinishedImage, name: str, key: str, problems: list[str]) -> Table:
    rows, described = _side_table(image, name, problems)
    return other_table(name, key, rows, described)


def _title(image: FinishedImage) -> str:
    session = f", session {image.session}" if image.session else ""
    by_hand = ", corrected by hand" if image.manual else ""
    if image.merged:
        return printable(f"Whole leg, {len(image.members)} stations merged{session}{by_hand}")
    return printable(f"Station {image.stem.partition('_seg-')[0]}{by_hand}")


def _doubts(rows: Sequence[Row]) -> list[str]:
    """What the table as a whole asks a reader to keep in mind."""
    muscles = [row for row in rows if row.get("tissue") == "muscle"]
    cut = sum(row.get("truncated") not in (None, "none", "n/a") for row in muscles)
    beside = sum(row.get("cut_in_plane") == "true" for row in muscles)
    poor = [row.get("abbreviation", "?") for row in muscles if row.get("quality") == "poor"]
    lines = []
    if cut:
        lines.append(
            f"{cut} of {len(muscles)} muscles are cut by the first or last slice or by a gap: "
            "their volumes and lengths are those of the part in view, not of the muscle"
        )
    if beside:
        lines.append(f"{beside} muscles reach the edge of the picture and may continue beyond it")
    if poor:
        listed = ", ".join(printable(name) for name in poor)
        lines.append(f"quality is poor for {listed}: look at them before you use their numbers")
    return lines
