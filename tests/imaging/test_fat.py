"""The map of the fat fraction: what it shows, what it leaves out, and what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest

from legseg_bids.imaging.fat import LEAST_SNR, TWO_PHASES, WATER_FAT, Signals, fat_map

SHAPE = (60, 60, 4)
BODY = np.zeros(SHAPE, bool)
BODY[15:45, 15:45] = True


def noisy(signal: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Magnitude of a signal with noise in both of its parts."""
    rng = np.random.default_rng(seed)
    return np.hypot(signal + rng.normal(0, noise, SHAPE), rng.normal(0, noise, SHAPE))


def water_fat(fraction: float, noise: float = 5.0, signal: float = 400.0) -> Signals:
    images = {"water": signal * (1 - fraction) * BODY, "fat": signal * fraction * BODY}
    found = Signals.of(
        {role: noisy(data, noise, seed) for seed, (role, data) in enumerate(images.items())}
    )
    assert found is not None
    return found


def phases(fraction: float, **more: np.ndarray) -> Signals:
    total = np.where(BODY, 400.0, 0.0)
    images = {"in_phase": total, "opposed": np.abs(1 - 2 * fraction) * total, **more}
    found = Signals.of(images)
    assert found is not None
    return found


def test_the_best_method_that_the_images_allow() -> None:
    image = np.ones(SHAPE)
    assert Signals.of({"opposed": image}) is None
    assert Signals.of({"opposed": image, "water": image}) is None
    one = Signals.of(dict.fromkeys(("opposed", "water", "fat", "in_phase"), image))
    assert one is not None
    assert (one.method, set(one.images)) == (WATER_FAT, {"water", "fat"})


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9])
def test_water_and_fat_give_the_fraction_over_the_whole_range(fraction: float) -> None:
    found = fat_map(water_fat(fraction), BODY)
    assert np.nanmedian(found.fraction) == pytest.approx(fraction, abs=0.02)
    assert (found.method, found.highest) == (WATER_FAT, 1.0)
    assert np.isnan(found.fraction[~BODY]).all()


@pytest.mark.parametrize(("fraction", "shown"), [(0.0, 0.0), (0.1, 0.1), (0.3, 0.3), (0.7, 0.3)])
def test_two_phases_show_the_smaller_of_two_answers(fraction: float, shown: float) -> None:
    found = fat_map(phases(fraction), BODY)
    np.testing.assert_allclose(found.fraction[BODY], shown, atol=1e-6)
    assert (found.method, found.highest, found.corrected) == (TWO_PHASES, 0.5, False)


def test_decay_is_taken_out_where_a_third_echo_tells_it() -> None:
    decay = np.exp(-1.15 / 25.0)
    total = np.where(BODY, 400.0, 0.0)
    first, later = 0.8 * total / decay, 0.8 * total * decay
    plain = fat_map(phases(0.1, opposed=first), BODY)
    found = fat_map(phases(0.1, opposed=first, opposed_later=later), BODY)
    assert found.corrected
    np.testing.assert_allclose(found.fraction[BODY], 0.1, atol=1e-6)
    assert np.median(plain.fraction[BODY]) == pytest.approx(0.1 - 0.0188, abs=0.001)


def test_noise_is_found_in_the_air_and_its_floor_is_told() -> None:
    found = fat_map(water_fat(0.0, noise=8.0), BODY)
    assert found.noise == pytest.approx(8.0, rel=0.05)
    assert found.noise_floor == pytest.approx(np.nanmean(found.fraction), rel=0.1)
    assert found.noise_floor == pytest.approx(0.025, abs=0.003)


def test_blank_air_tells_no_noise() -> None:
    images = {role: data * BODY for role, data in water_fat(0.2).images.items()}
    found = fat_map(Signals(WATER_FAT, images), BODY)
    assert (found.noise, found.noise_floor) == (None, None)
    assert found.facts()["NoiseFloor"] is None
    assert np.nanmedian(found.fraction) == pytest.approx(0.2, abs=0.02)


def test_voxels_with_too_little_signal_are_left_out() -> None:
    signals = water_fat(0.1, noise=5.0)
    dark = np.zeros(SHAPE, bool)
    dark[20:25, 20:30] = True
    for data in signals.images.values():
        data[dark] = 0.4 * LEAST_SNR * 5.0
    found = fat_map(signals, BODY)
    assert np.isnan(found.fraction[dark]).all()
    assert np.isfinite(found.fraction[BODY & ~dark]).all()
    assert found.left_out == pytest.approx(dark.sum() / BODY.sum())


def test_values_that_are_no_numbers_are_no_signal() -> None:
    signals = water_fat(0.1)
    signals.images["water"][20, 20] = np.nan
    signals.images["fat"][20, 20] = -3.0
    assert np.isnan(fat_map(signals, BODY).fraction[20, 20]).all()


def test_an_image_without_a_body_has_no_fraction() -> None:
    found = fat_map(water_fat(0.1), np.zeros(SHAPE, bool))
    assert np.isnan(found.fraction).all()
    assert found.left_out == 0.0


def test_a_map_says_all_but_its_values() -> None:
    facts = fat_map(water_fat(0.1), BODY).facts()
    assert list(facts) == [
        "Method", "HighestFraction", "CorrectedForDecay", "NoiseStandardDeviation", "NoiseFloor",
        "ShareLeftOut",
    ]  # fmt: skip
    assert all(isinstance(value, str | float | bool) for value in facts.values())
