"""What a survey finds, and what it says of files that it cannot use."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom")

import pydicom
from dicom_writing import (
    CONTRASTS,
    OBLIQUE,
    Series,
    dixon,
    pattern,
    uid,
    write_enhanced,
    write_series,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from legseg_bids.dicom.found import Grid, grid_of_slices
from legseg_bids.dicom.mapping import draft
from legseg_bids.dicom.survey import survey
from legseg_bids.errors import NoInput, UsageError


def test_contrasts_mixed_in_one_series_are_several_images(tmp_path: Path) -> None:
    one = uid("mixed")
    for order, series in enumerate(dixon("siemens", number=5, uid=one)):
        write_series(replace(series, first=1 + 10 * order), tmp_path / "all")
    found = survey(tmp_path)
    assert sorted(image.facts.shows for image in found.images) == sorted(CONTRASTS)
    assert {len(image.frames) for image in found.images} == {4}
    assert found.files == 16


@pytest.mark.parametrize("private", [True, False])
def test_an_enhanced_file_is_as_many_images_as_it_has_contrasts(
    tmp_path: Path, private: bool
) -> None:
    write_enhanced(dixon("philips", uid=uid("e")), tmp_path / "one", private=private)
    found = survey(tmp_path)
    assert sorted(image.facts.shows for image in found.images) == sorted(CONTRASTS)
    for image in found.images:
        assert [frame.number % 4 for frame in image.frames] == [image.frames[0].number] * 4
        assert image.facts.echo_time == pytest.approx(0.00115)
        assert image.facts.sequence == ("GR",)


def test_grid_is_that_of_the_headers_whatever_the_order_of_files(tmp_path: Path) -> None:
    series = Series(pattern(), orientation=OBLIQUE, reverse=True)
    write_series(series, tmp_path)
    (image,) = survey(tmp_path).images
    assert image.grid is not None
    np.testing.assert_allclose(image.grid.matrix, series.affine(), atol=2e-3)
    assert image.grid.shape == series.data.shape


def test_identifiers_stay_when_files_move_and_are_named_otherwise(tmp_path: Path) -> None:
    for folder in ("a", "b/c"):
        for series in dixon("ge"):
            write_series(series, tmp_path / folder)
    first, second = (survey(tmp_path / folder) for folder in ("a", "b"))
    assert [image.id for image in first.images] == [image.id for image in second.images]
    assert len({image.id for image in first.images}) == 4


def test_dynamics_are_one_image_each(tmp_path: Path) -> None:
    one = uid("dynamic")
    for turn in range(3):
        tags = {"TemporalPositionIdentifier": turn + 1}
        series = Series(pattern(seed=turn), uid=one, first=10 * turn, tags=tags)
        write_series(series, tmp_path)
    images = survey(tmp_path).images
    assert len(images) == 3
    assert [i.frames[0].order[0] for i in sorted(images, key=lambda i: i.frames[0].order)] == [
        1,
        2,
        3,
    ]


def test_copies_of_files_are_no_repeats(tmp_path: Path) -> None:
    for folder in ("export", "export again"):
        write_series(Series(pattern()), tmp_path / folder)
    (image,) = survey(tmp_path).images
    assert len(image.frames) == 4


def damaged(tmp_path: Path, how: str) -> Path:
    (path,) = write_series(Series(pattern((8, 8, 1)), number=77), tmp_path / "bad")
    whole = path.read_bytes()
    ds = pydicom.dcmread(path)
    if how == "short":
        path.write_bytes(whole[:-10])
    elif how == "header":
        path.write_bytes(whole[:600])
    elif how == "garbage":
        path.write_bytes(whole[:132] + b"\xff" * 900)
    elif how == "nowhere":
        del ds.ImagePositionPatient
        ds.save_as(path)
    elif how == "locked":
        path.chmod(0)
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("short", "is cut short: 118 bytes of pixels; expected 128"),
        ("header", "cut short within it"),
        ("garbage", "damaged header"),
        ("nowhere", "does not say where its slice lies"),
    ],
)
def test_damaged_files_are_named_and_left_out(tmp_path: Path, how: str, said: str) -> None:
    write_series(Series(pattern()), tmp_path)
    path = damaged(tmp_path, how)
    found = survey(tmp_path)
    assert len(found.images) == 1
    assert len(found.problems) == 1
    assert said in found.problems[0]
    assert found.problems[0].startswith(f"bad/{path.name}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    (path,) = write_series(Series(pattern((4, 4, 1))), tmp_path_factory.mktemp("whole"))
    return path.read_bytes()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_to_a_file_it_stops_nothing(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    """Bytes that are wrong, and files that end anywhere."""
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "a").write_bytes(damaged[: data.draw(st.integers(0, len(whole)))])
    (folder / "good").write_bytes(whole)
    found = survey(folder)
    assert 1 <= len(found.images) <= 2
    assert any(frame.path.endswith(("good", "a")) for i in found.images for frame in i.frames)
    draft(found)


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    write_series(Series(pattern()), tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").touch()
    (tmp_path / "broken link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    page = write_series(Series(pattern((8, 8, 1)), number=99), tmp_path)[0]
    screen = pydicom.dcmread(page)
    screen.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    screen.save_as(page)
    directory = pydicom.dataset.Dataset()
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = uid("directory")
    directory.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    directory.FileSetID = "X"
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    found = survey(tmp_path)
    assert len(found.images) == 1
    assert found.problems == ()


def test_files_without_a_preamble_are_read(tmp_path: Path) -> None:
    for path in write_series(Series(pattern()), tmp_path):
        ds = pydicom.dcmread(path)
        del ds.file_meta
        ds.preamble = None
        path.unlink()
        ds.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[:2] == b"\x08\x00"
    (image,) = survey(tmp_path).images
    assert image.grid is not None


@pytest.mark.parametrize("what", ["nothing", "text", "file", "computed tomography"])
def test_nothing_to_convert(tmp_path: Path, what: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if what == "text":
        (source / "a.txt").write_text("x")
    if what == "computed tomography":
        write_series(Series(pattern(), tags={"Modality": "CT"}), source)
    if what == "file":
        source = source / "a.txt"
        source.write_text("x")
    with pytest.raises(NoInput, match="expected"):
        survey(source)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch) -> None:
    write_series(Series(pattern()), tmp_path / "good")
    write_series(Series(pattern(), number=6), tmp_path / "locked")
    real = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = survey(tmp_path)
    assert len(found.images) == 1
    assert found.problems == ("folder locked cannot be read (Permission denied)",)


def test_without_pydicom_it_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UsageError, match=r"install legseg-bids\[dicom\]"):
        survey(tmp_path)


def test_uneven_slices_make_no_grid() -> None:
    places = np.array([[0.0, 0, z] for z in (0, 5, 10, 20)])
    with pytest.raises(ValueError, match="4 slices are not evenly spaced"):
        grid_of_slices((1, 0, 0, 0, 1, 0), (1, 1), (4, 4), places, 5)


def test_grids_are_compared_by_their_voxels() -> None:
    grid = Grid((4, 5, 6), tuple(map(tuple, np.diag([2.0, 2, 5, 1]).tolist())))
    flipped = np.diag([-2.0, 2, 5, 1])
    flipped[0, 3] = 6
    assert grid.is_same(Grid((4, 5, 6), tuple(map(tuple, flipped.tolist()))))
    moved = grid.matrix
    moved[2, 3] = 5
    shorter = Grid((4, 5, 5), tuple(map(tuple, moved.tolist())))
    assert shorter.is_part_of(grid)
    assert not grid.is_part_of(shorter)
    assert not shorter.is_same(grid)
    assert shorter.is_near(grid)
    moved[2, 3] = 200
    assert not Grid((4, 5, 5), tuple(map(tuple, moved.tolist()))).is_near(grid)
    assert not Grid((4, 5, 5), tuple(map(tuple, moved.tolist()))).is_part_of(grid)
