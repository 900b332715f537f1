"""What the viewer of a page gets: image and labels as small NIfTI files, and names to read."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from legseg_bids.anatomy.labels import Label, load_labels
from legseg_bids.report.pictures import full_name
from legseg_bids.report.scene import FAINT, Scene

LARGEST = 850_000
"""Bytes of a compressed image; base64 adds a third. Three of them, the viewer itself and the
pictures of a leg in two stations stay below 6 MB."""
STEP = 4
"""Grey levels are multiples of it: 64 are as many as an eye tells apart on a screen, and noise
in the last two bits would be most of the file."""
COMPRESSION = 6
SAMPLE = 8
"""Slices by which the size of an image is estimated."""
SMALLEST = 0.25
"""Of the resolution, beyond which no image is made smaller."""


def viewer_data(scene: Scene, largest: int = LARGEST) -> dict[str, Any]:
    """Image, labels, names and places, ready for JSON.

    Parameters
    ----------
    scene : Scene
        Cropped.
    largest : int
        Bytes of the compressed image; it is made coarser until it fits.

    Returns
    -------
    dict
        ``image`` and ``labels`` (base64 of ``.nii.gz``), ``names``, ``abbreviations`` and
        ``colors`` (by value), ``places`` (by abbreviation, a voxel deep inside), ``spacing``
        (mm), ``slices`` (of the whole image), ``first`` (the structure to begin with), ``fat``
        (values that would hide the muscles in 3-D), ``coarser`` (how many times, 1 if not at
        all).
    """
    small, packed, coarser = _fit(scene, largest)
    values = [int(value) for value in np.unique(_bytes(small.labels)) if value]
    known = {label.index: label for label in load_labels()}
    return {
        "image": _base64(packed),
        "labels": _base64(nifti(_bytes(small.labels), small.affine, label=True)),
        "names": {value: full_name(known.get(value), value) for value in values},
        "abbreviations": {v: known[v].abbreviation for v in values if v in known},
        "colors": {v: known[v].color if v in known else "#ffffff" for v in values},
        "places": {
            known[v].abbreviation: place
            for v, place in _places(small.labels).items()
            if v in known
        },
        "first": _largest_muscle(small.labels, known),
        "fat": [v for v in values if v in known and known[v].tissue == "fat"],
        "spacing": [round(step, 4) for step in small.spacing],
        "slices": scene.depth,
        "coarser": round(coarser, 2),
    }


def nifti(data: NDArray[np.uint8], affine: NDArray[np.float64], *, label: bool = False) -> bytes:
    """A gzipped NIfTI file, the same bytes for the same voxels.

    NiiVue gives a label its own colour, and no mixture of neighbouring ones, only where the
    header says that the values are labels.
    """
    kind: Any = nib.Nifti1Image
    image = kind(data, affine)
    image.header.set_xyzt_units("mm")
    if label:
        image.header.set_intent("label")
    image.header["cal_max"] = 255
    return gzip.compress(image.to_bytes(), COMPRESSION, mtime=0)


def quiet(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels without noise in the air and in the last two bits.

    Examples
    --------
    >>> quiet(np.array([0, 9, 40, 255], np.uint8))
    array([  0,   0,  40, 252], dtype=uint8)
    """
    shown = grey // STEP * STEP
    return np.where(grey > FAINT, shown, 0).astype(np.uint8)


def coarsen(scene: Scene, times: float) -> Scene:
    """A scene with larger voxels: in-plane, and along z where slices are as thin as that.

    Labels are taken from the nearest voxel, grey values are means.
    """
    wanted = min(scene.spacing[:2]) * times
    factors = [max(1.0, wanted / step) for step in scene.spacing]
    shape = [max(1, round(n / f)) for n, f in zip(scene.labels.shape, factors, strict=True)]
    planes = _nearest(scene.labels.shape[2], shape[2])
    size = (shape[1], shape[0])  # rows are x here: Pillow's width is the second axis
    labels = _resized(_bytes(scene.labels[..., planes]), size, Image.Resampling.NEAREST)
    grey = scene.grey
    if grey is not None:
        grey = _resized(_thinned(grey, shape[2], planes), size, Image.Resampling.BOX)
    real = [n / m for n, m in zip(scene.labels.shape, shape, strict=True)]
    affine = scene.affine @ np.diag([*real, 1.0])
    affine[:3, 3] = (scene.affine @ [*[(r - 1) / 2 for r in real], 1.0])[:3]
    return replace(scene, labels=labels, grey=grey, affine=affine)


def _fit(scene: Scene, largest: int) -> tuple[Scene, bytes, float]:
    """The scene, as coarse as it must be, and its image packed."""
    small, times = scene, 1.0
    while True:
        size = _estimate(small)
        if size <= largest or times >= 1 / SMALLEST:
            packed = nifti(quiet(small.background), small.affine)
            size = len(packed)
            if size <= largest or times >= 1 / SMALLEST:
                return small, packed, times
        # Slices as thin as the pixels are thinned too: then the size falls with the third power.
        power = 3 if small.spacing[2] < 1.2 * min(small.spacing[:2]) else 2
        times = min(times * max(1.1, (size / largest) ** (1 / power)), 1 / SMALLEST)
        small = coarsen(scene, times)


def _estimate(scene: Scene) -> float:
    """Bytes that the image will take, by some of its slices: to pack all takes seconds."""
    depth = scene.labels.shape[2]
    some = scene.background[..., :: max(1, depth // SAMPLE)]
    packed = gzip.compress(quiet(some).tobytes(order="F"), COMPRESSION)
    return float(len(packed) * depth / some.shape[2])


def _resized(
    data: NDArray[np.uint8], size: tuple[int, int], how: Image.Resampling
) -> NDArray[np.uint8]:
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(data[..., z])).resize(size, how))
        for z in range(data.shape[2])
    ]
    return np.stack(planes, axis=2)


def _nearest(before: int, after: int) -> NDArray[np.intp]:
    """Which of the slices lies nearest to each of the fewer ones."""
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    return np.clip(np.rint(centres), 0, before - 1).astype(np.intp)


def _thinned(grey: NDArray[np.uint8], after: int, planes: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Fewer slices, each the mean of those around it."""
    if after == grey.shape[2]:
        return grey
    width = max(1, round(grey.shape[2] / after))
    mean = ndimage.uniform_filter1d(grey, width, axis=2)
    thinned: NDArray[np.uint8] = mean[..., planes]
    return thinned


def _places(labels: NDArray[np.integer[Any]]) -> dict[int, list[int]]:
    """For each value a voxel that lies deep inside its largest slice."""
    found = {}
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == value
        areas = mask.sum(axis=(0, 1))
        largest = np.flatnonzero(areas == areas.max())
        z = int(largest[largest.size // 2])
        deep = ndimage.distance_transform_edt(np.pad(mask[..., z], 1))[1:-1, 1:-1]
        x, y = np.unravel_index(int(deep.argmax()), deep.shape)
        found[value] = [box[0].start + int(x), box[1].start + int(y), box[2].start + z]
    return found


def _largest_muscle(labels: NDArray[np.integer[Any]], known: Mapping[int, Label]) -> str:
    """Abbreviation of the muscle with most voxels, where the viewer begins; empty if none."""
    counts = np.bincount(labels.ravel())
    muscles = [v for v, label in known.items() if label.tissue == "muscle" and v < counts.size]
    best = max(muscles, key=lambda value: int(counts[value]), default=0)
    return known[best].abbreviation if best and counts[best] else ""


def _bytes(labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Labels in one byte; what is larger is in no scheme of ours, and must not look like it."""
    small: NDArray[np.uint8] = np.minimum(labels, 255).astype(np.uint8)
    return small


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
