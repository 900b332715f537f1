"""Nothing that names a person, a place or a day reaches the output."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pydicom")
pytest.importorskip("dcm2niix")

from dicom_writing import SECRETS, dixon, uid, write_enhanced, write_series

from legseg_bids.cli.bidsify import main
from legseg_bids.dicom.contrasts import read_table
from legseg_bids.dicom.privacy import copy_image, hide, public_sidecar, words_of
from legseg_bids.errors import ImageError

PARTS = [part for value in SECRETS.values() for part in value.replace("^", " ").split()]
# Words that anybody may use.
COMMON = {"of", "on", "comment", "Legs", "Street", "Hospital", "5", "Dr"}
DAYS = ("20230508", "2023-05-08", "08.05", "2023", "19610317", "1961", "101500", "10:15")
IDENTIFIERS = ("1.2.826.0.1.3680043",)
PLANTED = [*{*PARTS} - COMMON, *DAYS, *IDENTIFIERS]


def every_byte(folder: Path) -> list[tuple[str, bytes]]:
    """Names and contents of all files, compressed ones unpacked as well."""
    found = []
    for path in sorted(folder.rglob("*")):
        found.append((f"name of {path}", str(path.relative_to(folder)).encode()))
        if path.is_file():
            content = path.read_bytes()
            found.append((str(path), content))
            if path.suffix == ".gz":
                found.append((f"{path}, unpacked", gzip.decompress(content)))
    return found


def leaks(folder: Path) -> list[str]:
    return [
        f"{word} in {where}"
        for where, content in every_byte(folder)
        for word in PLANTED
        if word.lower().encode() in content.lower()
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Headers, descriptions and file names that tell who was scanned."""
    folder = tmp_path / "dicom" / "Zyxwvut_Quirina"
    for series in dixon("siemens"):
        named = replace(
            series,
            description=f"{series.description}_ZYXWVUT 08.05.2023 PID7654321one",
            tags={
                "ProtocolName": "Zyxwvut",
                "PatientComments": "Quirina",
                "(0029,0010)": ("LO", "Zyxwvut"),
            },
        )
        write_series(named, folder / f"2023-05-08 {series.number}")
    enhanced = dixon("philips", uid=uid("e"), number=30, person="two")
    write_enhanced(enhanced, tmp_path / "dicom" / "Quirina", private=True)
    return tmp_path / "dicom"


def test_nothing_that_was_planted_is_found_again(source: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert (
        main([str(source), str(out), "--keep", "sex,age", "--report", str(out / "code/r.json")])
        == 0
    )
    assert len(list(out.rglob("*.nii.gz"))) == 8
    assert leaks(out) == []
    said = capsys.readouterr()
    assert not [word for word in PLANTED if word.lower() in (said.out + said.err).lower()]
    assert "sub-01\tF\t62" in (out / "participants.tsv").read_text()


def test_the_search_would_find_it(source: Path) -> None:
    assert {line.split()[0] for line in leaks(source)} >= {"Zyxwvut", "PID7654321", "20230508"}


def test_sex_and_age_are_written_on_demand_only(source: Path, tmp_path: Path) -> None:
    assert main([str(source), str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/participants.tsv").read_text() == "participant_id\nsub-01\nsub-02\n"
    assert main([str(source), str(tmp_path / "out"), "--keep", "name"]) == 2


def test_the_draft_tells_nothing_either(tmp_path: Path) -> None:
    for series in dixon("siemens")[:2]:
        unclear = replace(series, image_type=("ORIGINAL", "PRIMARY", "WATER", "FAT"))
        write_series(
            replace(unclear, description="Zyxwvut dixon"), tmp_path / "dicom" / str(series.number)
        )
    assert main([str(tmp_path / "dicom"), str(tmp_path / "out")]) == 65
    assert leaks(tmp_path / "out") == []
    assert "…" in (tmp_path / "out/code/legseg-bidsify.tsv").read_text()


def test_the_key_is_written_on_demand_for_its_owner_only(source: Path, tmp_path: Path) -> None:
    key = tmp_path / "private" / "key.tsv"
    assert main([str(source), str(tmp_path / "out"), "--key", str(key)]) == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().splitlines()[1:] == ["sub-01\tPID7654321one", "sub-02\tPID7654321two"]
    assert main([str(source), str(tmp_path / "out"), "--key", str(tmp_path / "out/key.tsv")]) == 2
    assert not (tmp_path / "out/key.tsv").exists()


def test_the_key_tells_who_comes_back(tmp_path: Path) -> None:
    key, out = tmp_path / "key.tsv", tmp_path / "out"
    for visit, (person, date) in enumerate(
        [("b", "20200101"), ("a", "20200102"), ("b", "20210101")]
    ):
        for series in dixon("siemens", person=person, date=date, study=date)[:1]:
            write_series(series, tmp_path / str(visit))
        assert main([str(tmp_path / str(visit)), str(out), "--key", str(key)]) == 0
    assert sorted(p.name for p in out.rglob("*.nii.gz")) == [
        "sub-01_acq-water_T1w.nii.gz",
        "sub-01_ses-02_acq-water_T1w.nii.gz",
        "sub-02_acq-water_T1w.nii.gz",
    ]


def test_free_text_of_a_header_is_dropped_and_all_else_kept(tmp_path: Path) -> None:
    data = np.linspace(-3, 900.5, 24).reshape(2, 3, 4)
    image = nib.Nifti1Image(data, np.diag([2.0, 3, 4, 1]))
    image.set_data_dtype(np.int16)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = b"Zyxwvut"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Zyxwvut" * 9))
    nib.save(image, tmp_path / "in.nii.gz")
    copy_image(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz")
    copy = nib.load(tmp_path / "out.nii.gz")
    assert b"Zyxwvut" not in gzip.decompress((tmp_path / "out.nii.gz").read_bytes())
    before = nib.load(tmp_path / "in.nii.gz")
    np.testing.assert_array_equal(np.asarray(copy.dataobj), np.asarray(before.dataobj))
    np.testing.assert_array_equal(copy.affine, before.affine)
    assert copy.dataobj.slope == before.dataobj.slope not in (1.0, None)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_volume_of_several(tmp_path: Path, kind: type, order: str) -> None:
    data = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    nib.save(kind(data, np.eye(4), kind.header_class(endianness=order)), tmp_path / "in.nii")
    copy_image(tmp_path / "in.nii", tmp_path / "out.nii.gz", 3)
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii.gz").get_fdata(), data[..., 3])


def test_a_short_image_is_not_copied(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 999, (9, 9, 9)).astype(np.int16)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "in.nii")
    whole = (tmp_path / "in.nii").read_bytes()
    packed = gzip.compress(whole)
    for cut in (len(whole) - 100, 400, 100, 0):
        (tmp_path / "in.nii").write_bytes(whole[:cut])
        with pytest.raises(ImageError, match=r"in\.nii is (cut short|no NIfTI)"):
            copy_image(tmp_path / "in.nii", tmp_path / "out.nii.gz")
        (tmp_path / "in.nii.gz").write_bytes(packed[: min(cut, len(packed) - 50)])
        with pytest.raises(ImageError):
            copy_image(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.nii", "in.nii.gz"]


@given(st.text(max_size=40), st.lists(st.text(min_size=3, max_size=8), max_size=4))
def test_what_is_hidden_is_not_there(text: str, words: list[str]) -> None:
    secrets = words_of(words)
    hidden = hide(text + "".join(words), secrets).lower()
    for word in secrets:
        if word.isascii() and word.isalnum():
            assert word not in hidden


def test_sidecars_hold_what_is_allowed() -> None:
    allowed = {row["key"] for row in read_table("sidecar.tsv")}
    for key in ("InstitutionName", "AcquisitionTime", "DeviceSerialNumber", "SeriesDescription",
                "PatientName", "StationName", "ProtocolName", "SeriesInstanceUID"):  # fmt: skip
        assert key not in allowed
    given = dict.fromkeys([*allowed, "PatientName"], "Jane")
    assert public_sidecar(given, "water", "magnitude", {"jane"}) == {}
