"""DICOM files as scanners write them, small and about nobody: classic, enhanced, three makers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CLASSIC = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
# Rows lead to the left and slightly up and back: a tilted, rotated stack.
OBLIQUE = (0.96, 0.24748737, 0.13, -0.25, 0.96824584, 0.0)
MAKERS = {"siemens": "SIEMENS", "philips": "Philips Medical Systems", "ge": "GE MEDICAL SYSTEMS"}
SECRETS = {
    "PatientName": "Zyxwvut^Quirina",
    "PatientID": "PID7654321",
    "PatientBirthDate": "19610317",
    "InstitutionName": "Hospital Nowhereland",
    "StationName": "MRSCANNERNINE",
    "ReferringPhysicianName": "Dr^Quacksalver",
    "OperatorsName": "Opfinger^Otto",
    "AccessionNumber": "ACC998877",
    "StudyID": "STUDY4711",
    "DeviceSerialNumber": "SERIAL31337",
    "StudyDescription": "Legs of Zyxwvut",
    "ImageComments": "comment on Zyxwvut",
    "InstitutionAddress": "Nowhere Street 5",
}


def uid(*words: object) -> str:
    """A unique identifier that is the same for the same words."""
    number = int(hashlib.sha256(repr(words).encode()).hexdigest()[:24], 16)
    return f"1.2.826.0.1.3680043.10.999.{number}"


def unit(direction: Sequence[float]) -> tuple[float, ...]:
    """Two directions, made orthonormal."""
    row = np.array(direction[:3]) / np.linalg.norm(direction[:3])
    column = np.array(direction[3:]) - np.dot(direction[3:], row) * row
    return (*row.tolist(), *(column / np.linalg.norm(column)).tolist())


def pattern(shape: tuple[int, int, int] = (32, 24, 4), seed: int = 0) -> NDArray[np.uint16]:
    """Values (column, row, slice) of which no two neighbours are alike."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 1000, shape).astype(np.uint16)


@dataclass(frozen=True)
class Series:
    """One series of one contrast: values (column, row, slice) and what the headers say."""

    data: NDArray[Any]
    maker: str = "siemens"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "M", "ND")
    description: str = "t1_vibe_dixon_tra"
    number: int = 5
    uid: str = ""
    study: str = "a"
    person: str = "one"
    date: str = "20230508"
    time: str = "101500"
    origin: tuple[float, float, float] = (-30.0, -40.0, -500.0)
    orientation: tuple[float, ...] = AXIAL
    spacing: tuple[float, float, float] = (2.0, 3.0, 5.0)
    echo: float = 1.15
    echo_number: int = 1
    tesla: float = 3.0
    position: str = "FFS"
    first: int = 1
    reverse: bool = False
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def series_uid(self) -> str:
        """Identifier of the series."""
        return self.uid or uid("series", self.study, self.number, self.person)

    def affine(self) -> NDArray[np.float64]:
        """Affine (right, anterior, superior) of the values, in the order of `data`."""
        row, column = np.array(unit(self.orientation)).reshape(2, 3)
        normal = np.cross(row, column)
        matrix = np.eye(4)
        dx, dy, dz = self.spacing
        matrix[:3] = np.stack([row * dx, column * dy, normal * dz, self.origin], axis=1)
        matrix[:2] *= -1
        return matrix

    def place(self, number: int) -> list[float]:
        """Position of a slice, in the coordinates of DICOM."""
        row, column = np.array(unit(self.orientation)).reshape(2, 3)
        along = np.cross(row, column) * self.spacing[2] * number
        return [round(float(v), 6) for v in np.array(self.origin) + along]


def _meta(storage: str, instance: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _general(series: Series, storage: str, instance: str) -> Dataset:
    """What every slice of a series says."""
    ds = Dataset()
    ds.file_meta = _meta(storage, instance)
    for key, value in SECRETS.items():
        setattr(ds, key, value)
    ds.PatientID = f"{SECRETS['PatientID']}{series.person}"
    ds.PatientSex, ds.PatientAge = "F", "062Y"
    ds.SOPClassUID, ds.SOPInstanceUID = storage, instance
    ds.Modality = "MR"
    ds.Manufacturer = MAKERS.get(series.maker, series.maker)
    ds.ManufacturerModelName = "Test One"
    ds.SeriesDescription = ds.ProtocolName = series.description
    ds.SeriesNumber = series.number
    ds.StudyInstanceUID = uid("study", series.study, series.person)
    ds.SeriesInstanceUID = series.series_uid
    ds.FrameOfReferenceUID = uid("frame", series.study, series.person)
    for what in ("Study", "Series", "Acquisition"):
        setattr(ds, f"{what}Date", series.date)
        setattr(ds, f"{what}Time", series.time)
    ds.MagneticFieldStrength = series.tesla
    ds.ImagingFrequency = round(42.577 * series.tesla, 4)
    ds.BodyPartExamined = "LEG"
    ds.PatientPosition = series.position
    columns, rows, _ = series.data.shape
    ds.Rows, ds.Columns = rows, columns
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(np.issubdtype(series.data.dtype, np.signedinteger))
    return ds


def write_series(series: Series, folder: Path) -> list[Path]:
    """Write one file for each slice, in an odd order and without an extension."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    count = series.data.shape[2]
    for number in range(count):
        instance = uid(series.series_uid, series.image_type, series.echo, series.first + number)
        ds = _general(series, CLASSIC, instance)
        ds.ImageType = list(series.image_type)
        ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = "GR", "SP", "3D"
        ds.EchoTime, ds.EchoNumbers = series.echo, series.echo_number
        ds.RepetitionTime, ds.FlipAngle = 6.2, 9.0
        ds.AcquisitionNumber = 1
        ds.InstanceNumber = series.first + (count - 1 - number if series.reverse else number)
        ds.ImagePositionPatient = series.place(number)
        ds.ImageOrientationPatient = [round(v, 8) for v in unit(series.orientation)]
        ds.PixelSpacing = [series.spacing[1], series.spacing[0]]
        ds.SliceThickness = ds.SpacingBetweenSlices = series.spacing[2]
        for key, value in series.tags.items():
            _set(ds, key, value)
        ds.PixelData = np.ascontiguousarray(series.data[:, :, number].T).astype("<u2").tobytes()
        ds["PixelData"].VR = "OW"
        path = folder / f"IM{(number * 7) % 101:04d}_{series.number}_{series.first + number}"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _set(ds: Dataset, key: str, value: Any) -> None:
    if key.startswith("("):
        group, element = (int(part, 16) for part in key.strip("()").split(","))
        vr, plain = value
        ds.add_new((group, element), vr, plain)
    else:
        setattr(ds, key, value)


def write_enhanced(contrasts: Sequence[Series], path: Path, *, private: bool = False) -> Path:
    """Write one enhanced file that holds several contrasts, slice by slice.

    With `private`, contrasts stand as Philips puts them: in the image type of the private group
    (2005,140F) of each frame.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    first = contrasts[0]
    ds = _general(first, ENHANCED, uid(first.series_uid, "enhanced"))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "MIXED", "NONE"]
    ds.NumberOfFrames = sum(series.data.shape[2] for series in contrasts)
    ds.EchoPulseSequence, ds.MRAcquisitionType = "GRADIENT", "3D"
    ds.SharedFunctionalGroupsSequence = [_shared(first)]
    frames, pixels = [], []
    for number in range(first.data.shape[2]):
        for order, series in enumerate(contrasts):
            frames.append(_own(series, number, order, private=private))
            pixels.append(
                np.ascontiguousarray(series.data[:, :, number].T).astype("<u2").tobytes()
            )
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.PixelData = b"".join(pixels)
    ds["PixelData"].VR = "OW"
    ds.save_as(path, enforce_file_format=True)
    return path


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for key, value in values.items():
        setattr(item, key, value)
    return item


def _shared(series: Series) -> Dataset:
    orientation = [round(v, 8) for v in unit(series.orientation)]
    return _item(
        PlaneOrientationSequence=[_item(ImageOrientationPatient=orientation)],
        PixelMeasuresSequence=[
            _item(
                PixelSpacing=[series.spacing[1], series.spacing[0]],
                SliceThickness=series.spacing[2],
            )
        ],
        MRTimingAndRelatedParametersSequence=[_item(RepetitionTime=6.2, FlipAngle=9.0)],
    )


def _own(series: Series, number: int, order: int, *, private: bool) -> Dataset:
    frame = _item(
        PlanePositionSequence=[_item(ImagePositionPatient=series.place(number))],
        MREchoSequence=[_item(EffectiveEchoTime=float(series.echo))],
        FrameContentSequence=[
            _item(
                StackID="1",
                InStackPositionNumber=number + 1,
                DimensionIndexValues=[number + 1, order + 1],
            )
        ],
    )
    if private:
        block = frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x0F, "SQ", [_item(ImageType=list(series.image_type))])
        plain = ["ORIGINAL", "PRIMARY", "T1", "MIXED"]
    else:
        plain = list(series.image_type)
    frame.MRImageFrameTypeSequence = [_item(FrameType=plain, ComplexImageComponent="MAGNITUDE")]
    return frame


def dixon(maker: str, shape: tuple[int, int, int] = (32, 24, 4), **kwargs: Any) -> list[Series]:
    """Four contrasts of one acquisition in a maker's own words, one series each."""
    spelt = {
        "siemens": {
            "water": ("DERIVED", "PRIMARY", "M", "DIXON", "WATER"),
            "fat": ("DERIVED", "PRIMARY", "M", "DIXON", "FAT"),
            "in_phase": ("ORIGINAL", "PRIMARY", "M", "IN_PHASE"),
            "opposed": ("ORIGINAL", "PRIMARY", "M", "OPP_PHASE"),
        },
        "philips": {
            "water": ("DERIVED", "PRIMARY", "W", "W", "DERIVED"),
            "fat": ("DERIVED", "PRIMARY", "F", "F", "DERIVED"),
            "in_phase": ("DERIVED", "PRIMARY", "IP", "IP", "DERIVED"),
            "opposed": ("DERIVED", "PRIMARY", "OP", "OP", "DERIVED"),
        },
        "ge": dict.fromkeys(("water", "fat", "in_phase", "opposed"), ("DERIVED", "PRIMARY")),
    }
    named = {"water": "WATER: ", "fat": "FAT: ", "in_phase": "InPhase: ", "opposed": "OutPhase: "}
    found = []
    for order, (role, image_type) in enumerate(spelt[maker].items()):
        base = Series(pattern(shape, seed=order), maker=maker, image_type=image_type)
        before = named[role] if maker == "ge" else ""
        series = replace(base, **{"number": 5 + order, **kwargs})
        found.append(replace(series, description=before + series.description))
    return found


CONTRASTS = ("water", "fat", "in_phase", "opposed")
