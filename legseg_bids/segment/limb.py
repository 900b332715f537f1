"""One limb on the network's grid, and the way back to the source grid.

A limb is cropped, masked, turned into a left limb standing feet first, resampled, scaled
once as a whole, and padded to a multiple of the network's step. The way back goes class by
class over the part of the grid where the class can win, so that no full set of
probabilities is ever held on the source grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND, right_of
from legseg_bids.anatomy.regions import Region, Side
from legseg_bids.errors import ImageError
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.resample import linear_taps, resample_to_spacing
from legseg_bids.imaging.scaling import scale
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.boxes import Box, occupied, span
from legseg_bids.segment.models import SegmentationSpec

Triple = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class LimbImage:
    """A limb, ready for the network, that knows where it came from.

    Attributes
    ----------
    data : ndarray of float32, shape (z, y, x)
        Normalised, resampled, padded.
    grid : tuple of int
        Voxels along (z, y, x) before padding.
    region : Region
    side : Side
    box : tuple of slice
        The crop in the canonical source grid (x, y, z).
    body, own : ndarray of bool, shape of the box
        Where labels may stand, and which voxels are this limb's own.
    flips : tuple of bool
        Whether z, y, x were turned round.
    """

    data: NDArray[np.float32]
    grid: Triple
    region: Region
    side: Side
    box: Box
    body: NDArray[np.bool_]
    own: NDArray[np.bool_]
    flips: tuple[bool, bool, bool]


@dataclass(frozen=True, eq=False)
class RegionResult:
    """Labels of one region of one limb on the canonical source grid.

    Attributes
    ----------
    side : Side
    region : Region
    box : tuple of slice
        Where it lies in the source grid (x, y, z).
    labels : ndarray of uint8, shape of the box
        Final label indices; 0 background.
    probability : ndarray of float32, shape of the box
        Probability of the label (of background, where it is 0); 0 outside the body.
    own : ndarray of bool, shape of the box
        Voxels that belong to this limb.
    known : frozenset of int
        Labels that the network looks for.
    """

    side: Side
    region: Region
    box: Box
    labels: NDArray[np.uint8]
    probability: NDArray[np.float32]
    own: NDArray[np.bool_]
    known: frozenset[int] = frozenset()


def prepare_limb(
    volume: Volume,
    mask: NDArray[np.bool_],
    limb: LimbBox,
    side: Side,
    z_range: slice,
    spec: SegmentationSpec,
    direction: int = 1,
) -> LimbImage:
    """Bring a limb into the form that a network was trained on.

    Parameters
    ----------
    volume : Volume
        Magnitude image, canonical axes.
    mask : ndarray of bool, shape (nx, ny, nz)
        Body mask.
    limb : LimbBox
    side : Side
        Right limbs are mirrored into left ones.
    z_range : slice
        Slices of the region.
    spec : SegmentationSpec
        Of the region's network.
    direction : int
        -1 turns a stack that runs against its affine.

    Raises
    ------
    ImageError
        If the limb has no voxel in these slices.
    """
    box = _crop(limb, z_range)
    body, own = mask[box], limb.mask[box]
    if not own.any():
        raise ImageError(
            f"the {side} limb has no voxel in slices {z_range.start} to {z_range.stop - 1}; "
            f"expected a leg; look at the body mask"
        )
    scaled = scale(volume.data[box], body, spec.convention.scaling).transpose(2, 1, 0)
    flips = (direction < 0, False, side is Side.RIGHT and spec.convention.mirror)
    turned = np.flip(scaled, _axes(flips))
    wanted = network_spacing(volume.spacing, spec, scaled.shape[0])
    resampled, _ = resample_to_spacing(turned, volume.spacing[::-1], wanted, 1)
    data = np.pad(resampled.astype(np.float32, copy=False), _padding(resampled.shape, spec))
    z, y, x = resampled.shape
    return LimbImage(data, (z, y, x), spec.region, side, box, body, own, flips)


def restore(
    image: LimbImage,
    probabilities: NDArray[np.float32],
    spec: SegmentationSpec,
    possible: NDArray[np.bool_] | None = None,
) -> RegionResult:
    """Most probable label of each voxel of the source grid.

    Parameters
    ----------
    image : LimbImage
    probabilities : ndarray of float32, shape (classes, z, y, x)
        One map for each of ``spec.labels``, on the network's grid without its padding.
    spec : SegmentationSpec
    possible : ndarray of bool, shape (classes, slices of the source grid), optional
        Where a label cannot be, the next best one is taken.

    Returns
    -------
    RegionResult
    """
    shape = image.body.shape[::-1]
    best = np.zeros(shape, np.float32)
    winner = np.zeros(shape, np.uint8)
    back = _WayBack(image.grid, shape, image.flips)
    least = 0.999 / len(spec.labels)  # the best of n probabilities is at least 1 / n
    for index, (label, maps) in enumerate(zip(spec.labels, probabilities, strict=True)):
        where, values = back(maps, least if index else 0.0)
        better = values > best[where]
        if possible is not None:
            better &= possible[index, image.box[2]][where[0], None, None]
        np.copyto(best[where], values, where=better)
        np.copyto(winner[where], np.uint8(_final(label, image, spec)), where=better)
    labels, probability = winner.transpose(2, 1, 0), best.transpose(2, 1, 0)
    labels[~image.body] = 0
    probability[~image.body] = 0
    return RegionResult(
        image.side,
        image.region,
        image.box,
        labels,
        probability,
        image.own,
        _known(image, spec),
    )


def class_maps(
    image: LimbImage, probabilities: NDArray[np.float32], spec: SegmentationSpec
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Probability maps on the source grid, one class at a time.

    Parameters
    ----------
    image, probabilities, spec
        As in :func:`restore`.

    Yields
    ------
    label : int
        Final label index of this side; 0 is background.
    probability : ndarray of float32, shape of the box (x, y, z)
        Zero outside the body.
    """
    shape = image.body.shape[::-1]
    back = _WayBack(image.grid, shape, image.flips)
    for label, maps in zip(spec.labels, probabilities, strict=True):
        _, values = back(maps, 0.0)
        yield _final(label, image, spec), np.where(image.body, values.transpose(2, 1, 0), 0)


class _WayBack:
    """Separable linear interpolation from the network's grid to the source grid."""

    def __init__(self, grid: Triple, shape: tuple[int, ...], flips: tuple[bool, ...]) -> None:
        self._axes = [_Axis(n, m) for n, m in zip(grid, shape, strict=True)]
        self._flips = _axes(flips)

    def __call__(
        self, values: NDArray[np.float32], least: float
    ) -> tuple[Box, NDArray[np.float32]]:
        """Interpolate where the result can reach `least`; where that is, and the values."""
        turned = np.flip(values, self._flips)
        source, target = self._support(turned >= least)
        part = turned[source]
        z, y, x = (
            axis.between(rows, columns)
            for axis, rows, columns in zip(self._axes, target, source, strict=True)
        )
        if x is not None:
            part = part @ x.T
        if y is not None:
            part = np.matmul(y, part)
        if z is not None:
            part = np.tensordot(z, part, axes=(1, 0))
        return target, part

    def _support(self, relevant: NDArray[np.bool_]) -> tuple[Box, Box]:
        """Input and output boxes that the relevant voxels can influence."""
        lines = zip(self._axes, occupied(relevant), strict=True)
        pairs = [axis.reach(line) for axis, line in lines]
        (z_in, z_out), (y_in, y_out), (x_in, x_out) = pairs
        return (z_in, y_in, x_in), (z_out, y_out, x_out)


class _Axis:
    """Interpolation weights of one axis."""

    def __init__(self, size_in: int, size_out: int) -> None:
        self._same = size_in == size_out
        indices, weights = linear_taps(size_in, size_out)
        self._matrix = np.zeros((size_out, size_in), np.float32)
        np.add.at(self._matrix, (np.arange(size_out)[None], indices), weights)

    @cached_property
    def _touches(self) -> NDArray[np.bool_]:
        return self._matrix > 0

    def between(self, rows: slice, columns: slice) -> NDArray[np.float32] | None:
        """Weights from input `columns` to output `rows`; None if nothing is to be done."""
        return None if self._same else self._matrix[rows, columns]

    def reach(self, relevant: NDArray[np.bool_]) -> tuple[slice, slice]:
        """Inputs needed and outputs touched by the relevant inputs."""
        if self._same:
            return span(relevant), span(relevant)
        rows = span(np.asarray(self._touches[:, relevant].any(axis=1)))
        return span(np.asarray(self._touches[rows].any(axis=0))), rows


def _axes(flips: tuple[bool, ...]) -> tuple[int, ...]:
    return tuple(axis for axis, flip in enumerate(flips) if flip)


def _crop(limb: LimbBox, z_range: slice) -> Box:
    """The limb's box in the region's slices."""
    x, y, z = limb.box
    return x, y, slice(max(z.start, z_range.start), min(z.stop, z_range.stop))


def network_spacing(
    spacing: tuple[float, float, float], spec: SegmentationSpec, slices: int
) -> tuple[float, float, float]:
    """Voxel size (z, y, x) that a limb is brought to, mm; thick or single slices stay.

    Examples
    --------
    >>> from legseg_bids.segment.models import SegmentationSpec
    >>> spec = SegmentationSpec(Region.UPPER, (1.5, 1.5, 6.0), 5.0, (0, 31), (4, 16, 16),
    ...                         (1, 1, 1), (32, 112, 112), 300.0)
    >>> network_spacing((0.8, 0.8, 3.0), spec, 40), network_spacing((0.8, 0.8, 24.0), spec, 16)
    ((6.0, 1.5, 1.5), (24.0, 1.5, 1.5))
    """
    x, y, z = spacing if spec.convention.native_spacing else spec.spacing
    if spacing[2] > spec.native_z_above or slices == 1:
        z = spacing[2]
    return z, y, x


def _padding(shape: tuple[int, ...], spec: SegmentationSpec) -> list[tuple[int, int]]:
    """Voxels to add behind each axis: up to a multiple of the step, or to the fixed patch."""
    if spec.convention.fixed:
        return [(0, max(0, size - n)) for n, size in zip(shape, spec.patch, strict=True)]
    return [(0, -n % step) for n, step in zip(shape, spec.step, strict=True)]


def _known(image: LimbImage, spec: SegmentationSpec) -> frozenset[int]:
    """Labels that a network can give, on the limb's side."""
    return frozenset(_final(label, image, spec) for label in spec.labels if label != BACKGROUND)


def _final(label: int, image: LimbImage, spec: SegmentationSpec) -> int:
    """The label on the limb's side; a network that sees both limbs tells the side itself."""
    one_limb = spec.convention.view == "limb"
    return right_of(label) if one_limb and image.side is Side.RIGHT else label
