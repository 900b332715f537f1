"""Neighbouring structures can be told apart by readers who see red and green alike."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.report.pictures import slice_pictures
from legseg_bids.report.scene import Scene

TRUTH = Path(__file__).parents[1] / "data" / "sample" / "derivatives" / "truth" / "sub-01" / "anat"
#: Machado, Oliveira & Fernandes, IEEE TVCG 15:1291 (2009), severity 1, for linear RGB.
MACHADO = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(axis=1)
LEAST = 10.0
"""CIE76 distance in Lab: about four times what is just noticeable side by side (2.3)."""


def lab(color: str, sight: str) -> np.ndarray:
    """CIELAB of ``#rrggbb`` as somebody with this sight sees it."""
    srgb = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(MACHADO[sight] @ linear, 0, 1)
    ratio = XYZ @ seen / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: int, other: int, sight: str) -> float:
    colours = (lab(label_by_index(value).color, sight) for value in (one, other))
    first, second = colours
    return float(np.linalg.norm(first - second))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    paths = sorted(TRUTH.glob("*_dseg.nii.gz"))
    return [np.asarray(nib.load(path).dataobj).astype(np.uint8) for path in paths]


def touching(labels: np.ndarray, least: int = 4) -> set[tuple[int, int]]:
    """Pairs of muscles or bones that share a border of some voxels within the slices."""
    found: list[np.ndarray] = []
    for one, other in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        at = (one != other) & (one > 0) & (other > 0) & (one != 151) & (other != 151)
        found.append(np.sort(np.stack([one[at], other[at]], axis=1), axis=1))
    pairs, counts = np.unique(np.concatenate(found), axis=0, return_counts=True)
    return {
        (int(a), int(b)) for (a, b), count in zip(pairs, counts, strict=True) if count >= least
    }


def close(images: list[np.ndarray], sight: str) -> dict[tuple[str, str], float]:
    """Neighbours whose colours are nearer to each other than the threshold."""
    pairs = set().union(*map(touching, images))
    assert len(pairs) > 60
    far = {pair: distance(*pair, sight) for pair in pairs}
    return {
        (label_by_index(a).abbreviation, label_by_index(b).abbreviation): round(value, 1)
        for (a, b), value in far.items()
        if value < LEAST
    }


@pytest.mark.parametrize("sight", MACHADO)
def test_neighbours_differ_in_colour(images: list[np.ndarray], sight: str) -> None:
    assert close(images, sight) == {}


def test_names_are_a_second_channel(images: list[np.ndarray]) -> None:
    """Whoever sees no colour at all reads every structure's name somewhere in the slices."""
    for labels in images:
        scene = Scene(labels, np.diag([2.2, 2.2, 15.0, 1.0]))
        named = {name.text for picture in slice_pictures(scene) for name in picture.names}
        present = {label_by_index(int(value)) for value in np.unique(labels) if value}
        wanted = {label.abbreviation[:-2] for label in present if label.tissue != "fat"}
        assert named == wanted
