"""What a corrected label image amounts to, and its files.

Everything but the labels is that of the automatic result: limb mask, fat fraction, and, of
structures that nobody touched, the probability of the label. Nothing is known of how right the
others are but what their shape and size say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from legseg_bids import __version__
from legseg_bids.anatomy.labels import label_by_index, load_labels
from legseg_bids.bids.derivative import sha256
from legseg_bids.bids.journal import Change
from legseg_bids.bids.manual import BLOCK, Kind, ManualPaths, manual_paths
from legseg_bids.bids.names import CONFIDENCE, MEASURES, SEGMENTATION
from legseg_bids.bids.sidecars import (
    STANDARD_COLUMNS,
    load_columns,
    table_sidecar,
    table_text,
    to_tsv,
)
from legseg_bids.bids.write import write_json, write_labels, write_text
from legseg_bids.errors import ImageError
from legseg_bids.imaging.orientation import from_canonical, to_canonical
from legseg_bids.imaging.volume import Volume, voxel_volume_of
from legseg_bids.measure import Scene, measure_image
from legseg_bids.measure.scene import MM3_PER_ML
from legseg_bids.workflows.edited import LabelImage

FULL = 255
"""Steps of a stored probability."""
BY_HAND = "Corrected by hand: "

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Below:
    """What lies below a label image, canonical axes: all that is measured of it but the labels.

    Attributes
    ----------
    confidence : ndarray of uint8
        Probability of the automatic label in steps of 1/255.
    limbs : ndarray of bool
        Voxels of the legs.
    fat_fraction : ndarray of float32 or None
    highest_fraction : float
        See :class:`legseg_bids.measure.scene.Scene`.
    seen : ndarray of bool or None
        Slices that were imaged.
    """

    confidence: NDArray[np.uint8]
    limbs: NDArray[np.bool_]
    fat_fraction: NDArray[np.float32] | None = None
    highest_fraction: float = 1.0
    seen: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Corrected:
    """A corrected label image.

    Attributes
    ----------
    original : LabelImage
        The automatic one.
    labels : ndarray of uint8, shape (x, y, z)
        What a person made of it, or what was merged of what a person made.
    touched : frozenset of int
        Labels that were changed.
    """

    original: LabelImage
    labels: Labels
    touched: frozenset[int]

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Voxels that have, or had, a label that was changed: here a person has decided."""
        chosen = sorted(self.touched)
        return np.isin(self.labels, chosen) | np.isin(self.original.labels, chosen)

    @property
    def changed_voxels(self) -> int:
        """How many voxels differ."""
        return int(np.count_nonzero(self.labels != self.original.labels))

    def volumes(self) -> dict[str, tuple[float, float]]:
        """Of each label that was changed: mL before and after, by abbreviation."""
        voxel = voxel_volume_of(self.original.affine) / MM3_PER_ML
        before, after = (_counts(i) * voxel for i in (self.original.labels, self.labels))
        return {
            label_by_index(index).abbreviation: (float(before[index]), float(after[index]))
            for index in sorted(self.touched)
        }

    def told(self) -> dict[str, dict[str, float]]:
        """The same for the sidecar, and how many voxels each gained or lost."""
        differ = self.labels != self.original.labels
        moved = np.bincount(self.labels[differ], minlength=FULL + 1)
        moved += np.bincount(self.original.labels[differ], minlength=FULL + 1)
        indices = {label.abbreviation: label.index for label in load_labels()}
        return {
            name: {
                "ChangedVoxels": int(moved[indices[name]]),
                "VolumeBefore": round(before, 4),
                "VolumeAfter": round(after, 4),
            }
            for name, (before, after) in self.volumes().items()
        }


def touched(before: Labels, after: Labels) -> frozenset[int]:
    """Labels that differ between two label images; background does not count.

    Examples
    --------
    >>> sorted(touched(np.array([0, 61, 61, 5], np.uint8), np.array([61, 61, 57, 5], np.uint8)))
    [57, 61]
    """
    differ = before != after
    values = np.union1d(before[differ], after[differ])
    return frozenset(int(value) for value in values if value)


def kept_numbers(before: Labels, after: Labels) -> tuple[float, dict[int, int]]:
    """How much of what is labelled in both images has the same number in both.

    Parameters
    ----------
    before, after : ndarray of uint8
        Of one shape.

    Returns
    -------
    share : float
        From 0 to 1; 1 if nothing is labelled before.
    moved : dict of int to int
        Labels that mostly have another number now, and which.

    Examples
    --------
    >>> old = np.array([61, 61, 61, 5, 5, 5, 0], np.uint8)
    >>> kept_numbers(old, np.array([2, 2, 61, 1, 1, 0, 1], np.uint8))
    (0.2, {5: 1, 61: 2})
    """
    drawn = before > 0
    both = before[drawn].astype(np.intp) * (FULL + 1) + after[drawn]
    pairs = np.bincount(both, minlength=(FULL + 1) ** 2).reshape(FULL + 1, FULL + 1)[:, 1:]
    shown = (int(index) for index in np.flatnonzero(pairs.sum(axis=1)))
    mostly = {index: int(pairs[index].argmax()) + 1 for index in shown}
    moved = {index: now for index, now in mostly.items() if now != index}
    same = float(pairs.diagonal(-1).sum())
    return (same / max(float(pairs.sum()), 1.0) if drawn.any() else 1.0), moved


def read_map(path: Path, shape: Sequence[int]) -> NDArray[Any]:
    """Stored numbers of a map of the derivative, canonical axes.

    Raises
    ------
    ImageError
        If it cannot be read, or has another grid.
    """
    try:
        image: Any = nib.load(path)
        data = np.asarray(image.dataobj.get_unscaled())
        found = to_canonical(Volume(data, image.affine))[0].data
    except Exception as error:  # nibabel raises many kinds on a damaged file
        raise ImageError(
            f"{path} cannot be read ({error}); expected the map that this program wrote; "
            "run the participant again with --overwrite"
        ) from error
    if found.shape != tuple(shape):
        raise ImageError(
            f"{path} has {found.shape} voxels, its labels have {tuple(shape)}; expected the same "
            "grid; run the participant again with --overwrite"
        )
    return found


def below_station(root: Path, original: LabelImage, legseg: Mapping[str, Any]) -> Below:
    """Confidence, mask and fat fraction of a station, from the files of the automatic result.

    Parameters
    ----------
    root : Path
        Root of the derivative.
    original : LabelImage
        The automatic label image of the station.
    legseg : mapping
        Our own object of its sidecar.

    Raises
    ------
    ImageError
        If one cannot be read, or does not fit.
    """
    shape = original.labels.shape
    stem = original.path.name.removesuffix("_dseg.nii.gz")
    bare = stem.removesuffix(f"_seg-{SEGMENTATION}")
    confidence = original.path.with_name(f"{stem}_desc-{CONFIDENCE}_probseg.nii.gz")
    mask = original.path.with_name(f"{bare}_label-leg_mask.nii.gz")
    fat = manual_paths(root, original.path).fat_fraction
    return Below(
        confidence=read_map(confidence, shape).astype(np.uint8),
        limbs=read_map(mask, shape) > 0,
        fat_fraction=read_map(fat, shape).astype(np.float32) if fat.is_file() else None,
        highest_fraction=highest_fraction(legseg),
    )


def highest_fraction(legseg: Mapping[str, Any]) -> float:
    """What the map of the fat fraction can show at most, from the sidecar of the labels."""
    told = legseg.get("FatFraction")
    return float(told.get("HighestFraction", 1.0)) if isinstance(told, Mapping) else 1.0


def scene_of(image: Corrected, below: Below) -> Scene:
    """What is measured; the probability of labels that were changed is not known."""
    sure = below.confidence.astype(np.float32) / FULL
    sure[np.isin(image.labels, sorted(image.touched))] = np.nan
    return Scene(
        labels=image.labels,
        affine=image.original.affine,
        limbs=below.limbs,
        fat_fraction=below.fat_fraction,
        highest_fraction=below.highest_fraction,
        confidence=sure,
        seen=below.seen,
    )


def put_image(
    change: Change,
    paths: ManualPaths,
    image: Corrected,
    below: Below,
    described: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> None:
    """Write label image, tables and sidecars of a corrected image into a change.

    Parameters
    ----------
    change : Change
        Takes the files.
    paths : ManualPaths
        Where they are to stand.
    image, below
        What to write, and what to measure it with.
    described : mapping
        What the sidecar says beside our own object: ``Description``, ``Sources`` …
    facts : mapping
        Our own object, without the correction's tables and check sums; its entry ``Correction``
        says who, why and what from.
    """
    measured = measure_image(scene_of(image, below)).as_dict()
    new = change.put(paths.labels)
    write_labels(
        new, from_canonical(image.labels, image.original.orientation), image.original.header
    )
    write_text(change.put(paths.table), _label_table(measured["muscles"], image.touched))
    origin = {key: described[key] for key in ("Sources", "SpatialReference") if key in described}
    for table in MEASURES:
        text = table_text(measured[table], table)
        write_text(change.put(getattr(paths, table)), text)
        sidecar = {**table_sidecar(table, origin), "Manual": True}
        write_json(change.put(getattr(paths, f"{table}_sidecar")), sidecar)
    legseg = {
        **facts,
        "Warnings": list(dict.fromkeys([*facts.get("Warnings", []), *measured["warnings"]])),
        # A prediction for automatic labels says nothing of these.
        **({"PredictedDice": None} if "PredictedDice" in facts else {}),
        BLOCK: {
            **facts[BLOCK],
            "Version": __version__,
            "OriginalSHA256": sha256(image.original.path),
            "LabelsSHA256": sha256(new),
            "ChangedVoxels": image.changed_voxels,
            "Structures": image.told(),
        },
    }
    columns = {**load_columns(), **load_columns("manual")}
    told = {key: text for key, text in columns.items() if key not in STANDARD_COLUMNS}
    change.drop([paths.figure])  # that of the labels of before
    write_json(
        change.put(paths.sidecar),
        {**described, "Manual": True, **told, "Legseg": legseg},
    )


def describe_edited(sidecar: Mapping[str, Any], original: str) -> dict[str, Any]:
    """What the sidecar of an edited image says beside our own object.

    Parameters
    ----------
    sidecar : mapping
        That of the automatic image.
    original : str
        The automatic label image, relative to the derivative.
    """
    kept = {key: value for key, value in sidecar.items() if key != "Legseg"}
    sources = [uri for uri in kept.get("Sources", []) if isinstance(uri, str)]
    text = str(kept.get("Description", "leg muscles"))
    return {
        **kept,
        "Description": BY_HAND + text[:1].lower() + text[1:],
        "Sources": [f"bids::{original}", *sources],
    }


def block(kind: Kind, *, author: str = "", note: str = "", **more: Any) -> dict[str, Any]:
    """What is said of a correction beside its numbers; nobody is named who was not given."""
    told = {"Author": author.strip(), "Note": note.strip()}
    return {"Kind": str(kind), **{key: text for key, text in told.items() if text}, **more}


def read_json(path: Path) -> dict[str, Any]:
    """A sidecar of the derivative.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path} cannot be read ({error}); expected the sidecar that this program wrote; run "
            "the participant again with --overwrite"
        ) from error
    return content if isinstance(content, dict) else {}


def _counts(labels: Labels) -> NDArray[np.int64]:
    """Voxels of each label; plane by plane, since counting takes eight times the memory."""
    total = np.zeros(FULL + 1, np.int64)
    for plane in labels:
        total += np.bincount(plane.ravel(), minlength=FULL + 1)
    return total


def _label_table(rows: Sequence[Mapping[str, Any]], chosen: frozenset[int]) -> str:
    columns = [*load_columns(), *load_columns("manual")]
    return to_tsv(columns, ({**row, "corrected": row["index"] in chosen} for row in rows))
