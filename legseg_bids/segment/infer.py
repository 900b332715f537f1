"""Run a segmentation network over a limb, patch by patch, within a memory bound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND
from legseg_bids.segment.adapter import adapt
from legseg_bids.segment.engines import Engine
from legseg_bids.segment.limb import LimbImage
from legseg_bids.segment.models import SegmentationSpec
from legseg_bids.segment.patches import Patch, plan
from legseg_bids.segment.tiles import fixed_patches

MIB = 1024**2
BASELINE = 300 * MIB
"""What the interpreter, its libraries and a network's weights occupy."""


def segment_limb(
    image: LimbImage,
    spec: SegmentationSpec,
    engine: Engine,
    memory_bytes: int | None,
    reserved: int = BASELINE,
) -> NDArray[np.float32]:
    """Probability of each reported label in each voxel of the network's grid.

    Parameters
    ----------
    image : LimbImage
    spec : SegmentationSpec
        Of the network.
    engine : Engine
        The network: (1, 1, z, y, x) to logits (1, channels, z, y, x).
    memory_bytes : int or None
        Ceiling for the process; ``None`` means patches of the default size.
    reserved : int
        What the process holds besides the network and this function's result, bytes.

    Returns
    -------
    ndarray of float32, shape (labels, z, y, x)
        One map for each of ``spec.labels``, without the padding; they sum to one.

    Raises
    ------
    UsageError
        If the memory is too small for the smallest patch.
    """
    shape = (len(spec.labels), *image.grid)
    result = np.zeros(shape, np.float32)
    patches = _patches(image, spec, memory_bytes, reserved + result.nbytes)
    engine = adapt(engine, spec.convention)
    # Patches of one shape in a row: an engine compiles once for each change of shape.
    for patch in sorted(patches, key=lambda patch: patch.shape):
        (logits,) = engine(np.ascontiguousarray(image.data[patch.tile])[None, None])
        _add(result, logits[0], patch, spec, whole=len(patches) == 1)
    return result


def _patches(
    image: LimbImage, spec: SegmentationSpec, memory_bytes: int | None, reserved: int
) -> tuple[Patch, ...]:
    z, y, x = image.data.shape
    memory = memory_bytes, spec.bytes_per_voxel
    if spec.convention.fixed:
        return fixed_patches((z, y, x), spec.patch, *memory, reserved)
    return plan((z, y, x), spec.step, spec.halo, *memory, spec.patch, reserved)


def _add(
    result: NDArray[np.float32],
    logits: NDArray[np.float32],
    patch: Patch,
    spec: SegmentationSpec,
    whole: bool,
) -> None:
    """Add a patch's weighted probabilities, slice by slice to stay in the cache."""
    z_ramp, y_ramp, x_ramp = patch.ramps
    z_tile, y_tile, x_tile = patch.tile
    y_used, x_used = (
        _clip(used, tile.start, size)
        for used, tile, size in zip(patch.used[1:], patch.tile[1:], result.shape[2:], strict=True)
    )
    plane = y_ramp[y_used, None] * x_ramp[x_used]
    y_out, x_out = _shift(y_used, y_tile.start), _shift(x_used, x_tile.start)
    z_used = _clip(patch.used[0], z_tile.start, result.shape[1])
    for z in range(z_used.start, z_used.stop):
        values = _fold(logits[:, z, y_used, x_used], spec)
        for target, value in zip(result[:, z + z_tile.start, y_out, x_out], values, strict=True):
            if whole:
                target[...] = value
            else:
                target += value * (plane * z_ramp[z])


def _fold(logits: NDArray[np.float32], spec: SegmentationSpec) -> Iterator[NDArray[np.float32]]:
    """Softmax over channels; channels of one label summed, those not reported background."""
    exponentials = np.exp(logits - logits.max(axis=0))
    scale = 1 / exponentials.sum(axis=0)
    for label in spec.labels:
        mine = [i for i, channel in enumerate(spec.channels) if max(channel, BACKGROUND) == label]
        total = exponentials[mine[0]] * scale
        for channel in mine[1:]:
            total += exponentials[channel] * scale
        yield total


def _clip(used: slice, start: int, size: int) -> slice:
    """Leave out what lies in the padding."""
    return slice(used.start, max(used.start, min(used.stop, size - start)))


def _shift(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
