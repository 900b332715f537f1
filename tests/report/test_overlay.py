from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.report.overlay import choose_slices, compose, draw_overlay, outline, window

SPACING = (1.5, 1.5, 6.0)


def station(labelled: slice = slice(2, 28)) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on air; its left half (low x) is label 55, its right half label 56."""
    x, y = np.meshgrid(np.arange(80), np.arange(60), indexing="ij")
    disc = np.hypot(x - 40, y - 30) < 25
    image = np.repeat(disc[..., None] * 100.0, 31, axis=2)
    labels = np.zeros(image.shape, np.uint8)
    labels[..., labelled] = np.where(x < 40, 55, 56)[..., None] * disc[..., None]
    return image, labels


def test_picture_is_written_with_many_slices(tmp_path: Path) -> None:
    image, labels = station()
    path = draw_overlay(image, labels, SPACING, tmp_path / "figures" / "a.png", "sub-01")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_patient_left_is_on_the_right_of_the_picture() -> None:
    image, labels = station()
    picture = np.asarray(compose(image, labels, SPACING, slices=1)).astype(int)[20:-40]
    column = {}
    for index in (55, 56):
        # Outlines are nearly opaque, so the label's own colour shows there.
        colour = np.array(ImageColor.getrgb(label_by_index(index).color))
        shown = np.abs(picture - colour).sum(axis=-1) < 20
        column[index] = np.flatnonzero(shown.any(axis=0)).mean()
    assert column[55] > column[56]


def test_anterior_is_on_top() -> None:
    image, labels = station()
    image[:, 45:50] = 300.0
    labels[:] = 0
    rows = np.asarray(compose(image, labels, SPACING, slices=1)).sum(axis=(1, 2))
    assert rows.argmax() < rows.size / 2


@pytest.mark.parametrize("shape", [(5, 7, 1), (40, 40, 3), (200, 90, 12)])
@pytest.mark.parametrize("content", ["nothing", "signal only", "one voxel"])
def test_any_station_can_be_drawn(shape: tuple[int, int, int], content: str) -> None:
    image, labels = np.zeros(shape), np.zeros(shape, np.uint8)
    if content != "nothing":
        image[1:4, 2:5] = 7.0
    if content == "one voxel":
        labels[2, 3, 0] = 31
    assert compose(image, labels, SPACING).size[0] > 0


def test_a_label_without_a_colour_is_white() -> None:
    image, labels = station()
    labels[labels == 56] = 200
    assert (np.asarray(compose(image, labels, SPACING)) > 230).all(axis=-1).any()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        compose(np.zeros((3, 3, 3)), np.zeros((3, 3, 2), int), SPACING)


@given(
    depth=st.integers(1, 40), first=st.integers(0, 39), count=st.integers(1, 12), data=st.data()
)
def test_slices_fall_and_are_labelled_where_labels_suffice(
    depth: int, first: int, count: int, data: st.DataObject
) -> None:
    labels = np.zeros((2, 2, depth), int)
    last = data.draw(st.integers(min(first, depth - 1), depth - 1))
    labels[0, 0, min(first, depth - 1) : last + 1] = 1
    chosen = choose_slices(labels.astype(float), labels, count)
    assert len(chosen) <= count
    assert list(chosen) == sorted(set(chosen), reverse=True)
    labelled = np.flatnonzero(labels.any(axis=(0, 1)))
    if labelled.size >= count:
        assert set(chosen) <= set(labelled.tolist())
        assert count == 1 or {labelled[0], labelled[-1]} <= set(chosen)


def test_outline_runs_between_touching_labels() -> None:
    labels = np.ones((4, 4), int)
    labels[:, 2:] = 2
    assert outline(labels)[1:3, 1:3].all()


def test_window_ignores_background_and_outliers() -> None:
    image = np.zeros((50, 50, 2))
    image[10:40, 10:40] = 100.0
    image[20, 20, 0] = 1e9
    assert window(image)[15, 15, 0] == 255
    assert window(np.zeros((2, 2, 2))).max() == 0


@pytest.mark.parametrize(
    "title", ["a\nb\nc\nd", "\x1b[2J", "\u202eabc", "\udcff", "中文 é", "x" * 500]
)
def test_any_title_is_one_line_above_the_tiles(title: str) -> None:
    image, labels = station()
    plain = compose(image, labels, SPACING, "sub-01", slices=2)
    picture = compose(image, labels, SPACING, title, slices=2)
    assert picture.size == plain.size
    below = (0, 22, *plain.size)
    assert np.array_equal(np.asarray(picture.crop(below)), np.asarray(plain.crop(below)))
