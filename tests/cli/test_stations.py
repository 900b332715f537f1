"""Legs in several stations, as users meet them: what is written, said, and done again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from running import Ended, Legseg, run_legseg
from skeleton import Image, tree, write_dataset, write_image
from stations import at, chunk, in_plane, stack, tall, two_stations, write_stations

from legseg_bids.bids.validate import find_command
from legseg_bids.evaluate.overlap import agreement, mean_dice

MERGED = "sub-01/anat/sub-01_acq-outphase_seg-muscles_desc-merged_dseg"
FIGURE = "sub-01/figures/sub-01_acq-outphase_seg-muscles_desc-merged_dseg.png"
NAMES = {name: ((i,), (i,)) for name, i in (("a_L", 31), ("a_R", 32), ("b_L", 33), ("b_R", 34))}


def labels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def station(out: Path, number: int) -> Path:
    return out / f"{chunk(number).removesuffix('_T1w')}_seg-muscles_dseg.nii.gz"


def legseg_sidecar(out: Path) -> dict:
    return json.loads((out / f"{MERGED}.json").read_text())["Legseg"]


def contents(out: Path) -> dict[str, str | bytes]:
    """Every file below a participant, without the name of the run; no page, which has it, too."""
    found: dict[str, str | bytes] = {}
    for name in tree(out):
        data = (out / name).read_bytes()
        if name.startswith("sub-") and not name.endswith(".html"):
            found[name] = re.sub(rb'"RunUUID": "[^"]*"', b"", data)
    return found


def rows(out: Path) -> dict[str, dict[str, str]]:
    header, *lines = (out / f"{MERGED}.tsv").read_text().splitlines()
    parsed = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    return {row["abbreviation"]: row for row in parsed}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two") / "out"


@pytest.fixture(scope="module")
def bids(out: Path) -> Path:
    return two_stations(out.parent / "bids")


@pytest.fixture(scope="module")
def ended(bids: Path, out: Path, tiny_models: Path) -> Ended:
    """One run on two stations, looked at by many tests; nobody changes what it wrote."""
    words = ["--models", tiny_models, "--device", "cpu", "--skip-bids-validation"]
    return run_legseg(bids, out, "participant", *words, "--nprocs", "1")


class TestTwoStations:
    @pytest.mark.skipif(find_command() is None, reason="no bids-validator-deno")
    def test_is_valid_bids(self, ended: Ended, out: Path, tmp_path: Path) -> None:
        done = subprocess.run(
            [str(find_command()), "--format", "json", str(out)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DENO_DIR": str(tmp_path / "deno")},
        )
        issues = json.loads(done.stdout)["issues"]["issues"]
        assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}
        assert done.returncode == 0

    def test_is_told(self, ended: Ended) -> None:
        assert ended.code == 0
        assert [line.split(":")[0] for line in ended.lines[:3]] == [
            "SEGMENTED",
            "SEGMENTED",
            "MERGED",
        ]
        assert ended.lines[2] == f"MERGED: sub-01: 2 stations merged: {MERGED}.nii.gz"
        assert "2 segmented, 1 merged" in ended.lines[-1]

    def test_files(self, ended: Ended, out: Path) -> None:
        merged = [name for name in tree(out) if "merged" in name]
        tables = [
            f"{MERGED.replace('merged', f'merged{table}')}.{extension}"
            for table in ("compartments", "limbs", "profiles")
            for extension in ("json", "tsv")
        ]
        images = [f"{MERGED}.{extension}" for extension in ("json", "nii.gz", "tsv")]
        assert merged == sorted([*tables, *images, FIGURE])
        assert len([name for name in tree(out) if "desc-confidence" in name]) == 4

    def test_grid_holds_both_and_nothing_is_resampled(self, ended: Ended, out: Path) -> None:
        image = nib.load(out / f"{MERGED}.nii.gz")
        assert image.shape == (96, 56, 24)
        np.testing.assert_allclose(image.affine, at(0.0), atol=1e-4)
        assert image.header["sform_code"] == image.header["qform_code"] == 1
        whole = np.asarray(image.dataobj)
        np.testing.assert_array_equal(whole[..., :10], labels(station(out, 1))[..., :10])
        np.testing.assert_array_equal(whole[..., 14:], labels(station(out, 2))[..., 4:])

    def test_overlap_is_settled_by_probability(self, ended: Ended, out: Path) -> None:
        stems = [station(out, n).name.replace("_dseg", "_desc-confidence_probseg") for n in (1, 2)]
        one, other = (
            np.asarray(nib.load(out / "sub-01/anat" / stem).dataobj.get_unscaled())
            for stem in stems
        )
        one, other = one[..., 10:].astype(int), other[..., :4].astype(int)
        low, high = labels(station(out, 1))[..., 10:], labels(station(out, 2))[..., :4]
        whole = labels(out / f"{MERGED}.nii.gz")[..., 10:14]
        assert (low != high).any()
        np.testing.assert_array_equal(whole[one > other], low[one > other])
        np.testing.assert_array_equal(whole[one < other], high[one < other])

    def test_brightness_does_not_matter(self, ended: Ended, out: Path) -> None:
        whole = labels(out / f"{MERGED}.nii.gz")
        for z in range(8, 15):
            below, above = whole[..., z : z + 1], whole[..., z + 1 : z + 2]
            assert mean_dice(agreement(below, above, NAMES)) > 0.8

    def test_table_is_that_of_the_merged_image(self, ended: Ended, out: Path) -> None:
        whole = labels(out / f"{MERGED}.nii.gz")
        found = {int(row["index"]): int(row["voxels"]) for row in rows(out).values()}
        values, counts = np.unique(whole[whole > 0], return_counts=True)
        assert found == dict(zip(values.tolist(), counts.tolist(), strict=True))

    def test_sidecar_tells_what_came_from_where(self, ended: Ended, out: Path) -> None:
        content = json.loads((out / f"{MERGED}.json").read_text())
        names = [station(out, n).relative_to(out).as_posix() for n in (1, 2)]
        assert content["Sources"] == [f"bids::{name}" for name in names]
        assert list(content["Legseg"]["StationSHA256"]) == names
        spans = [(s["FirstSlice"], s["LastSlice"]) for s in content["Legseg"]["Stations"]]
        assert spans == [(0, 13), (10, 23)]
        assert content["Legseg"]["Warnings"] == []

    def test_neighbours_are_told(self, ended: Ended, out: Path) -> None:
        told = json.loads((station(out, 1).with_suffix("").with_suffix(".json")).read_text())
        assert list(told["Legseg"]["Neighbours"]) == [f"{chunk(2)}.nii.gz"]

    def test_group_counts_nothing_twice(self, ended: Ended, out: Path) -> None:
        copy = shutil.copytree(out, out.parent / "copy")
        assert run_legseg("-", copy, "group").code == 0
        images = {line.split("\t")[2] for line in (copy / "group_volumes.tsv").open()}
        assert images == {"image", f"{MERGED}.nii.gz"}
        assert (copy / "participants.tsv").read_text().splitlines()[1] == "sub-01\t2"

    def test_a_changed_station_makes_the_merged_image_outdated(
        self, ended: Ended, out: Path
    ) -> None:
        copy = shutil.copytree(out, out.parent / "outdated")
        table = station(copy, 2).with_suffix("").with_suffix(".tsv")
        table.write_text(table.read_text() + "\n")
        done = run_legseg("-", copy, "group")
        assert "merged from stations that have changed since" in "\n".join(done.lines)
        images = {line.split("\t")[2] for line in (copy / "group_volumes.tsv").open()}
        assert f"{MERGED}.nii.gz" not in images
        assert len(images) == 3

    def test_the_order_of_the_files_does_not_matter(
        self, ended: Ended, out: Path, legseg: Legseg, tmp_path: Path
    ) -> None:
        bids = write_stations(tmp_path / "other", stack(10, 23, scale=3.0), stack(0, 13))
        assert legseg(bids=bids).code == 0
        for ending in (".nii.gz", ".tsv"):
            name = MERGED + ending
            assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes()
        assert labels(station(tmp_path / "out", 2)).tobytes() == labels(station(out, 1)).tobytes()

    def test_whatever_is_missing_is_made_again_and_nothing_else(
        self, ended: Ended, out: Path, bids: Path, legseg: Legseg, tmp_path: Path
    ) -> None:
        """After any one file was lost, the next run leads to the same tree."""
        whole = contents(out)
        own = [n for n in whole if n.startswith("sub-01/") and "chunk-2" not in n]
        # Of the further tables one for all.
        own = [n for n in own if "compartments" not in n and "limbs" not in n]
        assert len(own) == 16
        for name in own:
            copy = shutil.copytree(out, tmp_path / "out", copy_function=shutil.copy2)
            (copy / name).unlink()
            before = {n: (copy / n).stat().st_mtime_ns for n in whole if n != name}
            again = legseg(bids=bids)
            assert contents(copy) == whole, name
            changed = {n for n in before if (copy / n).stat().st_mtime_ns != before[n]}
            changed.discard("sub-01.html")
            part = "desc-merged" if "desc-merged" in name else "chunk-1"
            assert changed, name
            assert all(part in n for n in changed), name
            assert again.code == 0
            assert sum(line.startswith("DONE") for line in again.lines) == 2
            shutil.rmtree(copy)

    def test_workers_change_nothing(
        self, ended: Ended, out: Path, bids: Path, tmp_path: Path, tiny_models: Path
    ) -> None:
        run = Path(__file__).parents[2] / "run.py"
        words = [run, bids, tmp_path / "out", "participant", "--models", tiny_models]
        options = ["--nprocs", "2", "--omp-nthreads", "1", "--device", "cpu"]
        done = subprocess.run(
            [sys.executable, *map(str, words), *options, "--skip-bids-validation"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert contents(tmp_path / "out") == contents(out)


def test_merging_can_be_left_out(legseg: Legseg, tmp_path: Path) -> None:
    ended = legseg("--no-merge-stations", bids=two_stations(tmp_path / "two"))
    assert ended.code == 0
    assert not [name for name in tree(tmp_path / "out") if "merged" in name]
    assert legseg(bids=tmp_path / "two").line("merged").startswith("MERGED")


def test_three_stations_with_a_gap(legseg: Legseg, tmp_path: Path) -> None:
    """What the gap cuts is told in the warning and in the table."""
    bids = write_stations(tmp_path / "three", stack(0, 9), stack(9, 18), stack(23, 32, 0.5))
    ended = legseg(bids=bids)
    assert ended.code == 0
    warning = ended.lines[ended.lines.index(ended.line("3 stations merged")) + 1]
    assert "40 mm of the leg between" in warning
    assert "chunk-2" in warning
    assert "chunk-3" in warning
    whole = labels(tmp_path / "out" / f"{MERGED}.nii.gz")
    assert whole.shape[2] == 33
    assert not whole[..., 19:23].any()
    assert whole[..., 23:].any()
    assert {row["truncated"] for row in rows(tmp_path / "out").values()} == {"both"}


def test_eight_stations_in_no_order(legseg: Legseg, tmp_path: Path) -> None:
    places = [(7 * n, 7 * n + 8) for n in (3, 0, 6, 1, 7, 2, 5, 4)]
    images = [stack(*place, scale=1 + n) for n, place in enumerate(places)]
    ended = legseg(bids=write_stations(tmp_path / "eight", *images))
    assert ended.code == 0
    assert ended.line("8 stations merged").startswith("MERGED")
    whole = labels(tmp_path / "out" / f"{MERGED}.nii.gz")
    assert whole.shape == (96, 56, 58)
    assert whole.any(axis=(0, 1)).all()
    single = write_stations(tmp_path / "one", stack(0, 57))
    legseg(bids=single, out=tmp_path / "alone")
    alone = labels(station(tmp_path / "alone", 1))
    assert mean_dice(agreement(whole, alone, NAMES)) > 0.95


def test_stations_of_different_spacing(legseg: Legseg, tmp_path: Path) -> None:
    """The finest grid of all holds them; volumes stay."""
    bids = write_stations(tmp_path / "mixed", stack(0, 13), in_plane(stack(13, 23), 2))
    assert legseg(bids=bids).code == 0
    image = nib.load(tmp_path / "out" / f"{MERGED}.nii.gz")
    assert image.shape == (96, 56, 24)
    volumes = [
        np.bincount(labels(station(tmp_path / "out", n)).ravel(), minlength=35) for n in (1, 2)
    ]
    whole = np.bincount(np.asarray(image.dataobj).ravel(), minlength=35)
    assert whole[31] == pytest.approx(volumes[0][31] + 4 * volumes[1][31], rel=0.1)


def test_stations_on_top_of_each_other_are_kept_apart(legseg: Legseg, tmp_path: Path) -> None:
    """The table position was lost: all stacks lie at the same place."""
    bids = write_stations(tmp_path / "lost", stack(0, 9), stack(10, 19, up=-100.0))
    ended = legseg(bids=bids)
    assert ended.code == 0
    assert sum("lie on top of each other (100 of 100 mm" in line for line in ended.lines) == 2
    assert not [name for name in tree(tmp_path / "out") if "merged" in name]


def test_a_merged_image_that_no_longer_holds_is_removed(legseg: Legseg, tmp_path: Path) -> None:
    bids = two_stations(tmp_path / "two")
    legseg(bids=bids)
    write_image(bids / chunk(2), stack(10, 23, up=-100.0))
    ended = legseg(bids=bids)
    assert sum(line.startswith("SEGMENTED") for line in ended.lines) == 2
    assert not [name for name in tree(tmp_path / "out") if "merged" in name]


def test_one_broken_station_of_three(legseg: Legseg, tmp_path: Path) -> None:
    """The others are segmented and merged; when it is repaired, all are located anew."""
    bids = write_stations(tmp_path / "three", stack(0, 9), stack(9, 18), stack(18, 27))
    whole = (bids / f"{chunk(2)}.nii.gz").read_bytes()
    (bids / f"{chunk(2)}.nii.gz").write_bytes(whole[:1000])
    work = ("-w", str(tmp_path / "work"))
    ended = legseg(*work, bids=bids)
    out = tmp_path / "out"
    assert ended.code == 1
    assert [line.split(":")[0] for line in ended.lines if not line.startswith("  ")][:4] == [
        "FAILED",
        "SEGMENTED",
        "SEGMENTED",
        "MERGED",
    ]
    assert "is truncated" in ended.line(f"FAILED: {chunk(2)}")
    text = "\n".join(ended.lines)
    assert f"{chunk(2)}.nii.gz could not be read and was left out of the set" in text
    assert "has no result and is left out of the merged image" in text
    assert "80 mm of the leg" in text
    assert len([name for name in tree(out) if Path(name).name.startswith("crash-")]) == 1
    again = legseg(*work, bids=bids)
    assert again.code == 1
    assert sum(line.startswith("DONE") for line in again.lines) == 3

    (bids / f"{chunk(2)}.nii.gz").write_bytes(whole)
    repaired = legseg(*work, bids=bids)
    assert repaired.code == 0
    assert sum(line.startswith("SEGMENTED") for line in repaired.lines) == 3
    legseg(bids=bids, out=tmp_path / "undisturbed")
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_what_failed_for_another_reason_is_tried_again(
    legseg: Legseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No memory for one station: its neighbour is located anew once it is there."""
    from legseg_bids.interfaces import tolerant

    bids = two_stations(tmp_path / "two")
    real = tolerant.prepare

    def prepare(station):  # type: ignore[no-untyped-def]
        if "chunk-2" in station.output_name:
            raise MemoryError("no room")
        return real(station)

    with monkeypatch.context() as patch:
        patch.setattr(tolerant, "prepare", prepare)
        ended = legseg("-w", str(tmp_path / "work"), bids=bids)
    assert "not enough memory" in ended.line(f"FAILED: {chunk(2)}").lower()
    assert ended.line(chunk(1)).startswith("SEGMENTED")
    again = legseg("-w", str(tmp_path / "work"), bids=bids)
    assert sum(line.startswith("SEGMENTED") for line in again.lines) == 2
    legseg(bids=bids, out=tmp_path / "undisturbed")
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_thigh_and_calf_as_acquisitions_of_their_own(legseg: Legseg, tmp_path: Path) -> None:
    """Stations need not be chunks; water and fat give the merged image a fat fraction."""
    water, fat = tall()
    images = {}
    for name, low in (("dixcalf", 0), ("dixthigh", 9)):
        for word, data in (("W", water), ("F", fat)):
            stem = f"sub-01/anat/sub-01_acq-{name}_T1w"
            part = data[..., low : low + 12]
            kind = {"W": "water", "F": "fat"}[word]
            images[stem.replace("dix", f"dix{kind}")] = Image(part, at(10.0 * low))
    ended = legseg(bids=write_dataset(tmp_path / "acq", images))
    assert ended.code == 0, ended.lines
    assert ended.line("2 stations merged").startswith("MERGED")
    table = (tmp_path / "out/sub-01/anat/sub-01_seg-muscles_desc-merged_dseg.tsv").read_text()
    header, first, *_ = (line.split("\t") for line in table.splitlines())
    assert 0 < float(dict(zip(header, first, strict=True))["mean_fat_fraction"]) < 0.2
    fat = tmp_path / "out/sub-01/anat/sub-01_label-fat_desc-mergedfatfraction_probseg.nii.gz"
    found = nib.load(fat).get_fdata()
    assert found.shape[2] == 21
    assert 0 < np.nanmedian(found) < 0.2
    told = json.loads(fat.with_suffix("").with_suffix(".json").read_text())["Legseg"]
    assert told["HighestFraction"] == 1.0
    assert [facts["Method"] for facts in told["Stations"].values()] == ["water and fat"] * 2


def test_a_merged_image_that_cannot_be_written_is_told(
    legseg: Legseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bids = two_stations(tmp_path / "two")
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if str(target).endswith("desc-merged_dseg.tsv"):
            raise OSError(28, os.strerror(28))
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        ended = legseg(bids=bids)
    assert ended.code == 1
    line = ended.line("2 stations merged")
    assert line.startswith("FAILED")
    assert "disk is full" in line
    assert "crash-" in line
    assert sum(line.startswith("SEGMENTED") for line in ended.lines) == 2
    again = legseg(bids=bids)
    assert again.code == 0
    assert sum(line.startswith("DONE") for line in again.lines) == 2
    assert again.line("2 stations merged").startswith("MERGED")
