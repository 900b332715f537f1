from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from reported import affine_of, grey_image, label_image

from legseg_bids.report.scene import Scene, grey_levels
from legseg_bids.report.volumes import coarsen, viewer_data


def unpacked(text: str) -> Any:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


@pytest.fixture
def scene() -> Scene:
    return Scene(label_image(), affine_of(), grey_levels(grey_image()))


@pytest.fixture
def noisy() -> Scene:
    rng = np.random.default_rng(1)
    labels = np.zeros((90, 70, 24), np.uint8)
    labels[20:60, 20:50, 2:20] = 61
    return Scene(
        labels, np.diag([1.0, 1.0, 1.0, 1.0]), rng.integers(0, 255, labels.shape, np.uint8)
    )


def test_viewer_gets_labels_as_they_are(scene: Scene) -> None:
    data = viewer_data(scene)
    labels, image = unpacked(data["labels"]), unpacked(data["image"])
    assert np.array_equal(labels.get_fdata(), scene.labels)
    assert labels.header.get_intent()[0] == "label"
    assert np.allclose(labels.affine, scene.affine)
    assert image.shape == labels.shape
    assert image.get_data_dtype() == labels.get_data_dtype() == np.uint8
    assert data["coarser"] == 1


def test_names_colours_and_places_belong_to_the_labels(scene: Scene) -> None:
    data = viewer_data(scene)
    assert data["names"][61] == "Rectus femoris left"
    assert data["colors"][61] == "#9be071"
    assert set(data["places"]) == {"RF_L", "RF_R", "SM_L", "SM_R", "POP_L"}
    for value, abbreviation in data["abbreviations"].items():
        assert scene.labels[tuple(data["places"][abbreviation])] == value
    assert data["first"] in ("RF_L", "RF_R")
    json.dumps(data)


def test_the_same_voxels_give_the_same_text(scene: Scene) -> None:
    assert viewer_data(scene) == viewer_data(scene)


def test_a_large_image_is_made_coarser_until_it_fits(noisy: Scene) -> None:
    data = viewer_data(noisy, 20_000)
    assert data["coarser"] > 1
    assert len(base64.b64decode(data["image"])) <= 20_000
    labels = unpacked(data["labels"])
    assert labels.shape[2] < 24  # slices as thin as pixels are thinned too
    full, small = noisy.labels.astype(bool), labels.get_fdata() > 0
    size = abs(np.linalg.det(labels.affine[:3, :3]))
    assert small.sum() * size == pytest.approx(full.sum(), rel=0.05)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_coarser_image_lies_where_the_image_lies(noisy: Scene, axis: int) -> None:
    ramp = np.broadcast_to(
        np.moveaxis(2 * np.arange(noisy.labels.shape[axis])[:, None, None], 0, axis),
        noisy.labels.shape,
    )
    small = coarsen(replace(noisy, grey=ramp.astype(np.uint8)), 1.7)
    middle = [n // 2 for n in small.labels.shape]
    where = (small.affine @ [*middle, 1])[axis]
    assert small.background[tuple(middle)] == pytest.approx(2 * where, abs=2.1)  # a voxel


def test_thick_slices_are_kept(scene: Scene) -> None:
    small = coarsen(scene, 2.0)
    assert small.labels.shape == (30, 18, 9)
    assert set(np.unique(small.labels)) <= set(np.unique(scene.labels))
    assert small.spacing == (4.0, 4.0, 8.0)


def test_an_image_that_never_fits_is_shown_at_a_quarter(noisy: Scene) -> None:
    assert viewer_data(noisy, 1)["coarser"] == 4


def test_without_an_image_there_are_labels_on_black(scene: Scene) -> None:
    data = viewer_data(Scene(scene.labels, scene.affine))
    assert unpacked(data["image"]).get_fdata().max() == 0
    assert unpacked(data["labels"]).get_fdata().max() == 62


def test_a_label_beyond_a_byte_takes_no_other_s_name() -> None:
    labels = np.full((4, 4, 3), 256 + 61, np.uint16)
    assert list(viewer_data(Scene(labels, affine_of()))["names"]) == [255]


def test_nothing_labelled_and_labels_without_a_name() -> None:
    empty = viewer_data(Scene(np.zeros((4, 4, 3), np.uint8), affine_of()))
    assert (empty["names"], empty["first"]) == ({}, "")
    odd = viewer_data(Scene(np.full((4, 4, 3), 250, np.uint8), affine_of()))
    assert (odd["names"][250], odd["colors"][250], odd["places"]) == ("label 250", "#ffffff", {})
