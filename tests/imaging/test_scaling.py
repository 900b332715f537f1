"""Scales of other people's networks."""

from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.imaging.intensity import NoSignalError, normalise
from legseg_bids.imaging.scaling import SCALINGS, Scaling, scale


@pytest.fixture
def picture() -> tuple[np.ndarray, np.ndarray]:
    data = np.random.default_rng(3).gamma(2, 100, (20, 20, 4)).astype(np.float32)
    body = np.zeros(data.shape, bool)
    body[4:16, 4:16] = True
    return data, body


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("masked", [True, False])
def test_the_image_is_never_changed_and_the_outside_is_0_if_masked(picture, name, masked) -> None:
    data, body = picture
    before = data.copy()
    scaled = scale(data, body, Scaling(name, masked))
    np.testing.assert_array_equal(data, before)
    assert scaled.dtype == np.float32
    assert scaled.shape == data.shape
    assert (scaled[~body] == 0).all() == (masked or name == "slices")


def test_ours_is_ours(picture) -> None:
    assert scale(*picture, Scaling()).tobytes() == normalise(*picture).tobytes()


def test_equalised_spreads_the_body_evenly(picture) -> None:
    data, body = picture
    scaled = scale(data, body, Scaling("equalised"))
    counts, _ = np.histogram(scaled[body], 10, (0, 1))
    assert counts.min() > 0.8 * counts.mean()
    order = np.argsort(data[body])
    assert (np.diff(scaled[body][order]) >= 0).all()
    assert scaled.max() == 1


def test_equalised_by_hand() -> None:
    data = np.array([0, 100, 100, 400], np.float32).reshape(4, 1, 1)
    scaled = scale(data, np.ones(data.shape, bool), Scaling("equalised", masked=False)).ravel()
    np.testing.assert_allclose(scaled, [0, 2 / 3, 2 / 3, 1], rtol=1e-6)


@pytest.mark.parametrize("masked", [True, False])
def test_zscore_and_range(picture, masked) -> None:
    data, body = picture
    seen = body if masked else np.ones_like(body)
    scaled = scale(data, body, Scaling("zscore", masked))[seen]
    assert (scaled.mean(), scaled.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, 1e-5))
    scaled = scale(data, body, Scaling("range", masked))[seen]
    assert (scaled.min(), scaled.max()) == (0, 1)


def test_fixed_by_hand() -> None:
    data = np.array([1, 5, 100], np.float32).reshape(3, 1, 1)
    scaling = Scaling("fixed", False, low=2, high=10, mean=4, std=2)
    scaled = scale(data, np.ones(data.shape, bool), scaling)
    assert scaled.ravel().tolist() == [-1, 0.5, 3]


@pytest.mark.parametrize("name", SCALINGS)
def test_nothing_to_scale_by(name: str) -> None:
    with pytest.raises(NoSignalError, match="expected signal"):
        scale(np.zeros((4, 4, 2)), np.ones((4, 4, 2), bool), Scaling(name))
