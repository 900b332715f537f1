from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom import EVERY, SPACING, partial_map, write_partial

from legseg_bids.errors import ImageError
from legseg_bids.synth.partial import FEWEST_SLICES, PADDING, PIXEL, divide, halves_of, limbs_of

NAME = "someone_0001"
MUSCLES = 11
#: Axes as a file may have them: any order, any direction.
AXES = [
    tuple(axis[way] for axis, way in zip(order, ways, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for ways in product((0, 1), repeat=3)
]


def stripped(ids: np.ndarray) -> np.ndarray:
    """Without the empty rows and columns around the muscles."""
    where = [np.flatnonzero((ids > 0).any(axis=tuple({0, 1, 2} - {a}))) for a in range(3)]
    return ids[tuple(slice(w[0], w[-1] + 1) for w in where)]


def two_limbs(seed: int) -> np.ndarray:
    """Two blocks of random muscles, six pixels apart or more."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((40, 16, 7), np.uint8)
    for low, wide in ((rng.integers(1, 4), rng.integers(9, 13)), (23, rng.integers(9, 13))):
        ids[low : low + wide, 3:12] = rng.integers(1, MUSCLES + 1, (wide, 9, 7))
    return ids


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spacing = (1.1 * SPACING[0], SPACING[1], EVERY * SPACING[2])
    folder = tmp_path_factory.mktemp("maps")
    return write_partial(folder / f"{NAME}.nii.gz", spacing=spacing, axes=("L", "P", "S"))


def test_map_is_divided_into_two_alike_limbs(file: Path) -> None:
    left, right = limbs_of(file, MUSCLES)
    assert (left.name, right.name) == (f"{NAME}-left", f"{NAME}-right")
    assert left.shares.shape[:2] == (MUSCLES, partial_map().shape[2])
    assert np.diff(left.height) == pytest.approx(30.0)
    assert float(left.shares.max()) <= 1.0
    # the phantom is symmetric: mirrored, the right limb is the left one, but for its grid
    assert right.shares.sum() == pytest.approx(left.shares.sum(), rel=0.05)
    for limb in (left, right):
        lateral, medial = (limb.shares[n - 1].sum(axis=(0, 1)) for n in (3, 5))
        assert np.argmax(lateral) < np.argmax(medial)


def test_halves_are_the_maps_own_pixels(file: Path) -> None:
    halves = halves_of(file)
    assert list(halves) == [f"{NAME}-left", f"{NAME}-right"]
    (left, spacing), (right, _) = halves.values()
    assert spacing == pytest.approx([4.4, 4.0, 30.0])
    assert np.array_equal(np.concatenate([left, right[::-1]]), partial_map())
    assert np.array_equal(stripped(left), stripped(right))


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from(AXES))
def test_halves_do_not_depend_on_how_a_map_is_stored(
    tmp_path_factory: pytest.TempPathFactory, seed: int, axes: tuple[str, str, str]
) -> None:
    ids, spacing = two_limbs(seed), (0.75, 1.25, 10.0)
    path = write_partial(
        tmp_path_factory.mktemp("m") / "m.nii.gz", ids=ids, spacing=spacing, axes=axes
    )
    (left, found), (right, _) = halves_of(path).values()
    assert found == pytest.approx(spacing)
    assert np.array_equal(stripped(left), stripped(ids[:20]))
    assert np.array_equal(stripped(right), stripped(ids[20:][::-1]))


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_a_mirrored_person_has_the_other_limbs(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder, ids = tmp_path_factory.mktemp("m"), two_limbs(seed)
    a = halves_of(write_partial(folder / "m.nii.gz", ids=ids))
    b = halves_of(write_partial(folder / "w.nii.gz", ids=ids[::-1]))
    assert np.array_equal(stripped(a["m-left"][0]), stripped(b["w-right"][0]))
    assert np.array_equal(stripped(a["m-right"][0]), stripped(b["w-left"][0]))


def test_shares_lie_where_the_pixels_are(tmp_path: Path) -> None:
    ids = np.zeros((40, 30, FEWEST_SLICES), np.uint8)
    ids[4:16, 6:20] = 4
    ids[9:12, 10:13] = 2  # within: its place is known from the edge of the first
    ids[24:36] = 4
    path = write_partial(tmp_path / "m.nii.gz", ids=ids, spacing=(4.0, 4.0, 20.0))
    share = limbs_of(path, MUSCLES)[0].shares[1, 0]
    y, x = (np.average(i, weights=share) * PIXEL for i in np.indices(share.shape))
    assert (x, y) == pytest.approx(((PADDING + 10 - 4) * 4.0, (PADDING + 11 - 6) * 4.0), abs=0.2)
    assert share.sum() == pytest.approx(9.0, rel=0.02)


@pytest.mark.parametrize("slices", [FEWEST_SLICES - 1, FEWEST_SLICES])
def test_limbs_of_few_slices_are_left_out(tmp_path: Path, slices: int) -> None:
    ids = np.zeros((40, 16, 7), np.uint8)
    ids[2:14, 3:12], ids[24:36, 3:12, :slices] = 1, 2
    path = write_partial(tmp_path / "m.nii.gz", ids=ids)
    names = [limb.name for limb in limbs_of(path, MUSCLES)]
    assert names == ["m-left", *(["m-right"] if slices == FEWEST_SLICES else [])]
    assert len(halves_of(path)) == 2


@pytest.mark.parametrize(("thickness", "kept"), [(5.0, 6), (13.0, 12), (3.0, 3)])
def test_near_slices_are_thinned_out(tmp_path: Path, thickness: float, kept: int) -> None:
    ids = np.zeros((40, 16, 12), np.uint8)
    ids[2:14, 3:12] = ids[24:36, 3:12] = 1
    path = write_partial(tmp_path / "m.nii.gz", ids=ids, spacing=(1.0, 1.0, thickness))
    limbs = limbs_of(path, MUSCLES)
    if kept < FEWEST_SLICES:
        assert limbs == []
    else:
        assert [len(limb.height) for limb in limbs] == [kept, kept]
        assert limbs[0].height[-1] <= 11 * thickness


def test_limbs_of_different_width_are_divided_between_them() -> None:
    ids = np.zeros((60, 5, 3), bool)
    ids[5:25] = ids[31:55] = True
    assert 25 <= divide(ids) <= 31


@pytest.mark.parametrize("read", [halves_of, lambda path: limbs_of(path, MUSCLES)])
def test_an_empty_map_is_an_error(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "e.nii.gz")
    with pytest.raises(ImageError, match=r"e\.nii\.gz holds no label"):
        read(tmp_path / "e.nii.gz")
