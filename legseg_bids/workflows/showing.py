"""Pictures and page of a participant after a correction, from the derivative and the sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from legseg_bids.bids.description import read_description
from legseg_bids.bids.finished import finished_images

if TYPE_CHECKING:
    from legseg_bids.bids.finished import FinishedImage


def show(
    root: Path, subject: str, bids_dir: Path | None, reports: bool
) -> tuple[Path | None, tuple[str, ...]]:
    """Draw and write what is missing; what fails here takes nothing from a correction.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    subject : str
        Label without ``sub-``.
    bids_dir : Path or None
        The dataset; by default where the description of the derivative leads.
    reports : bool
        Whether pictures and page are wanted.

    Returns
    -------
    page : Path or None
        The page, if it was written or holds.
    warnings : tuple of str
        What a person should know.
    """
    images = finished_images(root, subject)
    notes = tuple(note for image in images for note in image.notes)
    if not reports:
        return None, notes
    from legseg_bids.interfaces.report import Sources
    from legseg_bids.report.subject import write_subject_report

    sources = Sources(root, bids_dir or _dataset(root))
    try:
        for image in images:
            if image.manual and not image.paths.figure.is_file():
                _draw(image, sources)
        return write_subject_report(root, subject, sources), notes
    except Exception as error:  # noqa: BLE001 - the correction is done, whatever is wrong here
        problem = (
            f"the page of sub-{subject} could not be written ({error}); the correction stands; "
            "write the page with legseg-correct --refresh"
        )
        return None, (*notes, problem)


def _draw(image: FinishedImage, sources: Any) -> None:
    from legseg_bids.report.overlay import draw_overlay

    scene = sources.read(image)
    title = f"{image.stem} (corrected by hand)"
    draw_overlay(scene.background, scene.labels, scene.spacing, image.paths.figure, title)


def _dataset(root: Path) -> Path | None:
    """Where the description of the derivative says that the dataset is, if it is there."""
    try:
        links = (read_description(root) or {}).get("DatasetLinks", {})
        found = (root / str(links["raw"])).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if (found / "dataset_description.json").is_file() else None
