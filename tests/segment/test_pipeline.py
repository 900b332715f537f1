"""A whole station with tiny random networks: grid, sides, invariance, bad input."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.anatomy.regions import Part, Region, Side
from legseg_bids.errors import ImageError, ModelError, UsageError
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment import pipeline, region
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import Model
from legseg_bids.segment.pipeline import StationResult, segment_station
from legseg_bids.settings import Settings

MIB = 1024**2


@pytest.fixture
def config(models_dir: Path, tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path, models_dir=models_dir, device="cpu")


class Sure:
    """A locator that sees one part everywhere."""

    name, device = "sure", "cpu"

    def __init__(self, part: Part, side: int = 2) -> None:
        self.part, self.side = part, side

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        sides, parts = np.zeros((len(batch), 3)), np.zeros((len(batch), 5))
        sides[:, self.side], parts[:, self.part] = 9, 9
        return sides.astype(np.float32), parts.astype(np.float32)


def run(volume: Volume, config: Settings, part: Part = Part.UPPER, side: int = 2) -> StationResult:
    """Segment with the tiny networks, but a locator that knows."""

    def make(model: Model) -> object:
        if model.name == "locator":
            return Sure(part, side)
        return load_engine(model, config.engine, config.device, config.omp_nthreads)

    return segment_station(volume, config, make)  # type: ignore[arg-type]


def test_two_thighs(legs: Volume, config: Settings) -> None:
    result = run(legs, config)
    assert result.labels.shape == legs.shape
    assert result.labels.dtype == np.uint8
    assert result.location.sides == (Side.LEFT, Side.RIGHT)
    assert not result.labels[~result.mask].any()
    assert {"prepare", "locate", "network", "restore", "merge"} <= set(result.seconds)
    found = [label_by_index(int(i)) for i in np.unique(result.labels) if i]
    assert {label.side for label in found} >= {"left", "right"}
    middle = legs.shape[0] // 2
    for label in found:
        where = np.nonzero(result.labels == label.index)[0]
        if label.side == "left":
            assert where.max() < middle
        if label.side == "right":
            assert where.min() >= middle


def test_with_the_models_own_locator(legs: Volume, config: Settings) -> None:
    result = segment_station(legs, config)
    assert len(result.location.parts) == legs.shape[2]
    assert sum(result.location.side_probabilities) == pytest.approx(1)


@pytest.mark.parametrize("part", [Part.LOWER, Part.KNEE])
def test_regions_of_the_part(legs: Volume, config: Settings, part: Part) -> None:
    labels = np.unique(run(legs, config, part).labels)
    regions = {label_by_index(int(i)).region for i in labels if i}
    expected = {Part.LOWER: {"lower"}, Part.KNEE: {"lower", "upper"}}[part]
    assert regions & {"lower", "upper"} == expected


@pytest.mark.parametrize("change", [{"memory": 308 * MIB}, {"omp_nthreads": 2}])
def test_limits_do_not_change_the_labels(
    config: Settings, change: dict[str, int], monkeypatch: pytest.MonkeyPatch, legs: Volume
) -> None:
    plain = run(legs, config)
    shapes = []
    original = region.segment_limb

    def spy(image, spec, engine, memory, reserved):  # type: ignore[no-untyped-def]
        def counting(batch: np.ndarray) -> tuple[np.ndarray, ...]:
            shapes.append(batch.shape)
            return engine(batch)  # type: ignore[no-any-return]

        return original(image, spec, counting, memory, reserved)

    monkeypatch.setattr(region, "segment_limb", spy)
    limited = run(legs, replace(config, **change))  # type: ignore[arg-type]
    assert (len(shapes) > 2) == ("memory" in change)
    np.testing.assert_array_equal(limited.labels, plain.labels)


def test_engines_agree(legs: Volume, config: Settings) -> None:
    one, two = (run(legs, replace(config, engine=name)) for name in ("openvino", "torch"))
    assert (one.labels == two.labels).mean() >= 0.999
    assert len(np.unique(one.labels)) >= 4


@pytest.mark.parametrize(
    ("axes", "flips"),
    [(axes, (-1, 1, (-1) ** i)) for i, axes in enumerate(permutations(range(3)))],
)
def test_storage_order_does_not_matter(
    legs: Volume, config: Settings, axes: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    """The same body, stored along other axes, gets the same labels in the same places."""
    plain = run(legs, config)
    steps = tuple(slice(None, None, flip) for flip in flips)
    data = legs.data[steps].transpose(axes)
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for stored, world in enumerate(axes):
        matrix[world, stored] = flips[world] * legs.spacing[world]
        matrix[world, 3] = 0 if flips[world] > 0 else (legs.shape[world] - 1) * legs.spacing[world]
    turned = run(Volume(data, matrix), config)
    np.testing.assert_array_equal(turned.source_labels, plain.labels[steps].transpose(axes))


@pytest.mark.parametrize(("side", "name"), [(0, Side.LEFT), (1, Side.RIGHT)])
def test_single_limb(config: Settings, side: int, name: Side, one_leg: Volume) -> None:
    result = run(one_leg, config, side=side)
    assert result.location.sides == (name,)
    sides = {label_by_index(int(i)).side for i in np.unique(result.labels) if i}
    assert sides - {"n/a"} == {str(name)}


def test_mirror_image_swaps_the_sides(one_leg: Volume, config: Settings) -> None:
    """A right leg is segmented exactly as its mirror image, a left leg, would be."""
    left = run(one_leg, config, side=0).labels
    mirrored = Volume(one_leg.data[::-1], one_leg.affine)
    right = run(mirrored, config, side=1).labels[::-1]
    sided = (left > 0) & (left != 151)
    np.testing.assert_array_equal(right, left + sided)


@pytest.mark.parametrize("slices", [1, 3])
def test_fewer_slices_than_the_step(config: Settings, slices: int, legs: Volume) -> None:
    short = Volume(legs.data[:, :, :slices], legs.affine)
    assert run(short, config).labels.any()


def test_stack_stored_head_first_against_its_affine(legs: Volume, config: Settings) -> None:
    """Labels come back upside down like the image."""
    upright = run(legs, config)

    class Reversed(Sure):
        def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
            sides, parts = super().__call__(batch)
            parts[:] = 0
            parts[: legs.shape[2] // 2, Part.HIP] = 9
            parts[legs.shape[2] // 2 :, Part.UPPER] = 9
            return sides, parts

    def make(model: Model) -> object:
        return Reversed(Part.UPPER) if model.name == "locator" else load_engine(model)

    turned = Volume(legs.data[:, :, ::-1], legs.affine)
    result = segment_station(turned, config, make)  # type: ignore[arg-type]
    assert result.location.direction == -1
    assert any("affine" in warning for warning in result.warnings)
    np.testing.assert_array_equal(result.labels[:, :, ::-1], upright.labels)


def test_warnings_of_the_image_are_kept(legs: Volume, config: Settings) -> None:
    data = legs.data.copy()
    data[0, 0, 0] = np.nan
    assert any("not finite" in w for w in run(Volume(data, legs.affine), config).warnings)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_image_without_a_leg(config: Settings, value: float) -> None:
    with pytest.raises(ImageError):
        run(Volume(np.full((20, 20, 4), value), np.diag([3.0, 3.0, 6.0, 1.0])), config)


def test_empty_mask(legs: Volume, config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "body_mask", lambda data, _: np.zeros(data.shape, bool))
    with pytest.raises(ImageError, match="no body found"):
        run(legs, config)


def test_missing_models(legs: Volume, config: Settings, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ModelError, match="locator"):
        run(legs, replace(config, models_dir=tmp_path / "none"))


def test_too_little_memory(legs: Volume, config: Settings) -> None:
    with pytest.raises(UsageError, match="raise --mem"):
        run(legs, replace(config, memory=10 * MIB))


def test_every_region_has_a_network() -> None:
    assert set(pipeline.NETWORKS) == set(Region) - {Region.WHOLE}
