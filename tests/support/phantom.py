"""A label map of two simple legs, for tests of the simulator: rings of muscle around a bone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from legseg_bids.synth.partial import PartialLimb
    from legseg_bids.synth.pose import Pose

SPACING = (4.0, 4.0, 10.0)
SHAPE = (90, 40, 90)
#: Atlas ids of the right leg; the left one is 100 more.
FEMUR, TIBIA, FIBULA, HIP, PATELLA = 60, 61, 62, 64, 63
QUADRANTS_THIGH = (14, 16, 23, 26)  # vastus lateralis and medialis, biceps long, semimembranosus
QUADRANTS_CALF = (35, 28, 27, 29)  # tibialis anterior, gastrocnemii, soleus
FAT = 90
#: The thighs as a partial map: lowest slice, and every how many.
LOWEST, EVERY = 45, 3
#: Middle of the left limb (x, y), mm.
MIDDLE = (90.0, 80.0)


def phantom_map() -> NDArray[np.uint8]:
    """Label map (x, y, z), axes RAS, ids as in the Visible Human maps."""
    x, y = np.meshgrid(
        *(np.arange(n) * s for n, s in zip(SHAPE[:2], SPACING[:2], strict=True)), indexing="ij"
    )
    out = np.zeros(SHAPE, np.uint8)
    for offset, centre in ((100, 90.0), (0, 270.0)):
        side = 1.0 if offset else -1.0
        dx, dy = (x - centre) * side, y - 80.0
        radius, quadrant = np.hypot(dx, dy), (dx > 0).astype(int) + 2 * (dy < 0)
        for z in range(SHAPE[2]):
            height = z * SPACING[2]
            thigh = height > 420
            reach = 62.0 if thigh else 46.0
            plane = out[..., z]
            plane[radius < reach + 12] = FAT
            if height < 40:
                continue
            ids = np.array(QUADRANTS_THIGH if thigh else QUADRANTS_CALF) + offset
            if not 400 < height < 440:
                plane[radius < reach] = ids[quadrant][radius < reach]
            plane[radius < 14] = (FEMUR if thigh else TIBIA) + offset
            if height > 800:
                plane[(radius > 30) & (radius < 44) & (dx > 0)] = HIP + offset
    return out


def write_phantom(folder: Path, name: str = "vhm") -> Path:
    """Write ``<name>_labels.nii.gz``; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(phantom_map(), np.diag([*SPACING, 1.0]))
    nib.save(image, folder / f"{name}_labels.nii.gz")
    return folder


def partial_map() -> NDArray[np.uint8]:
    """The phantom's thighs as a partial map: sides alike, every third slice."""
    from legseg_bids.anatomy.labels import label_by_index
    from legseg_bids.synth.register import MUSCLES

    whole = phantom_map()
    out = np.zeros_like(whole)
    for number, left in MUSCLES.items():
        own = label_by_index(left).atlas
        if own is not None:
            out[np.isin(whole, (own, own - 100))] = number
    return out[..., LOWEST::EVERY]


def write_partial(
    path: Path,
    ids: NDArray[np.uint8] | None = None,
    spacing: tuple[float, float, float] = (SPACING[0], SPACING[1], EVERY * SPACING[2]),
    axes: tuple[str, str, str] = ("R", "A", "S"),
) -> Path:
    """Write a partial map (x, y, z; the phantom's by default) stored with these axes."""
    image = nib.Nifti1Image(partial_map() if ids is None else ids, np.diag([*spacing, 1.0]))
    there, here = (
        nib.orientations.io_orientation(image.affine),
        nib.orientations.axcodes2ornt(axes),
    )
    stored = image.as_reoriented(nib.orientations.ornt_transform(there, here))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(stored, path)
    return path


def true_pose(limb: PartialLimb) -> Pose:
    """How a limb of :func:`partial_map` lies in the phantom, exactly.

    A limb's own plane begins :data:`~legseg_bids.synth.partial.PADDING` pixels before its muscles.
    """
    from legseg_bids.synth.partial import PADDING, PIXEL
    from legseg_bids.synth.pose import Pose

    middle = float(limb.height.mean())
    # muscles reach less than 62 mm from the middle: 58 mm lateral of it, 60 mm behind it
    centre = (PADDING * PIXEL + 60.0, PADDING * PIXEL + 58.0)
    low = LOWEST * SPACING[2]
    return Pose(low + middle, 1.0, middle, 1.0, 0.0, centre, (0.0, 0.0), (0.0, 0.0))
