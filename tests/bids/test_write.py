from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.bids import write
from legseg_bids.bids.write import (
    on_grid_of,
    remove_leftovers,
    replacing,
    write_json,
    write_labels,
    write_once,
    write_probabilities,
    write_text,
)
from legseg_bids.errors import OutputError

SHAPE = (6, 5, 4)
OBLIQUE = np.array([[-1.5, 0.1, 0, 9], [0.1, -1.5, 0.2, 8], [0, 0.1, 6.0, 7], [0, 0, 0, 1]])


def source(qform: int = 1, sform: int = 1, kind=nib.Nifti1Image):
    image = kind(np.zeros(SHAPE, np.int16), OBLIQUE)
    image.set_qform(OBLIQUE, qform)
    image.set_sform(OBLIQUE, sform)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"TE=1.1;Time=101112"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    return image.header


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_text_and_folders_appear(tmp_path: Path) -> None:
    write_text(tmp_path / "a/b/c.txt", "µ\n")
    assert (tmp_path / "a/b/c.txt").read_bytes() == b"\xc2\xb5\n"
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c.txt"]


def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_without_space_nothing_changes_and_nothing_remains(tmp_path, monkeypatch, call) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    owner = write.os if call == "fsync" else Path
    monkeypatch.setattr(owner, call, no_space)
    with pytest.raises(OutputError, match=r"a\.json cannot be written.*No space.*free space"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_an_image_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(write.os, "fsync", no_space)
    with pytest.raises(OutputError, match="No space"):
        write_labels(tmp_path / "a.nii.gz", np.zeros(SHAPE, np.uint8), source())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_of_the_caller_leaves_nothing(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_folder_without_permission(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        write_text(tmp_path / "a.txt", "x")


def test_file_names_that_are_no_text_can_be_logged(tmp_path: Path) -> None:
    write_text(tmp_path / "a", os.fsdecode(b"b\xff"))
    assert (tmp_path / "a").read_text() == "b?"


def test_unchanged_text_is_not_written_again(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a"
    write_once(path, "x")
    monkeypatch.setattr(write, "write_text", lambda *_: pytest.fail("written again"))
    write_once(path, "x")


def test_json_takes_array_scalars_and_refuses_what_json_has_not(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"n": np.float64(0.5), "v": np.arange(2), "i": np.int16(3)})
    assert json.loads((tmp_path / "a").read_text()) == {"n": 0.5, "v": [0, 1], "i": 3}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a", {"n": float("nan")})
    with pytest.raises(TypeError, match="a set in a JSON file"):
        write_json(tmp_path / "a", {"n": {1}})


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(("qform", "sform"), [(1, 1), (1, 0), (0, 1), (2, 4), (0, 0)])
def test_labels_lie_exactly_where_the_source_lies(tmp_path, kind, qform: int, sform: int) -> None:
    header = source(qform, sform, kind)
    labels = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 152
    write_labels(tmp_path / "a.nii.gz", labels, header)
    found = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj), labels)
    np.testing.assert_array_equal(found.affine, header.get_best_affine())
    assert (int(found.header["qform_code"]), int(found.header["sform_code"])) == (qform, sform)
    assert found.header.get_xyzt_units() == ("mm", "sec")
    assert found.get_data_dtype() == np.uint8
    assert found.header["intent_code"] == 1002
    assert isinstance(found, kind)


def test_nothing_personal_of_the_source_header_is_kept(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.nii.gz", np.zeros(SHAPE, int), source())
    found = nib.load(tmp_path / "a.nii.gz").header
    assert bytes(found["descrip"]) in {b"", b"\0" * 80}
    assert list(found.extensions) == []


def test_many_labels_take_two_bytes(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.nii.gz", np.full(SHAPE, 1001), source())
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == np.uint16


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.zeros((6, 5, 3), int), "expected the source's grid"),
        (np.full(SHAPE, -1), "expected 0 to 65535"),
        (np.full(SHAPE, 70000), "expected 0 to 65535"),
    ],
)
def test_labels_that_cannot_be_right(tmp_path: Path, labels: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        write_labels(tmp_path / "a.nii.gz", labels, source())


def test_equal_content_gives_equal_files(tmp_path: Path, monkeypatch) -> None:
    for name, now in (("a.nii.gz", 1e9), ("b.nii.gz", 2e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        write_labels(tmp_path / name, np.ones(SHAPE, int), source())
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_come_back_in_steps(tmp_path: Path, dtype: type) -> None:
    given = np.random.default_rng(0).random((*SHAPE, 3)).astype(dtype)
    given[0, 0, 0] = [0, 1, 0.5]
    write_probabilities(tmp_path / "p.nii.gz", given, source())
    found = nib.load(tmp_path / "p.nii.gz")
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_allclose(found.get_fdata(), given, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(found.affine, source().get_best_affine())


def test_steps_do_not_depend_on_the_largest_probability(tmp_path: Path) -> None:
    write_probabilities(tmp_path / "p.nii.gz", np.full((*SHAPE, 2), 0.4), source())
    stored = nib.load(tmp_path / "p.nii.gz").dataobj
    assert stored.slope == pytest.approx(1 / 255)
    assert np.unique(stored.get_unscaled()).tolist() == [102]


def test_a_source_with_one_volume_in_four_dimensions_is_a_grid_too() -> None:
    header = source()
    header.set_data_shape((*SHAPE, 1))
    assert on_grid_of(header, SHAPE, np.uint8).get_data_shape() == SHAPE


@pytest.fixture
def leftovers(tmp_path: Path) -> list[Path]:
    """Three files of a killed run, an hour old."""
    folder = tmp_path / "sub-01"
    (folder / "anat").mkdir(parents=True)
    names = (".a_dseg.json", "anat/.a_dseg.nii.gz", "anat/.b.tmp")
    paths = [folder / f"{name}.0123456789ab.tmp" for name in names]
    for path in paths:
        path.write_bytes(b"half")
        os.utime(path, (time.time() - 3600,) * 2)
    return paths


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path, leftovers: list[Path]) -> None:
    names = (".notes.tmp", "a.0123456789ab.tmp", "anat/a_dseg.json")
    others = [tmp_path / "sub-01" / name for name in names]
    for path in others:
        path.touch()
    remove_leftovers(tmp_path / "sub-01")
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in others)


def test_where_others_write_only_old_leftovers_are_removed(
    tmp_path: Path, leftovers: list[Path]
) -> None:
    remove_leftovers(tmp_path / "sub-01", deep=False, older_than=7200)
    assert all(path.exists() for path in leftovers)
    remove_leftovers(tmp_path / "sub-01", deep=False, older_than=600)
    assert [path.exists() for path in leftovers] == [False, True, True]


def test_leftovers_that_are_ours_by_name(tmp_path: Path) -> None:
    """The name that is looked for is the one that is written."""
    with replacing(tmp_path / "a.nii.gz"):
        (name,) = [path.name for path in tmp_path.iterdir()]
    assert write.LEFTOVER.fullmatch(name)


def test_leftovers_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "sub-02")
