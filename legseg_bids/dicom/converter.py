"""From slices to a NIfTI image: dcm2niix, and a look at what it made."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from legseg_bids.dicom.found import Found, Grid
from legseg_bids.dicom.frames import stage
from legseg_bids.errors import ImageError, UsageError

OPTIONS = (
    "-g", "i",  # settings that somebody saved do not count
    "-b", "y", "-ba", "y",  # sidecar without dates and names
    "-z", "n", "-f", "image", "-x", "n", "-m", "y", "-i", "n", "-p", "y", "-w", "0",
)  # fmt: skip
LONGEST = 1800
"""Seconds that one image may take."""
COMMAND = "dcm2niix"


@cache
def find_dcm2niix() -> str:
    """Find the converter: that of the package, else on the path.

    Raises
    ------
    UsageError
        If there is none.
    """
    try:
        import dcm2niix  # type: ignore[import-untyped]

        if Path(dcm2niix.bin).is_file():
            return str(dcm2niix.bin)
    except (ImportError, AttributeError):
        pass
    found = shutil.which(COMMAND)
    if found:
        return found
    raise UsageError(
        f"{COMMAND}, which converts DICOM, was not found; expected it beside this program; "
        "install legseg-bids[dicom]"
    )


def convert_image(image: Found, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Convert one image, and make sure that its voxels are where the headers say.

    Parameters
    ----------
    image : Found
        What to convert.
    folder : Path
        Empty; holds links, copies and the result.

    Returns
    -------
    Path
        NIfTI file, with whatever the converter wrote into its header.
    dict
        The converter's sidecar.

    Raises
    ------
    ImageError
        If it gives no image, several, or one that lies elsewhere.
    """
    slices, out = folder / "slices", folder / "out"
    slices.mkdir()
    out.mkdir()
    stage(image.frames, slices)
    said = _run(slices, out)
    made = sorted(out.glob("*.nii"))
    if len(made) != 1:
        raise ImageError(
            f"{COMMAND} made {len(made)} images of {len(image.frames)} slices; expected one; "
            f"it said: {said}"
        )
    assert image.grid is not None
    check_grid(made[0], image.grid)
    return made[0], _sidecar(made[0])


def check_grid(path: Path, expected: Grid) -> None:
    """Make sure that an image has the voxels that the headers of its slices tell of.

    Raises
    ------
    ImageError
        If it has others.
    """
    loaded: Any = nib.load(path)
    shape = tuple(int(n) for n in loaded.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or sorted(shape) != sorted(expected.shape):
        raise ImageError(
            f"{COMMAND} made an image of {' × '.join(map(str, shape))}; expected "
            f"{' × '.join(map(str, expected.shape))}; slices may be missing: export the series "
            "again"
        )
    affine = np.asarray(loaded.affine, float)
    found = Grid((shape[0], shape[1], shape[2]), tuple(map(tuple, affine.tolist())))
    if not found.is_same(expected):
        raise ImageError(
            f"{COMMAND} put the image elsewhere than its headers say; expected the same corners; "
            "export the series again, or convert it by hand"
        )


def _run(slices: Path, out: Path) -> str:
    """Run the converter; give the end of what it said."""
    command: Sequence[str] = (find_dcm2niix(), *OPTIONS, "-o", str(out), str(slices))
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{COMMAND} did not end within {LONGEST} s; expected minutes") from error
    lines = [
        line for line in (done.stdout + done.stderr).splitlines() if str(slices.parent) not in line
    ]
    return " / ".join(lines[-3:])


def _sidecar(image: Path) -> dict[str, Any]:
    try:
        content = json.loads(image.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
