from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.imaging.volume import Volume

SHEAR = np.array([[2.0, 0.5, 0, 0], [0, 2.0, 0, 0], [0, 0, 6.0, 0], [0, 0, 0, 1]])


def test_spacing_and_voxel_volume_of_a_rotated_grid() -> None:
    turn = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.5, 2.0, 6.0])
    volume = Volume(np.zeros((3, 4, 5)), affine)
    assert volume.shape == (3, 4, 5)
    assert volume.spacing == pytest.approx((1.5, 2.0, 6.0))
    assert volume.voxel_volume == pytest.approx(18.0)


def test_voxel_volume_of_a_sheared_grid_is_the_determinant() -> None:
    volume = Volume(np.zeros((3, 4, 5)), SHEAR)
    assert volume.voxel_volume == pytest.approx(24.0)
    assert np.prod(volume.spacing) > 24.1


def test_affine_is_copied_as_float() -> None:
    affine = np.eye(4, dtype=np.int64)
    volume = Volume(np.zeros((1, 1, 1)), affine)
    affine[0, 0] = 7
    assert volume.affine.dtype == np.float64
    assert volume.spacing == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("shape", "affine", "message"),
    [
        ((3, 3), np.eye(4), r"shape \(3, 3\)"),
        ((3, 3, 3, 2), np.eye(4), "three dimensions"),
        ((3, 0, 3), np.eye(4), r"\(3, 0, 3\)"),
        ((3, 3, 3), np.eye(3), "4 x 4"),
        ((3, 3, 3), np.diag([1, np.nan, 1, 1]), "finite"),
        ((3, 3, 3), np.diag([1, np.inf, 1, 1]), "finite"),
        ((3, 3, 3), np.diag([1, 0, 1, 1]), "cannot be inverted"),
        ((3, 3, 3), np.ones((4, 4)), "cannot be inverted"),
    ],
)
def test_bad_input(shape: tuple[int, ...], affine: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Volume(np.zeros(shape), affine)
