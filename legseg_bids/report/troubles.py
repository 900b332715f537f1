"""Images of a participant that have no result, and why: told in the report as well."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.bids.finished import FinishedImage
from legseg_bids.bids.names import log_dir
from legseg_bids.report.findings import RAW, listed, read_sidecar

BAD = ("failed", "skipped")
ENDING = "_outcome.tsv"


@dataclass(frozen=True)
class Trouble:
    """What became of an image: as in the table of outcomes of a run."""

    image: str
    status: str
    message: str = ""


def troubles(
    derivatives_dir: Path,
    subject: str,
    images: Sequence[FinishedImage],
    now: Iterable[Trouble] = (),
) -> tuple[Trouble, ...]:
    """Images that failed or were skipped, by the last run that tried them.

    Parameters
    ----------
    derivatives_dir : Path
        Root of the derivative, with the logs of all runs.
    subject : str
        Label without ``sub-``.
    images : sequence of FinishedImage
        What has a result: a failure that is older than the result is left out.
    now : iterable of Trouble
        What became of images in the run that is not logged yet.
    """
    last: dict[str, tuple[str, Trouble]] = {}
    for path in sorted(log_dir(derivatives_dir, subject).glob(f"*{ENDING}")):
        run = path.name.removesuffix(ENDING)
        last |= {trouble.image: (run, trouble) for trouble in _read(path)}
    last |= {trouble.image: ("~", trouble) for trouble in now}
    made = _made(images)
    return tuple(
        trouble
        for image, (run, trouble) in sorted(last.items())
        if trouble.status.lower() in BAD and made.get(image, "") <= run
    )


def _made(images: Sequence[FinishedImage]) -> dict[str, str]:
    """Which run segmented a source; names of runs sort by time."""
    return {
        str(uri).removeprefix(RAW): str(image.legseg.get("RunUUID", ""))
        for image in images
        for uri in listed(read_sidecar(image.paths.sidecar), "Sources")
    }


def _read(path: Path) -> list[Trouble]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, ValueError, csv.Error):
        return []
    return [
        Trouble(str(row.get("image", "")), str(row.get("status", "")), str(row.get("message", "")))
        for row in rows
    ]
