from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.imaging.orientation import Orientation, from_canonical, to_canonical
from legseg_bids.imaging.volume import Volume

SHAPE = (4, 3, 2)
ALL_AXES = [
    "".join(pair[flip] for pair, flip in zip(axes, flips, strict=True))
    for axes in permutations(("RL", "AP", "SI"))
    for flips in product((0, 1), repeat=3)
]


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """Turn about x, y and z by small angles, degrees."""
    a, b, c = np.deg2rad(angles)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return z @ y @ x


def volume_with(codes: str, angles: tuple[float, float, float] = (0, 0, 0)) -> Volume:
    ornt = nib.orientations.axcodes2ornt(codes)
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for source, (world, sign) in enumerate(ornt):
        affine[int(world), source] = sign * (1.5, 2.5, 6.0)[source]
    affine[:3, :3] = rotation(angles) @ affine[:3, :3]
    affine[:3, 3] = (10, -20, 30)
    return Volume(np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE), affine)


def positions(volume: Volume) -> dict[float, np.ndarray]:
    """Where in the world each (unique) value lies."""
    indices = np.indices(volume.shape).reshape(3, -1)
    world = volume.affine[:3, :3] @ indices + volume.affine[:3, 3:]
    return dict(zip(volume.data.ravel().tolist(), world.T, strict=True))


def test_there_are_48_axis_codes() -> None:
    assert len(set(ALL_AXES)) == 48


@pytest.mark.parametrize("codes", ALL_AXES)
@pytest.mark.parametrize("angles", [(0, 0, 0), (20, -15, 10)])
def test_every_voxel_stays_in_its_place(codes: str, angles: tuple[float, float, float]) -> None:
    source = volume_with(codes, angles)
    canonical, orientation = to_canonical(source)
    assert nib.aff2axcodes(canonical.affine) == ("R", "A", "S")
    before, after = positions(source), positions(canonical)
    assert before.keys() == after.keys()
    for value, where in before.items():
        np.testing.assert_allclose(after[value], where, atol=1e-9)
    np.testing.assert_array_equal(from_canonical(canonical.data, orientation), source.data)


@given(
    st.sampled_from(ALL_AXES),
    st.tuples(*[st.floats(-25, 25)] * 3),
)
def test_agrees_with_nibabel_on_oblique_volumes(
    codes: str, angles: tuple[float, float, float]
) -> None:
    source = volume_with(codes, angles)
    canonical, orientation = to_canonical(source)
    expected = nib.as_closest_canonical(nib.Nifti1Image(source.data, source.affine))
    np.testing.assert_array_equal(canonical.data, expected.get_fdata())
    np.testing.assert_allclose(canonical.affine, expected.affine, atol=1e-9)
    np.testing.assert_array_equal(from_canonical(canonical.data, orientation), source.data)


def test_further_axes_stay_last() -> None:
    _, orientation = to_canonical(volume_with("SLP"))
    canonical = np.random.default_rng(0).random((3, 2, 4, 5))
    source = from_canonical(canonical, orientation)
    for channel in range(5):
        np.testing.assert_array_equal(
            source[..., channel], from_canonical(canonical[..., channel], orientation)
        )


def test_results_do_not_share_memory_with_the_source() -> None:
    source = volume_with("LPS")
    canonical, _ = to_canonical(source)
    canonical.data[:] = -1
    assert source.data.min() == 0


def test_left_of_the_patient_is_at_low_x() -> None:
    source = volume_with("LPS")
    assert to_canonical(source)[0].data[0, 0, 0] == source.data[-1, -1, 0]


def test_two_axes_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least"):
        from_canonical(np.zeros((2, 2)), Orientation((0, 1, 2), (False, False, False)))
