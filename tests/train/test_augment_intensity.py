from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from legseg_bids.synth.draws import Draw
from legseg_bids.train.augment import intensity


def disc(bright: float = 1000.0) -> torch.Tensor:
    """Half air, half signal with a gentle pattern, (1, 4, 64, 64)."""
    image = torch.zeros(1, 4, 64, 64)
    image[..., 32:] = bright * (1 + 0.2 * torch.sin(torch.arange(64) / 3))[:, None]
    return image


@pytest.mark.parametrize(
    "kind",
    [
        intensity.Blur(sigma=(0, 0)),
        intensity.Sharpen(amount=(0, 0)),
        intensity.Contrast(exponent=(1, 1)),
        intensity.Brightness(shift=(0, 0)),
        intensity.Rician(snr=(1e9, 1e9)),
        intensity.SaltAndPepper(share=(0, 0)),
    ],
)
def test_no_strength_no_change(kind) -> None:
    assert torch.allclose(kind.change(disc(), Draw(0)), disc(), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", ["Blur", "Sharpen", "Contrast", "Brightness", "Rician"])
def test_units_of_the_scanner_do_not_matter(name: str) -> None:
    kind = getattr(intensity, name)()
    small, large = kind.change(disc(1.0), Draw(2)), kind.change(disc(1000.0), Draw(2))
    assert torch.allclose(1000 * small, large, rtol=1e-4, atol=1e-1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["Blur", "Sharpen", "Contrast", "Brightness", "Rician"])
def test_magnitudes_stay_magnitudes(name: str, seed: int) -> None:
    image = getattr(intensity, name)().change(disc(), Draw(seed))
    assert bool(image.isfinite().all())
    assert float(image.min()) >= 0


def test_blur_is_a_gaussian_within_slices() -> None:
    point = torch.zeros(1, 3, 31, 31)
    point[0, 1, 15, 15] = 1.0
    out = intensity.Blur(sigma=(2.0, 2.0)).change(point, Draw(0))
    assert not out[0, [0, 2]].any()
    assert float(out.sum()) == pytest.approx(1.0, abs=1e-5)
    away = torch.arange(31) - 15.0
    assert float((out[0, 1].sum(0) * away**2).sum()) == pytest.approx(4.0, rel=0.05)


def test_sharpening_steepens_edges() -> None:
    soft = intensity.blurred(disc(), 1.5)
    crisp = intensity.Sharpen(amount=(1.0, 1.0)).change(soft, Draw(0))
    slope = lambda image: float(image.diff(dim=-1).abs().max())  # noqa: E731
    assert slope(crisp) > 1.1 * slope(soft)


def test_contrast_keeps_the_mean_signal_and_air() -> None:
    out = intensity.Contrast(exponent=(2.0, 2.0)).change(disc(), Draw(0))
    signal = disc()[..., 32:]
    assert not out[..., :32].any()
    middle = float(signal.mean())
    expected = middle * (signal / middle) ** 2
    assert torch.allclose(out[..., 32:], expected, rtol=1e-4)
    assert float(out[..., 32:].std()) > 1.5 * float(signal.std())


def test_brightness_is_a_share_of_the_mean_signal() -> None:
    out = intensity.Brightness(shift=(0.1, 0.1)).change(disc(), Draw(0))
    assert torch.allclose(out - disc(), torch.tensor(0.1 * float(disc()[..., 32:].mean())))


def test_rician_noise_has_its_statistics() -> None:
    """In air Rayleigh, mean σ sqrt(π/2); far above it Gaussian with σ."""
    flat = torch.zeros(1, 4, 64, 64)
    flat[..., 32:] = 100.0
    out = intensity.Rician(snr=(20.0, 20.0)).change(flat, Draw(1))
    sigma = 5.0
    assert float(out[..., :32].mean()) == pytest.approx(sigma * math.sqrt(math.pi / 2), rel=0.03)
    assert float(out[..., 32:].std()) == pytest.approx(sigma, rel=0.03)
    assert float(out[..., 32:].mean()) == pytest.approx(100 + sigma**2 / 200, abs=0.2)


def test_salt_and_pepper_are_equal_shares() -> None:
    flat = torch.full((1, 10, 64, 64), 7.0)
    flat[0, 0, 0, 0] = 9.0
    out = intensity.SaltAndPepper(share=(0.1, 0.1)).change(flat, Draw(5))
    assert float((out == 9).float().mean()) == pytest.approx(0.05, abs=0.005)
    assert float((out == 0).float().mean()) == pytest.approx(0.05, abs=0.005)
    assert set(torch.unique(out).tolist()) == {0.0, 7.0, 9.0}


def test_an_empty_image_stays_finite() -> None:
    for name in ("Blur", "Sharpen", "Contrast", "Brightness", "Rician", "SaltAndPepper"):
        image = getattr(intensity, name)().change(torch.zeros(1, 1, 8, 8), Draw(0))
        assert bool(image.isfinite().all()), name
