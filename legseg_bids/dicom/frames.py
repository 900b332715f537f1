"""Frames of enhanced files as files of their own, so that a converter sees one contrast only.

An enhanced file may hold water, fat and several echoes. Converters separate what they know to
separate (dcm2niix issue 1022: fat is lost beside water); here it is done by our own survey, and
the converter is given classic files of one image.
"""

from __future__ import annotations

import itertools
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from legseg_bids.dicom.attributes import flat
from legseg_bids.dicom.found import CLASSIC, Frame
from legseg_bids.errors import ImageError

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
          "DimensionIndexSequence", "DimensionOrganizationSequence", "NumberOfFrames")  # fmt: skip
CLASSIC_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
SPELT = {"EffectiveEchoTime": "EchoTime"}


def stage(frames: Sequence[Frame], folder: Path) -> None:
    """Put the slices of one image into a folder, one file each.

    Classic files are linked (copied where links cannot be made); frames of enhanced files are
    written as classic ones.

    Parameters
    ----------
    frames : sequence of Frame
        From one end to the other.
    folder : Path
        Empty.

    Raises
    ------
    ImageError
        If a file cannot be read.
    """
    numbered = enumerate(frames, start=1)
    for path, members in itertools.groupby(numbered, key=lambda pair: pair[1].path):
        mine = list(members)
        if mine[0][1].number == CLASSIC:
            for number, frame in mine:
                _link(Path(frame.path), folder / f"{number:05d}.dcm")
        else:
            _split(Path(path), [(number, frame.number) for number, frame in mine], folder)


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)


def _split(path: Path, wanted: Sequence[tuple[int, int]], folder: Path) -> None:
    """Write some frames of an enhanced file as classic files."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            shared = flat(dataset.get("SharedFunctionalGroupsSequence") or ())
            for number, frame in wanted:
                single = _single(dataset, shared, frame, number)
                single.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)
    except Exception as error:
        raise ImageError(
            f"{path.name} cannot be taken apart ({error}); expected an enhanced DICOM file; "
            "copy it again"
        ) from error


def _single(dataset: Any, shared: Sequence[Any], frame: int, number: int) -> Any:
    """One frame as a classic dataset, with all that its functional groups say."""
    from pydicom.dataset import Dataset

    single = Dataset()
    own = flat([dataset.PerFrameFunctionalGroupsSequence[frame]])
    for source in [dataset, *reversed([*own, *shared])]:
        for element in source:
            if element.keyword not in (*GROUPS, "PixelData"):
                single[element.tag] = element
    for long, short in SPELT.items():
        if long in single:
            setattr(single, short, single[long].value)
    single.SOPClassUID = CLASSIC_STORAGE
    single.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{number}"[:64]
    single.InstanceNumber = number
    single.file_meta = _meta(dataset, single)
    single.PixelData = _pixels(dataset, frame)
    single["PixelData"].VR = "OW"
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        single["PixelData"].is_undefined_length = True
    return single


def _meta(dataset: Any, single: Any) -> Any:
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = single.SOPClassUID
    meta.MediaStorageSOPInstanceUID = single.SOPInstanceUID
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    return meta


def _pixels(dataset: Any, frame: int) -> bytes:
    """The bytes of one frame."""
    from pydicom.encaps import encapsulate, get_frame

    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        total = int(dataset.get("NumberOfFrames") or 1)
        packed: bytes = encapsulate([get_frame(dataset.PixelData, frame, number_of_frames=total)])
        return packed
    samples = int(dataset.get("SamplesPerPixel") or 1)
    size = dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated // 8
    pixels: bytes = dataset.PixelData[frame * size : (frame + 1) * size]
    return pixels
