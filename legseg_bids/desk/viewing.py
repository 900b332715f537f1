"""The image that the viewer shows below the labels: on their grid, whatever it was made from."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.write import on_grid_of, replacing, write_text
from legseg_bids.desk.results import Result
from legseg_bids.errors import ImageError
from legseg_bids.imaging.orientation import from_canonical, to_canonical
from legseg_bids.imaging.volume import Volume

COMPRESSION = 3
"""It is read once, on this machine."""


def picture_path(result: Result, cache: Path) -> Path:
    """Where the image of a result is kept: under another name once the labels are others."""
    stamp = result.original.stat().st_mtime_ns
    return cache / f"{result.id}_{stamp:x}.nii.gz"


def problem_of(picture: Path) -> str:
    """Why a picture is black, or lacks a part; empty if it does not."""
    try:
        return picture.with_suffix(".txt").read_text(encoding="utf-8")
    except OSError:
        return ""


def write_picture(result: Result, bids: Path, cache: Path) -> str:
    """Write the image of a result, unless it is there.

    Parameters
    ----------
    result : Result
        What is shown.
    bids : Path
        The dataset; need not be there any more.
    cache : Path
        Folder for the file.

    Returns
    -------
    str
        Why it is black or lacks a part; empty if it does not.

    Raises
    ------
    ImageError
        If the labels cannot be read.
    OutputError
        If the file cannot be written.
    """
    from legseg_bids.workflows.scenes import read_scene

    path = picture_path(result, cache)
    if path.is_file():
        return problem_of(path)
    scene = read_scene(result.image, bids if bids.is_dir() else None)
    labels: Any = nib.load(result.original)
    grey = _turned_back(scene.background, labels)
    if scene.problem:
        write_text(path.with_suffix(".txt"), scene.problem)
    header = on_grid_of(labels.header, grey.shape, np.uint8)
    header["cal_max"] = 255
    kind: Any = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    with replacing(path) as file:
        file.write(gzip.compress(kind(grey, None, header).to_bytes(), COMPRESSION, mtime=0))
    return scene.problem


def _turned_back(grey: NDArray[np.uint8], labels: Any) -> NDArray[np.uint8]:
    """From canonical axes to those of the label image.

    Raises
    ------
    ImageError
        If they do not fit together.
    """
    # The values do not matter, only how its axes lie.
    template = np.broadcast_to(np.uint8(0), labels.shape)
    _, orientation = to_canonical(Volume(template, labels.affine))
    back = from_canonical(grey, orientation)
    if back.shape != labels.shape:
        raise ImageError(
            f"the image has {back.shape} voxels, its labels have {labels.shape}; expected the "
            "same; run again"
        )
    return back
