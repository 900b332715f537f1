"""What a survey finds: sets of frames that make one image each, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CLASSIC = -1
"""Number of the frame where a file holds one image."""
EVEN = 0.05
"""Steps between slices are even if none differs from the median by more than this share."""
SAME_PLACE = 0.25
"""Grids are the same if no corner is farther apart than this share of a voxel's smallest side."""


class Frame(NamedTuple):
    """One slice: where it is stored and where it lies.

    Attributes
    ----------
    path : str
        File.
    number : int
        Frame within the file, or :data:`CLASSIC`.
    position : tuple of float
        Centre of the first voxel, in mm, in the coordinates of the patient (left, posterior,
        superior).
    order : tuple of int
        Temporal position, acquisition and instance, for slices at one place.
    """

    path: str
    number: int
    position: tuple[float, float, float]
    order: tuple[int, int, int]


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image lie.

    Attributes
    ----------
    shape : tuple of int
        Columns, rows, slices.
    affine : tuple of tuple of float
        4 × 4; voxel indices to mm, as in NIfTI (right, anterior, superior).
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The affine as an array."""
        return np.array(self.affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Sides of a voxel, mm."""
        x, y, z = np.linalg.norm(self.matrix[:3, :3], axis=0).tolist()
        return x, y, z

    def corners(self) -> NDArray[np.float64]:
        """Centres of the eight outermost voxels, mm; shape (8, 3), in no special order."""
        ends = [(0, n - 1) for n in self.shape]
        index = np.array([(i, j, k, 1) for i in ends[0] for j in ends[1] for k in ends[2]], float)
        corners: NDArray[np.float64] = (index @ self.matrix.T)[:, :3]
        return corners

    def bounds(self) -> NDArray[np.float64]:
        """Lowest and highest coordinate along right, anterior, superior; shape (2, 3), mm."""
        corners = self.corners()
        return np.stack([corners.min(axis=0), corners.max(axis=0)])

    def is_same(self, other: Grid) -> bool:
        """Whether both have their voxels at the same places, in whatever order of the axes."""
        if sorted(self.shape) != sorted(other.shape):
            return False
        apart = np.linalg.norm(self.corners()[:, None] - other.corners()[None], axis=2)
        return float(apart.min(axis=1).max()) <= SAME_PLACE * min(self.spacing)

    def is_part_of(self, other: Grid) -> bool:
        """Whether the other one has the same slices and more of them."""
        if self.shape[:2] != other.shape[:2] or self.shape[2] >= other.shape[2]:
            return False
        mine, theirs = self.matrix, other.matrix
        tolerance = SAME_PLACE * min(other.spacing)
        step = theirs[:3, 2]
        first = round(float((mine[:3, 3] - theirs[:3, 3]) @ step / (step @ step)))
        if not 0 <= first <= other.shape[2] - self.shape[2]:
            return False
        moved = theirs.copy()
        moved[:3, 3] += first * step
        expected = Grid(self.shape, tuple(map(tuple, moved.tolist())))
        apart = np.linalg.norm(self.corners() - expected.corners(), axis=1)
        return float(apart.max()) <= tolerance

    def is_near(self, other: Grid) -> bool:
        """Whether they overlap, along each axis, by more than half of the shorter one."""
        (low, high), (other_low, other_high) = self.bounds(), other.bounds()
        overlap = np.minimum(high, other_high) - np.maximum(low, other_low)
        return bool((overlap > 0.5 * np.minimum(high - low, other_high - other_low)).all())


@dataclass(frozen=True)
class Facts:
    """What the headers say of one image.

    Attributes
    ----------
    vendor : str
        ``siemens``, ``philips``, ``ge`` or another maker, in small letters.
    description : str
        What the scanner calls the series, without words that name a person.
    series : str
        Its unique identifier; never written anywhere.
    number : int
        Number of the series within the study; 0 where there is none.
    patient, study : str
        Whose it is and from which examination; never written anywhere.
    when : str
        Date and time of the acquisition, for order only; never written anywhere.
    frame_of_reference : str
        Images that share it share their coordinates; never written anywhere.
    image_type : tuple of str
        In capitals.
    shows : str
        ``opposed``, ``in_phase``, ``water``, ``fat``; ``other`` and ``localizer`` for what is
        not wanted; ``dixon`` where only the name of the sequence is known; else empty.
    part : str
        ``magnitude``, ``phase``, ``real`` or ``imaginary``.
    because : str
        What says so; or what contradicts what, if ``shows`` is ``unclear``.
    stitched : bool
        The scanner composed it from several stations.
    echo_time, field_strength : float or None
        Seconds and tesla.
    sequence : tuple of str
        ``ScanningSequence``: ``GR`` for gradient echo, ``SE`` for spin echo.
    sex, age : str
        Of the participant; written only on demand.
    person : str
        Birth date and sex, to notice that one identifier stands for two people; never written.
    label, session : str
        Labels that the names of the source tell (``sub-01``, ``ses-a``); else empty.
    secrets : frozenset of str
        Words that must not be written.
    sidecar : mapping
        Keys of BIDS and their values.
    """

    vendor: str = ""
    description: str = ""
    series: str = ""
    number: int = 0
    patient: str = ""
    study: str = ""
    when: str = ""
    frame_of_reference: str = ""
    image_type: tuple[str, ...] = ()
    shows: str = ""
    part: str = "magnitude"
    because: str = ""
    stitched: bool = False
    echo_time: float | None = None
    field_strength: float | None = None
    sequence: tuple[str, ...] = ()
    sex: str = ""
    age: str = ""
    person: str = ""
    label: str = ""
    session: str = ""
    secrets: frozenset[str] = frozenset()
    sidecar: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """One image of the source: one contrast, echo and part of one series.

    Attributes
    ----------
    id : str
        Number of the series and ten digits that stay the same; nothing can be learnt from them.
    facts : Facts
        What the headers say.
    grid : Grid or None
        None where the slices make no volume; ``problem`` says why.
    frames : tuple of Frame
        From one end to the other; of a NIfTI source the file itself.
    problem : str
        Why it cannot be converted, or empty.
    """

    id: str
    facts: Facts
    grid: Grid | None
    frames: tuple[Frame, ...]
    problem: str = ""


@dataclass(frozen=True)
class Survey:
    """Everything that a folder holds.

    Attributes
    ----------
    source : Path
        The folder.
    kind : str
        ``dicom`` or ``nifti``.
    images : tuple of Found
        By participant, date and series.
    problems : tuple of str
        Files that cannot be read, each with its reason.
    files : int
        How many files were looked at.
    """

    source: Path
    kind: str
    images: tuple[Found, ...]
    problems: tuple[str, ...] = ()
    files: int = 0


def grid_of_slices(
    orientation: tuple[float, ...],
    pixel_spacing: tuple[float, float],
    size: tuple[int, int],
    positions: NDArray[np.float64],
    thickness: float,
) -> Grid:
    """Grid of slices that lie one behind the other.

    Parameters
    ----------
    orientation : tuple of float
        ``ImageOrientationPatient``: directions of a row and of a column.
    pixel_spacing : tuple of float
        ``PixelSpacing``: between rows, between columns, mm.
    size : tuple of int
        Columns and rows.
    positions : ndarray, shape (slices, 3)
        ``ImagePositionPatient`` in order, mm.
    thickness : float
        Distance to assume for a single slice, mm.

    Raises
    ------
    ValueError
        If the slices are not evenly spaced; the message says what was found.

    Notes
    -----
    DICOM PS3.3 C.7.6.2.1.1, equation for the mapping of indices; its coordinates are left,
    posterior, superior, those of NIfTI right, anterior, superior.

    Examples
    --------
    >>> here = np.array([[0.0, 0, 0], [0, 0, 5]])
    >>> grid_of_slices((1, 0, 0, 0, 1, 0), (2, 3), (4, 4), here, 5).spacing
    (3.0, 2.0, 5.0)
    """
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    steps = np.diff(positions, axis=0)
    if len(steps):
        step = np.median(steps, axis=0)
        worst = float(np.linalg.norm(steps - step, axis=1).max())
        length = float(np.linalg.norm(step))
        if worst > max(EVEN * length, 0.05):
            far = float(np.linalg.norm(steps, axis=1).max())
            raise ValueError(
                f"its {len(positions)} slices are not evenly spaced ({length:.2f} mm, but "
                f"{far:.2f} mm at one place); slices may be missing"
            )
        step = (positions[-1] - positions[0]) / len(steps)
    else:
        step = np.cross(row, column) * thickness
    affine = np.eye(4)
    affine[:3] = np.stack(
        [row * pixel_spacing[1], column * pixel_spacing[0], step, positions[0]], axis=1
    )
    affine[:2] *= -1
    return Grid((*size, len(positions)), tuple(tuple(line) for line in affine.tolist()))
