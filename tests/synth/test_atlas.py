from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from legseg_bids.errors import ImageError
from legseg_bids.synth import atlas
from legseg_bids.synth.atlas import (
    CARTILAGE,
    CLOSING_MM,
    CLOSING_PELVIS_MM,
    PELVIS_MM2,
    SHIFTS,
    code_table,
    load_anatomy,
    pack_slice,
    prepare,
    side_codes,
)
from legseg_bids.synth.shape import unpack


@pytest.mark.parametrize(
    ("scheme", "foreign", "code"),
    [
        ("atlas", 114, 55),
        ("atlas", 14, 56),
        ("atlas", 136, 17),  # longus and brevis are one structure: the first label stands for both
        ("atlas", 70, CARTILAGE),
        ("atlas", 90, 0),  # fat is not a structure of its own
        ("atlas", 166, 111),
        ("atlas", 165, 121),  # the sacrum, of either side
        ("musclemap", 6160, 121),
        ("musclemap", 7101, 55),
        ("musclemap", 7102, 56),
    ],
)
def test_code_table(scheme: str, foreign: int, code: int) -> None:
    assert code_table(scheme)[foreign] == code


def test_sides_do_not_overlap() -> None:
    assert not (side_codes("left") & side_codes("right")).any()
    assert side_codes("left")[55]
    assert side_codes("right")[56]


def test_the_sacrum_is_of_no_side() -> None:
    assert not side_codes("left")[121]
    assert not side_codes("right")[121]
    assert code_table("atlas")[164] == 101  # the hip bone beside it keeps its side


def two_bars(gap: int, left: int, right: int) -> np.ndarray:
    """Two upright bars of two codes with so many pixels between them."""
    codes = np.zeros((40, 60 + gap), np.uint8)
    codes[5:35, 20:30], codes[5:35, 30 + gap : 40 + gap] = left, right
    return codes


def inside(codes: np.ndarray, pixel: float = 1.0) -> np.ndarray:
    packed = pack_slice(codes, codes > 0, pixel)
    return (unpack(torch.from_numpy(packed[None])).compartment[0] == 0).numpy()


@pytest.mark.parametrize(
    ("gap", "left", "right", "closed"),
    [
        (40, 101, 102, True),  # hip bones: the cavity between them is inside
        (50, 101, 102, True),
        (100, 101, 102, False),
        (40, 55, 56, False),  # two thighs have air between them
        (40, 55, 59, False),
        (20, 55, 59, True),
        (20, 55, 56, False),  # however near they are
        (40, 101, 56, True),  # one hip bone is enough
    ],
)
def test_cavities_of_the_pelvis_are_inside(gap: int, left: int, right: int, closed: bool) -> None:
    within = inside(two_bars(gap, left, right))
    assert bool(within[20, 30 + gap // 2]) == closed
    assert within[20, 25]
    assert not within[0, 0]


def test_a_little_hip_bone_makes_no_pelvis() -> None:
    for pixels, closed in ((PELVIS_MM2 / 4 - 1, False), (PELVIS_MM2 / 4, True)):
        codes = two_bars(20, 55, 56)
        codes[codes == 55] = np.where(np.arange((codes == 55).sum()) < pixels, 101, 55)
        assert bool(inside(codes, pixel=2.0)[20, 40]) == closed


def test_a_pelvis_is_closed_wider_than_a_thigh() -> None:
    assert CLOSING_PELVIS_MM > CLOSING_MM


def test_another_packing_is_another_cache(
    atlas_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anatomy
) -> None:
    monkeypatch.setattr(atlas, "prepare", lambda *_: anatomy)
    for packing in (1, 2, 2):
        monkeypatch.setattr(atlas, "PACKING", packing)
        load_anatomy(atlas_dir, "vhm", tmp_path)
    assert len(list(tmp_path.glob("vhm-*.npy"))) == 2


def test_pack_slice_distances() -> None:
    codes = np.zeros((41, 41), np.uint8)
    codes[10:31, 10:31] = 55
    fields = unpack(torch.from_numpy(pack_slice(codes, codes > 0, 1.0)[None]))
    assert fields.gap[0, 20, 5] == pytest.approx(5.0)
    assert fields.nearest[0, 20, 5] == 55
    assert fields.depth[0, 20, 20] == pytest.approx(10.0)
    assert fields.compartment[0, 20, 0] == pytest.approx(10.0)
    assert fields.compartment[0, 20, 20] == 0
    assert bool(fields.body[0, 20, 20])
    assert not bool(fields.body[0, 0, 0])


def test_pack_slice_of_nothing() -> None:
    fields = unpack(
        torch.from_numpy(pack_slice(np.zeros((8, 8), np.uint8), np.zeros((8, 8), bool), 1.0)[None])
    )
    assert (fields.compartment > 100).all()
    assert (fields.label == 0).all()


def test_landmarks_and_centres(anatomy) -> None:
    marks = anatomy.landmarks["left"]
    assert marks.ankle == pytest.approx(40, abs=10)
    assert marks.knee == pytest.approx(430, abs=10)
    assert marks.ischium == pytest.approx(810, abs=10)
    assert anatomy.centre["left"][50, 0] == pytest.approx(90, abs=4)
    assert anatomy.centre["right"][50, 0] == pytest.approx(270, abs=4)


def test_cache_is_used_and_equal(atlas_dir: Path, tmp_path: Path, anatomy) -> None:
    first = load_anatomy(atlas_dir, "vhm", tmp_path)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    second = load_anatomy(atlas_dir, "vhm", tmp_path)
    assert files == {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    np.testing.assert_array_equal(first.packed, second.packed)
    assert first.landmarks == second.landmarks == anatomy.landmarks


def test_missing_map_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"vhf_labels.nii.gz not found"):
        load_anatomy(tmp_path, "vhf", tmp_path)


def test_wrong_axes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vhm_labels.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.diag([-1.0, 1, 1, 1])), path)
    with pytest.raises(ImageError, match="expected R, A, S"):
        prepare(path, "vhm")


def test_fields_fit_in_their_bits(anatomy) -> None:
    assert anatomy.packed.min() >= 0
    assert anatomy.packed.max() < 1 << (SHIFTS["body"] + 1)
