"""From DICOM as scanners write it to BIDS images: values, places and names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("dcm2niix")

from dicom_writing import (
    OBLIQUE,
    Series,
    dixon,
    pattern,
    uid,
    write_enhanced,
    write_series,
)

from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.validate import find_command, validate
from legseg_bids.dicom import converter
from legseg_bids.dicom.convert import Converted, convert, read_record
from legseg_bids.dicom.dataset import RECORD, Busy, locked
from legseg_bids.dicom.mapping import draft
from legseg_bids.dicom.survey import survey
from legseg_bids.errors import UsageError
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.imaging.orientation import to_canonical
from legseg_bids.imaging.volume import Volume

NAMES = {"water": "water", "fat": "fat", "in_phase": "inphase", "opposed": "outphase"}


def bidsify(source: Path, bids: Path, **kwargs) -> Converted:
    found = survey(source)
    return convert(found, draft(found, read_record(bids)), bids, **kwargs)


def same_voxels(path: Path, series: Series) -> None:
    """The image has the series' values at the series' places."""
    image = nib.load(path)
    found, _ = to_canonical(Volume(np.asarray(image.dataobj), image.affine))
    wanted, _ = to_canonical(Volume(series.data.astype(float), series.affine()))
    np.testing.assert_array_equal(found.data, wanted.data)
    np.testing.assert_allclose(found.affine, wanted.affine, atol=2e-3)


@pytest.fixture(scope="module")
def three_makers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Converted, dict]:
    """One person each on three scanners and one enhanced file; tilted, feet or head first."""
    root = tmp_path_factory.mktemp("makers")
    written = {}
    cases = [("siemens", "HFS", False), ("philips", "FFS", True), ("ge", "FFS", False)]
    for order, (maker, position, reverse) in enumerate(cases):
        kwargs = {"person": maker, "date": f"2020010{order + 1}", "orientation": OBLIQUE}
        contrasts = dixon(maker, position=position, reverse=reverse, **kwargs)
        for series in contrasts:
            write_series(series, root / "dicom" / maker / f"series {series.number}")
        written[f"{order + 1:02d}"] = contrasts
    for order, private in ((3, True), (4, False)):
        contrasts = dixon(
            "philips",
            person=f"enhanced {private}",
            date=f"2020010{order + 1}",
            number=9,
            uid=uid("enhanced", private),
            orientation=OBLIQUE,
        )
        write_enhanced(contrasts, root / "dicom" / f"enhanced{order}.dcm", private=private)
        written[f"{order + 1:02d}"] = contrasts
    return root / "bids", bidsify(root / "dicom", root / "bids"), written


def test_values_and_places_are_those_of_the_scanner(three_makers) -> None:
    bids, converted, written = three_makers
    assert converted.problems == ()
    assert len(converted.written) == 20
    for label, contrasts in written.items():
        for series, name in zip(contrasts, NAMES.values(), strict=True):
            same_voxels(bids / f"sub-{label}/anat/sub-{label}_acq-{name}_T1w.nii.gz", series)


def test_the_application_finds_what_was_written(three_makers) -> None:
    bids, _, written = three_makers
    found = discover(index(bids), choose_opposed_echo)
    assert found.skipped == ()
    assert [station.subject for station in found.stations] == sorted(written)
    for station in found.stations:
        assert station.query == "opposed"
        assert {"opposed", "water", "fat"} == set(station.files)
        assert station.metadata["MagneticFieldStrength"] == 3.0


@pytest.mark.skipif(find_command() is None, reason="no bids-validator-deno")
def test_the_dataset_is_valid(three_makers) -> None:
    bids, _, _ = three_makers
    assert validate(bids) == []


def test_running_again_changes_nothing(three_makers) -> None:
    bids, _, _ = three_makers
    before = {
        p: (p.stat().st_mtime_ns, p.read_bytes()) for p in bids.rglob("sub-*") if p.is_file()
    }
    again = bidsify(bids.parent / "dicom", bids)
    assert again.written == ()
    assert len(again.kept) == 20
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before}


def test_compressed_frames_are_taken_apart(tmp_path: Path) -> None:
    contrasts = dixon("philips", uid=uid("packed"))
    path = write_enhanced(contrasts, tmp_path / "dicom" / "one")
    packed = pydicom.dcmread(path)
    packed.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
    packed.save_as(path)
    assert bidsify(tmp_path / "dicom", tmp_path / "bids").problems == ()
    for series, name in zip(contrasts, NAMES.values(), strict=True):
        same_voxels(tmp_path / f"bids/sub-01/anat/sub-01_acq-{name}_T1w.nii.gz", series)


def test_scaled_values_are_those_that_the_header_tells(tmp_path: Path) -> None:
    tags = {"RescaleSlope": 2.5, "RescaleIntercept": -10.0}
    series = replace(dixon("siemens")[0], tags=tags)
    write_series(series, tmp_path / "dicom")
    bidsify(tmp_path / "dicom", tmp_path / "bids")
    same_voxels(
        tmp_path / "bids/sub-01/anat/sub-01_acq-water_T1w.nii.gz",
        replace(series, data=series.data * 2.5 - 10),
    )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "orientation",
    [
        (1.0, 0, 0, 0, 0, -1.0),  # coronal
        (0, 1.0, 0, 0, 0, -1.0),  # sagittal
        (0, -1.0, 0, 1.0, 0, 0),  # axial, turned by a quarter
        (0.9, 0.1, 0.4, 0.4, 0.05, -0.9),  # coronal, tilted
    ],
)
def test_slices_in_any_direction(tmp_path: Path, orientation: tuple, reverse: bool) -> None:
    base = dixon("siemens", orientation=orientation, reverse=reverse)[3]
    series = replace(base, spacing=(2.0, 2.5, 3.0), tags={"MRAcquisitionType": "3D"})
    write_series(series, tmp_path / "dicom")
    assert bidsify(tmp_path / "dicom", tmp_path / "bids").problems == ()
    same_voxels(tmp_path / "bids/sub-01/anat/sub-01_acq-outphase_T1w.nii.gz", series)


def test_echoes_magnitude_and_phase_in_one_series(tmp_path: Path) -> None:
    one, parts = uid("multi"), {"M": "mag", "P": "phase"}
    written = {}
    for echo, time in enumerate((1.15, 2.3, 3.45), start=1):
        for order, letter in enumerate(parts):
            series = Series(
                pattern(seed=10 * echo + order),
                image_type=("ORIGINAL", "PRIMARY", letter, "ND"),
                description="megre_legs",
                uid=one,
                echo=time,
                echo_number=echo,
                first=100 * echo + 50 * order,
            )
            write_series(series, tmp_path / "dicom")
            written[echo, parts[letter]] = series
    converted = bidsify(tmp_path / "dicom", tmp_path / "bids")
    assert converted.problems == ()
    assert len(converted.written) == 6
    for (echo, part), series in written.items():
        path = tmp_path / f"bids/sub-01/anat/sub-01_echo-{echo}_part-{part}_MEGRE.nii.gz"
        same_voxels(path, series)
        sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        assert sidecar["EchoTime"] == pytest.approx(series.echo / 1000)
    (station,) = discover(index(tmp_path / "bids"), choose_opposed_echo).stations
    assert station.query == "echoes"
    if find_command():
        assert validate(tmp_path / "bids") == []


def test_signed_real_and_imaginary_parts_keep_their_sign(tmp_path: Path) -> None:
    one = uid("complex")
    for echo, time in enumerate((1.15, 2.3), start=1):
        for letter in "RI":
            values = pattern(seed=echo).astype(np.int16) - 500
            series = Series(
                values,
                maker="philips",
                image_type=("ORIGINAL", "PRIMARY", f"{letter}_FFE", letter, "FFE"),
                uid=one,
                echo=time,
                echo_number=echo,
                first=100 * echo + 50 * "RI".index(letter),
            )
            write_series(series, tmp_path / "dicom")
    bidsify(tmp_path / "dicom", tmp_path / "bids")
    path = tmp_path / "bids/sub-01/anat/sub-01_echo-1_part-real_MEGRE.nii.gz"
    assert np.asarray(nib.load(path).dataobj).min() < 0
    (station,) = discover(index(tmp_path / "bids"), choose_opposed_echo).stations
    assert set(station.files) == {"real", "imaginary"}


def test_echoes_and_reconstructed_images_in_one_philips_series(tmp_path: Path) -> None:
    one = uid("all in one")
    echoes = [
        Series(
            pattern(seed=echo),
            maker="philips",
            image_type=("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
            description="mDIXON_legs",
            uid=one,
            echo=time,
            echo_number=echo,
            first=100 * echo,
        )
        for echo, time in ((1, 1.15), (2, 2.3))
    ]
    made = [
        replace(series, uid=one, number=5, echo=1.15, description="mDIXON_legs", first=10 * n)
        for n, series in enumerate(dixon("philips"), start=1)
    ]
    written = dict(zip([*(f"echo-{n}_MEGRE" for n in (1, 2)),
                        *(f"acq-{name}_T1w" for name in NAMES.values())],
                       [*echoes, *made], strict=True))  # fmt: skip
    for series in written.values():
        write_series(series, tmp_path / "dicom")
    assert bidsify(tmp_path / "dicom", tmp_path / "bids").problems == ()
    for name, series in written.items():
        same_voxels(tmp_path / f"bids/sub-01/anat/sub-01_{name}.nii.gz", series)
    (station,) = discover(index(tmp_path / "bids"), choose_opposed_echo).stations
    assert station.query == "opposed"


def test_parts_by_the_private_tag_of_ge(tmp_path: Path) -> None:
    one, parts = uid("ge parts"), {0: "mag", 2: "real", 3: "imag"}
    written = {}
    for echo, time in ((1, 1.15), (2, 2.3)):
        for kind, part in parts.items():
            tags = {"(0043,0010)": ("LO", "GEMS_PARM_01"), "(0043,102F)": ("SS", kind)}
            values = pattern(seed=10 * echo + kind).astype(np.int16) - (500 if kind else 0)
            series = Series(
                values,
                maker="ge",
                image_type=("ORIGINAL", "PRIMARY", "OTHER"),
                description="3D ME FSPGR",
                uid=one,
                echo=time,
                echo_number=echo,
                first=100 * echo + 10 * kind,
                tags=tags,
            )
            write_series(series, tmp_path / "dicom")
            written[f"echo-{echo}_part-{part}"] = series
    assert bidsify(tmp_path / "dicom", tmp_path / "bids").problems == ()
    for name, series in written.items():
        same_voxels(tmp_path / f"bids/sub-01/anat/sub-01_{name}_MEGRE.nii.gz", series)


def test_stations_repeats_and_examinations(tmp_path: Path) -> None:
    """Two stations, the lower one twice, and the upper one again another day."""
    shots = [
        ("20200101", "100000", -400.0, 1),
        ("20200101", "100500", -700.0, 2),
        ("20200101", "101000", -700.0, 3),
        ("20210101", "100000", -400.0, 1),
    ]
    for date, time, height, number in shots:
        for series in dixon("siemens")[::3]:
            series = replace(
                series,
                date=date,
                time=time,
                study=date,
                origin=(-30.0, -40.0, height),
                number=10 * number + series.number,
                data=pattern(seed=number * 100 + int(date[3])),
            )
            write_series(series, tmp_path / "dicom" / f"{date}{series.number}")
    converted = bidsify(tmp_path / "dicom", tmp_path / "bids")
    assert set(converted.written) == {
        *(
            f"sub-01/ses-01/anat/sub-01_ses-01_acq-{name}_run-{run}_chunk-{chunk}_T1w.nii.gz"
            for name in ("water", "outphase")
            for run, chunk in ((1, 1), (1, 2), (2, 2))
        ),
        "sub-01/ses-02/anat/sub-01_ses-02_acq-water_T1w.nii.gz",
        "sub-01/ses-02/anat/sub-01_ses-02_acq-outphase_T1w.nii.gz",
    }
    found = discover(index(tmp_path / "bids"), choose_opposed_echo)
    assert len(found.stations) == 4
    assert found.skipped == ()


def test_a_new_participant_and_a_new_station_leave_the_others_as_they_are(tmp_path: Path) -> None:
    source, bids = tmp_path / "dicom", tmp_path / "bids"
    for series in dixon("siemens", person="late", date="20200505"):
        write_series(series, source / "a" / str(series.number))
    first = bidsify(source, bids)
    assert "sub-01/anat/sub-01_acq-water_T1w.nii.gz" in first.written
    # An earlier examination of somebody else, and a higher station of the same person.
    for series in dixon("siemens", person="early", date="20190101"):
        write_series(series, source / "b" / str(series.number))
    for series in dixon("siemens", person="late", date="20200505", origin=(-30.0, -40.0, -100.0)):
        write_series(replace(series, number=series.number + 20), source / "c" / str(series.number))
    second = bidsify(source, bids)
    assert set(second.kept) == set(first.written)
    assert set(second.written) == {
        *(f"sub-02/anat/sub-02_acq-{name}_T1w.nii.gz" for name in NAMES.values()),
        *(f"sub-01/anat/sub-01_acq-{name}_chunk-2_T1w.nii.gz" for name in NAMES.values()),
    }
    assert len(read_record(bids)) == 12


def test_one_bad_series_stops_no_other(tmp_path: Path) -> None:
    for series in dixon("siemens"):
        write_series(series, tmp_path / "dicom" / str(series.number))
    fat = sorted(path.name for path in (tmp_path / "dicom/6").iterdir())
    (tmp_path / "dicom/6" / fat[1]).unlink()
    # Broken at one end, water would be a shorter image at an other place.
    (tmp_path / "dicom/5/IM0000_5_1").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 99)
    converted = bidsify(tmp_path / "dicom", tmp_path / "bids")
    assert set(converted.written) == {
        f"sub-01/anat/sub-01_acq-{name}_T1w.nii.gz" for name in ("inphase", "outphase")
    }
    text = "\n".join(converted.problems)
    assert "IM0000_5_1 has a damaged header" in text
    assert "not evenly spaced" in text
    assert "3 slices, where others of the same acquisition have 4" in text


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    for series in dixon("siemens")[:1]:
        write_series(series, tmp_path / "dicom")
    own = tmp_path / "bids/sub-01/anat/sub-01_acq-water_T1w.nii.gz"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    found = survey(tmp_path / "dicom")
    converted = convert(found, draft(found), tmp_path / "bids")
    assert "was not made by this program" in converted.problems[0]
    assert own.read_bytes() == b"mine"


def test_killed_between_images_it_goes_on(tmp_path: Path) -> None:
    for series in dixon("siemens"):
        write_series(series, tmp_path / "dicom" / str(series.number))

    def die(number: int, total: int, name: str) -> None:
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bidsify(tmp_path / "dicom", tmp_path / "bids", progress=die)
    again = bidsify(tmp_path / "dicom", tmp_path / "bids")
    assert len(again.kept) == 2
    assert len(again.written) == 2


def test_an_answer_may_be_changed_until_the_image_is_written(tmp_path: Path) -> None:
    for series in dixon("siemens")[:1]:
        write_series(series, tmp_path / "dicom")
    with pytest.raises(KeyboardInterrupt):
        bidsify(tmp_path / "dicom", tmp_path / "bids", progress=_interrupt)
    record = tmp_path / "bids" / RECORD
    record.write_text(record.read_text().replace("\twater\t", "\tfat\t"))
    done = bidsify(tmp_path / "dicom", tmp_path / "bids")
    assert done.written == ("sub-01/anat/sub-01_acq-fat_T1w.nii.gz",)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_echo_without_its_time_is_a_problem(tmp_path: Path) -> None:
    series = replace(dixon("philips")[0], echo=0.0)
    write_series(series, tmp_path / "dicom")
    found = survey(tmp_path / "dicom")
    rows = [replace(row, role="echo") for row in draft(found)]
    done = convert(found, rows, tmp_path / "bids")
    assert done.written == ()
    assert "tells no echo time" in done.problems[0]


def test_two_at_a_time_are_one_too_many(tmp_path: Path) -> None:
    for series in dixon("siemens")[:1]:
        write_series(series, tmp_path / "dicom")
    with locked(tmp_path / "bids"), pytest.raises(Busy, match="run again when it has ended"):
        bidsify(tmp_path / "dicom", tmp_path / "bids")
    assert bidsify(tmp_path / "dicom", tmp_path / "bids").written


def test_an_image_that_lies_elsewhere_is_refused(tmp_path: Path, monkeypatch) -> None:
    for series in dixon("siemens")[:1]:
        write_series(series, tmp_path / "dicom")
    real = converter._run

    def shifted(slices: Path, out: Path) -> str:
        said = real(slices, out)
        (path,) = out.glob("*.nii")
        image = nib.load(path)
        affine = image.affine.copy()
        affine[0, 3] += 5
        nib.save(nib.Nifti1Image(image.get_fdata().astype(np.uint16), affine), path)
        return said

    monkeypatch.setattr(converter, "_run", shifted)
    converted = bidsify(tmp_path / "dicom", tmp_path / "bids")
    assert converted.written == ()
    assert "elsewhere than its headers say" in converted.problems[0]
    assert not list((tmp_path / "bids").rglob("*.nii.gz"))


def test_without_the_converter_it_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    for series in dixon("siemens")[:1]:
        write_series(series, tmp_path / "dicom")
    monkeypatch.setitem(__import__("sys").modules, "dcm2niix", None)
    monkeypatch.setattr(converter.shutil, "which", lambda _: None)
    converter.find_dcm2niix.cache_clear()
    try:
        with pytest.raises(UsageError, match=r"install legseg-bids\[dicom\]"):
            bidsify(tmp_path / "dicom", tmp_path / "bids")
    finally:
        converter.find_dcm2niix.cache_clear()
    assert not (tmp_path / "bids" / RECORD).exists()
