"""From datasets and their labels to limbs: matching, meaning, sides, grids."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("torch")

from labelled import SCHEME, drawn, recipe_text, write_labelled, write_labels

from legseg_bids.errors import ImageError, LegsegError, NoInput, UsageError
from legseg_bids.interfaces.prepare import prepare
from legseg_bids.train.own.recipe_file import load_recipe
from legseg_bids.train.own.structures import choose_classes, meaning_of
from legseg_bids.train.own.training import Ready, make_ready


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "a", 1)


def ready(folder: Path, text: str | None = None, **options) -> Ready:
    recipe = folder / "mine.toml"
    recipe.write_text(text or recipe_text("a"))
    said: list[str] = options.setdefault("said", [])
    leave = options.get("leave_out_bad", False)
    return make_ready(load_recipe(recipe), folder / "run", prepare, said.append, leave)


def load(folder: Path, limb) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.load(folder / "run/limbs" / name) for name in (limb.image, limb.labels))


def test_both_limbs_become_left_ones(study: Path) -> None:
    found = ready(study.parent)
    assert found.channels == (0, 31, 61, -1)
    left, right = found.limbs
    assert (left.participant, left.source) == (
        "01",
        "sub-01/anat/sub-01_acq-outphase_T1w.nii.gz left",
    )
    assert left.voxels.keys() == right.voxels.keys() == {"0", "31", "61"}
    assert left.spacing == pytest.approx((10.0, 6.0, 6.0), rel=0.1)
    for limb in found.limbs:
        image, labels = load(study.parent, limb)
        assert image.shape == (1, *labels.shape)
        front, back = labels == 61, labels == 31
        assert front[:, labels.shape[1] // 2 + 1 :].sum() > 0.7 * front.sum()
        assert image[0][front].mean() > 1.3 * image[0][back].mean()


def test_images_and_labels_are_mirrored_together(study: Path) -> None:
    """Lateral is at low x in both limbs, and what is bright is what was drawn as bright."""
    x = np.arange(96)[:, None, None]
    lateral = (x < 24) | (x >= 72)
    left = (drawn() > 0) & (x < 48)
    right = (drawn() > 0) & (x >= 48)
    labels = np.select([left & lateral, left, right & lateral, right], [61, 31, 62, 32], 0).astype(
        np.int16
    )
    write_labels(study, "01", labels, SCHEME)
    (path,) = study.glob("sub-01/anat/*.nii.gz")
    image = nib.load(path)
    bright = np.where(np.isin(labels, [61, 62]), 900.0, np.asarray(image.dataobj))
    nib.save(nib.Nifti1Image(bright.astype(np.float32), image.affine), path)
    for limb in ready(study.parent).limbs:
        grey, codes = load(study.parent, limb)
        where = {code: np.nonzero(codes == code)[2].mean() for code in (61, 31)}
        assert where[61] < where[31] - 3
        assert grey[0][codes == 61].mean() > 1.2 * grey[0][codes == 31].mean()


def test_slices_where_nobody_drew_are_not_background(study: Path) -> None:
    labels = drawn()
    labels[:, :, [0, 3]] = 0
    labels[:, :, 6:] = 0
    write_labels(study, "01", labels, SCHEME)
    _, codes = load(study.parent, ready(study.parent).limbs[0])
    assert [bool((row == -1).all()) for row in codes] == [True, 0, 0, True, 0, 0, True]


def test_limbs_are_prepared_once_and_again_when_a_file_changes(study: Path) -> None:
    first, second, third = [], [], []
    before = ready(study.parent, said=first)
    assert ready(study.parent, said=second) == before
    write_labels(study, "01", np.where(drawn() == 61, 0, drawn()).astype(np.int16), SCHEME)
    assert ready(study.parent, said=third) != before
    assert (len(first), len(second), len(third)) == (1, 0, 1)


def test_numbers_without_a_side_belong_to_the_limb_they_lie_in(study: Path) -> None:
    names = {1: "Rectus_femoris", 2: "hamstring, long"}
    write_labels(study, "01", drawn(numbers=(1, 2, 1, 2)), names)
    data = '\n[data.names]\n"Hamstring, LONG" = "BFLH"\n'
    text = recipe_text("a").replace("[network]", data + "[network]")
    found = ready(study.parent, text)
    assert found.channels == (0, 31, 61, -1)
    assert all(limb.drawn == (31, 61) for limb in found.limbs)


def test_other_and_ignored_numbers(study: Path) -> None:
    names = {**SCHEME, 31: "scar", 32: "artefact"}
    write_labels(study, "01", drawn(), names)
    data = '\n[data.names]\nscar = "other"\nartefact = "ignore"\n'
    left, right = ready(
        study.parent, recipe_text("a").replace("[network]", data + "[network]")
    ).limbs
    assert left.voxels.keys() == {"0", "61", "250"}
    assert right.voxels.keys() == {"-1", "0", "61"}


def test_a_table_for_all_images(study: Path) -> None:
    for table in study.rglob("*dseg.tsv"):
        shutil.move(table, study / "derivatives/drawn/dseg.tsv")
    assert len(ready(study.parent).limbs) == 2


def test_a_sidecar_says_what_names_do_not(study: Path) -> None:
    (image,) = study.rglob("*dseg.nii.gz")
    (table,) = study.rglob("*dseg.tsv")
    for path, ending in ((image, "nii.gz"), (table, "tsv")):
        path.rename(path.with_name(f"sub-01_run-7_dseg.{ending}"))
    with pytest.raises(NoInput, match="none of the 1 label images"):
        ready(study.parent)
    source = "bids:raw:sub-01/anat/sub-01_acq-outphase_T1w.nii.gz"
    image.with_name("sub-01_run-7_dseg.json").write_text(json.dumps({"Sources": [source]}))
    assert len(ready(study.parent).limbs) == 2


def shifted(study: Path) -> None:
    affine = np.diag([3.0, 3.0, 10.0, 1.0])
    affine[0, 3] = 12.0
    write_labels(study, "01", drawn(), SCHEME, affine)


def second_image(study: Path) -> None:
    (image,) = study.rglob("*dseg.nii.gz")
    shutil.copy(image, image.with_name(image.name.replace("seg-hand", "desc-second")))


def renamed(number: int, name: str):
    return lambda study: write_labels(study, "01", drawn(), {**SCHEME, number: name})


def without_tables(study: Path) -> None:
    for table in study.rglob("*dseg.tsv"):
        table.unlink()


BAD = [
    ("other shape", lambda s: write_labels(s, "01", drawn((96, 56, 7)), SCHEME), ImageError,
     "96 x 56 x 8 .*96 x 56 x 7|expected the same grid"),
    ("other place", shifted, ImageError, "lie up to 12.00 mm apart; expected the same grid"),
    ("unknown name", renamed(61, "Rectus femuris left"), UsageError,
     "not in the label scheme: 'Rectus femuris left' .nearest: rectus femoris left"),
    ("number not in the table",
     lambda s: write_labels(s, "01", drawn(), {61: SCHEME[61]}), ImageError, "not in its table"),
    ("sides exchanged",
     lambda s: write_labels(s, "01", drawn(numbers=(62, 32, 61, 31)), SCHEME), ImageError,
     "calls the limb at the patient's left right"),
    ("no table", without_tables, UsageError, "has no table that says what its numbers mean"),
    ("two label images", second_image, UsageError, "both belong to sub-01/anat"),
    ("nothing of the region", lambda s: write_labels(
        s, "01", drawn(), {61: "SOL_L", 31: "TA_L", 62: "SOL_R", 32: "TA_R"}), NoInput,
     "no labelled image shows structures of the upper leg"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "said"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_is_said(study: Path, spoil, kind: type[LegsegError], said: str) -> None:
    spoil(study)
    with pytest.raises(kind, match=said):
        ready(study.parent)


def test_bad_images_can_be_left_out(tmp_path: Path) -> None:
    study = write_labelled(tmp_path / "a", 2)
    shifted(study)
    said: list[str] = []
    found = ready(tmp_path, leave_out_bad=True, said=said)
    assert {limb.participant for limb in found.limbs} == {"02"}
    assert any("left out" in line and "12.00 mm apart" in line for line in said)


def test_what_a_dataset_names_counts_as_drawn_in_all_its_images(tmp_path: Path) -> None:
    """A muscle outside the field of view was looked for all the same."""
    study = write_labelled(tmp_path / "a", 2)
    only = {61: SCHEME[61], 62: SCHEME[62]}
    front = np.where(np.isin(drawn(), [61, 62]), drawn(), 0).astype(np.int16)
    write_labels(study, "02", front, only)
    assert all(limb.drawn == (31, 61) for limb in ready(tmp_path).limbs)


def test_all_unknown_names_are_told_at_once(study: Path) -> None:
    write_labels(study, "01", drawn(), {**SCHEME, 61: "first muscle", 32: "last muscle"})
    with pytest.raises(UsageError, match=r"'first muscle'.*; 'last muscle'"):
        ready(study.parent)


@pytest.mark.parametrize("names", [["VL", "VL_L"], ["background"], ["Vastus"]])
def test_impossible_classes(names: list[str]) -> None:
    with pytest.raises(UsageError, match="classes"):
        choose_classes(names, [], "upper")


def test_every_name_of_the_scheme_is_known() -> None:
    from legseg_bids.anatomy.labels import load_labels

    for label in load_labels():
        for name in (label.name, label.abbreviation):
            found = meaning_of(name, {})
            assert found.code == label.index - (label.side == "right")
            assert found.side == (label.side if label.side != "n/a" else "")
