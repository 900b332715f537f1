"""Which label image of a derivative is meant: by a name, or by what was made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from legseg_bids.bids.finished import finished_images
from legseg_bids.bids.manual import manual_labels, original_labels
from legseg_bids.errors import ImageError, NoInput, UsageError
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.stacks import Grid
from legseg_bids.imaging.volume import Volume
from legseg_bids.workflows.edited import apart, read_grid

SHOWN = 6
"""Names in a message, at most."""


def find_original(root: Path, name: str) -> Path:
    """The automatic label image that a name means.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    name : str
        File name or path of a label image or of its correction, with or without its ending.

    Raises
    ------
    NoInput
        If there is none of this name.
    """
    stem = _stem(Path(name).name)
    known = _originals(root)
    for labels in known:
        if stem in (_stem(labels.name), _stem(manual_labels(labels).name)):
            return labels
    raise NoInput(
        f"{root} has no finished label image {name!r}; expected one of {_listed(known)}; "
        "check the name"
    )


def infer_original(root: Path, edited: Path) -> Path:
    """The automatic label image that an edited one was made from, by its name or its grid.

    Raises
    ------
    NoInput
        If none fits.
    UsageError
        If several fit.
    ImageError
        If the edited image cannot be read.
    """
    stem = _stem(edited.name)
    known = _originals(root)
    named = [
        labels
        for labels in known
        for own in (_stem(labels.name), _stem(manual_labels(labels).name))
        if stem.startswith(own)
    ]
    if named:
        return named[0]
    grid = Grid.of(read_grid(edited))
    fitting = [labels for labels in known if not apart(grid, _grid_of(labels))]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise NoInput(
            f"{edited} fits no label image of {root} by its name or by its grid; expected the "
            f"grid of one of {_listed(known)}; name the image that was edited with --of"
        )
    raise UsageError(
        f"{edited} lies on the grid of {len(fitting)} label images ({_listed(fitting)}); "
        "expected one; name the image that was edited with --of"
    )


def _originals(root: Path) -> Sequence[Path]:
    """Automatic label images of all that is finished, the longest names first."""
    found = {original_labels(image.labels) for image in finished_images(root)}
    return sorted(found, key=lambda path: (-len(path.name), path))


def _grid_of(labels: Path) -> Grid:
    """The grid of a label image, without unpacking its voxels."""
    try:
        image: Any = nib.load(labels)
        empty = Volume(np.zeros(image.shape, np.uint8), image.affine)
    except Exception as error:  # nibabel raises many kinds on a damaged file
        raise ImageError(
            f"{labels} cannot be read ({error}); run the participant again"
        ) from error
    return Grid.of(to_canonical(empty)[0])


def _stem(name: str) -> str:
    for ending in (".nii.gz", ".nii", ".json", ".tsv"):
        name = name.removesuffix(ending)
    return name


def _listed(paths: Sequence[Path]) -> str:
    names = sorted(path.name for path in paths)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none at all") + more
