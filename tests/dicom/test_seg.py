"""Label images as DICOM Segmentation, read back by other means than they were written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
hd = pytest.importorskip("highdicom")

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from legseg_bids.anatomy.codes import coded
from legseg_bids.anatomy.colour_tables import rgb
from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.dicom.seg import find_series, write_seg
from legseg_bids.errors import ImageError, NoInput

SLICES, ROWS, COLUMNS = 5, 14, 20
SPACING = (6.0, 2.5, 1.5)
"""Between slices, rows, columns, mm."""
VALUES = (61, 62, 101, 151)
TILT = np.deg2rad(12)
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
OBLIQUE = ((1.0, 0.0, 0.0), (0.0, float(np.cos(TILT)), float(np.sin(TILT))))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))


@dataclass(frozen=True)
class Stack:
    """Where a series lies; `start` is its first voxel, mm to the left, back and head."""

    directions: Sequence[Sequence[float]] = AXIAL
    start: Sequence[float] = (-15.0, -20.0, -300.0)
    slices: int = SLICES

    @property
    def affine(self) -> np.ndarray:
        """(slice, row, column) to millimetres left, back, head."""
        right, down = (np.array(direction) for direction in self.directions)
        affine = np.eye(4)
        affine[:3, :3] = np.column_stack(
            [np.cross(right, down) * SPACING[0], down * SPACING[1], right * SPACING[2]]
        )
        affine[:3, 3] = self.start
        return affine


def write_series(folder: Path, stack: Stack = Stack(), number: int = 3, echo: float = 1.15) -> str:
    """One MR image for each slice, in an order that names do not tell; returns the series' UID."""
    folder.mkdir(parents=True, exist_ok=True)
    series, frame, study = generate_uid(), generate_uid(), generate_uid()
    for k in range(stack.slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.FrameOfReferenceUID = frame
        image.Modality, image.Manufacturer, image.SeriesDescription = "MR", "none", "dixon opp"
        image.PatientID, image.PatientName, image.PatientSex = "P1", "Nobody^", "O"
        image.PatientBirthDate = image.StudyDate = image.StudyTime = image.AccessionNumber = ""
        image.StudyID, image.ReferringPhysicianName, image.PositionReferenceIndicator = "", "", ""
        image.SeriesNumber, image.InstanceNumber, image.EchoTime = number, k + 1, echo
        image.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        image.Rows, image.Columns = ROWS, COLUMNS
        image.PixelSpacing, image.SliceThickness = list(SPACING[1:]), SPACING[0]
        image.ImageOrientationPatient = [*stack.directions[0], *stack.directions[1]]
        image.ImagePositionPatient = list(map(float, (stack.affine @ (k, 0, 0, 1))[:3]))
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 0
        image.PixelData = np.zeros((ROWS, COLUMNS), np.uint16).tobytes()
        image.save_as(
            folder / f"{(7 * k + number) % 100:02d}_{echo}.dcm", enforce_file_format=True
        )
    return series


def drawn() -> np.ndarray:
    """Labels by (slice, row, column) that are equal to none of their mirror images."""
    labels = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    labels[0:3, 2:6, 3:9] = 61
    labels[1:4, 8:12, 11:18] = 62
    labels[3, 1:3, 1:4] = 151
    labels[4, 6, 7:9] = 101
    return labels


def write_dseg(path: Path, stack: Stack = Stack(), labels: np.ndarray | None = None) -> Path:
    """The labels as NIfTI, stored column by column with rows from back to front."""
    own = drawn() if labels is None else labels
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ stack.affine
    stored = own.transpose(2, 1, 0)[:, ::-1, :]
    order = np.zeros((4, 4))
    order[0, 2] = order[2, 0] = order[3, 3] = 1.0
    order[1, 1], order[1, 3] = -1.0, own.shape[1] - 1.0
    nib.save(nib.Nifti1Image(stored, ras @ order), path)
    return path


def read_back(path: Path, series: Path) -> np.ndarray:
    """Label values by (slice, row, column) of the series, from the file's own frames."""
    made = pydicom.dcmread(path)
    values = {
        s.SegmentNumber: next(v for v in VALUES if label_by_index(v).name == s.SegmentLabel)
        for s in made.SegmentSequence
    }
    places = {}
    for image in (pydicom.dcmread(p) for p in sorted(series.rglob("*.dcm"))):
        places[str(image.SOPInstanceUID)] = int(image.InstanceNumber) - 1
    out = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    pixels = made.pixel_array.reshape(-1, ROWS, COLUMNS)
    for frame, groups in zip(pixels, made.PerFrameFunctionalGroupsSequence, strict=True):
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        out[places[str(source.ReferencedSOPInstanceUID)]][frame > 0] = values[number]
    return out


@pytest.mark.parametrize("directions", [AXIAL, OBLIQUE, SAGITTAL], ids=["axial", "tilt", "side"])
def test_each_frame_lies_on_the_image_that_it_refers_to(tmp_path: Path, directions) -> None:
    stack = Stack(directions)
    write_series(tmp_path / "dicom", stack)
    write_seg(
        write_dseg(tmp_path / "a_dseg.nii.gz", stack), tmp_path / "dicom", tmp_path / "o.dcm"
    )
    np.testing.assert_array_equal(read_back(tmp_path / "o.dcm", tmp_path / "dicom"), drawn())


def test_the_volume_lies_where_the_labels_do(tmp_path: Path) -> None:
    stack = Stack(OBLIQUE)
    write_series(tmp_path / "dicom", stack)
    dseg = write_dseg(tmp_path / "a_dseg.nii.gz", stack)
    write_seg(dseg, tmp_path / "dicom", tmp_path / "o.dcm")
    volume = hd.seg.segread(tmp_path / "o.dcm").get_volume(combine_segments=True, relabel=True)
    image = nib.load(dseg)
    labels = np.asarray(image.dataobj)
    for number, value in enumerate(VALUES, start=1):
        expected = np.argwhere(labels == value).mean(axis=0)
        centre = (image.affine @ (*expected, 1.0))[:3] * (-1, -1, 1)
        found = np.argwhere(np.asarray(volume.array) == number).mean(axis=0)
        np.testing.assert_allclose((volume.affine @ (*found, 1.0))[:3], centre, atol=1e-4)


def test_segments_say_what_they_are(tmp_path: Path) -> None:
    series = write_series(tmp_path / "dicom")
    write_seg(write_dseg(tmp_path / "a_dseg.nii.gz"), tmp_path / "dicom", tmp_path / "o.dcm")
    made = hd.seg.segread(tmp_path / "o.dcm")
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == series
    assert [s.SegmentNumber for s in made.SegmentSequence] == [1, 2, 3, 4]
    for segment, value in zip(made.SegmentSequence, VALUES, strict=True):
        label, told = label_by_index(value), coded(label_by_index(value))
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert segment.SegmentLabel == label.name
        assert (kind.CodingSchemeDesignator, kind.CodeValue) == (told.kind.scheme, told.kind.value)
        assert segment.segmented_property_category.value == told.category.value
        sides = getattr(kind, "SegmentedPropertyTypeModifierCodeSequence", [])
        assert [s.CodeMeaning for s in sides] == ([told.side.meaning] if told.side else [])
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "legseg-bids"
        colour = hd.color.CIELabColor.from_rgb(*rgb(label.color))
        assert tuple(segment.RecommendedDisplayCIELabValue) == colour.value
    hip = made.SegmentSequence[2]
    assert hip.AnatomicRegionSequence[0].CodeMeaning == "Hip"


def test_corrected_labels_are_not_called_automatic(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom")
    dseg = write_dseg(tmp_path / "a_desc-manual_dseg.nii.gz")
    (tmp_path / "a_desc-manual_dseg.json").write_text(json.dumps({"Manual": True}))
    write_seg(dseg, tmp_path / "dicom", tmp_path / "o.dcm")
    kinds = {s.SegmentAlgorithmType for s in pydicom.dcmread(tmp_path / "o.dcm").SegmentSequence}
    assert kinds == {"SEMIAUTOMATIC"}


def test_the_series_is_found_among_others_by_its_geometry(tmp_path: Path) -> None:
    moved = Stack(start=(-15.0, -20.0, -240.0))
    write_series(tmp_path / "dicom" / "a", Stack(slices=3), number=1)
    write_series(tmp_path / "dicom" / "b", moved, number=2)
    series = write_series(tmp_path / "dicom" / "c", number=5)
    (tmp_path / "dicom" / "notes.txt").write_text("no image")
    title = write_seg(
        write_dseg(tmp_path / "a_dseg.nii.gz"), tmp_path / "dicom", tmp_path / "o.dcm"
    )
    made = pydicom.dcmread(tmp_path / "o.dcm")
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == series
    assert title == "series 5 (dixon opp)"


def test_echoes_of_one_series_are_volumes_of_their_own(tmp_path: Path) -> None:
    for echo in (1.15, 2.3):
        write_series(tmp_path, number=4, echo=echo)
    shapes = [series.shape for series in find_series(tmp_path)]
    assert shapes == [(SLICES, ROWS, COLUMNS)] * 2


def test_a_series_of_another_geometry_is_refused_by_name(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", Stack(start=(-15.0, -20.0, -270.0)))
    dseg = write_dseg(tmp_path / "a_dseg.nii.gz")
    with pytest.raises(ImageError, match=r"series 3 \(dixon opp\) lies up to 30.00 mm apart"):
        write_seg(dseg, tmp_path / "dicom", tmp_path / "o.dcm")
    assert not (tmp_path / "o.dcm").exists()


@pytest.mark.parametrize(
    ("labels", "says"),
    [(np.zeros((SLICES, ROWS, COLUMNS)), "no label"), (drawn() // 2, r"labels \[30\]")],
    ids=["empty", "unknown"],
)
def test_what_is_no_label_image_of_ours_is_refused(tmp_path: Path, labels, says: str) -> None:
    write_series(tmp_path / "dicom")
    dseg = write_dseg(tmp_path / "a_dseg.nii.gz", labels=labels.astype(np.uint8))
    with pytest.raises(ImageError, match=says):
        write_seg(dseg, tmp_path / "dicom", tmp_path / "o.dcm")


def change_headers(folder: Path, change) -> None:
    for path in sorted(folder.glob("*.dcm")):
        image = pydicom.dcmread(path)
        change(image)
        image.save_as(path)


def test_a_series_without_a_patient_is_enough(tmp_path: Path) -> None:
    def forget(image) -> None:
        for key in ("PatientID", "PatientBirthDate", "StudyDate", "ReferringPhysicianName"):
            delattr(image, key)

    write_series(tmp_path / "dicom")
    change_headers(tmp_path / "dicom", forget)
    write_seg(write_dseg(tmp_path / "a_dseg.nii.gz"), tmp_path / "dicom", tmp_path / "o.dcm")
    np.testing.assert_array_equal(read_back(tmp_path / "o.dcm", tmp_path / "dicom"), drawn())


def test_images_at_one_place_count_once(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom")
    for path in sorted((tmp_path / "dicom").glob("*.dcm")):
        image = pydicom.dcmread(path)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.InstanceNumber += SLICES
        image.save_as(path.with_name(f"again_{path.name}"))
    (series,) = find_series(tmp_path / "dicom")
    assert [image.InstanceNumber for image in series.images] == list(range(1, SLICES + 1))


DAMAGE = {
    "no frame of reference": (lambda i: delattr(i, "FrameOfReferenceUID"), "cannot be referred"),
    "a slice moved": (
        lambda i: i.InstanceNumber == 2 and setattr(i, "ImagePositionPatient", [-15, -20, -297]),
        "none makes a volume",
    ),
    "sizes differ": (
        lambda i: i.InstanceNumber == 2 and setattr(i, "Rows", 13),
        "none makes a volume",
    ),
    "half a position": (
        lambda i: setattr(i, "ImagePositionPatient", [1.0, 2.0]),
        "none makes a volume",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_headers_are_told(tmp_path: Path, what: str) -> None:
    change, says = DAMAGE[what]
    write_series(tmp_path / "dicom")
    change_headers(tmp_path / "dicom", change)
    dseg = write_dseg(tmp_path / "a_dseg.nii.gz")
    with pytest.raises(ImageError, match=says):
        write_seg(dseg, tmp_path / "dicom", tmp_path / "o.dcm")
    assert not (tmp_path / "o.dcm").exists()


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    with pytest.raises(NoInput, match="holds no DICOM image"):
        write_seg(write_dseg(tmp_path / "a_dseg.nii.gz"), tmp_path / "dicom", tmp_path / "o.dcm")


@pytest.mark.parametrize("index", [1, 5, 55, 61, 71, 103, 107, 121, 151])
def test_codes_that_the_standard_lists_mean_there_what_they_mean_here(index: int) -> None:
    told = coded(label_by_index(index))
    listed = {
        code: meaning
        for entries in concepts[told.kind.scheme].values()
        for code, (meaning, _) in entries.items()
    }
    if told.source.startswith("DICOM"):
        assert told.kind.meaning == listed[told.kind.value]
    else:
        assert told.kind.value not in listed


CONVERTER = Path(sys.executable).with_name("dcm2niix")


@pytest.mark.skipif(not CONVERTER.exists(), reason="no dcm2niix")
@pytest.mark.parametrize("directions", [AXIAL, OBLIQUE, SAGITTAL], ids=["axial", "tilt", "side"])
def test_labels_on_a_converted_image_come_back_to_its_frames(tmp_path: Path, directions) -> None:
    """The pixels of the series are the labels themselves: the converter carries them."""
    write_series(tmp_path / "dicom", Stack(directions))
    for path in sorted((tmp_path / "dicom").glob("*.dcm")):
        image = pydicom.dcmread(path)
        image.PixelData = drawn()[int(image.InstanceNumber) - 1].astype(np.uint16).tobytes()
        image.save_as(path)
    words = [CONVERTER, "-z", "y", "-f", "image", "-o", tmp_path, tmp_path / "dicom"]
    subprocess.run(words, check=True, capture_output=True)
    write_seg(tmp_path / "image.nii.gz", tmp_path / "dicom", tmp_path / "o.dcm")
    np.testing.assert_array_equal(read_back(tmp_path / "o.dcm", tmp_path / "dicom"), drawn())
