"""A station with a network for the hip beside the other two, and without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.anatomy.regions import Part, Region, Side
from legseg_bids.errors import ModelError
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment import pipeline
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.limb import RegionResult
from legseg_bids.segment.models import Model, load_model
from legseg_bids.segment.pipeline import StationResult, segment_station
from legseg_bids.settings import Settings

SLICES = 26
HIP_ALONE = (73, 74, 101, 102, 121)
"""Labels that only the tiny hip network has: a gluteus and two bones."""
SACRUM = 121
Run = Callable[..., StationResult]


class Told:
    """A locator that reads the parts of the slices from a word, and sees both limbs."""

    name, device = "told", "cpu"

    def __init__(self, parts: str) -> None:
        self.parts, self.seen = parts, 0

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        sides, parts = np.zeros((len(batch), 3)), np.zeros((len(batch), 5))
        sides[:, 2] = 9
        for i, letter in enumerate(self.parts[self.seen : self.seen + len(batch)]):
            parts[i, "FLKUH".index(letter)] = 9
        self.seen += len(batch)
        return sides.astype(np.float32), parts.astype(np.float32)


class ByBrightness:
    """A network that gives each step of brightness one of its channels; the hip's is surer."""

    name, device = "by brightness", "cpu"
    steps = (0.3, 0.75, 0.82, 0.88, 0.94)
    channels = MappingProxyType(
        {
            "thigh": (0, 1, 1, 1, 1, 1),  # all of the leg is 31
            "hip": (0, 5, 2, 4, 3, 1),  # the darkest of it is something else: -1
        }
    )

    def __init__(self, model: Model) -> None:
        self.answers = np.array(self.channels[model.name])
        self.logits = np.eye(len(model.segmentation.channels), dtype=np.float32)
        self.logits *= 12 if model.name == "hip" else 6

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
        answer = self.answers[np.digitize(batch[:, 0], self.steps)]
        return (np.moveaxis(self.logits[answer], -1, 1),)


@pytest.fixture
def run(tmp_path: Path, hip_models_dir: Path) -> Run:
    """Segment, with the parts of the slices told, and the folder of models with a hip or not."""

    def call(
        volume: Volume,
        parts: str,
        models: Path = hip_models_dir,
        network: Callable[[Model], object] = ByBrightness,
    ) -> StationResult:
        def make(model: Model) -> object:
            return Told(parts) if model.name == "locator" else network(model)

        settings = Settings(tmp_path, tmp_path, models_dir=models, device="cpu")
        return segment_station(volume, settings, make)  # type: ignore[arg-type]

    return call


def hip_slices(result: StationResult) -> list[int]:
    """Slices in which something stands that only the hip's network knows."""
    found = np.isin(result.labels, HIP_ALONE).any(axis=(0, 1))
    return [int(z) for z in np.flatnonzero(found)]


def test_nothing_but_hip(run: Run, tall_legs: Volume) -> None:
    result = run(tall_legs, "H" * SLICES)
    found = {int(i) for i in np.unique(result.labels) if i}
    assert {73, 74, 101, 102, SACRUM} <= found
    assert result.warnings == ()
    middle = tall_legs.shape[0] // 2
    for index in found:
        where, side = np.nonzero(result.labels == index)[0], label_by_index(index).side
        assert side != "left" or where.max() < middle
        assert side != "right" or where.min() >= middle
    # each limb's network found the sacrum for itself
    sacrum = np.nonzero(result.labels == SACRUM)[0]
    assert sacrum.min() < middle <= sacrum.max()


def test_with_networks_of_random_weights(
    run: Run, legs: Volume, models_dir: Path, hip_models_dir: Path
) -> None:
    with_hip, without = (
        run(legs, "H" * 8, models, load_engine) for models in (hip_models_dir, models_dir)
    )
    assert (with_hip.labels != without.labels).any()
    assert set(np.unique(without.labels)) <= {0, 31, 32, 61, 62, 151}
    assert set(np.unique(with_hip.labels)) <= {0, 31, 32, 61, 62, 151, *HIP_ALONE}


def test_a_folder_without_a_hip_goes_on_as_ever(
    run: Run, tall_legs: Volume, models_dir: Path, hip_models_dir: Path
) -> None:
    result = run(tall_legs, "H" * SLICES, models_dir)
    assert result.warnings == ()
    assert result.labels.any()
    assert hip_slices(result) == []
    assert pipeline.bundles_in(models_dir) == ("locator", "thigh", "lower_leg")
    assert pipeline.bundles_in(hip_models_dir) == ("locator", "thigh", "lower_leg", "hip")


@pytest.mark.parametrize("parts", ["U" * SLICES, "U" * (SLICES - 3) + "HHH"])
def test_where_no_hip_is_seen_its_network_changes_nothing(
    run: Run, tall_legs: Volume, models_dir: Path, parts: str
) -> None:
    """Nor does it where the last slices of a thigh, 18 mm, look a little like hip."""
    np.testing.assert_array_equal(
        run(tall_legs, parts).labels, run(tall_legs, parts, models_dir).labels
    )


def test_hip_above_a_thigh(run: Run, tall_legs: Volume, models_dir: Path) -> None:
    """Eight slices of hip, and ten below; the slices under them are the thigh's alone."""
    parts = "U" * (SLICES - 8) + "H" * 8
    result, without = run(tall_legs, parts), run(tall_legs, parts, models_dir)
    found = hip_slices(result)
    assert found
    assert min(found) >= SLICES - 8 - 10
    assert set(range(SLICES - 8, SLICES)) <= set(found)
    # Labels of the thigh's own are not lost to a network that does not know them.
    assert (result.labels == 31).any(axis=(0, 1)).all()
    far = slice(0, SLICES - 8 - 12)  # the clean-up looks beyond a slice
    same = result.labels[:, :, far] == without.labels[:, :, far]
    assert same.mean() > 0.99


def test_the_thigh_ends_where_its_network_has_nothing_to_say(
    run: Run, tall_legs: Volume, models_dir: Path
) -> None:
    """60 mm above the lowest slice of the hip, if that has a network of its own."""
    parts = "U" * 6 + "H" * 20
    shown = (run(tall_legs, parts).labels == 31).any(axis=(0, 1))
    assert shown.tolist() == [True] * 17 + [False] * 9
    assert (run(tall_legs, parts, models_dir).labels == 31).any(axis=(0, 1)).all()


def test_head_first(run: Run, tall_legs: Volume) -> None:
    """Stored against the affine, the same leg has the same labels, upside down."""
    parts = "U" * (SLICES - 8) + "H" * 8
    upright = run(tall_legs, parts)
    turned = run(Volume(tall_legs.data[:, :, ::-1], tall_legs.affine), parts[::-1])
    assert turned.location.direction == -1
    assert max(hip_slices(turned)) <= 8 + 10
    np.testing.assert_array_equal(turned.labels[:, :, ::-1], upright.labels)


def test_a_damaged_hip_is_no_missing_one(
    run: Run, tall_legs: Volume, hip_models_dir: Path, tmp_path: Path
) -> None:
    for bundle in hip_models_dir.iterdir():
        (tmp_path / "models" / bundle.name).parent.mkdir(exist_ok=True)
        (tmp_path / "models" / bundle.name).symlink_to(bundle)
    (tmp_path / "models" / "hip").unlink()
    (tmp_path / "models" / "hip").mkdir()
    with pytest.raises(ModelError, match="hip"):
        run(tall_legs, "H" * SLICES, tmp_path / "models")


def test_every_result_says_what_its_network_knows(
    tall_legs: Volume, hip_models_dir: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    seen: list[RegionResult] = []
    original = pipeline.finish

    def spy(results: tuple[RegionResult, ...], canonical: Volume) -> object:
        seen.extend(results)
        return original(results, canonical)

    monkeypatch.setattr(pipeline, "finish", spy)
    run(tall_legs, "U" * 13 + "H" * 13)
    told = {(one.region, one.side): one.known for one in seen}
    known = {n: load_model(hip_models_dir, n).segmentation.labels for n in ("thigh", "hip")}
    assert told[Region.UPPER, Side.LEFT] == frozenset(known["thigh"]) - {0}
    del told[Region.UPPER, Side.LEFT], told[Region.UPPER, Side.RIGHT]
    assert told == {
        (Region.HIP, Side.LEFT): frozenset(known["hip"]) - {0},
        (Region.HIP, Side.RIGHT): frozenset({62, 74, 102, SACRUM, 151}),
    }
    hip = next(one for one in seen if one.region is Region.HIP)
    assert (hip.box[2].start, hip.box[2].stop) == (3, SLICES)


def test_whereabouts_hold_for_the_hip(run: Run, tall_legs: Volume) -> None:
    """In slices 60 mm and more below the hip no gluteus medius stands, whoever sees one."""
    thick = replace(tall_legs, affine=np.diag([4.0, 4.0, 30.0, 1.0]))
    result = run(thick, "U" * 20 + "H" * 6)
    assert hip_slices(result) == list(range(19, SLICES))  # 18 is looked at, 60 mm below
    assert result.location.parts[20] is Part.HIP
