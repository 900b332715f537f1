from __future__ import annotations

from pathlib import Path

import pytest
from evaluated import boxes, label_name, write_labels

from legseg_bids.errors import NoInput
from legseg_bids.evaluate.finding import as_predictions, as_references, find_label_images


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(root: Path, pattern: str | None = None) -> list[str]:
    return [image.name for image in find_label_images(root, pattern)]


OURS = (
    "sub-01/anat/sub-01_acq-opp_seg-muscles_dseg.nii.gz",
    "sub-01/anat/sub-01_acq-opp_seg-muscles_desc-confidence_probseg.nii.gz",
    "sub-01/anat/sub-01_acq-opp_label-leg_mask.nii.gz",
    "sub-01/anat/.sub-01_acq-opp_seg-muscles_dseg.nii.gz.0123456789ab.tmp",
    "sub-01/anat/.hidden_dseg.nii.gz",
)


@pytest.mark.parametrize(
    ("files", "pattern", "found"),
    [
        (OURS, None, [OURS[0]]),
        (("case_001.nii.gz", "case_002.nii"), None, ["case_001.nii.gz", "case_002.nii"]),
        (("a.nii", "a.nii.gz", "a.json"), None, ["a.nii.gz"]),
        (("sub-1_T1w.nii.gz", "sub-1_stk-UPLEG_seg.nii.gz"), None, ["sub-1_stk-UPLEG_seg.nii.gz"]),
        (("sub-1_T1w_dseg.nii.gz", "sub-1_x.nii.gz"), "*_x.nii*", ["sub-1_x.nii.gz"]),
        (("sub-1/femur_left.nii.gz", "sub-1/femur_right.nii.gz"), None, ["sub-1"]),
        (("sub-1/one.nii.gz", "sub-1/two.nii.gz"), None, ["sub-1/one.nii.gz", "sub-1/two.nii.gz"]),
    ],
)  # fmt: skip
def test_label_images_of_a_folder(tmp_path: Path, files, pattern, found) -> None:
    assert names(touch(tmp_path, *files), pattern) == found


@pytest.mark.parametrize(
    ("files", "pattern", "said"),
    [
        ((), None, "holds no label image"),
        (("sub-1_T1w.nii.gz",), None, "holds no label image"),
        (("sub-1_dseg.nii.gz",), "*_other.nii.gz", "named \\*_other.nii.gz"),
    ],
)
def test_a_folder_without_label_images_is_told(tmp_path: Path, files, pattern, said) -> None:
    with pytest.raises(NoInput, match=said):
        find_label_images(touch(tmp_path, *files), pattern)
    with pytest.raises(NoInput, match="is not a folder"):
        find_label_images(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "participant", "session"),
    [
        ("sub-01/ses-a/anat/sub-01_ses-a_dseg.nii.gz", "sub-01", "ses-a"),
        ("sub-01/ses-a/femur.nii.gz", "sub-01", "ses-a"),
        ("sub-01/segmentation_dseg.nii.gz", "sub-01", "n/a"),
        ("case_001_dseg.nii.gz", "case_001", "n/a"),
    ],
)
def test_who_it_is(tmp_path: Path, name: str, participant: str, session: str) -> None:
    (image,) = find_label_images(touch(tmp_path, name))
    assert (image.participant_id, image.session_id) == (participant, session)


def test_table_and_sources_lie_beside_the_image_or_above(tmp_path: Path) -> None:
    own = write_labels(tmp_path / label_name("01"), boxes(), sources=["sub-01/anat/x_T1w.nii.gz"])
    write_labels(tmp_path / label_name("02"), boxes(), None)
    first, second = find_label_images(tmp_path)
    assert first.table == own.with_name("sub-01_acq-opp_seg-hand_dseg.tsv")
    assert first.sources == {"sub-01/anat/x_T1w.nii.gz"}
    assert (second.table, second.sources) == (None, frozenset())
    touch(tmp_path, "seg-hand_dseg.tsv", "seg-other_dseg.tsv")
    first, second = find_label_images(tmp_path)
    assert first.table == own.with_name("sub-01_acq-opp_seg-hand_dseg.tsv")
    assert second.table == tmp_path / "seg-hand_dseg.tsv"


def test_corrections_stand_for_references_and_never_for_predictions(tmp_path: Path) -> None:
    stem = "sub-01/anat/sub-01_acq-opp"
    automatic = [f"{stem}_chunk-{n}_seg-muscles_dseg.nii.gz" for n in (1, 2)]
    merged = f"{stem}_seg-muscles_desc-merged_dseg.nii.gz"
    manual = f"{stem}_chunk-1_seg-muscles_desc-manual_dseg.nii.gz"
    remerged = f"{stem}_seg-muscles_desc-mergedmanual_dseg.nii.gz"
    images = find_label_images(touch(tmp_path, *automatic, merged, manual, remerged))
    assert [i.name for i in as_references(images)] == [manual, automatic[1], remerged]
    assert [i.name for i in as_predictions(images)] == [*automatic, merged]
