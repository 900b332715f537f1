"""Labels do not depend on memory, patches or threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legseg_bids.anatomy.regions import Region, Side
from legseg_bids.errors import UsageError
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.infer import segment_limb
from legseg_bids.segment.limb import LimbImage
from legseg_bids.segment.models import Model, SegmentationSpec, load_model

GRID = (39, 58, 50)


class Counting:
    """An engine that remembers what it was given."""

    name, device = "counting", "cpu"

    def __init__(self, engine: object) -> None:
        self.engine, self.shapes = engine, []

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        self.shapes.append(batch.shape)
        return self.engine(batch)  # type: ignore[operator,no-any-return]


def limb_image(spec: SegmentationSpec, grid: tuple[int, int, int] = GRID) -> LimbImage:
    random = np.random.default_rng(11)
    padded = [-(-n // s) * s for n, s in zip(grid, spec.step, strict=True)]
    data = np.zeros(padded, np.float32)
    z, y, x = grid
    data[:z, :y, :x] = 0.8 + 0.2 * np.sin(np.arange(x) / 6) + 0.2 * random.random(grid)
    body = np.ones(grid[::-1], bool)
    box = (slice(0, x), slice(0, y), slice(0, z))
    flips = (False, False, False)
    return LimbImage(data, grid, Region.UPPER, Side.LEFT, box, body, body, flips)


def assert_same_labels(one: np.ndarray, two: np.ndarray) -> None:
    """Equal labels, but for ties that float32 cannot tell apart."""
    first, second = np.partition(two, -2, axis=0)[-2:][::-1]
    tie = first - second < 1e-5
    assert tie.mean() < 1e-3
    np.testing.assert_array_equal(one.argmax(axis=0)[~tie], two.argmax(axis=0)[~tie])


@pytest.fixture
def model(models_dir: Path) -> Model:
    return load_model(models_dir, "thigh", verify=False)


@pytest.mark.parametrize("engine_name", ["openvino", "torch"])
def test_memory_does_not_change_the_labels(model: Model, engine_name: str) -> None:
    spec = model.segmentation
    image = limb_image(spec)
    engine = Counting(load_engine(model, engine_name, "cpu"))
    whole = segment_limb(image, spec, engine, 10**9, reserved=0)
    assert len(engine.shapes) == 1
    fixed = whole.nbytes
    counts = []
    for share in (0.8, 0.6):
        engine.shapes.clear()
        memory = fixed + int(share * image.data.size * spec.bytes_per_voxel)
        parts = segment_limb(image, spec, engine, memory, reserved=0)
        counts.append(len(engine.shapes))
        assert max(np.prod(s) for s in engine.shapes) <= share * image.data.size
        np.testing.assert_allclose(parts, whole, atol=1e-4)
        assert_same_labels(parts, whole)
    assert counts[0] >= 2
    assert len(np.unique(whole.argmax(axis=0))) >= 3


def test_a_halo_too_small_would_be_noticed(model: Model) -> None:
    """The test above can fail: with the halo left out, patches show."""
    from dataclasses import replace

    spec = replace(model.segmentation, halo=(0, 0, 0))
    image = limb_image(spec)
    engine = load_engine(model, "openvino", "cpu")
    whole = segment_limb(image, spec, engine, 10**9, reserved=0)
    memory = whole.nbytes + int(0.4 * image.data.size * spec.bytes_per_voxel)
    parts = segment_limb(image, spec, engine, memory, reserved=0)
    assert (parts.argmax(axis=0) != whole.argmax(axis=0)).any()


def test_threads_do_not_change_the_labels(model: Model) -> None:
    spec = model.segmentation
    image = limb_image(spec, (8, 64, 64))
    one, two = (
        segment_limb(image, spec, load_engine(model, "openvino", "cpu", threads), None)
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.argmax(axis=0), two.argmax(axis=0))


def test_engines_agree_on_the_labels(model: Model) -> None:
    spec = model.segmentation
    image = limb_image(spec, (8, 64, 64))
    one, two = (
        segment_limb(image, spec, load_engine(model, name, "cpu"), 10**9)
        for name in ("openvino", "torch")
    )
    assert (one.argmax(axis=0) == two.argmax(axis=0)).mean() >= 0.999


def test_probabilities_of_channels_are_summed_by_label(model: Model) -> None:
    """Channels 0, -1 and the second 0 are one background; the rest keep their own."""
    spec = model.segmentation
    assert spec.channels == (0, 31, 61, -1, 151, 0)
    image = limb_image(spec, (3, 10, 11))
    logits = np.random.default_rng(0).normal(size=(1, 6, 4, 12, 12)).astype(np.float32)

    class Fixed:
        name, device = "fixed", "cpu"

        def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
            assert batch.shape == (1, 1, 4, 12, 12)
            return (logits,)

    found = segment_limb(image, spec, Fixed(), 10**9)
    soft = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=0)
    expected = np.stack([soft[0] + soft[3] + soft[5], soft[1], soft[2], soft[4]])
    np.testing.assert_allclose(found, expected[:, :3, :10, :11], rtol=1e-4)


def test_single_slice(model: Model) -> None:
    spec = model.segmentation
    found = segment_limb(limb_image(spec, (1, 32, 32)), spec, load_engine(model), 10**9)
    assert found.shape == (4, 1, 32, 32)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)


def test_too_little_memory(model: Model) -> None:
    spec = model.segmentation
    with pytest.raises(UsageError, match="raise --mem to"):
        segment_limb(limb_image(spec), spec, load_engine(model), 300 * 1024**2)
