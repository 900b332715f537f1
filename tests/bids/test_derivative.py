from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.bids import derivative, write
from legseg_bids.bids.derivative import (
    StationResult,
    checksums,
    read_legseg,
    why_not_done,
    write_station,
)
from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.measures import MeasureTables
from legseg_bids.bids.reading import read_image
from legseg_bids.errors import OutputError

SHAPE = (4, 5, 3)
ROW = {"index": 61, "name": "Rectus femoris left", "abbreviation": "RF_L", "volume": 1.5}


@pytest.fixture
def station(build, nearest_odd):
    root = build({"sub-1/anat/sub-1_acq-out_chunk-2_T1w": {"BodyPart": "LEG"}})
    return discover(index(root), nearest_odd).stations[0]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def result(**changes: Any) -> StationResult:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1] = 61
    full = {"mask": np.ones(SHAPE, bool), "confidence": np.ones(SHAPE, np.float32)}
    return StationResult(labels=labels, rows=[ROW], **{**full, **changes})


def with_map() -> MeasureTables:
    return MeasureTables(fat_fraction=np.full(SHAPE, 0.25), fat_facts={"HighestFraction": 0.5})


def run(out: Path, station, config: str = "abc", **changes: Any):
    header = read_image(station.source).header
    return write_station(out, station, header, result(**changes), config)


def files(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_all_files_of_a_station(out: Path, station) -> None:
    paths = run(
        out,
        station,
        mask=np.ones(SHAPE, bool),
        probabilities=np.full((*SHAPE, 2), 0.5, np.float32),
        probability_names=["background", "RF_L"],
        details={"Engine": "openvino"},
    )
    stem = "sub-1/anat/sub-1_acq-out_chunk-2"
    assert set(files(out)) == {
        f"{stem}_seg-muscles_{suffix}"
        for suffix in (
            "dseg.nii.gz",
            "dseg.tsv",
            "dseg.json",
            "probseg.nii.gz",
            "probseg.json",
        )
    } | {
        f"{stem}_{between}.{extension}"
        for between in ("label-leg_mask", "seg-muscles_desc-confidence_probseg")
        for extension in ("nii.gz", "json")
    } | {
        f"{stem}_seg-muscles_desc-{table}_dseg.{extension}"
        for table in ("compartments", "profiles", "limbs")
        for extension in ("tsv", "json")
    }
    assert nib.load(paths.mask).get_fdata().sum() == np.prod(SHAPE)
    legseg = read_legseg(paths.sidecar)
    assert legseg["ConfigHash"] == "abc"
    assert legseg["Engine"] == "openvino"
    assert set(legseg["SourceSHA256"]) == {"opposed"}


def test_a_second_write_gives_the_same_bytes(out: Path, station) -> None:
    run(out, station)
    first = files(out)
    run(out, station)
    assert files(out) == first


def test_files_that_are_no_longer_asked_for_go(out: Path, station) -> None:
    probabilities = np.zeros((*SHAPE, 1), np.float32)
    run(out, station, mask=np.ones(SHAPE, bool), probabilities=probabilities,
        probability_names=["RF_L"])  # fmt: skip
    run(out, station, measures=with_map())
    assert sum("fatfraction" in name for name in files(out)) == 2
    run(out, station, mask=None, confidence=None)
    assert len(files(out)) == 9


def test_done_means_same_configuration_and_same_input(out: Path, station) -> None:
    assert "is missing" in why_not_done(out, station, "abc")
    run(out, station)
    assert not why_not_done(out, station, "abc")
    assert "other networks" in why_not_done(out, station, "other")
    assert "probseg.nii.gz is missing" in why_not_done(out, station, "abc", probabilities=True)
    assert "png is missing" in why_not_done(out, station, "abc", figure=True)
    station.source.write_bytes(station.source.read_bytes() + b"\0")
    assert "has changed" in why_not_done(out, station, "abc")
    station.source.unlink()
    assert "cannot be read" in why_not_done(out, station, "abc")


@pytest.mark.parametrize(
    "lost",
    [
        "labels",
        "table",
        "sidecar",
        "mask",
        "confidence",
        "profiles",
        "limbs_sidecar",
        "fat_fraction",
        "fat_fraction_sidecar",
    ],
)
def test_a_lost_file_means_not_done(out: Path, station, lost: str) -> None:
    paths = run(out, station, measures=with_map())
    assert not why_not_done(out, station, "abc")
    getattr(paths, lost).unlink()
    assert why_not_done(out, station, "abc")


def test_done_means_the_same_neighbours(out: Path, station) -> None:
    sums = {"sub-1/anat/sub-1_chunk-1_T1w.nii.gz": {"opposed": "aa"}}
    run(out, station, details={"Neighbours": sums})
    assert not why_not_done(out, station, "abc", neighbours=lambda: sums)
    assert "other stations" in why_not_done(out, station, "abc")
    changed = {name: {"opposed": "bb"} for name in sums}
    assert "other stations" in why_not_done(out, station, "abc", neighbours=lambda: changed)


def test_a_neighbour_that_can_no_longer_be_read_takes_nothing_back(out: Path, station) -> None:
    sums = {"sub-1/anat/sub-1_chunk-1_T1w.nii.gz": {"opposed": "aa"}}
    run(out, station, details={"Neighbours": sums})
    assert not why_not_done(out, station, "abc", neighbours=lambda: dict.fromkeys(sums))


def test_a_neighbour_that_can_be_read_at_last_changes_the_result(out: Path, station) -> None:
    sums = {"sub-1/anat/sub-1_chunk-1_T1w.nii.gz": {"opposed": "aa"}}
    run(out, station, details={"Neighbours": dict.fromkeys(sums)})
    assert "other stations" in why_not_done(out, station, "abc", neighbours=lambda: sums)


def test_check_sums_tell_the_volumes_of_a_file_apart(station) -> None:
    first = replace(station, volumes={"opposed": 0})
    second = replace(station, volumes={"opposed": 1})
    assert len({str(checksums(s)) for s in (station, first, second)}) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Legseg": 3}'])
def test_a_spoilt_sidecar_means_not_done(out: Path, station, content: str) -> None:
    run(out, station).sidecar.write_text(content)
    assert why_not_done(out, station, "abc")


@pytest.mark.parametrize("step", ["write_labels", "write_text", "write_json"])
def test_a_run_that_stops_half_way_is_not_done(out, station, monkeypatch, step: str) -> None:
    run(out, station)

    def fail(*_: object) -> None:
        raise OutputError("full")

    monkeypatch.setattr(derivative, step, fail)
    with pytest.raises(OutputError):
        run(out, station)
    assert why_not_done(out, station, "abc")


def test_the_sidecar_is_written_last(out: Path, station, monkeypatch) -> None:
    order: list[str] = []
    original = write.replacing
    monkeypatch.setattr(
        write, "replacing", lambda path: (order.append(path.name), original(path))[1]
    )
    run(out, station, mask=np.ones(SHAPE, bool))
    assert order[-1].endswith("_dseg.json")
    assert len(order) == 13


def test_a_sidecar_that_cannot_be_removed(out: Path, station, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    run(out, station)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        run(out, station)


def test_nothing_is_touched_when_a_measure_is_unknown(out: Path, station) -> None:
    run(out, station)
    header = read_image(station.source).header
    with pytest.raises(ValueError, match="not described"):
        write_station(out, station, header, StationResult(result().labels, [{"x": 1}]), "abc")
    assert not why_not_done(out, station, "abc")


@pytest.mark.parametrize("table", ["compartments", "profiles", "limbs"])
def test_nothing_is_touched_when_a_column_is_unknown(out: Path, station, table: str) -> None:
    before = files(out) if run(out, station) else {}
    with pytest.raises(ValueError, match="not described"):
        run(out, station, measures=MeasureTables(**{table: [{"girth": 1}]}))
    assert files(out) == before


def test_the_map_says_what_it_cannot_know(out: Path, station) -> None:
    values = np.full(SHAPE, 0.3)
    values[0] = np.nan
    tables = MeasureTables(fat_fraction=values, fat_facts={"HighestFraction": 0.5})
    paths = run(out, station, measures=tables)
    image = nib.load(paths.fat_fraction)
    assert image.get_data_dtype() == np.float32
    found = image.get_fdata()
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], 0.3, atol=1 / 8192)
    told = json.loads(paths.fat_fraction_sidecar.read_text())
    assert "cannot tell 30 % from 70 %" in told["Description"]
    assert told["Legseg"] == {"HighestFraction": 0.5}
    assert read_legseg(paths.sidecar)["FatFraction"] == {"HighestFraction": 0.5}


def test_probabilities_need_one_name_each(out: Path, station) -> None:
    with pytest.raises(ValueError, match="1 names for 2"):
        run(out, station, probabilities=np.zeros((*SHAPE, 2)), probability_names=["RF_L"])


def test_the_sidecar_names_no_place_on_this_machine(out: Path, station) -> None:
    text = run(out, station).sidecar.read_text()
    assert str(station.dataset) not in text
    assert json.loads(text)["Sources"] == [f"bids:raw:{station.source_name}"]
