"""Labels that somebody edited: what becomes of tables, merged images, pages and later runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from corrections import (
    FIRST,
    FIRST_MANUAL,
    MERGED,
    MERGED_MANUAL,
    SECOND,
    SHARED,
    contents,
    edit,
    grow,
    read,
    rows,
    segment,
    told,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from running import run_legseg

from legseg_bids.bids.finished import find_images
from legseg_bids.bids.journal import FOLDER, JOURNAL
from legseg_bids.bids.validate import find_command, validate
from legseg_bids.errors import Busy, ImageError, LegsegError, NoInput, UsageError
from legseg_bids.group.level import write_tables
from legseg_bids.workflows.corrected import touched
from legseg_bids.workflows.correcting import correct, refresh, undo
from legseg_bids.workflows.locks import claim

pytest.importorskip("onnx")
NUMBERS = count()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    return segment(tmp_path_factory.mktemp("correct"), tiny_models)


@pytest.fixture
def out(made: Path) -> Path:
    """A copy beside the dataset, so that the way to it holds."""
    return Path(shutil.copytree(made, made.parent / f"out{next(NUMBERS)}"))


@pytest.fixture
def edited(out: Path, tmp_path: Path) -> Path:
    """The first station with one muscle grown into another."""
    return edit(out, FIRST, tmp_path / f"{Path(FIRST).name}.nii.gz", grow)


# ------------------------------------------------------------- what is written


def test_the_correction_stands_beside_the_automatic_labels(out: Path, edited: Path) -> None:
    before = contents(out)
    done = correct(out, edited, author="A. Person", note="31 was too large", reports=False)
    assert done.labels == out / f"{FIRST_MANUAL}.nii.gz"
    np.testing.assert_array_equal(read(done.labels), read(edited))
    after = contents(out)
    assert {name: after[name] for name in before} == before
    assert all("manual" in name for name in after.keys() - before.keys())


def test_the_sidecar_says_who_what_and_what_from(out: Path, edited: Path) -> None:
    correct(out, edited, author="A. Person", note="31 was too large", reports=False)
    sidecar = json.loads((out / f"{FIRST_MANUAL}.json").read_text())
    assert sidecar["Manual"] is True
    assert sidecar["Sources"][0] == f"bids::{FIRST}.nii.gz"
    assert sidecar["Description"].startswith("Corrected by hand: leg muscles")
    said = sidecar["Legseg"]["Correction"]
    assert (said["Author"], said["Note"], said["Revision"]) == ("A. Person", "31 was too large", 1)
    changed = int(np.count_nonzero(read(edited) != read(out / f"{FIRST}.nii.gz")))
    assert said["ChangedVoxels"] == changed
    assert said["Structures"]["BFLH_L"]["ChangedVoxels"] == changed


def test_nobody_is_named_who_was_not_given(out: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    assert "Author" not in told(out, FIRST_MANUAL)


def test_volumes_before_and_after_are_told(out: Path, edited: Path) -> None:
    done = correct(out, edited, reports=False)
    auto, manual = rows(out / f"{FIRST}.tsv"), rows(out / f"{FIRST_MANUAL}.tsv")
    assert set(done.changed) == {"BFLH_L", "BFSH_L"}
    for name, (before, after) in done.changed.items():
        assert before == pytest.approx(float(auto[name]["volume"]), rel=1e-5)
        assert after == pytest.approx(float(manual[name]["volume"]), rel=1e-5)
    assert done.changed_voxels == told(out, FIRST_MANUAL)["ChangedVoxels"]


def test_nothing_is_predicted_of_what_was_drawn(out: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    auto, manual = rows(out / f"{FIRST}.tsv"), rows(out / f"{FIRST_MANUAL}.tsv")
    for name, row in manual.items():
        if name in ("BFLH_L", "BFSH_L"):
            assert (row["corrected"], row["predicted_dice"], row["mean_confidence"]) == (
                "true",
                "n/a",
                "n/a",
            )
            assert "low confidence" not in row["quality_reasons"]
        else:
            assert row["corrected"] == "false"
            for key in ("voxels", "volume", "length", "max_csa", "truncated"):
                assert row[key] == auto[name][key]
            difference = float(row["predicted_dice"]) - float(auto[name]["predicted_dice"])
            assert abs(difference) < 0.01


def test_all_tables_are_measured_anew(out: Path, edited: Path) -> None:
    done = correct(out, edited, reports=False)
    names = {path.name.rpartition("desc-")[2] for path in done.tables}
    kinds = ("", "compartments", "profiles", "limbs")
    assert names == {f"{p}manual{k}_dseg.tsv" for p in ("", "merged") for k in kinds}
    profiles = out / f"{FIRST.replace('_dseg', '_desc-manualprofiles_dseg')}.tsv"
    header, *lines = (line.split("\t") for line in profiles.read_text().splitlines())
    told_of = [dict(zip(header, line, strict=True)) for line in lines]
    slices = {int(row["slice"]) for row in told_of if row["structure"] == "BFSH_L"}
    assert slices == set(np.flatnonzero((read(edited) == 33).any(axis=(0, 1))).tolist())


@pytest.mark.skipif(find_command() is None, reason="no BIDS validator")
def test_the_output_stays_valid(out: Path, edited: Path) -> None:
    correct(out, edited, author="ä", note="zwei\nZeilen")
    assert validate(out) == []


# ------------------------------------------------------------- who sees it


def test_the_whole_leg_holds_what_was_drawn_also_where_stations_overlap(
    out: Path, edited: Path
) -> None:
    correct(out, edited, reports=False)
    auto, manual = read(out / f"{MERGED}.nii.gz"), read(out / f"{MERGED_MANUAL}.nii.gz")
    drawn = read(edited)
    wrong = read(out / f"{FIRST}.nii.gz")
    for z in range(SHARED.start, SHARED.stop):
        here = drawn[..., z] != wrong[..., z]
        np.testing.assert_array_equal(manual[..., z][here], drawn[..., z][here])
        other = ~np.isin(drawn[..., z], (31, 33)) & ~np.isin(wrong[..., z], (31, 33))
        np.testing.assert_array_equal(manual[..., z][other], auto[..., z][other])
    np.testing.assert_array_equal(manual[..., SHARED.stop :], auto[..., SHARED.stop :])
    assert rows(out / f"{MERGED_MANUAL}.tsv")["BFSH_L"]["corrected"] == "true"


def test_what_nobody_touched_measures_as_before_in_the_whole_leg(out: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    auto, manual = rows(out / f"{MERGED}.tsv"), rows(out / f"{MERGED_MANUAL}.tsv")
    for name in auto.keys() - {"BFLH_L", "BFSH_L"}:
        same = {key: manual[name][key] for key in auto[name] if key != "asymmetry"}
        assert {**same, "asymmetry": auto[name]["asymmetry"]} == auto[name]


def test_no_image_counts_twice(out: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    found = find_images(out)
    assert {image.labels.name: image.replaced for image in found.images} == {
        f"{Path(FIRST_MANUAL).name}.nii.gz": True,
        f"{Path(SECOND).name}.nii.gz": True,
        f"{Path(MERGED_MANUAL).name}.nii.gz": False,
    }
    assert (found.outdated, found.unfinished) == ((), ())


def test_the_group_level_takes_the_corrected_numbers(out: Path, edited: Path) -> None:
    auto = write_tables(out)
    correct(out, edited, reports=False)
    gathered = write_tables(out)
    assert gathered.images == auto.images == {"sub-01": 2}
    assert gathered.notes == ()
    lines = [line.split("\t") for line in gathered.long.read_text().splitlines()]
    assert {row[2] for row in lines[1:]} == {f"{MERGED_MANUAL}.nii.gz"}
    volume = lines[0].index("volume")
    named = {row[lines[0].index("abbreviation")]: row[volume] for row in lines[1:]}
    assert named["BFSH_L"] == rows(out / f"{MERGED_MANUAL}.tsv")["BFSH_L"]["volume"]


def test_page_and_pictures_show_the_correction(out: Path, edited: Path) -> None:
    done = correct(out, edited, author="A. Person", note="31 was too large")
    assert done.warnings == ()
    page = (out / "sub-01.html").read_text()
    assert done.report == out / "sub-01.html"
    assert "Station sub-01_acq-outphase_chunk-1, corrected by hand" in page
    assert "The labels of 2 of 3 images were corrected by hand (BFLH_L, BFSH_L)" in page
    assert "31 was too large" in page
    assert "the image below the labels is not shown" not in page
    for stem in (FIRST_MANUAL, MERGED_MANUAL):
        assert (out / "sub-01" / "figures" / f"{Path(stem).name}.png").is_file()


def test_without_the_dataset_the_page_has_labels_alone(out: Path, edited: Path) -> None:
    content = json.loads((out / "dataset_description.json").read_text())
    content["DatasetLinks"]["raw"] = "doi:10.0/nowhere"
    (out / "dataset_description.json").write_text(json.dumps(content))
    assert correct(out, edited).report is not None
    assert "the image below the labels is not shown" in (out / "sub-01.html").read_text()


# ------------------------------------------------------------- what viewers write


def _turned(labels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stored from right to left, slices first."""
    back = np.array([[0, 0, -1, labels.shape[0] - 1], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    return labels[::-1].transpose(2, 1, 0), affine @ back


STORED: dict[str, Callable] = {
    "as it was": lambda labels, affine: (labels, affine),
    "other axes": _turned,
    "decimals": lambda labels, affine: (labels.astype(np.float32), affine),
    "nearly whole": lambda labels, affine: (labels + 1e-5, affine),
    "one volume of four axes": lambda labels, affine: (labels[..., None], affine),
    "rounded position": lambda labels, affine: (labels, np.round(affine + 0.004, 2)),
}


@pytest.mark.parametrize("how", STORED)
def test_however_a_viewer_stores_it_the_labels_are_the_same(
    out: Path, tmp_path: Path, edited: Path, how: str
) -> None:
    image = nib.load(edited)
    data, affine = STORED[how](read(edited), image.affine)
    path = tmp_path / "from viewer.nii"
    nib.save(nib.Nifti1Image(data, affine), path)
    done = correct(out, path, of=f"{Path(FIRST).name}.nii.gz", reports=False)
    np.testing.assert_array_equal(read(done.labels), read(edited))
    np.testing.assert_array_equal(nib.load(done.labels).affine, image.affine)


def _write(path: Path, labels: np.ndarray, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(labels, affine), path)


def _with(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def draw(labels: np.ndarray) -> np.ndarray:
        out = labels.astype(np.float32)
        out[3, 4, 5] = value
        return out

    return draw


BAD = {
    "another size": (lambda d: d[:, :-1], None, r"has 96 × 55 × 14 voxels .* 96 × 56 × 14"),
    "mirrored": (lambda d: d, np.diag([-1.0, 1, 1, 1]), r"lies up to .* mm apart"),
    "half a voxel away": (lambda d: d, "shift", r"lies up to .* mm apart"),
    "number unknown": (_with(200), None, r"holds 200, which is not in the label scheme \(1 voxel"),
    "fraction": (_with(31.5), None, r"holds 31.5, which is no whole number"),
    "no number": (_with(np.nan), None, r"holds nan, which is no whole number"),
    "negative": (_with(-3), None, r"holds -3, which is not in the label scheme"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_used_is_refused_with_reasons(out: Path, tmp_path: Path, what: str) -> None:
    change, move, says = BAD[what]
    image = nib.load(out / f"{FIRST}.nii.gz")
    affine = image.affine.copy()
    if isinstance(move, np.ndarray):
        affine = move @ affine
    elif move == "shift":
        affine[0, 3] += 0.5 * abs(affine[0, 0])
    _write(tmp_path / "bad.nii.gz", change(read(out / f"{FIRST}.nii.gz")), affine)
    before = contents(out)
    with pytest.raises(ImageError, match=says):
        correct(out, tmp_path / "bad.nii.gz", of=Path(FIRST).name)
    assert contents(out) == before


def test_a_file_of_another_kind_is_refused_with_advice(out: Path, tmp_path: Path) -> None:
    (tmp_path / "a.seg.nrrd").write_bytes(b"NRRD0004\n")
    with pytest.raises(ImageError, match="3D Slicer: Segmentations module"):
        correct(out, tmp_path / "a.seg.nrrd", of=Path(FIRST).name)


def test_equal_labels_are_no_correction(out: Path, tmp_path: Path) -> None:
    path = edit(out, FIRST, tmp_path / "a.nii.gz", lambda labels: None)
    with pytest.raises(UsageError, match="holds the same labels"):
        correct(out, path, of=Path(FIRST).name)


def test_numbers_that_a_viewer_made_up_are_refused_unless_meant(out: Path, tmp_path: Path) -> None:
    def renumber(labels: np.ndarray) -> None:
        for new, old in enumerate((31, 32, 33, 34), start=1):
            labels[labels == old] = new

    path = edit(out, FIRST, tmp_path / "a.nii.gz", renumber)
    with pytest.raises(
        UsageError, match=r"for 100 % of what both label \(31 is 1 now, .*--relabelled"
    ):
        correct(out, path, of=Path(FIRST).name)
    done = correct(out, path, of=Path(FIRST).name, reports=False, relabelled=True)
    assert set(rows(done.labels.with_suffix("").with_suffix(".tsv"))) == {
        "LG_L",
        "LG_R",
        "MG_L",
        "MG_R",
    }


def test_labels_of_another_scheme_are_refused_however_little_they_cover(
    out: Path, tmp_path: Path
) -> None:
    def other(labels: np.ndarray) -> None:
        labels[:, :, 2:] = 0
        labels[labels > 0] -= 30

    path = edit(out, FIRST, tmp_path / "a.nii.gz", other)
    with pytest.raises(UsageError, match="has other numbers"):
        correct(out, path, of=Path(FIRST).name)


def test_the_automatic_file_itself_is_refused(out: Path) -> None:
    with pytest.raises(UsageError, match="is the automatic label image itself"):
        correct(out, out / f"{FIRST}.nii.gz")


def test_the_image_is_known_by_its_grid(out: Path, tmp_path: Path, edited: Path) -> None:
    path = Path(shutil.copy(edited, tmp_path / "mine.nii.gz"))
    assert correct(out, path, reports=False).labels.name == f"{Path(FIRST_MANUAL).name}.nii.gz"


def test_a_grid_that_nothing_has_is_refused(out: Path, tmp_path: Path) -> None:
    _write(tmp_path / "b.nii.gz", np.ones((4, 4, 4), np.uint8), np.eye(4))
    with pytest.raises(NoInput, match="fits no label image"):
        correct(out, tmp_path / "b.nii.gz")


@pytest.mark.parametrize(("folder", "of"), [("nowhere", FIRST), (".", "sub-09_dseg.nii.gz")])
def test_what_is_not_there_is_refused(out: Path, edited: Path, folder: str, of: str) -> None:
    with pytest.raises(NoInput):
        correct(out / folder, edited, of=of)


# ------------------------------------------------------------- again, and back


def test_a_second_correction_takes_the_place_of_the_first(
    out: Path, tmp_path: Path, edited: Path
) -> None:
    correct(out, edited, reports=False)

    def more(labels: np.ndarray) -> None:
        labels[labels == 34] = 32

    second = edit(out, FIRST_MANUAL, tmp_path / f"{Path(FIRST_MANUAL).name}.nii.gz", more)
    correct(out, second, reports=False)
    np.testing.assert_array_equal(read(out / f"{FIRST_MANUAL}.nii.gz"), read(second))
    said = told(out, FIRST_MANUAL)
    assert said["Revision"] == 2
    assert set(said["Structures"]) == {"BFLH_L", "BFSH_L", "BFLH_R", "BFSH_R"}
    assert "BFSH_R" not in rows(out / f"{FIRST_MANUAL}.tsv")


def test_undoing_leaves_what_was_there_before(out: Path, edited: Path) -> None:
    refresh(out)
    before = contents(out)
    correct(out, edited)
    assert contents(out) != before
    done = undo(out, f"{Path(FIRST).name}.nii.gz")
    assert done.labels == out / f"{FIRST}.nii.gz"
    assert contents(out) == before


def test_undoing_one_station_keeps_the_other(out: Path, tmp_path: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    alone = contents(out)
    other = edit(out, SECOND, tmp_path / f"{Path(SECOND).name}.nii.gz", grow)
    correct(out, other, reports=False)
    undo(out, Path(SECOND).name, reports=False)
    after = contents(out)
    figures = {name for name in alone if name.endswith(".png")}
    assert {n: after.get(n) for n in alone.keys() - figures} == {
        n: alone[n] for n in alone.keys() - figures
    }


@pytest.mark.parametrize("name", [FIRST, MERGED])
def test_there_is_nothing_to_undo(out: Path, name: str) -> None:
    with pytest.raises(NoInput, match="has no correction"):
        undo(out, Path(name).name)


def test_the_whole_leg_can_be_corrected_itself(out: Path, tmp_path: Path, edited: Path) -> None:
    correct(out, edited, reports=False)

    def erase(labels: np.ndarray) -> None:
        labels[labels == 34] = 0

    leg = edit(out, MERGED_MANUAL, tmp_path / "leg.nii.gz", erase)
    correct(out, leg, reports=False)
    np.testing.assert_array_equal(read(out / f"{MERGED_MANUAL}.nii.gz"), read(leg))
    assert told(out, MERGED_MANUAL)["Kind"] == "edited"
    assert [i.replaced for i in find_images(out).images] == [True, True, False]
    with pytest.raises(UsageError, match="would not take up this correction"):
        correct(out, edited)
    with pytest.raises(UsageError, match="to be undone first"):
        undo(out, Path(FIRST).name)
    undo(out, Path(MERGED).name, reports=False)
    assert told(out, MERGED_MANUAL)["Kind"] != "edited"
    assert rows(out / f"{MERGED_MANUAL}.tsv")["BFSH_R"]["corrected"] == "false"


def test_what_was_merged_of_corrections_is_undone_at_the_stations(out: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    with pytest.raises(UsageError, match="its stations were"):
        undo(out, Path(MERGED_MANUAL).name)


# ------------------------------------------------------------- other runs


def test_a_later_run_touches_no_correction(out: Path, edited: Path, tiny_models: Path) -> None:
    correct(out, edited)
    before = contents(out)
    bids = out.parent / "bids"
    words = [bids, out, "participant", "--models", tiny_models, "--skip-bids-validation"]
    ended = run_legseg(*words, "--device", "cpu", "--nprocs", "1")
    assert (ended.code, ended.lines[-1]) == (0, "legseg-bids: exit code 0: 3 skipped because done")
    assert contents(out) == before


def test_a_run_takes_corrections_up_in_what_it_merges(
    out: Path, edited: Path, tiny_models: Path
) -> None:
    correct(out, edited)
    before = contents(out)
    for path in (out / "sub-01").rglob("*mergedmanual*"):
        path.unlink()
    assert [path.name for path in find_images(out).outdated] == [f"{Path(MERGED).name}.tsv"]
    bids = out.parent / "bids"
    words = [bids, out, "participant", "--models", tiny_models, "--skip-bids-validation"]
    ended = run_legseg(*words, "--device", "cpu", "--nprocs", "1", "--no-reports")
    assert "corrections by hand taken up in" in ended.progress
    after = contents(out)
    wanted = {name: data for name, data in before.items() if not name.endswith(".png")}
    assert {name: after[name] for name in wanted} == wanted


def test_a_correction_of_an_older_result_stands_with_a_warning(
    out: Path, edited: Path, tiny_models: Path
) -> None:
    correct(out, edited, reports=False)
    drawn = (out / f"{FIRST_MANUAL}.nii.gz").read_bytes()
    edit(out, FIRST, out / f"{FIRST}.nii.gz", lambda labels: labels.__setitem__((0, 0, 0), 31))
    found = find_images(out)
    image = next(i for i in found.images if not i.merged and i.manual)
    assert "was corrected on an older automatic result" in image.notes[0]
    assert any("older automatic result" in note for note in write_tables(out).notes)
    bids = out.parent / "bids"
    words = [bids, out, "participant", "--models", tiny_models, "--skip-bids-validation"]
    ended = run_legseg(*words, "--device", "cpu", "--nprocs", "1")
    assert sum("older automatic result" in line for line in ended.lines) == 1
    assert "was corrected on an older automatic result" in (out / "sub-01.html").read_text()
    assert (out / f"{FIRST_MANUAL}.nii.gz").read_bytes() == drawn


def test_labels_changed_behind_our_back_are_told(out: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    path = out / f"{FIRST_MANUAL}.nii.gz"
    edit(out, FIRST_MANUAL, path, lambda labels: labels.__setitem__((0, 0, 0), 31))
    notes = [note for image in find_images(out).images for note in image.notes]
    assert any("was changed after its tables were made" in note for note in notes)
    correct(out, path, reports=False)
    assert not any(image.notes for image in find_images(out).images)


def test_two_at_work_on_one_participant_do_not_meet(out: Path, edited: Path) -> None:
    before = contents(out)
    with claim(out, ["01"]), pytest.raises(Busy, match="worked on by another run"):
        correct(out, edited)
    assert contents(out) == before


def test_an_interrupted_correction_is_told_and_finished(out: Path, edited: Path) -> None:
    correct(out, edited, reports=False)
    folder = out / "logs" / "sub-01" / FOLDER / "0"
    folder.mkdir(parents=True)
    sidecar = (out / f"{FIRST_MANUAL}.json").rename(folder / f"{Path(FIRST_MANUAL).name}.json")
    written = {"moved": [f"{FIRST_MANUAL}.json"], "removed": []}
    (folder.parent / JOURNAL).write_text(json.dumps(written))
    assert any("was interrupted" in note for note in write_tables(out).notes)
    refresh(out, reports=False)
    assert not sidecar.exists()
    assert write_tables(out).notes == ()
    assert told(out, FIRST_MANUAL)["Revision"] == 1


def test_what_fails_leaves_everything_as_it_was(
    out: Path, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(out)

    def fail(*_: object) -> None:
        raise ImageError("the merged image cannot be made")

    monkeypatch.setattr("legseg_bids.workflows.correcting.put_remerged", fail)
    with pytest.raises(LegsegError):
        correct(out, edited)
    assert contents(out) == before
    assert not (out / "logs" / "sub-01" / ".change").exists()


# ------------------------------------------------------------- pure


@given(
    arrays(np.uint8, (3, 4, 2), elements=st.sampled_from([0, 5, 31, 61])),
    arrays(np.uint8, (3, 4, 2), elements=st.sampled_from([0, 5, 31, 61])),
)
def test_touched_are_the_labels_whose_voxels_differ(before: np.ndarray, after: np.ndarray) -> None:
    expected = {v for v in (5, 31, 61) if not np.array_equal(before == v, after == v)}
    assert touched(before, after) == expected == touched(after, before)
