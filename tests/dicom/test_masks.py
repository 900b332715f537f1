"""Masks of single structures, merged."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.validate import find_command, validate
from legseg_bids.dicom.masks import Merged, Request, merge
from legseg_bids.dicom.painting import by_size, paint, split_sides
from legseg_bids.errors import ImageError, NoInput, UsageError
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.train.own.matching import match

SHAPE = (20, 12, 3)
AFFINE = np.array([[-2.0, 0, 0, 40], [0, 2, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1]])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of a dataset, whose first axis runs to the patient's left."""
    path = tmp_path / "bids/sub-01/anat/sub-01_acq-outphase_chunk-1_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    (tmp_path / "bids/dataset_description.json").write_text(
        json.dumps({"Name": "x", "BIDSVersion": "1.10.0"})
    )
    (tmp_path / "bids/README").write_text("Nobody was scanned for this.\n")
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), AFFINE), path)
    return path


def put(folder: Path, name: str, box: tuple[slice, ...], value: float = 1, affine=AFFINE) -> Path:
    folder.mkdir(exist_ok=True)
    data = np.zeros(SHAPE, np.float32 if value == 1 else np.int16)
    data[box] = value
    nib.save(nib.Nifti1Image(data, affine), folder / f"{name}.nii.gz")
    return folder / f"{name}.nii.gz"


BIG, SMALL = np.s_[1:8, 1:9, :], np.s_[5:7, 5:7, :]


def test_masks_become_one_label_image_for_training_and_evaluation(
    image: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "masks"
    put(folder, "Vastus lateralis right", BIG)
    put(folder, "rectus_femoris_R", SMALL, 255)
    put(folder, "sartorius_left", np.s_[12:15, 2:5, 1:])
    merged = merge(Request((folder,), image))
    assert merged.overlaps == (("RF_R", "VL_R", 12),)
    labels = nib.load(merged.labels)
    expected = np.zeros(SHAPE, int)
    expected[BIG], expected[SMALL], expected[12:15, 2:5, 1:] = 56, 62, 65
    lookup = {row["abbreviation"]: int(row["index"]) for row in table(merged)}
    expected[expected == 65] = lookup["SAR_L"]
    np.testing.assert_array_equal(labels.dataobj, expected)
    np.testing.assert_array_equal(labels.affine, AFFINE)
    assert lookup["VL_R"] == 56
    sidecar = json.loads(
        merged.labels.with_name(merged.labels.name.replace("nii.gz", "json")).read_text()
    )
    assert sidecar["Manual"] is True
    assert sidecar["Overlaps"] == [{"To": "RF_R", "From": "VL_R", "Voxels": 12}]
    root = tmp_path / "bids"
    stations = discover(index(root), choose_opposed_echo).stations
    (pair,) = match(stations, root / "derivatives/manual", "*")
    assert pair.labels == merged.labels
    if find_command():
        assert validate(root) == []
        assert validate(root / "derivatives/manual") == []


def table(merged: Merged) -> list[dict[str, str]]:
    text = merged.labels.with_name(merged.labels.name.replace("nii.gz", "tsv")).read_text()
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_masks_with_other_axes_are_turned(image: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "m", "soleus_left", np.s_[2:4, 3:5, 1:])
    turned = nib.as_closest_canonical(nib.load(path))
    nib.save(nib.Nifti1Image(turned.get_fdata().astype(np.int8).transpose(2, 0, 1),
             turned.affine[:, [2, 0, 1, 3]]), path)  # fmt: skip
    merged = merge(Request((path,), image))
    expected = np.zeros(SHAPE)
    expected[2:4, 3:5, 1:] = 5
    np.testing.assert_array_equal(nib.load(merged.labels).dataobj, expected)


def test_masks_of_two_legs_are_split(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    put(folder, "soleus", np.s_[[2, 3, 4, 15, 16], 3:6, :])
    merged = merge(Request((folder,), image, side="both"))
    labels = np.asarray(nib.load(merged.labels).dataobj)
    # The first axis runs to the left: low indices are the right leg.
    assert set(np.unique(labels[:10])) == {0, 6}
    assert set(np.unique(labels[10:])) == {0, 5}
    one = merge(Request((folder,), image, side="right", overwrite=True))
    assert set(one.structures) == {6}


def test_a_table_tells_other_names(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    put(folder, "seg1", BIG)
    put(folder, "seg2", SMALL)
    put(folder, "junk", SMALL)
    names = tmp_path / "names.tsv"
    names.write_text("file\tname\nseg1\tVL_L\nseg2.nii.gz\t61\njunk\t-\n")
    assert set(merge(Request((folder,), image, table=names)).structures) == {55, 61}


@pytest.mark.parametrize(
    ("name", "how", "error", "said"),
    [
        ("left elbow", "", UsageError, "left elbow.nii.gz .* no structure of the label scheme"),
        ("vastus latralis_L", "", UsageError, "like Vastus lateralis"),
        ("soleus", "", UsageError, "does not tell its side"),
        ("soleus_L", "two values", ImageError, "is not binary .values 0, 1, 2"),
        ("soleus_L", "soft", ImageError, "is not binary"),
        ("soleus_L", "shape", ImageError, "expected the same grid"),
        ("soleus_L", "moved", ImageError, "expected the same grid"),
        ("soleus_L", "text", ImageError, "cannot be read"),
        ("soleus_L", "there", UsageError, "--overwrite"),
        ("soleus_L", "no dataset", UsageError, "lies in no BIDS dataset"),
        ("soleus_L", "no image", NoInput, "is no file"),
        ("soleus_L", "no mask", NoInput, "holds no mask"),
        ("soleus_L", "table", UsageError, "expected the columns file and name"),
    ],
)
def test_what_cannot_be_merged(
    image: Path, tmp_path: Path, name: str, how: str, error: type, said: str
) -> None:
    path = put(tmp_path / "m", name, BIG)
    request = Request((path,), image)
    if how in ("two values", "soft"):
        data = np.zeros(SHAPE, np.float32)
        data[BIG], data[SMALL] = 1, 2 if how == "two values" else 0.4
        nib.save(nib.Nifti1Image(data, AFFINE), path)
    elif how == "shape":
        nib.save(nib.Nifti1Image(np.ones((20, 12, 4), np.int8), AFFINE), path)
    elif how == "moved":
        put(tmp_path / "m", name, BIG, affine=AFFINE + np.eye(4, k=3))
    elif how == "text":
        path.write_text("x")
    elif how == "there":
        merge(request)
    elif how == "no dataset":
        (tmp_path / "bids/dataset_description.json").unlink()
    elif how == "no image":
        image.unlink()
    elif how == "no mask":
        request = Request((tmp_path / "bids",), image)
    elif how == "table":
        (tmp_path / "t.tsv").write_text("a\tb\n")
        request = Request((path,), image, table=tmp_path / "t.tsv")
    with pytest.raises(error, match=said):
        merge(request)


masks = st.dictionaries(
    st.integers(1, 9), arrays(bool, (3, 3, 2)).filter(lambda a: a.any()), min_size=1, max_size=4
)


@given(masks)
def test_the_smallest_wins_and_nothing_else_is_lost(found: dict[int, np.ndarray]) -> None:
    sizes = {index: int(mask.sum()) for index, mask in found.items()}
    labels, overlaps = paint([(i, found[i]) for i in by_size(sizes)], (3, 3, 2))
    np.testing.assert_array_equal(labels > 0, np.any(list(found.values()), axis=0))
    for place in np.argwhere(labels):
        here = [index for index, mask in found.items() if mask[tuple(place)]]
        assert labels[tuple(place)] == min(here, key=lambda index: (sizes[index], index))
    taken = np.sum(list(found.values()), axis=0)
    assert sum(overlaps.values()) == int((taken - (taken > 0)).sum())


@given(st.integers(4, 12), st.integers(2, 10), st.integers(-1, 2))
def test_the_cut_lies_in_the_gap_of_legs_of_like_size(first: int, gap: int, more: int) -> None:
    union = np.zeros((2 * first + gap + more, 2, 2), bool)
    union[:first] = union[first + gap :] = True
    assert first <= split_sides(union) <= first + gap
