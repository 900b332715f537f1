from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from evaluated import AFFINE, NAMES, POOLED, SHAPE, boxes, label_name, write_labels
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.reading import Image
from legseg_bids.errors import ImageError, LegsegError
from legseg_bids.evaluate.cases import Naming, Options, Result, evaluate_case
from legseg_bids.evaluate.finding import find_label_images
from legseg_bids.evaluate.grids import difference, on_one_grid, resampled
from legseg_bids.evaluate.pairs import pair
from legseg_bids.imaging.volume import Volume

NOTHING = Naming()


def measure(root: Path, options: Options | None = None, prediction: Naming = NOTHING) -> Result:
    """Measure the only prediction in ``root/p`` against the only reference in ``root/r``."""
    pairs = pair(find_label_images(root / "r"), find_label_images(root / "p"), "m")
    (case,) = pairs.cases
    return evaluate_case(case, NOTHING, prediction, options or Options())


def write(root: Path, reference: Any, prediction: Any, **more: Any) -> Path:
    write_labels(root / "r" / label_name("01"), reference)
    write_labels(root / "p" / label_name("01"), prediction, **more)
    return root


def by_structure(result: Result, column: str = "dice") -> dict[str, float]:
    return {f"{row['structure']} {row['side']}": row[column] for row in result.rows}


# ------------------------------------------------------------------------ numbers


def test_boxes_that_are_moved_overlap_as_much_as_they_should(tmp_path: Path) -> None:
    result = measure(write(tmp_path, boxes(), boxes(move=2)))
    assert by_structure(result) == pytest.approx(
        {"RF left": 0.75, "RF right": 0.75, "VL left": 0.75, "VL right": 0.75}
    )
    assert result.mean_dice == pytest.approx(0.75)
    (row, *_) = result.rows
    assert row["participant_id"], row["image"] == ("sub-01", label_name("01"))
    assert row["reference_cm3"] == pytest.approx(6 * 8 * 4 * 20 / 1000)
    assert row["relative_volume_error"] == 0
    assert row["slice"] == "all"
    assert math.isnan(row["slice_position"])
    assert row["hd"] == pytest.approx(4.0)
    assert not result.warnings
    assert not result.left_out


def test_confusion_counts_every_voxel_that_somebody_labelled(tmp_path: Path) -> None:
    predicted = boxes()
    predicted[predicted == 61] = 55  # rectus femoris called vastus lateralis
    result = measure(write(tmp_path, boxes(), predicted))
    found = {(row["reference"], row["predicted"]): row["voxels"] for row in result.confusion}
    size = 6 * 8 * 4
    assert found[("RF_L", "VL_L")] == size
    assert found[("VL_L", "VL_L")] == size
    assert sum(found.values()) == 4 * size
    assert ("background", "background") not in found


def test_sides_that_one_does_not_tell_are_pooled(tmp_path: Path) -> None:
    pooled = boxes(numbers=(1, 1, 2, 2))
    result = measure(write(tmp_path, boxes(), pooled, names=POOLED))
    assert by_structure(result) == {"RF n/a": 1.0, "VL n/a": 1.0}


def test_structures_that_only_one_knows_are_left_out_and_told(tmp_path: Path) -> None:
    names = {61: NAMES[61], 103: "Femur left", 7: "left elbow"}
    result = measure(write(tmp_path, boxes(), boxes(numbers=(61, 103, 7, 0)), names=names))
    assert by_structure(result) == {"RF left": 1.0}
    told = {(r["found_in"], r["structure"], r["side"]): r for r in result.left_out}
    assert {key[:2] for key in told} >= {
        ("reference", "VL"), ("prediction", "FEM"), ("prediction", "left elbow")
    }  # fmt: skip
    assert told[("prediction", "FEM", "left")]["volume_cm3"] == pytest.approx(3.84)
    others = [row for row in result.confusion if "other" in (row["reference"], row["predicted"])]
    assert others


def test_values_that_no_table_names_count_as_others_and_are_told(tmp_path: Path) -> None:
    predicted = boxes()
    predicted[predicted == 62] = 999
    result = measure(write(tmp_path, boxes(), predicted))
    assert by_structure(result)["RF right"] == 0
    assert "values that its table does not name (999)" in result.warnings[0]


@pytest.mark.parametrize(
    ("reference", "predicted", "status", "dice"),
    [
        ((61, 62), (61, 62), "ok", 1.0),
        ((61, 62), (61, 0), "prediction_empty", 0.0),
        ((61, 0), (61, 62), "reference_empty", 0.0),
        ((61, 0), (61, 0), "both_empty", math.nan),
    ],
)
def test_what_is_absent_has_a_status(tmp_path: Path, reference, predicted, status, dice) -> None:
    result = measure(write(tmp_path, boxes(reference), boxes(predicted)))
    (row,) = [r for r in result.rows if (r["structure"], r["side"]) == ("RF", "right")]
    assert row["status"] == status
    assert row["dice"] == pytest.approx(dice, nan_ok=True)
    there = [r["dice"] for r in result.rows if r["status"] != "both_empty"]
    assert result.mean_dice == pytest.approx(np.mean(there))


def test_only_slices_of_the_reference_count_unless_all_are_wanted(tmp_path: Path) -> None:
    sparse = boxes()
    sparse[..., 2] = 0  # drawn on slices 1, 3 and 4 of 1 to 4
    write(tmp_path, sparse, boxes(slices=slice(0, 6)))
    assert set(by_structure(measure(tmp_path)).values()) == {1.0}
    every = measure(tmp_path, Options(coverage="all"))
    assert by_structure(every)["RF left"] == pytest.approx(2 * 3 / (3 + 6))


def test_slices_have_rows_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, boxes(), boxes(move=2))
    assert not measure(tmp_path).slices
    result = measure(tmp_path, Options(slices=True))
    rows = [r for r in result.slices if (r["structure"], r["side"]) == ("RF", "left")]
    assert [row["slice"] for row in rows] == [1, 2, 3, 4]
    assert [row["slice_position"] for row in rows] == pytest.approx([0, 100 / 3, 200 / 3, 100])
    assert {row["dice"] for row in rows} == {0.75}


# ------------------------------------------------------------------------ grids

AXES = st.permutations([0, 1, 2])
FLIPS = st.tuples(st.booleans(), st.booleans(), st.booleans())


def stored(data: np.ndarray, axes: list[int], flips: tuple[bool, ...]) -> nib.Nifti1Image:
    """The same image with its axes in another order and direction."""
    image = nib.Nifti1Image(data, AFFINE)
    codes = np.array([[axes[i], -1 if flips[i] else 1] for i in range(3)], float)
    return image.as_reoriented(codes)


@given(AXES, FLIPS)
def test_the_order_of_axes_does_not_matter(axes: list[int], flips: tuple[bool, ...]) -> None:
    turned = stored(boxes(), axes, flips)
    one = Image(Path("r"), boxes(), AFFINE, None)
    other = Image(Path("p"), np.asarray(turned.dataobj), turned.affine, None)
    first, second, why = on_one_grid(one, other)
    assert not why
    np.testing.assert_array_equal(first.data, second.data)


@pytest.mark.parametrize(
    ("shape", "shift", "same"),
    [(SHAPE, 0.0, True), (SHAPE, 0.15, True), (SHAPE, 0.5, False), ((24, 16, 5), 0.0, False)],
)
def test_grids_may_differ_by_a_tenth_of_a_voxel(shape, shift: float, same: bool) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += shift
    first, second = Volume(np.zeros(SHAPE), AFFINE), Volume(np.zeros(shape), moved)
    assert (difference(first, second) == "") is same


def test_resampling_finds_the_nearest_voxel() -> None:
    fine = Volume(np.repeat(boxes(), 2, axis=0), AFFINE @ np.diag([0.5, 1, 1, 1]))
    moved = AFFINE.copy()
    moved[:3, 3] -= 0.2
    np.testing.assert_array_equal(resampled(fine, Volume(boxes(), moved)), boxes())


def test_another_grid_is_resampled_only_if_asked(tmp_path: Path) -> None:
    fine = np.repeat(boxes(), 2, axis=0)
    write(tmp_path, boxes(), fine, affine=AFFINE @ np.diag([0.5, 1, 1, 1]))
    with pytest.raises(ImageError, match=r"24 × 16 × 6 and 48 × 16 × 6 voxels.*--resample"):
        measure(tmp_path)
    result = measure(tmp_path, Options(resample=True))
    assert set(by_structure(result).values()) == {1.0}
    assert "was resampled onto the reference's grid" in result.warnings[0]


# ------------------------------------------------------------------------ folders of masks


def write_masks(folder: Path, data: np.ndarray, names: dict[int, str]) -> None:
    for index, name in names.items():
        write_labels(folder / f"{name}.nii.gz", (data == index).astype(np.uint8), None)


def test_a_folder_of_masks_is_one_label_image(tmp_path: Path) -> None:
    write_labels(tmp_path / "r" / label_name("01"), boxes())
    names = {61: "rectus_femoris_left", 62: "rectus_femoris_right", 55: "vastus_lateralis_left"}
    write_masks(tmp_path / "p/sub-01_acq-opp_T1w", boxes(), names)
    found = by_structure(measure(tmp_path))
    assert found == {"RF left": 1.0, "RF right": 1.0, "VL left": 1.0}
    write_masks(tmp_path / "p/sub-01_acq-opp_T1w", boxes(), {55: "sartorius_left"})
    assert "192 voxels lie in several masks" in measure(tmp_path).warnings[0]
    write_labels(tmp_path / "p/sub-01_acq-opp_T1w/femur_left.nii.gz",
                 np.ones((4, 4, 4), np.uint8), None)  # fmt: skip
    with pytest.raises(ImageError, match="expected the masks of one image"):
        measure(tmp_path)


# ------------------------------------------------------------------------ bad input


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def replace_voxel(value: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = boxes().astype(np.float32)
        data[0, 5, 2] = value
        nib.save(nib.Nifti1Image(data, AFFINE), path)

    return change


def four_dimensions(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.stack([boxes()] * 2, -1), AFFINE), path)


def empty(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE), path)


def without_table(path: Path) -> None:
    path.with_name(f"{path.name.removesuffix('.nii.gz')}.tsv").unlink()


def strange_names(path: Path) -> None:
    table = path.with_name(f"{path.name.removesuffix('.nii.gz')}.tsv")
    table.write_text("index\tname\n61\tleft elbow\n62\tright elbow\n")


@pytest.mark.parametrize("folder", ["r", "p"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncate, "is truncated"),
        (lambda path: path.write_bytes(b""), "is empty \\(0 bytes\\)"),
        (lambda path: path.write_text("no image"), "is not a NIfTI image"),
        (four_dimensions, "4-D"),
        (replace_voxel(0.5), "has the value 0.5; expected whole numbers"),
        (replace_voxel(math.nan), "no numbers"),
        (replace_voxel(-3), "values from -3"),
        (without_table, "sub-01_acq-opp_seg-hand_dseg.nii.gz"),
        (strange_names, "left elbow"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, folder: str, spoil: Any, said: str) -> None:
    write(tmp_path, boxes(), boxes())
    spoil(tmp_path / folder / label_name("01"))
    with pytest.raises(LegsegError, match=said):
        measure(tmp_path)


def test_an_empty_reference_is_refused_an_empty_prediction_has_missed_all(tmp_path: Path) -> None:
    write(tmp_path, boxes(), boxes())
    empty(tmp_path / "p" / label_name("01"))
    result = measure(tmp_path)
    assert {(row["status"], row["dice"]) for row in result.rows} == {("prediction_empty", 0.0)}
    assert "count as missed" in result.warnings[0]
    empty(tmp_path / "r" / label_name("01"))
    with pytest.raises(ImageError, match="holds no label"):
        measure(tmp_path)
