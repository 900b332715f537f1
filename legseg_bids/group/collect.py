"""Everything that participant runs have left behind, participant by participant, as plain rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.bids.finished import (
    DISK,
    DamagedTable,
    Disk,
    FinishedImage,
    Found,
    find_images,
    read_table,
    rows,
    subjects_begun,
)
from legseg_bids.bids.journal import is_unsettled
from legseg_bids.bids.names import printable
from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.group.cache import Memory
from legseg_bids.group.structures import compartment_rows, label_structures, limb_rows


@dataclass(frozen=True)
class Participant:
    """What a derivative holds of one participant.

    Attributes
    ----------
    label : str
        With ``sub-``.
    images : int
        Finished images, merged ones not counted.
    rows : tuple of dict of str to str
        Rows of the long table: ``participant_id``, ``session_id``, ``image`` (label image,
        relative to the derivative), ``kind``, and the columns of the tables. A merged image
        stands for the stations that it was made from.
    configs : frozenset of str
        Hashes of the configurations that made them.
    notes : tuple of str
        What a reader of the tables must know.
    """

    label: str
    images: int
    rows: tuple[dict[str, str], ...] = ()
    configs: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def participants(
    derivatives_dir: Path, expected: Sequence[str] = (), memory: Memory | None = None
) -> Iterator[Participant]:
    """Read the tables of all finished images, one participant after the other, by label.

    Parameters
    ----------
    derivatives_dir : Path
        Output folder of the participant runs; nothing else is read.
    expected : sequence of str
        Labels (with or without ``sub-``) of participants that ought to be there.
    memory : Memory or None
        What was read before.
    """
    wanted = {label.removeprefix("sub-") for label in expected}
    for subject in sorted(wanted.union(subjects_begun(derivatives_dir))):
        known = memory.of(f"sub-{subject}") if memory else nullcontext(DISK)
        with known as disk:
            yield _participant(derivatives_dir, subject, disk)


def note_on_configs(configs: frozenset[str]) -> tuple[str, ...]:
    """What to say where images of one study were made in different ways."""
    if len(configs) < 2:
        return ()
    note = (
        f"the images were made with {len(configs)} different versions or models; "
        "run all participants again with --overwrite to compare them"
    )
    return (note,)


def _participant(root: Path, subject: str, disk: Disk) -> Participant:
    found = find_images(root, subject, disk)
    label = f"sub-{subject}"
    used = [image for image in found.images if not image.replaced]
    read: list[dict[str, str]] = []
    notes = list(_notes(found))
    if is_unsettled(root, subject):
        notes.append(
            f"{label}: a correction by hand was interrupted; run legseg-correct --refresh"
        )
    for image in used:
        try:
            read += _rows(image, root, disk)
        except DamagedTable as error:
            notes.append(
                f"{printable(str(error))} and is left out; "
                "run the participant again with --overwrite"
            )
    return Participant(
        label,
        images=sum(not image.merged for image in found.images),
        rows=tuple(read),
        configs=frozenset(image.legseg["ConfigHash"] for image in used),
        notes=tuple(notes),
    )


def _rows(image: FinishedImage, root: Path, disk: Disk) -> list[dict[str, str]]:
    """Labels, compartments and limbs of an image; a table of an older run may be missing."""
    first = {
        "participant_id": f"sub-{image.subject}",
        "session_id": f"ses-{image.session}" if image.session else NOT_AVAILABLE,
        "image": image.labels.relative_to(root).as_posix(),
    }
    labels = [{**row, "kind": _kind(row)} for row in rows(image, disk)]
    below = [
        *compartment_rows(_optional(image, "compartments", ("compartment", "side"), disk)),
        *limb_rows(_optional(image, "limbs", ("side",), disk)),
    ]
    return [{**row, **first} for row in (*labels, *below)]


def _kind(row: dict[str, str]) -> str:
    known = label_structures().get(row["abbreviation"])
    return known.kind if known else row.get("tissue", NOT_AVAILABLE)


def _optional(
    image: FinishedImage, role: str, required: Sequence[str], disk: Disk
) -> list[dict[str, str]]:
    """Rows of a table that not every run writes."""
    path = getattr(image.paths, role, None)
    return read_table(path, required, disk) if path is not None and path.is_file() else []


def _notes(found: Found) -> Iterator[str]:
    """What is wrong with what was found, or must be known of it."""
    for path in found.unfinished:
        yield f"{path.name} has no finished sidecar and is left out"
    for path in found.outdated:
        yield (
            f"{path.name} was merged from stations that have changed since and is left out; "
            "run the participant level again"
        )
    for image in found.images:
        yield from image.notes
