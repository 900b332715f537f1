"""A finished image with what it was drawn on, for those who show it outside of a report."""

from __future__ import annotations

from pathlib import Path

from legseg_bids.bids.finished import FinishedImage
from legseg_bids.interfaces.report import Sources
from legseg_bids.report.scene import Scene


def read_scene(image: FinishedImage, bids_dir: Path | None) -> Scene:
    """Labels in canonical axes, and the image below them as far as it can be read.

    Parameters
    ----------
    image : FinishedImage
        From `legseg_bids.bids.finished`.
    bids_dir : Path or None
        The dataset; None if it is not at hand.

    Raises
    ------
    ImageError
        If the label image itself cannot be read.
    """
    return Sources(image.root, bids_dir).read(image)
