from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from legseg_bids.bids.dataset import index
from legseg_bids.bids.filters import Filters
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


LAYOUTS = {
    "sub-01/ses-a/dix/sub-01_ses-a_stk-1_megre_dix_outph": {},
    "sub-01/mr-anat/sub-01_MEGRE": {},
    "sub-01/vibe/sub-01_part-outphase_vibe": {},
}


def test_folders_of_other_layouts_are_looked_into(build) -> None:
    dataset = index(build(LAYOUTS))
    assert sorted(names(dataset.images)) == sorted(stem.rpartition("/")[2] for stem in LAYOUTS)
    assert sorted(names(dataset.sidecars)) == sorted(names(dataset.images))


def test_only_the_chosen_participant_is_looked_at(build, monkeypatch) -> None:
    touched: set[Path] = set()
    real = os.scandir

    def scandir(path: str) -> Any:
        touched.add(Path(path))
        return real(path)

    root = build({f"sub-{n:02d}/anat/sub-{n:02d}_acq-out_T1w": {} for n in range(30)})
    monkeypatch.setattr(os, "scandir", scandir)
    assert len(index(root, ["07"]).images) == 1
    assert {path for path in touched if path != root} == {root / "sub-07", root / "sub-07/anat"}


def test_a_folder_linked_into_itself_ends(build) -> None:
    root = build(IMAGES)
    (root / "sub-01/anat/loop").symlink_to("..")
    (root / "sub-01/ses-x").symlink_to(".")
    assert names(index(root, ["01"]).images) == ["sub-01_acq-out_T1w"] * 2


def test_a_name_that_is_no_text_is_set_aside(build) -> None:
    root = build(IMAGES)
    odd = os.fsencode(root / "sub-01/anat") + b"/sub-01_acq-\xffout_T1w.nii.gz"
    Path(os.fsdecode(odd)).write_bytes(b"")
    dataset = index(root, ["01"])
    assert names(dataset.images) == ["sub-01_acq-out_T1w"]
    assert dataset.not_text == (Path(os.fsdecode(odd)),)


def test_a_pybids_configuration_in_the_dataset_is_not_read(build) -> None:
    root = build(IMAGES)
    (root / "layout_config.json").write_text("{")
    (root / "sub-01/layout_config.json").write_text("{")
    assert len(index(root).images) == len(IMAGES)


def test_filters_leave_out_what_no_query_may_take(build) -> None:
    dataset = index(build(IMAGES), filters=Filters({"all": {"ses": ("a", None)}}))
    assert names(dataset.images) == [stem.rpartition("/")[2] for stem in list(IMAGES)[:3]]
    assert dataset.subjects == ("01", "011", "02")


def test_participants_without_an_image_that_passes_are_left_out(build) -> None:
    dataset = index(build(IMAGES), filters=Filters({"all": {"sub": ("02",)}}))
    assert dataset.subjects == ("02",)


def test_filters_and_sessions_must_both_hold(build) -> None:
    root = build(IMAGES)
    both = index(root, sessions=["a"], filters=Filters({"all": {"ses": ("a",)}}))
    assert names(both.images) == ["sub-02_ses-a_acq-out_T1w"]
    with pytest.raises(NoFilterMatch, match="none of 3 images"):
        index(root, sessions=["a"], filters=Filters({"all": {"ses": ("b",)}}))


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
