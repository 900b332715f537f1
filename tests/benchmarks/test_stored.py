"""A file whose axes are stored otherwise gets the same labels, voxel for voxel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from phantom import write_phantom

from benchmarks.accuracy.bench import Bench
from benchmarks.accuracy.cases import WELL, Case
from benchmarks.accuracy.stored import WAYS, as_file
from legseg_bids.anatomy.regions import Region
from legseg_bids.evaluate.trials import Setting, Trial
from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.models import Model, SegmentationSpec
from legseg_bids.synth.atlas import load_anatomy

SETTING = Setting(pixel=4.0, slice_distance=10.0, coverage=60.0, shading=0.0)
REPORTED = (0, 31, 35, 55, 59, 103, 151)
SPEC = SegmentationSpec(
    Region.UPPER, (4.0, 4.0, 10.0), 5.0, REPORTED, (1, 1, 1), (1, 1, 1), (8, 64, 64), 100.0
)


def by_place(batch: np.ndarray) -> tuple[np.ndarray]:
    """Calls what is bright 31, 55 and 59, by where in the limb it lies: nothing is symmetric."""
    logits = np.zeros((1, len(REPORTED), *batch.shape[2:]), np.float32)
    z, y, x = np.indices(batch.shape[2:])
    bright = 20 * (batch[0, 0] > 0.3) - 5
    logits[0, 1], logits[0, 3], logits[0, 4] = (bright + 0.1 * v for v in (z, y, x))
    return (logits,)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    atlas = write_phantom(tmp_path_factory.mktemp("atlas"))
    anatomy = load_anatomy(atlas, "vhm", tmp_path_factory.mktemp("cache"))
    model = Model("thigh", Path(), "1", SPEC, {}, {})
    return Bench("upper", [anatomy], model, by_place)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trial(bench: Bench) -> Trial:
    return bench.trial(Case("band", "1", SETTING, WELL), 0)


@pytest.mark.parametrize("way", WAYS)
def test_storing_moves_no_voxel_in_the_body(way: str) -> None:
    data = np.arange(24.0).reshape(2, 3, 4)
    affine = np.diag([1.5, 2.0, 6.0, 1.0])
    affine[:3, 3] = (-10.0, 5.0, 3.0)
    stored = WAYS[way].store(Volume(data, affine))
    np.testing.assert_array_equal(WAYS[way].undo(stored.data), data)
    place = np.array([1, 2, 0, 1.0])
    index = np.argwhere(stored.data == data[1, 2, 0])[0]
    expected = affine @ place
    if WAYS[way].turn:
        assert np.linalg.norm(expected) == pytest.approx(
            np.linalg.norm(stored.affine @ [*index, 1.0])
        )
    else:
        np.testing.assert_allclose(stored.affine @ [*index, 1.0], expected)


@pytest.mark.parametrize("way", WAYS)
def test_the_labels_are_the_same(bench: Bench, trial: Trial, way: str) -> None:
    labels, differing = bench.from_a_file(trial, way)
    assert differing == 0
    assert labels.labels.shape == trial.labels.shape
    assert all(np.count_nonzero(labels.labels == label) > 1000 for label in (0, 55, 59))
    if way != "oblique":
        assert as_file(trial, WAYS[way]).water.affine[0, 0] != 4.0 or way == "head first"


def test_a_wrong_way_back_would_be_seen(
    bench: Bench, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.accuracy.stored.from_canonical", lambda data, _: data)
    assert bench.from_a_file(trial, "mirrored")[1] > 100


def test_rows_say_how_many_voxels_differ(bench: Bench) -> None:
    rows = bench.rows(Case("stored", "mirrored", SETTING, WELL, "mirrored"), 0)
    assert {row["differing"] for row in rows} == {0}
    assert all("dice" in row and "fat" in row for row in rows)


def test_a_refused_image_counts_as_nothing_found(
    bench: Bench, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    black = Volume(np.zeros_like(trial.water.data), trial.water.affine)
    labels = bench.labels(Trial(black, black, trial.labels, 0.0))
    assert not labels.labels.any()
    assert {hit.dice for hit in bench.judged(trial, labels)} == {0.0}
    assert "refused" in capsys.readouterr().err
