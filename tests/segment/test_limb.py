"""To the network's grid and back: geometry, mirroring, memory-saving interpolation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from legseg_bids.anatomy.regions import Region, Side
from legseg_bids.errors import ImageError
from legseg_bids.imaging.limbs import LimbBox
from legseg_bids.imaging.resample import resample_to_shape
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.limb import LimbImage, class_maps, prepare_limb, restore
from legseg_bids.segment.models import SegmentationSpec

SPEC = SegmentationSpec(
    region=Region.UPPER,
    spacing=(1.5, 1.5, 6.0),
    native_z_above=5.0,
    channels=(0, 31, 33, 151),
    step=(2, 8, 8),
    halo=(4, 20, 20),
    patch=(32, 112, 112),
    bytes_per_voxel=100.0,
)
BOX = (slice(3, 25), slice(2, 29), slice(0, 5))


def prepared(
    spacing: tuple[float, float, float] = (1.5, 1.5, 6.0),
    side: Side = Side.LEFT,
    direction: int = 1,
    slices: int = 5,
    z_range: slice | None = None,
) -> LimbImage:
    random = np.random.default_rng(5)
    data = random.random((30, 30, slices)).astype(np.float32) + 0.1
    mask = np.zeros(data.shape, bool)
    mask[4:24, 3:28] = True
    box = (BOX[0], BOX[1], slice(0, slices))
    volume = Volume(data, np.diag([*spacing, 1.0]))
    where = z_range or slice(0, slices)
    return prepare_limb(volume, mask, LimbBox(mask, box), side, where, SPEC, direction)


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Probabilities of SPEC.labels from a (z, y, x) map of positions in it."""
    soft = np.full((len(SPEC.labels), *labels.shape), 0.1, np.float32)
    np.put_along_axis(soft, labels[None], 0.7, axis=0)
    return soft


def quadrants(shape: tuple[int, int, int]) -> np.ndarray:
    """Positions 1 at low x, 2 at high x and high y, 3 in the last slice; else 0."""
    _, y, x = shape
    labels = np.zeros(shape, np.intp)
    labels[:, :, : x // 2] = 1
    labels[:, y // 2 :, x // 2 :] = 2
    labels[-1] = 3
    return labels


def test_padded_masked_and_scaled() -> None:
    image = prepared()
    assert image.grid == (5, 27, 22)
    assert image.data.shape == (6, 32, 24)
    assert image.data.dtype == np.float32
    assert not image.data[5:].any()
    assert not image.data[:, 27:].any()
    assert not image.data[:, 0].any()  # in the box, outside the body
    assert 0.9 < image.data.max() <= 2.0


def test_right_limbs_are_mirrored_before_padding() -> None:
    left, right = prepared(), prepared(side=Side.RIGHT)
    np.testing.assert_array_equal(right.data[:, :, :22], left.data[:, :, 21::-1])


def test_reversed_stacks_are_turned() -> None:
    up, down = prepared(), prepared(direction=-1)
    np.testing.assert_array_equal(down.data[:5], up.data[4::-1])


@pytest.mark.parametrize(
    ("spacing", "slices", "grid"),
    [
        ((0.75, 0.75, 8.0), 5, (5, 14, 11)),
        ((3.0, 3.0, 24.0), 5, (5, 54, 44)),
        ((1.5, 1.5, 3.0), 8, (4, 27, 22)),  # thin slices are resampled
        ((1.5, 1.5, 3.0), 1, (1, 27, 22)),  # but not a single one
    ],
)
def test_network_grid(
    spacing: tuple[float, float, float], slices: int, grid: tuple[int, int, int]
) -> None:
    assert prepared(spacing, slices=slices).grid == grid


def test_fewer_slices_than_the_step() -> None:
    assert prepared(slices=1).data.shape == (2, 32, 24)


def test_slices_of_the_region_only() -> None:
    image = prepared(z_range=slice(1, 3))
    assert image.grid[0] == 2
    assert image.box[2] == slice(1, 3)


def test_limb_without_voxels() -> None:
    mask = np.zeros((8, 8, 4), bool)
    mask[:, :, 0] = True
    volume = Volume(np.ones(mask.shape, np.float32), np.eye(4))
    limb = LimbBox(mask, (slice(0, 8), slice(0, 8), slice(0, 4)))
    with pytest.raises(ImageError, match="left limb has no voxel in slices 2 to 3"):
        prepare_limb(volume, mask, limb, Side.LEFT, slice(2, 4), SPEC)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("side", list(Side))
def test_same_grid_comes_back_exactly(side: Side, direction: int) -> None:
    image = prepared(side=side, direction=direction)
    labels = quadrants(image.grid)
    result = restore(image, one_hot(labels), SPEC)
    turned = labels[::direction, :, :: -1 if side is Side.RIGHT else 1]
    names = np.array([0, 31, 33, 151]) if side is Side.LEFT else np.array([0, 32, 34, 151])
    expected = np.where(image.body, names[turned].transpose(2, 1, 0), 0)
    np.testing.assert_array_equal(result.labels, expected)
    np.testing.assert_allclose(result.probability[image.body], 0.7)
    assert not result.probability[~image.body].any()
    assert (result.box, result.side, result.region) == (image.box, side, Region.UPPER)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("spacing", [(0.75, 0.9, 8.0), (2.2, 2.5, 3.0), (1.5, 1.5, 3.0)])
def test_cropped_interpolation_equals_the_whole(
    spacing: tuple[float, float, float], side: Side
) -> None:
    """Each class is interpolated only where it can win; the winner must be the same."""
    image = prepared(spacing, side, slices=8)
    random = np.random.default_rng(7)
    soft = random.dirichlet(np.full(4, 0.3), image.grid).astype(np.float32)
    probabilities = np.ascontiguousarray(np.moveaxis(soft, -1, 0))
    result = restore(image, probabilities, SPEC)
    shape = image.body.shape[::-1]
    turned = np.flip(probabilities, [i + 1 for i, flip in enumerate(image.flips) if flip])
    whole = np.stack([resample_to_shape(p, shape).transpose(2, 1, 0) for p in turned])
    names = np.array([0, 31, 33, 151]) if side is Side.LEFT else np.array([0, 32, 34, 151])
    expected = np.where(image.body, names[whole.argmax(axis=0)], 0)
    assert (result.labels != expected).mean() < 1e-3  # rounding at ties
    np.testing.assert_allclose(
        result.probability, np.where(image.body, whole.max(axis=0), 0), atol=1e-5
    )


def test_class_maps_agree_with_the_labels() -> None:
    image = prepared((0.75, 0.75, 8.0), Side.RIGHT)
    probabilities = one_hot(quadrants(image.grid))
    result = restore(image, probabilities, SPEC)
    maps = dict(class_maps(image, probabilities, SPEC))
    assert list(maps) == [0, 32, 34, 151]
    stack = np.stack(list(maps.values()))
    np.testing.assert_allclose(stack.max(axis=0), result.probability, atol=1e-5)
    np.testing.assert_allclose(stack.sum(axis=0), image.body, atol=1e-5)


def test_class_that_is_nowhere_likely_is_harmless() -> None:
    image = prepared()
    probabilities = np.zeros((4, *image.grid), np.float32)
    probabilities[2] = 1.0
    result = restore(image, probabilities, SPEC)
    assert set(np.unique(result.labels)) == {0, 33}
    certain_background = replace(SPEC, channels=(0, 31))
    nothing = np.stack([np.ones(image.grid), np.zeros(image.grid)]).astype(np.float32)
    assert not restore(image, nothing, certain_background).labels.any()


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 6.0), (0.75, 0.9, 3.0)])
def test_where_a_label_cannot_be_the_next_best_one_stands(
    spacing: tuple[float, float, float],
) -> None:
    image = prepared(spacing, slices=8, direction=-1, z_range=slice(2, 8))
    soft = np.zeros((4, *image.grid), np.float32)
    soft[1], soft[2], soft[0] = 0.5, 0.3, 0.2
    possible = np.ones((4, 8), bool)
    possible[1, :5] = False  # slices of the station, not of the crop
    labels = restore(image, soft, SPEC, possible).labels
    found = [set(np.unique(labels[..., z][image.body[..., z]])) for z in range(labels.shape[2])]
    assert found == [{33}] * 3 + [{31}] * 3
