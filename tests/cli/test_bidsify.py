"""``legseg-bidsify`` as people call it: codes, lines, files; and the sample, out of a scanner."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("pydicom")
pytest.importorskip("dcm2niix")

from dicom_writing import Series, dixon, pattern, write_series

from legseg_bids.bids.discover import discover, index
from legseg_bids.cli.bidsify import main, masks_parser, parser
from legseg_bids.dicom import converter
from legseg_bids.dicom.contrasts import load_rules
from legseg_bids.dicom.mapping import COLUMNS
from legseg_bids.dicom.roles import load_roles
from legseg_bids.errors import ExitCode
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.volume import Volume

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
TYPES = {"water": ("DERIVED", "PRIMARY", "M", "WATER"), "fat": ("DERIVED", "PRIMARY", "M", "FAT")}


def run(*words: object) -> int:
    return main([str(word) for word in words])


def unclear(folder: Path) -> Path:
    """One good series, and one that contradicts itself."""
    good, bad = dixon("siemens")[3], dixon("siemens")[0]
    write_series(good, folder / "1")
    write_series(replace(bad, description="vibe_dixon_F"), folder / "2")
    return folder


def test_questions_are_asked_answered_and_remembered(tmp_path: Path, capsys) -> None:
    source, bids = unclear(tmp_path / "dicom"), tmp_path / "bids"
    report = tmp_path / "report.json"
    assert run(source, bids, "--report", report) == ExitCode.UNDECIDED
    said = capsys.readouterr()
    assert "which is right?" in said.out
    assert "1 of 2 images cannot be decided" in said.err
    told = json.loads(report.read_text())
    assert [series["decided"] for series in told["series"]] == [False, True]
    assert told["written"] == []
    assert not list(bids.rglob("*.nii.gz"))
    draft = bids / "code" / "legseg-bidsify.tsv"
    assert draft.read_text().count("\t?\t") == 1
    # Asked again, it asks the same; answered, it converts.
    assert run(source, bids) == ExitCode.UNDECIDED
    draft.write_text(draft.read_text().replace("\t?\t", "\twater\t"))
    assert run(source, bids, "--report", report) == ExitCode.OK
    told = json.loads(report.read_text())
    assert told["written"] == [
        "sub-01/anat/sub-01_acq-water_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-outphase_T1w.nii.gz",
    ]
    assert told["problems"] == []
    assert "[2/2] sub-01/anat/sub-01_acq-outphase_T1w.nii.gz" in capsys.readouterr().out
    assert run(source, bids) == ExitCode.OK
    assert "0 images written, 2 were there" in capsys.readouterr().out


def test_an_answer_that_overrules_the_header_is_believed_by_the_application(
    tmp_path: Path,
) -> None:
    """Water and fat exchanged by the scanner: the name says what the person says."""
    source, bids, mapping = tmp_path / "dicom", tmp_path / "bids", tmp_path / "m.tsv"
    for series in dixon("siemens")[:2]:
        write_series(series, source / str(series.number))
    mapping.write_text("id\trole\tparticipant\tstation\n")
    assert run(source, bids, "--dry-run", "--report", tmp_path / "r.json") == 0
    rows = json.loads((tmp_path / "r.json").read_text())["series"]
    other = {"water": "fat", "fat": "water"}
    lines = [f"{row['id']}\t{other[row['role']]}\tsub-x\t1" for row in rows]
    mapping.write_text("\n".join(["id\trole\tparticipant\tstation", *lines]) + "\n")
    assert run(source, bids, "--mapping", mapping) == 0
    (station,) = discover(index(bids), choose_opposed_echo).stations
    assert station.files["water"].name == "sub-x_acq-water_T1w.nii.gz"
    fat = nib.load(station.files["fat"]).get_fdata()
    assert sorted(fat.ravel()) == sorted(dixon("siemens")[0].data.ravel())


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys) -> None:
    for series in dixon("ge"):
        write_series(series, tmp_path / "dicom")
    assert run(tmp_path / "dicom", tmp_path / "bids", "--dry-run") == 0
    assert "sub-01/anat/sub-01_acq-fat_T1w.nii.gz" in capsys.readouterr().out
    assert run(unclear(tmp_path / "other"), tmp_path / "bids", "--dry-run") == ExitCode.UNDECIDED
    assert not (tmp_path / "bids").exists()


def test_the_draft_goes_where_it_is_wanted(tmp_path: Path) -> None:
    source, bids, draft = unclear(tmp_path / "dicom"), tmp_path / "bids", tmp_path / "draft.tsv"
    assert run(source, bids, "--draft", draft) == ExitCode.UNDECIDED
    assert not bids.exists()
    draft.write_text(draft.read_text().replace("\t?\t", "\tleave_out\t"))
    assert run(source, bids, "--mapping", draft) == 0
    assert len(list(bids.rglob("*.nii.gz"))) == 1


def test_labels_on_demand(tmp_path: Path) -> None:
    for series in dixon("philips")[:1]:
        write_series(series, tmp_path / "dicom")
    words = ("--participant", "sub-x1", "--session", "pre")
    assert run(tmp_path / "dicom", tmp_path / "bids", *words) == 0
    assert (tmp_path / "bids/sub-x1/ses-pre/anat/sub-x1_ses-pre_acq-water_T1w.nii.gz").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere", "bids"], ExitCode.NO_INPUT, "is not a folder"),
        ([".", "bids", "--nifti"], ExitCode.USAGE, "lies within the source"),
        (["nowhere", "bids", "--nifti"], ExitCode.NO_INPUT, "is not a folder"),
        ([".", "bids"], ExitCode.NO_INPUT, "holds no DICOM image"),
        ([".", "bids", "--participant", "a b"], ExitCode.USAGE, "letters and digits"),
        ([".", "bids", "--keep", "weight"], ExitCode.USAGE, "expected sex or age"),
        ([".", "bids", "--key", "bids/code/key.tsv"], ExitCode.USAGE, "outside of it"),
        (["masks", "x.nii.gz", "--image", "y.nii.gz"], ExitCode.NO_INPUT, "is no file"),
    ],
)
def test_what_cannot_be_done(
    tmp_path: Path, monkeypatch, capsys, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == code
    err = capsys.readouterr().err
    assert err.startswith("legseg-bidsify: ")
    assert said in err
    assert "Traceback" not in err


def test_problems_are_told_by_the_exit_code(tmp_path: Path, capsys) -> None:
    good, bad = dixon("siemens")[:2]
    write_series(good, tmp_path / "dicom")
    paths = write_series(replace(bad, time="120000"), tmp_path / "dicom")
    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    assert run(tmp_path / "dicom", tmp_path / "bids") == ExitCode.FAILED
    said = capsys.readouterr()
    assert "is cut short" in said.err
    assert "slices may be missing" in said.err
    assert "1 images written, 0 were there, 1 left out, 2 problems" in said.out


def test_nothing_worth_converting(tmp_path: Path, capsys) -> None:
    localizer = Series(pattern(), image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    write_series(localizer, tmp_path / "dicom")
    assert run(tmp_path / "dicom", tmp_path / "bids") == ExitCode.NO_INPUT
    assert "the table says why" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys) -> None:
    for series in dixon("philips")[:1]:
        write_series(series, tmp_path / "dicom")
    (tmp_path / "bids").write_text("a file")
    assert run(tmp_path / "dicom", tmp_path / "bids") == ExitCode.NO_OUTPUT
    assert "cannot be written" in capsys.readouterr().err


def test_told_to_stop_it_clears_up_and_goes_on_later(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    for series in dixon("ge"):
        write_series(series, tmp_path / "dicom" / str(series.number))
    real = converter._run
    started = []

    def stop_in_the_third(slices: Path, out: Path) -> str:
        started.append(slices)
        if len(started) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(slices, out)

    monkeypatch.setattr(converter, "_run", stop_in_the_third)
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / "dicom", tmp_path / "bids")
    assert ended.value.code == ExitCode.TERMINATED
    assert list((tmp_path / "temporary").iterdir()) == []
    assert len(list((tmp_path / "bids").rglob("*.nii.gz"))) == 2
    assert run(tmp_path / "dicom", tmp_path / "bids") == 0
    assert len(list((tmp_path / "bids").rglob("*.nii.gz"))) == 4


def test_masks(tmp_path: Path, capsys) -> None:
    for series in dixon("ge", shape=(16, 12, 4))[:1]:
        write_series(series, tmp_path / "dicom")
    assert run(tmp_path / "dicom", tmp_path / "bids") == 0
    image = next((tmp_path / "bids").rglob("*.nii.gz"))
    loaded = nib.load(image)
    for name, high in (("VL_L", 8), ("RF_L", 5)):
        data = np.zeros(loaded.shape, np.uint8)
        data[3:high, 3:high] = 1
        (tmp_path / "m").mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(data, loaded.affine), tmp_path / f"m/{name}.nii.gz")
    assert run("masks", tmp_path / "m", "--image", image) == 0
    out = capsys.readouterr().out
    assert "16 voxels lie in RF_L and in VL_L; they went to RF_L, the smaller" in out
    assert (tmp_path / "bids/derivatives/manual/dataset_description.json").exists()


def test_options_are_explained() -> None:
    for one in (parser(), masks_parser()):
        assert all(action.help for action in one._actions)


def test_the_manual_names_every_option_role_and_column() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "from-the-scanner.md").read_text()
    for one in (parser(), masks_parser()):
        words = [word for action in one._actions for word in action.option_strings]
        known = {"-h", "--help", "--overwrite", "--into", "--session"}
        assert [word for word in words if word not in known and word not in manual] == []
    for word in (*load_roles(), *COLUMNS):
        assert f"`{word}`" in manual, word
    for rule in load_rules():
        assert rule.vendor == "any" or rule.vendor in manual.lower()


def as_series(path: Path, contrast: str, **kwargs) -> Series:
    """A BIDS image as a scanner would have stored it: axial slices, first row in front."""
    image = nib.load(path)
    volume, _ = to_canonical(Volume(np.asarray(image.dataobj), image.affine))
    # DICOM's rows run to the left, its columns to the back.
    data = volume.data[::-1, ::-1, :].astype(np.uint16)
    affine = volume.affine
    corner = affine @ [volume.shape[0] - 1, volume.shape[1] - 1, 0, 1]
    return Series(
        data,
        image_type=TYPES[contrast],
        origin=(-corner[0], -corner[1], corner[2]),
        spacing=volume.spacing,
        **kwargs,
    )


def test_the_sample_from_the_scanner_to_bids(tmp_path: Path) -> None:
    """Two stations of water and fat images, as Siemens stores them, are what they were."""
    written = {}
    for chunk in (1, 2):
        for order, contrast in enumerate(TYPES):
            path = SAMPLE / f"sub-02/anat/sub-02_acq-dixon{contrast}_chunk-{chunk}_T1w.nii.gz"
            series = as_series(path, contrast, number=10 * chunk + order, time=f"10{chunk}000")
            write_series(series, tmp_path / "dicom" / f"{chunk}" / contrast)
            written[contrast, chunk] = path
    assert run(tmp_path / "dicom", tmp_path / "bids", "--participant", "02") == 0
    for (contrast, chunk), path in written.items():
        name = f"sub-02_acq-{contrast}_chunk-{chunk}_T1w.nii.gz"
        before, after = nib.load(path), nib.load(tmp_path / "bids/sub-02/anat" / name)
        first, second = (
            to_canonical(Volume(np.asarray(i.dataobj), i.affine))[0] for i in (before, after)
        )
        np.testing.assert_array_equal(first.data, second.data)
        np.testing.assert_allclose(first.affine, second.affine, atol=1e-3)
    old, new = (discover(index(root, ["02"]), choose_opposed_echo).stations
                for root in (SAMPLE, tmp_path / "bids"))  # fmt: skip
    assert len(old) == len(new) == 2
    for before, after in zip(old, new, strict=True):
        assert before.kind == after.kind == "water_fat"
        assert before.entities["chunk"] == after.entities["chunk"]
