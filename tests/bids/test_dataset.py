from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from legseg_bids.bids.dataset import index
from legseg_bids.errors import LegsegError, NoFilterMatch, NoInput, ValidationError

IMAGES = {
    "sub-01/anat/sub-01_acq-out_T1w": {},
    "sub-011/anat/sub-011_acq-out_T1w": {},
    "sub-02/ses-a/anat/sub-02_ses-a_acq-out_T1w": {},
    "sub-02/ses-b/anat/sub-02_ses-b_acq-out_T1w": {},
}


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name.partition(".")[0] for path in paths]


def test_everything_by_default(build) -> None:
    dataset = index(build(IMAGES))
    assert dataset.subjects == ("01", "011", "02")
    assert names(dataset.images) == [stem.rpartition("/")[2] for stem in IMAGES]


@pytest.mark.parametrize("label", ["01", "sub-01"])
def test_one_participant_is_not_a_prefix_of_another(build, label: str) -> None:
    dataset = index(build(IMAGES), [label])
    assert names(dataset.images) == ["sub-01_acq-out_T1w"]
    assert names(dataset.sidecars) == ["sub-01_acq-out_T1w"]


@pytest.mark.parametrize("label", ["b", "ses-b"])
def test_sessions_select_and_images_without_one_stay(build, label: str) -> None:
    dataset = index(build(IMAGES), sessions=[label])
    expected = ["sub-01_acq-out_T1w", "sub-011_acq-out_T1w", "sub-02_ses-b_acq-out_T1w"]
    assert names(dataset.images) == expected


def test_derivatives_other_datatypes_and_hidden_folders_are_ignored(build) -> None:
    extra = {
        "derivatives/x/sub-01/anat/sub-01_acq-out_T1w": {},
        "sourcedata/sub-01/anat/sub-01_acq-out_T1w": {},
        ".git/sub-01/anat/sub-01_acq-out_T1w": {},
        "sub-01/func/sub-01_task-x_bold": {},
        "sub-01/anat/sub-01_T2starmap": {},
    }
    dataset = index(build({**IMAGES, **extra}))
    assert names(dataset.images) == [stem.rpartition("/")[2] for stem in IMAGES]


def test_a_dataset_may_itself_lie_below_a_folder_called_derivatives(build, tmp_path) -> None:
    root = build(IMAGES)
    moved = root.rename(tmp_path / "derivatives")
    assert len(index(moved).images) == len(IMAGES)


def test_of_two_files_that_differ_in_compression_one_is_kept(build) -> None:
    root = build(IMAGES)
    packed = root / "sub-01/anat/sub-01_acq-out_T1w.nii.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    assert [p.name for p in index(root, ["01"]).images] == [packed.name]


def no_folder(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


def no_description(root: Path) -> None:
    (root / "dataset_description.json").unlink()


def bad_description(root: Path) -> None:
    (root / "dataset_description.json").write_text("{")


def listed_description(root: Path) -> None:
    (root / "dataset_description.json").write_text("[]")


def no_participants(root: Path) -> None:
    for path in root.glob("sub-*"):
        path.rename(path.with_name("x" + path.name))


def untouched(root: Path) -> None:
    return


@pytest.mark.parametrize(
    ("spoil", "labels", "error", "match"),
    [
        (no_folder, {}, NoInput, "not a folder"),
        (no_description, {}, ValidationError, r"no dataset_description\.json"),
        (bad_description, {}, ValidationError, "cannot be read"),
        (listed_description, {}, ValidationError, "no JSON object"),
        (no_participants, {}, NoInput, r"no sub-\* folder"),
        (untouched, {"participants": ["07", "01"]}, NoFilterMatch, "participant 07 not found"),
        (
            untouched,
            {"participants": ["02"], "sessions": ["c"]},
            NoFilterMatch,
            "session c not found.*a, b",
        ),
    ],
)
def test_bad_input(build, spoil, labels, error: type[LegsegError], match: str) -> None:
    root = build(IMAGES)
    spoil(root)
    with pytest.raises(error, match=match):
        index(root, **labels)
