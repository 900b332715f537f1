from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from reported import SHAPE, affine_of, grey_image, label_image

from legseg_bids.report.pictures import front_pictures, slice_pictures
from legseg_bids.report.scene import Scene, crop, grey_levels


@pytest.fixture
def scene() -> Scene:
    return Scene(label_image(), affine_of(), grey_levels(grey_image()))


def test_the_patient_s_left_is_on_the_right_and_the_front_on_top(scene: Scene) -> None:
    picture = slice_pictures(scene, 1)[0]
    spots = {(name.text, name.x > picture.width / 2): name for name in picture.names}
    assert set(spots) >= {("RF", True), ("RF", False), ("SM", True), ("SM", False)}
    assert spots["RF", True].y < spots["SM", True].y
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.jpeg))))
    assert grey.shape == (SHAPE[1], SHAPE[0])
    middle = SHAPE[0] // 2
    assert grey[:, middle:].max() > 230 > 200 > grey[:, :middle].max()  # the left is brighter


def test_slices_show_and_name_what_is_in_one_slice_alone(scene: Scene) -> None:
    pictures = slice_pictures(scene, 3)
    (shown,) = (p for p in pictures if any(shape.value == 9 for shape in p.shapes))
    assert shown.plane == 8
    assert "POP" in [name.text for name in shown.names]
    assert "Slice 8 of 9, from the feet: " in shown.described
    assert "Popliteus left" in shown.described


def test_each_structure_is_named_somewhere(scene: Scene) -> None:
    named = {name.text for picture in slice_pictures(scene, 2) for name in picture.names}
    assert named == {"RF", "SM", "POP"}


def test_fronts_have_the_proportions_of_life(scene: Scene) -> None:
    picture = front_pictures(scene, 1)[0]
    assert (picture.width, picture.height) == (SHAPE[0] * 2.0, SHAPE[2] * 8.0)
    assert "from the front" in picture.described


def test_slices_are_counted_in_the_whole_image(scene: Scene) -> None:
    wide = ((40, 50), (30, 20), (0, 0))
    affine = scene.affine.copy()
    affine[:3, 3] = (13.0, -7.0, 100.0)
    large = Scene(np.pad(scene.labels, wide), affine, np.pad(scene.background, wide))
    small = crop(large)
    assert small.labels.shape[0] < large.labels.shape[0] > SHAPE[0]
    assert np.array_equal(np.unique(small.labels), np.unique(scene.labels))
    assert [p.plane for p in slice_pictures(small, 3)] == [
        p.plane for p in slice_pictures(scene, 3)
    ]
    assert np.allclose(small.affine @ [0, 0, 0, 1], affine @ [*small.start, 1])


def test_without_an_image_the_labels_are_shown(scene: Scene) -> None:
    (picture,) = slice_pictures(Scene(scene.labels, scene.affine), 1)
    assert not picture.jpeg
    assert picture.shapes


def test_empty_and_unknown_labels_are_drawn() -> None:
    nothing = Scene(np.zeros((5, 6, 4), np.uint8), affine_of())
    assert crop(nothing) is nothing
    assert not slice_pictures(nothing, 2)[0].shapes
    assert "nothing that is labelled" in slice_pictures(nothing, 2)[0].described
    odd = np.full((5, 6, 4), 250, np.uint8)
    assert [shape.name for shape in slice_pictures(Scene(odd, affine_of()), 1)[0].shapes] == [
        "label 250"
    ]


def test_image_and_labels_must_share_a_grid() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        Scene(np.zeros((3, 3, 3), int), affine_of(), np.zeros((3, 3, 2), np.uint8))
