"""A label image as DICOM Segmentation, on the frames of the series that it was made from.

One binary segment for each structure, coded by :mod:`legseg_bids.anatomy.codes`. The series is
known by its geometry, never by names: labels are turned back into the order of its slices, rows
and columns, and each frame refers to the image that it lies on.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids import __version__
from legseg_bids.anatomy.codes import Code, coded
from legseg_bids.anatomy.colour_tables import rgb
from legseg_bids.anatomy.labels import label_by_index, load_labels
from legseg_bids.bids.reading import read_labels
from legseg_bids.bids.write import replacing
from legseg_bids.errors import ImageError, NoInput
from legseg_bids.imaging.orientation import from_canonical, to_canonical
from legseg_bids.imaging.volume import Volume, spacing_of

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom.dataset import Dataset

NAME = "legseg-bids"
SHARE_OF_A_VOXEL = 0.1
"""How far corners may lie apart, of the shortest edge of a voxel: converters round."""
SAME_PLACE = 1e-3
"""mm; images that lie closer show one slice, and any of them tells where it is."""
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM counts millimetres to the left and the back of the patient."""
EVEN = 0.1
"""Share of the slice distance by which slices may be unevenly spaced."""
EMPTIED = (
    "AccessionNumber", "PatientBirthDate", "PatientID", "PatientName", "PatientSex",
    "ReferringPhysicianName", "StudyDate", "StudyID", "StudyTime",
)  # fmt: skip
"""What a series may leave empty (type 2 of DICOM PS3.3), and a segmentation copies."""
SHOWN = 5


@dataclass(frozen=True, eq=False)
class Series:
    """Images of one DICOM series that make one volume.

    Attributes
    ----------
    images : tuple of Dataset
        One for each slice, in the order of their places.
    affine : ndarray, shape (4, 4)
        From (slice, row, column) to RAS+ millimetres.
    """

    images: tuple[Dataset, ...]
    affine: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return len(self.images), int(self.images[0].Rows), int(self.images[0].Columns)

    @property
    def title(self) -> str:
        """Number and description, for a person."""
        first = self.images[0]
        number = first.get("SeriesNumber", "?")
        return f"series {number} ({first.get('SeriesDescription', 'without description')})"


def write_seg(dseg: Path, dicom: Path, out: Path) -> str:
    """Write a label image as DICOM SEG.

    Parameters
    ----------
    dseg : Path
        Label image of a station (NIfTI).
    dicom : Path
        Folder with the images that it was made from; may hold other series.
    out : Path
        The file to write.

    Returns
    -------
    str
        The series that it refers to, for a person.

    Raises
    ------
    NoInput
        If the folder holds no DICOM images.
    ImageError
        If the label image cannot be used, or no series has its geometry.
    OutputError
        If the file cannot be written.
    """
    labels = _read_labels(dseg)
    found = find_series(dicom)
    series = _matching(labels, found, dseg, dicom)
    with warnings.catch_warnings():
        # About headers of the series that nobody here can change.
        warnings.simplefilter("ignore", UserWarning)
        try:
            made = segmentation(labels, series, is_manual=_is_manual(dseg))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ImageError(
                f"{series.title} of {dicom} cannot be referred to ({error}); expected complete "
                "headers of MR images; export the series again from the archive"
            ) from error
    with replacing(out) as file:
        made.save_as(file)
    return series.title


def find_series(folder: Path) -> list[Series]:
    """All series of a folder, and of those below it, whose images make a volume.

    Raises
    ------
    NoInput
        If there is no DICOM image at all.
    """
    groups: dict[tuple[str, ...], list[Dataset]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        image = _read_header(path)
        if image is not None:
            groups.setdefault(_belongs(image), []).append(image)
    if not groups:
        raise NoInput(
            f"{folder} holds no DICOM image with a position; expected the folder of the series "
            "that the labels were made from; check the path"
        )
    made = (_series_or_none(images) for _, images in sorted(groups.items()))
    return [series for series in made if series is not None]


def segmentation(labels: Volume, series: Series, *, is_manual: bool = False) -> Any:
    """Make the DICOM object.

    Parameters
    ----------
    labels : Volume
        Canonical axes.
    series : Series
        Of the same geometry.
    is_manual : bool
        Whether somebody corrected the labels.

    Returns
    -------
    highdicom.seg.Segmentation
    """
    import highdicom as hd

    turned = from_canonical(labels.data, to_canonical(_grid_of(series))[1])
    present = [int(value) for value in np.unique(turned) if value]
    numbers = np.zeros(int(turned.max(initial=0)) + 1, np.uint8)
    numbers[present] = np.arange(1, len(present) + 1)
    return hd.seg.Segmentation(
        source_images=series.images,
        pixel_array=numbers[turned],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(number, value, is_manual) for number, value in enumerate(present, 1)
        ],
        series_instance_uid=hd.UID(),
        series_number=_series_number(series),
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number="0",
        content_label="LEGSEG",
        content_description="Muscles and bones of the legs",
        series_description="Leg muscles" + ", corrected by hand" * is_manual,
    )


def _description(number: int, value: int, is_manual: bool) -> SegmentDescription:
    """A segment: its name, codes, colour and what made it."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    label = label_by_index(value)
    told = coded(label)
    kinds = hd.seg.SegmentAlgorithmTypeValues
    made = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=_concept(told.category),
        segmented_property_type=_concept(told.kind),
        algorithm_type=kinds.SEMIAUTOMATIC if is_manual else kinds.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=NAME, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        tracking_uid=hd.UID(),
        tracking_id=label.abbreviation,
        anatomic_regions=None if told.region is None else [_concept(told.region)],
        display_color=hd.color.CIELabColor.from_rgb(*rgb(label.color)),
    )
    if told.side is not None:
        # highdicom has no argument for it.
        kind = made.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(told.side)]
    return made


def _concept(code: Code) -> Any:
    import highdicom as hd

    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _read_labels(dseg: Path) -> Volume:
    """The label image in canonical axes.

    Raises
    ------
    ImageError
        If it cannot be read, is empty, or holds numbers that the scheme does not have.
    """
    image = read_labels(dseg)
    values = {int(value) for value in np.unique(image.data)} - {0}
    unknown = sorted(values - {label.index for label in load_labels()})
    if unknown or not values:
        what = f"labels {unknown[:SHOWN]}, which mean nothing here" if unknown else "no label"
        raise ImageError(
            f"{dseg} holds {what}; expected a label image of this program; check the file"
        )
    return to_canonical(Volume(image.data, image.affine))[0]


def _matching(labels: Volume, found: Sequence[Series], dseg: Path, dicom: Path) -> Series:
    """The first series of the same geometry, by number.

    Raises
    ------
    ImageError
        If there is none.
    """
    for series in found:
        if not _apart(labels, series):
            return series
    seen = "; ".join(f"{series.title} {_apart(labels, series)}" for series in found[:SHOWN])
    raise ImageError(
        f"no series of {dicom} has the geometry of {dseg} ({seen or 'none makes a volume'}); "
        "expected the series that was segmented (a merged image lies on none: export its "
        "stations); choose another folder"
    )


def _apart(labels: Volume, series: Series) -> str:
    """How a series differs from the grid of the labels; empty if it does not."""
    grid = to_canonical(_grid_of(series))[0]
    if grid.shape != labels.shape:
        return f"has {' × '.join(map(str, grid.shape))} voxels, not " + " × ".join(
            map(str, labels.shape)
        )
    ends = [(0, size - 1) for size in labels.shape]
    corners = np.array([(*corner, 1.0) for corner in product(*ends)])
    shift = np.linalg.norm((grid.affine - labels.affine)[:3] @ corners.T, axis=0).max()
    if shift > SHARE_OF_A_VOXEL * min(spacing_of(labels.affine)):
        return f"lies up to {shift:.2f} mm apart"
    return ""


def _grid_of(series: Series) -> Volume:
    return Volume(np.zeros(series.shape, np.bool_), series.affine)


def _read_header(path: Path) -> Dataset | None:
    """A DICOM file without its pixels, if it is an image with a position."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        image = dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, AttributeError):
        return None
    needed = ("SeriesInstanceUID", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient")
    whole = all(image.get(key) for key in (*needed, "ImageOrientationPatient"))
    if not whole:
        return None
    for key in EMPTIED:
        # What may be empty is left out by some who make images anonymous.
        if key not in image:
            setattr(image, key, "")
    return image


def _belongs(image: Dataset) -> tuple[str, ...]:
    """What images of one volume share: series, contrast, and direction."""
    number = int(image.get("SeriesNumber") or 0)
    kind = "/".join(map(str, image.get("ImageType", [])))
    return (
        f"{number:06d}",
        str(image.SeriesInstanceUID),
        str(image.get("EchoTime", "")),
        kind,
        str(list(image.ImageOrientationPatient)),
    )


def _series_or_none(images: Sequence[Dataset]) -> Series | None:
    """The volume of these images; None if they make none, or their headers are damaged."""
    try:
        return _series(images)
    except (TypeError, ValueError):
        return None


def _series(images: Sequence[Dataset]) -> Series | None:
    """Images in the order of their places, one at each; None if they make no volume."""
    first = images[0]
    right, down = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(right, down)
    places: dict[float, Dataset] = {}
    for image in sorted(images, key=lambda image: int(image.get("InstanceNumber") or 0)):
        place = float(normal @ np.array(image.ImagePositionPatient, float))
        places.setdefault(round(place / SAME_PLACE) * SAME_PLACE, image)
    ordered = [image for _, image in sorted(places.items())]
    steps = np.diff(sorted(places))
    same_size = {(i.Rows, i.Columns, *map(float, i.PixelSpacing)) for i in images}
    if len(ordered) < 2 or len(same_size) != 1 or np.ptp(steps) > EVEN * steps.mean():
        return None
    start, end = (np.array(ordered[n].ImagePositionPatient, float) for n in (0, -1))
    between_rows, between_columns = map(float, first.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = (end - start) / (len(ordered) - 1)
    affine[:3, 1] = down * between_rows
    affine[:3, 2] = right * between_columns
    affine[:3, 3] = start
    return Series(tuple(ordered), TO_RAS @ affine)


def _series_number(series: Series) -> int:
    """A number that tells the new series from that of the images."""
    return int(series.images[0].get("SeriesNumber") or 0) + 1000


def _is_manual(dseg: Path) -> bool:
    """Whether the sidecar says that somebody corrected the labels."""
    sidecar = dseg.with_name(dseg.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    try:
        return bool(json.loads(sidecar.read_text(encoding="utf-8")).get("Manual"))
    except (OSError, ValueError, AttributeError):
        return False
