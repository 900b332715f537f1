"""Folders of NIfTI files as source."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.validate import find_command, validate
from legseg_bids.dicom.convert import convert
from legseg_bids.dicom.mapping import draft
from legseg_bids.dicom.nifti import survey_nifti
from legseg_bids.errors import NoInput
from legseg_bids.imaging.dixon import choose_opposed_echo


def put(
    path: Path, seed: int = 0, z: float = 0.0, shape: tuple = (6, 5, 4), **sidecar
) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[2, 3] = z
    data = np.random.default_rng(seed).integers(1, 99, shape).astype(np.int16)
    image = nib.Nifti1Image(data, affine)
    image.header["descrip"] = b"Doe"
    nib.save(image, path)
    if sidecar:
        path.with_name(path.name.partition(".nii")[0] + ".json").write_text(json.dumps(sidecar))
    return data


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.nii.gz"))


def test_a_folder_for_each_person(tmp_path: Path) -> None:
    seed = 0
    for person in ("Doe Jane", "P2"):
        for z, station in ((0, "calf"), (100, "thigh")):
            for contrast in ("water", "fat", "opp"):
                seed += 1
                put(tmp_path / "in" / person / f"{station}_{contrast}.nii", seed, z)
    found = survey_nifti(tmp_path / "in")
    done = convert(found, draft(found), tmp_path / "out")
    assert done.problems == ()
    assert names(tmp_path / "out") == [
        f"sub-{n}/anat/sub-{n}_acq-{contrast}_chunk-{chunk}_T1w.nii.gz"
        for n in ("01", "02")
        for contrast in ("fat", "outphase", "water")
        for chunk in (1, 2)
    ]
    thigh = nib.load(tmp_path / "out/sub-01/anat/sub-01_acq-water_chunk-1_T1w.nii.gz")
    np.testing.assert_array_equal(
        thigh.dataobj, nib.load(tmp_path / "in/Doe Jane/thigh_water.nii").dataobj
    )
    assert thigh.header["descrip"] == b""
    assert len(discover(index(tmp_path / "out"), choose_opposed_echo).stations) == 4
    for path in (tmp_path / "out").rglob("*.tsv"):
        assert "doe" not in path.read_text().lower()


def test_files_of_one_folder_are_told_apart_by_their_names(tmp_path: Path) -> None:
    for seed, person in enumerate(("A17", "B9")):
        put(tmp_path / "in" / f"{person}_W.nii.gz", 10 * seed)
        put(tmp_path / "in" / f"{person}_F.nii.gz", 10 * seed + 1)
    found = survey_nifti(tmp_path / "in")
    rows = draft(found)
    assert {(row.participant, row.role) for row in rows} == {
        (label, role) for label in ("01", "02") for role in ("water", "fat")
    }


def test_labels_of_the_source_are_kept_and_label_images_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "in/sub-x7/ses-b/anat/sub-x7_ses-b_acq-outphase_T1w.nii.gz", 1)
    put(tmp_path / "in/sub-x7/ses-b/anat/sub-x7_ses-b_dseg.nii.gz", 2)
    put(tmp_path / "in/derivatives/sub-x7_mask.nii.gz", 3)
    found = survey_nifti(tmp_path / "in")
    (row,) = draft(found)
    assert (row.participant, row.session, row.role) == ("x7", "b", "opposed")


def test_volumes_with_echo_times_become_echoes(tmp_path: Path) -> None:
    data = put(
        tmp_path / "in/p/sub_MEGRE.nii.gz",
        shape=(6, 5, 4, 3),
        EchoTime=[1.15, 2.3, 3.45],
        MagneticFieldStrength=3,
        InstitutionName="Nowhereland",
    )
    put(tmp_path / "in/p/dynamic.nii.gz", 4, shape=(6, 5, 4, 7))
    found = survey_nifti(tmp_path / "in")
    rows = draft(found)
    done = convert(found, rows, tmp_path / "out")
    assert len(done.written) == 3
    for echo in (1, 2, 3):
        path = tmp_path / f"out/sub-01/anat/sub-01_echo-{echo}_MEGRE.nii.gz"
        np.testing.assert_array_equal(nib.load(path).dataobj, data[..., echo - 1])
        sidecar = json.loads(path.with_name(path.name.replace("nii.gz", "json")).read_text())
        assert sidecar["EchoTime"] == pytest.approx(0.00115 * echo)
        assert "InstitutionName" not in sidecar
    left_out = next(row for row in rows if "7 volumes" in row.question)
    assert not left_out.wanted
    if find_command():
        assert validate(tmp_path / "out") == []


def test_what_a_name_does_not_tell_is_asked(tmp_path: Path) -> None:
    put(tmp_path / "in/p/scan1.nii.gz")
    (row,) = draft(survey_nifti(tmp_path / "in"))
    assert not row.decided
    assert "opposed, in_phase, water, fat or leave_out" in row.question


def test_damaged_files_are_named(tmp_path: Path) -> None:
    put(tmp_path / "in/p/water.nii.gz")
    (tmp_path / "in/p/fat.nii.gz").write_bytes(b"no image")
    found = survey_nifti(tmp_path / "in")
    assert len(found.images) == 1
    assert found.problems[0].startswith("p/fat.nii.gz is no NIfTI image")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NoInput, match="holds no NIfTI image"):
        survey_nifti(empty)
    with pytest.raises(NoInput, match="not a folder"):
        survey_nifti(tmp_path / "nowhere")
