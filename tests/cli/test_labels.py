"""``legseg-labels``: what it writes and prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.anatomy import colour_tables
from legseg_bids.anatomy.labels import label_by_index, load_labels
from legseg_bids.cli.labels import TABLES, main
from legseg_bids.errors import ExitCode


@pytest.fixture
def dseg(tmp_path: Path) -> Path:
    labels = np.zeros((4, 4, 3), np.uint8)
    labels[0], labels[1] = 61, 5
    path = tmp_path / "sub-1_dseg.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.eye(4)), path)
    return path


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_all_labels(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "names.txt"
    assert main([kind, str(out)]) == ExitCode.OK
    assert out.read_text() == getattr(colour_tables, kind)(load_labels())
    assert capsys.readouterr().out == f"wrote {out} with {len(load_labels())} labels\n"


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_what_an_image_holds(tmp_path: Path, dseg: Path, kind: str) -> None:
    out = tmp_path / "names.txt"
    assert main([kind, str(out), "--only", str(dseg)]) == ExitCode.OK
    expected = [label_by_index(5), label_by_index(61)]
    assert out.read_text() == getattr(colour_tables, kind)(expected)


def test_what_is_there_is_replaced_only_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "names.ctbl"
    out.write_text("mine")
    assert main(["slicer", str(out)]) == ExitCode.NO_OUTPUT
    assert out.read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err
    assert main(["slicer", str(out), "--overwrite"]) == ExitCode.OK
    assert out.read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["slicer", "{out}", "--only", "nowhere.nii.gz"], ExitCode.FAILED),
        (["dicom-seg", "{dseg}", "{empty}", "{out}"], ExitCode.NO_INPUT),
        (["itksnap", "{dseg}/x/names.txt"], ExitCode.NO_OUTPUT),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, dseg: Path, words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0] == "dicom-seg":
        pytest.importorskip("highdicom")
    (tmp_path / "empty").mkdir()
    places = {"out": tmp_path / "o", "dseg": dseg, "empty": tmp_path / "empty"}
    assert main([word.format(**places) for word in words]) == code
    told = capsys.readouterr()
    assert told.err.startswith("legseg-labels: ")
    assert "Traceback" not in told.err
    assert not (tmp_path / "o").exists()


def test_without_the_dicom_packages_it_says_what_to_install(
    tmp_path: Path, dseg: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'pydicom'", name="pydicom")

    monkeypatch.setattr("legseg_bids.dicom.seg.find_series", missing)
    assert main(["dicom-seg", str(dseg), str(tmp_path), str(tmp_path / "o")]) == ExitCode.USAGE
    assert "legseg-bids[dicom]" in capsys.readouterr().err


def test_a_kind_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == ExitCode.USAGE
