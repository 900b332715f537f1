"""One case: a prediction measured against its reference, structure by structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import NOT_APPLICABLE
from legseg_bids.bids.reading import Image, read_labels
from legseg_bids.errors import ImageError
from legseg_bids.evaluate.finding import LabelImage
from legseg_bids.evaluate.grids import covered_slices, on_one_grid
from legseg_bids.evaluate.metrics import Measured, joint_counts, measure_pairs
from legseg_bids.evaluate.pairs import Case
from legseg_bids.evaluate.schemes import (
    Scheme,
    Structure,
    common,
    left_out,
    read_scheme,
    scheme_of_names,
)
from legseg_bids.evaluate.structures import SUFFIXES
from legseg_bids.evaluate.vocabulary import Vocabulary, knowing
from legseg_bids.evaluate.volumes import MM3_PER_CM3
from legseg_bids.imaging.volume import Volume, voxel_volume_of

ALL = "all"
BACKGROUND, OTHER = "background", "other"
#: Names that a message lists at most.
LISTED = 8


@dataclass(frozen=True)
class Options:
    """All that can change a number.

    Attributes
    ----------
    coverage : str
        ``reference``: only slices that the reference covers; ``all``.
    definition : str
        Of surface distances, see :func:`.metrics.surfaces`.
    slices : bool
        Whether slices are measured one by one, too.
    resample : bool
        Whether a prediction on another grid is resampled.
    """

    coverage: str = "reference"
    definition: str = "area"
    slices: bool = False
    resample: bool = False


@dataclass(frozen=True)
class Naming:
    """What says what the numbers of a folder's label images mean, if not a table beside them.

    Attributes
    ----------
    table : Path or None
        For all images of the folder.
    scheme : str or None
        Name of a scheme, see :func:`.schemes.read_scheme`.
    known : Vocabulary
        What else is known than a table beside an image says, see :mod:`.vocabulary`.
    """

    table: Path | None = None
    scheme: str | None = None
    known: Vocabulary = ()


@dataclass
class Result:
    """What is known of a case, in plain values.

    Attributes
    ----------
    rows, slices, confusion, left_out : list of dict
        Rows of the tables.
    warnings : list of str
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    slices: list[dict[str, Any]] = field(default_factory=list)
    confusion: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def mean_dice(self) -> float:
        """Over the structures that either image has; NaN without any."""
        return mean_dice(self.rows)


def mean_dice(rows: Sequence[Mapping[str, Any]]) -> float:
    """Mean over the rows of structures that either image has; NaN without any.

    Examples
    --------
    >>> mean_dice([{"dice": 0.5}, {"dice": float("nan")}, {"dice": 1.0}])
    0.75
    """
    values = [row["dice"] for row in rows if not np.isnan(row["dice"])]
    return float(np.mean(values)) if values else float("nan")


@dataclass(frozen=True)
class Named:
    """A label image, what its numbers mean, and what a reader of results must know."""

    image: Image
    scheme: Scheme
    notes: tuple[str, ...] = ()

    @cached_property
    def voxels(self) -> NDArray[np.intp]:
        """How many voxels have each value."""
        out = np.zeros(int(self.image.data.max()) + 1, np.intp)
        for k in range(self.image.data.shape[2]):  # counting makes eight bytes of each voxel
            out += np.bincount(self.image.data[..., k].ravel(), minlength=out.size)
        return out

    @property
    def is_empty(self) -> bool:
        """Whether every voxel is background."""
        return self.voxels.size == 1


def input_files(image: LabelImage) -> list[Path]:
    """The files of a label image: itself, or its masks."""
    return sorted(image.path.glob("*.nii*")) if image.path.is_dir() else [image.path]


def scheme_of(image: LabelImage, naming: Naming) -> Scheme:
    """What the numbers of a label image mean; its voxels are not read.

    Raises
    ------
    LegsegError
        If nothing tells, or cannot be read.
    """
    if image.path.is_dir():
        paths = enumerate(input_files(image), start=1)
        names = {number: path.name.partition(".nii")[0] for number, path in paths}
        return scheme_of_names(names, naming.scheme)
    return read_scheme(image.path, naming.table or image.table, naming.scheme)


def read_named(image: LabelImage, naming: Naming) -> Named:
    """Read a label image and what its numbers mean.

    Raises
    ------
    LegsegError
        If either cannot be read.
    """
    scheme = knowing(scheme_of(image, naming), naming.known)
    if image.path.is_dir():
        return _read_masks(image, scheme)
    return Named(read_labels(image.path), scheme)


def _read_masks(image: LabelImage, scheme: Scheme) -> Named:
    """A folder of masks as one label image, numbered by the order of their names."""
    paths = input_files(image)
    out: Image | None = None
    twice = 0
    for number, path in enumerate(paths, start=1):
        mask = read_labels(path)
        if out is None:
            out = replace(mask, path=image.path, data=np.zeros(mask.data.shape, np.uint16))
        if mask.data.shape != out.data.shape or not np.allclose(mask.affine, out.affine):
            raise ImageError(
                f"{path} is not on the grid of {paths[0]}; expected the masks of one image; "
                "write them again"
            )
        inside = mask.data > 0
        twice += int(np.count_nonzero(out.data[inside]))
        out.data[inside] = number
    if out is None:
        raise ImageError(f"{image.path} holds no mask; expected one for each structure")
    note = f"{image.path}: {twice} voxels lie in several masks; the last by name counts"
    return Named(out, scheme, (note,) if twice else ())


def evaluate_case(case: Case, reference: Naming, prediction: Naming, options: Options) -> Result:
    """Measure one prediction.

    Parameters
    ----------
    case : Case
    reference, prediction : Naming
        Of the folders.
    options : Options

    Raises
    ------
    LegsegError
        If it cannot be measured; the message says why.
    """
    first, second = read_named(case.reference, reference), read_named(case.prediction, prediction)
    structures = _common(first, second)
    truth, guess, why = on_one_grid(first.image, second.image, resample=options.resample)
    if first.is_empty:
        raise ImageError(
            f"{first.image.path} holds no label (every voxel is 0); expected a reference; "
            "check the file, or leave it out with --reference-files"
        )
    result = Result(warnings=list(_warnings(first, second, why)))
    result.left_out += _left_out(first, second)
    predicted, expected = _numbered(truth, guess, structures)
    if options.coverage == "reference":
        predicted *= covered_slices(truth.data)
    _measure(result, predicted, expected, truth, structures, options, case.key)
    return result


def _measure(
    result: Result,
    predicted: NDArray[np.integer[Any]],
    reference: NDArray[np.integer[Any]],
    grid: Volume,
    structures: Sequence[Structure],
    options: Options,
    key: Mapping[str, str],
) -> None:
    numbers = range(1, len(structures) + 1)
    counts = joint_counts(predicted, reference, [*numbers, len(structures) + 1])
    measured = measure_pairs(
        predicted,
        reference,
        numbers,
        grid.spacing,
        definition=options.definition,
        slices=options.slices,
        counts=counts,
    )
    for one in measured:
        row = {**key, **_row(one, structures[one.label - 1])}
        (result.rows if one.slice is None else result.slices).append(row)
    result.confusion = [{**key, **row} for row in _confusion(counts.sum(axis=0), structures)]


def _row(one: Measured, structure: Structure) -> dict[str, Any]:
    return {
        "structure": structure.name,
        "side": structure.side,
        "slice": ALL if one.slice is None else one.slice,
        "status": one.status,
        **asdict(one.overlap),
        **asdict(one.surfaces),
        "slice_position": one.position,
    }


def _confusion(
    counts: NDArray[np.int64], structures: Sequence[Structure]
) -> Iterator[dict[str, Any]]:
    """Pairs of names that share voxels; what both call background is not listed."""
    names = [BACKGROUND, *(confusion_name(s) for s in structures), OTHER]
    for at in np.argwhere(counts):
        p, r = map(int, at)
        if p or r:
            yield {"reference": names[r], "predicted": names[p], "voxels": int(counts[p, r])}


def confusion_name(structure: Structure) -> str:
    """Structure and side in one word."""
    return f"{structure.name}{SUFFIXES[structure.side]}"


def _common(first: Named, second: Named) -> tuple[Structure, ...]:
    structures = common(first.scheme, second.scheme)
    if not structures:
        raise ImageError(
            f"{first.image.path} and {second.image.path} have no structure in common: the first "
            f"has {_listed(first.scheme)}, the second {_listed(second.scheme)}; expected names, "
            "abbreviations or numbers that both mean alike; give a table with --table or "
            "--reference-table, or a scheme with --scheme or --reference-scheme"
        )
    return structures


def _listed(scheme: Scheme) -> str:
    names = [*map(str, scheme.structures.values()), *scheme.unknown.values()]
    more = f" … ({len(names)} in all)" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more


def _numbered(
    truth: Volume, guess: Volume, structures: Sequence[Structure]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Prediction and reference in the same numbers: 1 … n, n + 1 for all others."""
    images = []
    for image, labels in (
        (guess.data, [s.predicted for s in structures]),
        (truth.data, [s.reference for s in structures]),
    ):
        table = np.full(int(image.max()) + 1, len(structures) + 1, np.uint16)
        table[0] = 0
        for number, members in enumerate(labels, start=1):
            table[[label for label in members if label < table.size]] = number
        images.append(table[image])
    return images[0], images[1]


def _warnings(first: Named, second: Named, resampled_because: str) -> Iterator[str]:
    if second.is_empty:
        yield (
            f"{second.image.path} holds no label (every voxel is 0): all structures of the "
            "reference count as missed"
        )
    if resampled_because:
        yield f"{second.image.path} was resampled onto the reference's grid: {resampled_because}"
    for named in (first, second):
        yield from named.notes
        known = {*named.scheme.structures, *named.scheme.unknown, 0}
        odd = [int(v) for v in np.flatnonzero(named.voxels) if int(v) not in known]
        if odd:
            yield (
                f"{named.image.path} has values that its table does not name ("
                f"{', '.join(map(str, odd[:LISTED]))}); they count as other structures"
            )


def _left_out(first: Named, second: Named) -> Iterator[dict[str, Any]]:
    """Structures that only one image knows, or knows in another division."""
    images = {"reference": first, "prediction": second}
    for row in left_out(first.scheme, second.scheme):
        named = images[row.found_in]
        voxels = int(named.voxels[row.label]) if row.label < named.voxels.size else 0
        name, side = name_and_side(row.structure)
        yield {
            "found_in": row.found_in,
            "structure": name,
            "side": side,
            "reason": row.reason,
            "images": int(voxels > 0),
            "volume_cm3": voxels * voxel_volume_of(named.image.affine) / MM3_PER_CM3,
        }


def name_and_side(key: str) -> tuple[str, str]:
    """Take the side from a short name.

    Examples
    --------
    >>> name_and_side("RF_L"), name_and_side("SAT")
    (('RF', 'left'), ('SAT', 'n/a'))
    """
    for side, ending in SUFFIXES.items():
        if ending and key.endswith(ending):
            return key.removesuffix(ending), side
    return key, NOT_APPLICABLE
