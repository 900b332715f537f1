"""Binary masks, one for each structure, merged into one label image of a derivative."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import NOT_APPLICABLE, Label, label_by_index, mirror_index
from legseg_bids.anatomy.synonyms import Meaning, meaning_of, near_misses
from legseg_bids.bids.description import BIDS_VERSION
from legseg_bids.bids.names import output_path
from legseg_bids.bids.write import write_json, write_labels, write_text
from legseg_bids.dicom.found import Grid
from legseg_bids.dicom.painting import by_size, paint, split_sides
from legseg_bids.errors import ImageError, NoInput, UsageError
from legseg_bids.imaging.orientation import from_canonical, to_canonical
from legseg_bids.imaging.volume import Volume

EXTENSIONS = (".nii.gz", ".nii")
LEAVE_OUT = "-"
NEARLY = 1e-3
"""Values may differ by so much from 0 and from the highest value: rounding of resampled masks."""
COLUMNS = {
    "side": {"Description": "Body side", "Levels": {"left": "left leg", "right": "right leg",
             "n/a": "not applicable"}},
    "voxels": {"Description": "Number of voxels with this label"},
    "file": {"Description": "Mask that it was made from"},
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What to merge.

    Attributes
    ----------
    masks : tuple of Path
        NIfTI files, or folders of them.
    image : Path
        The image of a BIDS dataset that they were drawn on.
    into : Path or None
        Derivative; None for ``derivatives/manual`` of the dataset.
    table : Path or None
        Names of masks: columns ``file`` and ``name``.
    side : str
        Of masks whose names tell none: ``left``, ``right``, ``both``, or empty.
    overwrite : bool
        Replace a label image that is there.
    """

    masks: tuple[Path, ...]
    image: Path
    into: Path | None = None
    table: Path | None = None
    side: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class Merged:
    """What was made.

    Attributes
    ----------
    labels : Path
        The label image; its table and its sidecar have the same name.
    structures : mapping of int to int
        Voxels by label.
    overlaps : tuple of (str, str, int)
        The structure that got the voxels, the one that did not, and how many.
    """

    labels: Path
    structures: Mapping[int, int]
    overlaps: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class _Mask:
    path: Path
    meaning: Meaning


def merge(request: Request) -> Merged:
    """Merge binary masks into one label image on the grid of an image, and write it.

    Where masks overlap, the voxel goes to the structure with fewer voxels in all: what is small
    was drawn into what is large. The order of the files does not matter. Masks may be stored with
    other axes than the image; their voxels must be the same.

    Parameters
    ----------
    request : Request
        What to merge.

    Returns
    -------
    Merged
        What was written.

    Raises
    ------
    NoInput
        If there is no mask.
    UsageError
        If the image is in no dataset, a name is unknown or lacks its side, or the label image is
        there already.
    ImageError
        If a mask is not binary, or lies on another grid.
    """
    root = _dataset_of(request.image)
    into = request.into or root / "derivatives" / "manual"
    source = request.image.resolve().relative_to(root.resolve()).as_posix()
    target = output_path(into, source)
    if target.exists() and not request.overwrite:
        raise UsageError(f"{target} exists; expected a free name; add --overwrite to replace it")
    masks = _named(_mask_files(request.masks, request.image), request.table, request.side)
    image: Any = nib.load(request.image)
    labels, overlaps, files = _painted(masks, image, request.side)
    _write(target, into, source, labels, image.header, overlaps, files)
    found = dict(zip(*(v.tolist() for v in np.unique(labels, return_counts=True)), strict=True))
    return Merged(target, {k: n for k, n in found.items() if k}, _told(overlaps))


def _dataset_of(image: Path) -> Path:
    if not image.is_file():
        raise NoInput(f"{image} is no file; expected the image that the masks belong to")
    for folder in image.resolve().parents:
        if (folder / "dataset_description.json").exists():
            return folder
    raise UsageError(
        f"{image} lies in no BIDS dataset; expected a dataset_description.json above it; convert "
        "the image with legseg-bidsify first"
    )


def _mask_files(given: Sequence[Path], image: Path) -> list[Path]:
    found: list[Path] = []
    for path in given:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [file for file in files if file.name.endswith(EXTENSIONS)]
    masks = [path for path in dict.fromkeys(found) if path.resolve() != image.resolve()]
    if not masks:
        raise NoInput(
            f"{', '.join(map(str, given))} holds no mask; expected .nii.gz or .nii files"
        )
    return masks


def _named(paths: Sequence[Path], table: Path | None, side: str) -> list[_Mask]:
    """What each mask is; those that the table leaves out are left out."""
    told = _read_table(table) if table else {}
    masks: list[_Mask] = []
    unknown: list[str] = []
    for path in paths:
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        name = told.get(path.name, told.get(stem, stem))
        if name == LEAVE_OUT:
            continue
        meaning = meaning_of(name)
        if meaning is None:
            near = near_misses(name)
            unknown.append(f"{path.name} ({name})" + (f", like {near[0]}?" if near else ""))
        else:
            masks.append(_Mask(path, meaning))
    if unknown:
        raise UsageError(
            f"{'; '.join(unknown)}: no structure of the label scheme; expected its name or "
            "abbreviation, with its side; say what it is in a table with the columns file and "
            f"name, or {LEAVE_OUT} to leave it out, and give that with --table"
        )
    _check_sides(masks, side)
    return masks


def _check_sides(masks: Sequence[_Mask], side: str) -> None:
    without = [mask.path.name for mask in masks if mask.meaning.index and not mask.meaning.side]
    if without and not side:
        raise UsageError(
            f"{', '.join(without[:5])} does not tell its side; expected left or right in the "
            "name; add --side left, --side right, or --side both to split masks of two legs"
        )


def _read_table(path: Path) -> dict[str, str]:
    try:
        rows = csv.reader(io.StringIO(path.read_text("utf-8-sig")), delimiter="\t")
        header = next(rows, [])
        columns = [header.index(key) for key in ("file", "name")]
        return {row[columns[0]].strip(): row[columns[1]].strip() for row in rows if row}
    except (OSError, ValueError, IndexError) as error:
        raise UsageError(
            f"{path} cannot be used ({error!r}); expected the columns file and name, separated "
            "by tabs"
        ) from error


def _painted(
    masks: Sequence[_Mask], image: Any, side: str
) -> tuple[NDArray[np.uint16], Counter[tuple[int, int]], dict[int, list[str]]]:
    """Read the masks twice, one at a time: for their sizes, and to paint them."""
    grid = _grid(image.affine, image.shape)
    canonical, orientation = to_canonical(_empty(grid))
    cut = _left_leg(masks, grid) if side == "both" else None
    sizes: Counter[int] = Counter()
    files: dict[int, list[str]] = {}
    of_label: dict[int, list[_Mask]] = {}
    for mask in masks:
        for index, part in _parts(mask, grid, side, cut):
            if index and part.any():
                sizes[index] += int(part.sum())
                files.setdefault(index, []).append(mask.path.name)
                of_label.setdefault(index, []).append(mask)

    def ordered() -> Iterable[tuple[int, NDArray[np.bool_]]]:
        for wanted in by_size(sizes):
            for mask in of_label[wanted]:
                parts = _parts(mask, grid, side, cut)
                yield from ((index, part) for index, part in parts if index == wanted)

    labels, overlaps = paint(ordered(), canonical.shape)
    return from_canonical(labels, orientation), overlaps, files


def _parts(
    mask: _Mask, grid: Grid, side: str, cut: NDArray[np.bool_] | None
) -> Iterable[tuple[int, NDArray[np.bool_]]]:
    """Label and voxels of a mask; two of them where it is split between the legs."""
    data = _read_mask(mask.path, grid)
    meaning = mask.meaning
    if meaning.side or not meaning.index:
        yield meaning.sided, data
    elif cut is None:
        yield (mirror_index(meaning.index) if side == "right" else meaning.index), data
    else:
        yield meaning.index, data & cut
        yield mirror_index(meaning.index), data & ~cut


def _left_leg(masks: Sequence[_Mask], grid: Grid) -> NDArray[np.bool_]:
    """Voxels on the patient's left of the line between the legs; canonical axes."""
    union = np.zeros(to_canonical(_empty(grid))[0].shape, bool)
    for mask in masks:
        union |= _read_mask(mask.path, grid)
    left = np.zeros(union.shape, bool)
    left[: split_sides(union)] = True
    return left


def _grid(affine: Any, shape: Sequence[int]) -> Grid:
    size = (int(shape[0]), int(shape[1]), int(shape[2]))
    return Grid(size, tuple(tuple(line) for line in np.asarray(affine, float).tolist()))


def _empty(grid: Grid) -> Volume:
    return Volume(np.zeros(grid.shape, bool), grid.matrix)


def _read_mask(path: Path, grid: Grid) -> NDArray[np.bool_]:
    """A mask of the grid, in canonical axes.

    Raises
    ------
    ImageError
        If it is not binary, or its voxels are others.
    """
    try:
        loaded: Any = nib.load(path)
        data = np.asanyarray(loaded.dataobj)
        data = data.reshape(data.shape[:3]) if data.ndim > 3 and data[0, 0, 0].size == 1 else data
        canonical, _ = to_canonical(Volume(data, np.asarray(loaded.affine, float)))
    except Exception as error:
        raise ImageError(f"{path} cannot be read ({error}); expected a NIfTI mask") from error
    if not _grid(canonical.affine, canonical.shape).is_same(grid):
        raise ImageError(
            f"{path} has {' × '.join(map(str, data.shape))} voxels, which are not those of the "
            f"image ({' × '.join(map(str, grid.shape))}); expected the same grid; resample the "
            "mask onto the image, by nearest neighbour"
        )
    return _binary(canonical.data, path)


def _binary(data: NDArray[Any], path: Path) -> NDArray[np.bool_]:
    high = float(data.max(initial=0))
    inside: NDArray[np.bool_] = data > high / 2 if high > 0 else np.zeros(data.shape, bool)
    off = np.where(inside, np.abs(data - high), np.abs(data))
    if not np.isfinite(high) or float(off.max(initial=0)) > NEARLY * max(high, 1e-12):
        values = np.unique(data)[:6].tolist()
        raise ImageError(
            f"{path} is not binary (values {', '.join(f'{v:g}' for v in values)}, …); expected 0 "
            "and one other value; save each structure as a mask of its own"
        )
    return inside


def _told(overlaps: Mapping[tuple[int, int], int]) -> tuple[tuple[str, str, int], ...]:
    return tuple(
        (label_by_index(a).abbreviation, label_by_index(b).abbreviation, count)
        for (a, b), count in sorted(overlaps.items())
    )


def _write(
    target: Path,
    into: Path,
    source: str,
    labels: NDArray[np.uint16],
    header: Any,
    overlaps: Mapping[tuple[int, int], int],
    files: Mapping[int, Sequence[str]],
) -> None:
    """Write the label image, its table and its sidecar, and describe the derivative."""
    description = into / "dataset_description.json"
    if not description.exists():
        write_json(description, _description(into))
    stem = target.name.removesuffix(".nii.gz")
    rows = [label_by_index(int(i)) for i in np.unique(labels) if i]
    counts = np.bincount(labels.ravel())
    write_text(target.with_name(f"{stem}.tsv"), _table(rows, counts, files))
    sidecar = {
        "Description": "Masks drawn by hand, merged into one label image",
        "Sources": [f"bids:raw:{source}"],
        "SpatialReference": f"bids:raw:{source}",
        "Manual": True,
        "Overlaps": [
            {"To": first, "From": second, "Voxels": count}
            for first, second, count in _told(overlaps)
        ],
        **COLUMNS,
    }
    write_json(target.with_name(f"{stem}.json"), sidecar)
    write_labels(target, labels, header)


def _description(into: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Name": "Masks drawn by hand",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": into.name, "Description": "merged by legseg-bidsify masks"}],
    }
    if into.parent.name == "derivatives":
        found["DatasetLinks"] = {"raw": "../.."}
    return found


def _table(
    rows: Sequence[Label], counts: NDArray[np.int64], files: Mapping[int, Sequence[str]]
) -> str:
    lines = ["index\tname\tabbreviation\tside\tcolor\tvoxels\tfile"]
    for label in rows:
        cells = (label.index, label.name, label.abbreviation, label.side or NOT_APPLICABLE,
                 label.color, counts[label.index], ", ".join(files[label.index]))  # fmt: skip
        lines.append("\t".join(str(cell) for cell in cells))
    return "\n".join(lines) + "\n"
