"""The shipped networks give the same labels in both engines, with any number of threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.imaging.volume import Volume
from legseg_bids.segment.pipeline import segment_station
from legseg_bids.settings import Settings

IMAGE = (
    Path(__file__).parents[1] / "data/sample/sub-01/anat/sub-01_acq-outphase_chunk-1_T1w.nii.gz"
)
SETTINGS = Settings(Path("-"), Path("-"), engine="openvino", device="cpu")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def volume() -> Volume:
    image = nib.load(IMAGE)
    return Volume(np.asanyarray(image.dataobj), image.affine)


@pytest.fixture(scope="module")
def labels(volume: Volume) -> np.ndarray:
    return segment_station(volume, SETTINGS).source_labels


def test_something_is_labelled(labels: np.ndarray) -> None:
    assert len(np.unique(labels)) > 20


def test_openvino_and_torch_agree(volume: Volume, labels: np.ndarray) -> None:
    pytest.importorskip("torch")
    other = segment_station(volume, replace(SETTINGS, engine="torch")).source_labels
    assert (labels == other).mean() >= 0.999
    body = (labels > 0) | (other > 0)
    assert (labels == other)[body].mean() >= 0.999


def test_threads_change_nothing(volume: Volume, labels: np.ndarray) -> None:
    other = segment_station(volume, replace(SETTINGS, omp_nthreads=2)).source_labels
    np.testing.assert_array_equal(labels, other)


def test_memory_changes_nothing(volume: Volume, labels: np.ndarray) -> None:
    other = segment_station(volume, replace(SETTINGS, memory=8 * 1024**3)).source_labels
    np.testing.assert_array_equal(labels, other)


@pytest.mark.parametrize("axes", [(1, 1, -1), (-1, -1, 1)])
def test_stored_axes_change_nothing(volume: Volume, labels: np.ndarray, axes) -> None:
    """The same body, stored flipped with the affine that says so, has the same labels."""
    flips = tuple(slice(None, None, a) for a in axes)
    flip = np.diag([*axes, 1.0])
    flip[:3, 3] = [(n - 1) * (a < 0) for n, a in zip(volume.shape, axes, strict=True)]
    stored = Volume(np.ascontiguousarray(volume.data[flips]), volume.affine @ flip)
    found = segment_station(stored, SETTINGS).source_labels
    np.testing.assert_array_equal(found[flips], labels)
