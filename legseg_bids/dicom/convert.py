"""Converting what was decided: image by image, each written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from legseg_bids.bids.write import write_json
from legseg_bids.dicom.contrasts import CONTRASTS, UNCLEAR
from legseg_bids.dicom.converter import convert_image, find_dcm2niix
from legseg_bids.dicom.dataset import (
    RECORD,
    locked,
    write_dataset_files,
    write_participants,
)
from legseg_bids.dicom.found import CLASSIC, Facts, Survey
from legseg_bids.dicom.mapping import Row, joined, read_mapping, undecided, write_mapping
from legseg_bids.dicom.plan import Planned, plan
from legseg_bids.dicom.privacy import copy_image, public_sidecar
from legseg_bids.dicom.roles import ECHOES, LEAVE_OUT
from legseg_bids.errors import ImageError, LegsegError, OutputError, Undecided

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Converted:
    """What became of the images.

    Attributes
    ----------
    written : tuple of str
        Images that were written now, relative to the dataset.
    kept : tuple of str
        Images that an earlier run wrote.
    problems : tuple of str
        What could not be converted, and why.
    rows : tuple of Row
        The mapping, with the names of the files.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    problems: tuple[str, ...]
    rows: tuple[Row, ...]


def convert(
    survey: Survey,
    rows: Sequence[Row],
    bids_dir: Path,
    *,
    keep: Iterable[str] = (),
    progress: Progress | None = None,
) -> Converted:
    """Convert all images that are wanted into a BIDS dataset.

    What an earlier run wrote stays as it is. One image that cannot be converted is a problem and
    stops no other. Each is converted in the system's temporary folder and moved into place, after
    its sidecar; so nothing that names a person is ever in the dataset, not even for a moment.

    Parameters
    ----------
    survey : Survey
        What was found.
    rows : sequence of Row
        What was decided.
    bids_dir : Path
        The dataset; made if need be.
    keep : iterable of str
        ``sex`` and ``age``, to write them into ``participants.tsv``.
    progress : callable, optional
        Told before each image which one of how many it is, and its name.

    Returns
    -------
    Converted
        What was written.

    Raises
    ------
    Undecided
        If a question is left.
    UsageError
        If two images would get one name, or the converter is missing.
    OutputError
        If the dataset cannot be written at all.
    """
    questions = undecided(rows)
    if questions:
        raise Undecided(f"{len(questions)} images are undecided; expected an answer for each")
    if survey.kind == "dicom":
        find_dcm2niix()
    with locked(bids_dir):
        before = _present(read_record(bids_dir), bids_dir)
        planned = plan(survey, rows, before)
        write_dataset_files(bids_dir)
        own = {row.written for row in before if row.written}
        # Written before the images: what a run that is killed leaves behind is known as its own.
        _write_record(bids_dir, rows, before, planned)
        told = _Told()
        for number, item in enumerate(planned, start=1):
            if progress:
                progress(number, len(planned), item.target)
            _convert_one(item, survey.kind, bids_dir, told, own)
        _write_people(bids_dir, planned, told, keep)
        done = _write_record(
            bids_dir, rows, before, [item for item in planned if item.target in told.present]
        )
    problems = (*survey.problems, *_left_out(survey, rows), *told.problems)
    return Converted(tuple(told.written), tuple(told.kept), problems, done)


class _Told:
    """What became of the images so far."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.kept: list[str] = []
        self.problems: list[str] = []

    @property
    def present(self) -> set[str]:
        return {*self.written, *self.kept}


def read_record(bids_dir: Path) -> tuple[Row, ...]:
    """What is known of earlier drafts and runs; nothing where there was none."""
    path = bids_dir / RECORD
    return read_mapping(path) if path.exists() else ()


def _present(rows: Iterable[Row], bids_dir: Path) -> tuple[Row, ...]:
    """Rows whose files are there, and the others without the name of one."""
    return tuple(
        row if row.written and (bids_dir / row.written).exists() else replace(row, written="")
        for row in rows
    )


def _write_record(
    bids_dir: Path, rows: Sequence[Row], before: Sequence[Row], planned: Iterable[Planned]
) -> tuple[Row, ...]:
    """Write the mapping with the names of the files beside the images."""
    names = {item.row.id: item.target for item in planned}
    done = tuple(replace(row, written=names.get(row.id, "")) for row in rows)
    write_mapping(bids_dir / RECORD, joined(done, before))
    return done


def _convert_one(
    item: Planned, kind: str, bids_dir: Path, told: _Told, own: Collection[str]
) -> None:
    """Convert one image, unless it is there; a problem is noted."""
    target = bids_dir / item.target
    name = f"{item.row.id} ({item.row.description})"
    if target.exists() and item.target in own:
        told.kept.append(item.target)
        return
    if target.exists():
        told.problems.append(
            f"{name}: {item.target} is there and was not made by this program; expected a free "
            "name; move it away, or give another label"
        )
        return
    try:
        _write_image(item, kind, target)
        told.written.append(item.target)
    except OutputError:
        raise
    except LegsegError as error:
        told.problems.append(f"{name}: {error}")


def _write_image(item: Planned, kind: str, target: Path) -> None:
    """Convert one image and put it into place, its sidecar first."""
    image = item.image
    if item.row.role in ECHOES.values() and not image.facts.echo_time:
        raise ImageError(
            f"it is to be an {item.row.role}, but its header tells no echo time; expected one; "
            "leave it out in the table"
        )
    with tempfile.TemporaryDirectory(prefix="legseg-bidsify-") as folder:
        if kind == "nifti":
            source, volume = Path(image.frames[0].path), image.frames[0].number
            sidecar: dict[str, Any] = {}
        else:
            source, sidecar = convert_image(image, Path(folder))
            volume = CLASSIC
        write_json(
            target.with_name(target.name.replace(".nii.gz", ".json")),
            _public(item, {**sidecar, **image.facts.sidecar}),
        )
        copy_image(source, target, None if volume == CLASSIC else volume)


def _public(item: Planned, sidecar: dict[str, Any]) -> dict[str, Any]:
    """The sidecar that may be written, with the image type that was found."""
    facts = item.image.facts
    part = {role: part for part, role in ECHOES.items()}.get(item.row.role, "magnitude")
    own = {"ImageType": list(facts.image_type)} if facts.image_type else {}
    found = public_sidecar({**sidecar, **own}, item.row.role, part, facts.secrets)
    # BIDS asks for it (rules/sidecars/mri.yaml); scanners store phases in steps of their own.
    return {**found, "Units": "arbitrary"} if part == "phase" else found


def _write_people(
    bids_dir: Path, planned: Sequence[Planned], told: _Told, keep: Iterable[str]
) -> None:
    people: dict[str, Facts] = {}
    for item in planned:
        if item.target in told.present:
            people.setdefault(item.row.participant, item.image.facts)
    write_participants(bids_dir, people, keep)


def _left_out(survey: Survey, rows: Sequence[Row]) -> list[str]:
    """Images that would be wanted if their slices made a volume."""
    by_id = {row.id: row for row in rows}
    return [
        f"{image.id} ({image.facts.description}): {image.problem}"
        for image in survey.images
        if image.problem
        and image.facts.shows in (*CONTRASTS, UNCLEAR, "dixon")
        and image.id in by_id
        and by_id[image.id].role == LEAVE_OUT
    ]
