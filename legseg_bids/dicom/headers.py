"""Reading the header of one DICOM file: classic or enhanced, one frame or many."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from legseg_bids.dicom.attributes import Source, flat
from legseg_bids.dicom.contrasts import UNCLEAR, Shown, vendor_of, what_it_shows
from legseg_bids.dicom.found import CLASSIC, Facts, Frame
from legseg_bids.dicom.privacy import body_part, hide, words_of
from legseg_bids.imaging.dixon import GYROMAGNETIC_RATIO

PREAMBLE = 128
MAGIC = b"DICM"
OLD_START = (b"\x08\x00", b"\x02\x00")
"""How files of before 1993 begin, which have no preamble: group 8 or 2, little endian."""
GE_PART = 0x0043102F
MR_STORAGE = tuple(f"1.2.840.10008.5.1.4.1.1.4{kind}" for kind in ("", ".1", ".4"))
"""Classic, enhanced and converted magnetic resonance images (DICOM PS3.4 B.5)."""
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DICOMDIR = "1.2.840.10008.1.3.10"
KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "Manufacturer", "ManufacturerModelName",
    "ImageType",
    "SeriesDescription", "ProtocolName", "SeriesInstanceUID", "StudyInstanceUID", "SeriesNumber",
    "FrameOfReferenceUID", "StudyDate", "SeriesDate", "AcquisitionDate", "AcquisitionTime",
    "SeriesTime", "StudyTime", "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "PatientAge", "AccessionNumber", "InstitutionName", "ReferringPhysicianName", "OperatorsName",
    "PerformingPhysicianName", "StudyID", "OtherPatientIDs", "StationName",
    "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "SamplesPerPixel",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "EchoTime", "MagneticFieldStrength", "ImagingFrequency", "RepetitionTime", "FlipAngle",
    "ScanningSequence", "EchoPulseSequence", "MRAcquisitionType", "BodyPartExamined",
    "PatientPosition", "TablePosition", "ComplexImageComponent", "InstanceNumber",
    "AcquisitionNumber", "TemporalPositionIdentifier",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
SECRET_KEYWORDS = (
    "PatientName", "PatientID", "OtherPatientIDs", "PatientBirthDate", "AccessionNumber",
    "InstitutionName", "ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName",
    "StudyDate", "SeriesDate", "AcquisitionDate", "StudyID", "StationName", "StudyInstanceUID",
    "SeriesInstanceUID", "FrameOfReferenceUID",
)  # fmt: skip
ULTRA_LONG = 12
"""Bytes of the head of an element with a long value, explicit value representation."""


class NotDicom(Exception):
    """The file is something else."""


class Broken(Exception):
    """It is DICOM, but cannot be used; the message says why."""


class Key(NamedTuple):
    """Frames that share it make one image."""

    series: str
    shows: str
    part: str
    echo: float
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    size: tuple[int, int]
    words: str


@dataclass(frozen=True)
class Read:
    """One frame as it was read.

    Attributes
    ----------
    key : Key
        To which image it belongs.
    frame : Frame
        The slice.
    source : Source
        Its header, for the facts of a new image.
    """

    key: Key
    frame: Frame
    source: Source


def read_frames(path: Path) -> Iterator[Read]:
    """Read the header of a file, and give its frames.

    Raises
    ------
    NotDicom
        If it is no DICOM, or one that holds no images (``DICOMDIR``, reports).
    Broken
        If it is cut short or lacks what an image needs.
    """
    dataset = _header(path)
    if "PerFrameFunctionalGroupsSequence" in dataset:
        sources: Iterable[tuple[int, Source]] = _enhanced(dataset)
    else:
        sources = [(CLASSIC, Source([dataset]))]
    for number, source in sources:
        yield _read(path, number, source)


def facts_of(read: Read) -> Facts:
    """What the header of a frame says of the image."""
    source = read.source
    shown = _shown(source)
    secrets = words_of(source.text(name) for name in SECRET_KEYWORDS)
    maker = source.text("Manufacturer")
    field = _field_strength(source)
    echo = source.number("EffectiveEchoTime", "EchoTime")
    dates = ("AcquisitionDate", "SeriesDate", "StudyDate")
    times = ("AcquisitionTime", "SeriesTime", "StudyTime")
    when = [next(filter(None, map(source.text, names)), "") for names in (dates, times)]
    description = source.text("SeriesDescription") or source.text("ProtocolName")
    return Facts(
        vendor=vendor_of(maker),
        description=hide(" ".join(description.split())[:64], secrets),
        series=read.key.series,
        number=int(source.number("SeriesNumber") or 0),
        patient=source.text("PatientID") or source.text("PatientName"),
        study=source.text("StudyDate") or source.text("StudyInstanceUID"),
        when=f"{when[0]}-{when[1]}",
        frame_of_reference=source.text("FrameOfReferenceUID"),
        image_type=_image_type(source),
        shows=shown.contrast,
        part=shown.part,
        because=hide(shown.because, secrets),
        stitched=shown.stitched,
        echo_time=echo / 1000 if echo else None,
        field_strength=field,
        sequence=_sequence(source),
        sex=source.text("PatientSex").upper(),
        age=source.text("PatientAge"),
        person="|".join(map(source.text, ("PatientBirthDate", "PatientSex"))),
        secrets=secrets,
        sidecar=_sidecar(source, maker, field, echo),
    )


def _header(path: Path) -> Any:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        with path.open("rb") as file:
            start = file.read(PREAMBLE + len(MAGIC))
            old = start[:2] in OLD_START
            if start[PREAMBLE:] != MAGIC and not old:
                raise NotDicom(str(path))
            file.seek(0)
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, force=old, specific_tags=_tags()
            )
            _check(dataset, file)
        return dataset
    except InvalidDicomError as error:
        raise NotDicom(str(path)) from error
    except (NotDicom, Broken):
        raise
    except OSError as error:
        raise Broken(f"cannot be read ({error.strerror or error})") from error
    except Exception as error:
        raise Broken(f"has a damaged header ({type(error).__name__})") from error


@cache
def _tags() -> list[Any]:
    """Numbers of what is read; by name, each would be looked up again for each file."""
    from pydicom.tag import Tag

    return [Tag(name) for name in (*KEYWORDS, GE_PART)]


@contextmanager
def quiet() -> Iterator[None]:
    """What pydicom has to say of damaged files is told in our own words."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check(dataset: Any, file: IO[bytes]) -> None:
    """Make sure that the file holds an image, and all of it."""
    if "Rows" not in dataset or "Columns" not in dataset:
        media = str(getattr(dataset.file_meta, "MediaStorageSOPClassUID", ""))
        storage = str(dataset.get("SOPClassUID") or "")
        if storage in MR_STORAGE or (not storage and media != DICOMDIR):
            raise Broken("has a damaged header, or is cut short within it; copy it again")
        raise NotDicom("no image")
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if syntax is not None and (syntax.is_encapsulated or syntax.is_deflated):
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    bits = int(dataset.get("BitsAllocated") or 16)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    expected = int(dataset.Rows) * int(dataset.Columns) * frames * samples * bits // 8
    # Where reading stopped, the head of the pixel data begins.
    head = 8 if syntax is None or syntax.is_implicit_VR else ULTRA_LONG
    present = os.fstat(file.fileno()).st_size - file.tell() - head
    if present < expected:
        raise Broken(
            f"is cut short: {max(present, 0)} bytes of pixels; expected {expected}; copy it again"
        )


def _enhanced(dataset: Any) -> Iterator[tuple[int, Source]]:
    """One source for each frame; what lies in functional groups is made flat."""
    shared = flat(dataset.get("SharedFunctionalGroupsSequence") or ())
    for number, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        yield number, Source([*flat([groups]), *shared, dataset])


def _read(path: Path, number: int, source: Source) -> Read:
    if source.text("Modality") not in ("MR", ""):
        raise NotDicom("not of a magnetic resonance scanner")
    if source.text("SOPClassUID").startswith(SECONDARY_CAPTURE):
        raise NotDicom("a picture of a screen or a page")
    orientation = source.numbers("ImageOrientationPatient", 6)
    position = source.numbers("ImagePositionPatient", 3)
    spacing = source.numbers("PixelSpacing", 2)
    if orientation is None or position is None or spacing is None:
        raise Broken("does not say where its slice lies; expected position and orientation")
    shown = _shown(source)
    echo = source.number("EffectiveEchoTime", "EchoTime") or 0.0
    key = Key(
        series=source.text("SeriesInstanceUID"),
        shows=shown.contrast,
        part=shown.part,
        echo=round(echo, 2),
        orientation=tuple(round(value, 3) + 0.0 for value in orientation),
        spacing=(round(spacing[0], 4), round(spacing[1], 4)),
        size=(int(source.get("Columns")), int(source.get("Rows"))),
        words=shown.because if shown.contrast == UNCLEAR else "",
    )
    x, y, z = position
    order = [
        int(source.number(name) or 0)
        for name in ("TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")
    ]
    return Read(key, Frame(str(path), number, (x, y, z), (order[0], order[1], order[2])), source)


def _shown(source: Source) -> Shown:
    """What the frame shows: by its own words if these say anything, else by the file's."""
    vendor = vendor_of(source.text("Manufacturer"))
    return _shown_by(
        vendor,
        source.text("SeriesDescription") or source.text("ProtocolName"),
        _image_type(source),
        source.words("ComplexImageComponent"),
        source.words(GE_PART),
    )


@lru_cache(maxsize=256)
def _shown_by(
    vendor: str,
    description: str,
    image_type: tuple[str, ...],
    component: tuple[str, ...],
    private: tuple[str, ...],
) -> Shown:
    """The same for all slices of an image, so that the table is asked once."""
    tags = {
        "SeriesDescription": [description],
        "ImageType": image_type,
        "ComplexImageComponent": component,
        "(0043,102F)": private,
    }
    return what_it_shows(vendor, tags)


def _image_type(source: Source) -> tuple[str, ...]:
    """Words of the image type: of the frame and the maker's groups, where it is one of many."""
    found: dict[str, None] = {}
    own = [name for name in ("FrameType", "ImageType") for d in source.datasets[:-1] if name in d]
    datasets = source.datasets[:-1] if own else source.datasets
    for dataset in datasets:
        for name in ("FrameType", "ImageType"):
            value = dataset.get(name) or ()
            many = [value] if isinstance(value, str) else value
            found |= dict.fromkeys(str(word).strip().upper() for word in many)
    found.pop("", None)
    return tuple(found)


def _sequence(source: Source) -> tuple[str, ...]:
    """``GR`` or ``SE``, also where an enhanced header spells it out."""
    spelt = {"GRADIENT": "GR", "SPIN": "SE", "BOTH": "SE"}
    words = source.words("ScanningSequence") or source.words("EchoPulseSequence")
    return tuple(spelt.get(word.upper(), word.upper()) for word in words)


def _field_strength(source: Source) -> float | None:
    tesla = source.number("MagneticFieldStrength")
    if tesla and tesla > 100:  # some old scanners tell gauss
        return tesla / 10000
    if tesla:
        return tesla
    frequency = source.number("ImagingFrequency", "TransmitterFrequency")
    return round(frequency / GYROMAGNETIC_RATIO, 2) if frequency else None


def _sidecar(
    source: Source, maker: str, field: float | None, echo: float | None
) -> dict[str, Any]:
    repetition = source.number("RepetitionTime")
    found: dict[str, Any] = {
        "Manufacturer": maker,
        "ManufacturersModelName": source.text("ManufacturerModelName"),
        "MagneticFieldStrength": field,
        "EchoTime": echo / 1000 if echo else None,
        "RepetitionTime": repetition / 1000 if repetition else None,
        "FlipAngle": source.number("FlipAngle"),
        "ScanningSequence": "_".join(_sequence(source)),
        "MRAcquisitionType": source.text("MRAcquisitionType"),
        "PatientPosition": source.text("PatientPosition"),
        "BodyPart": body_part(source.text("BodyPartExamined")),
    }
    return {key: value for key, value in found.items() if value not in (None, "")}
