"""Files of a merged image: done means done, and changed stations are noticed."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.bids import merged as module
from legseg_bids.bids.derivative import read_legseg
from legseg_bids.bids.measures import MeasureTables
from legseg_bids.bids.merged import (
    MergedResult,
    holds,
    is_merged,
    remove_merged,
    station_sums,
    write_merged,
)
from legseg_bids.bids.names import output_paths
from legseg_bids.errors import OutputError

NAME = "sub-1/anat/sub-1_acq-opp_T1w.nii.gz"
NAMES = [f"sub-1/anat/sub-1_acq-opp_chunk-{n}_T1w.nii.gz" for n in (1, 2)]
ROW = {"index": 61, "name": "Rectus femoris left", "abbreviation": "RF_L", "volume": 1.5}
AFFINE = np.array([[2.0, 0, 0, -9], [0, 2.0, 0.2, 4], [0, -0.1, 6.0, 70], [0, 0, 0, 1]])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A derivative with the results of two stations (their contents do not matter here)."""
    for name in NAMES:
        paths = output_paths(tmp_path, name)
        for path in (paths.labels, paths.confidence, paths.table):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
    return tmp_path


def write(out: Path, config: str = "abc", *, fat: bool = False):  # type: ignore[no-untyped-def]
    labels = np.full((4, 5, 3), 61, np.uint8)
    tables = MeasureTables(fat_fraction=labels / 100 if fat else None, fat_facts={"Stations": 1})
    result = MergedResult(labels, AFFINE, [ROW], station_sums(out, NAMES), NAMES, tables)
    paths = write_merged(out, NAME, result, config)
    paths.figure.parent.mkdir(exist_ok=True)
    paths.figure.write_bytes(b"png")
    return paths


def done(out: Path, stations=NAMES, members=NAMES, config: str = "abc") -> bool:  # type: ignore[no-untyped-def]
    return is_merged(out, NAME, stations, members, config)


def test_the_grid_is_written_as_it_is(out: Path) -> None:
    image = nib.load(write(out).labels)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
    assert image.header["sform_code"] == 1
    assert image.get_data_dtype() == np.uint8


def test_done_means_same_stations_same_set_same_configuration(out: Path) -> None:
    assert not done(out)
    write(out)
    assert done(out)
    assert not done(out, config="other")
    assert not done(out, stations=NAMES[:1])
    assert not done(out, members=[*NAMES, "sub-1/anat/sub-1_acq-opp_chunk-3_T1w.nii.gz"])


@pytest.mark.parametrize("lost", ["labels", "table", "sidecar", "figure"])
def test_a_lost_file_means_not_done(out: Path, lost: str) -> None:
    getattr(write(out), lost).unlink()
    assert not done(out)


@pytest.mark.parametrize("lost", ["fat_fraction", "fat_fraction_sidecar", "compartments"])
def test_a_lost_map_means_not_done(out: Path, lost: str) -> None:
    paths = write(out, fat=True)
    assert done(out)
    getattr(paths, lost).unlink()
    assert not done(out)


def test_a_map_that_is_no_longer_known_goes(out: Path) -> None:
    assert write(out, fat=True).fat_fraction.exists()
    assert not write(out).fat_fraction.exists()


def test_a_map_of_a_station_counts_among_what_was_merged(out: Path) -> None:
    station = output_paths(out, NAMES[1])
    station.fat_fraction.write_text("a map")
    sidecar = write(out).sidecar
    assert done(out)
    station.fat_fraction.write_text("another")
    assert not holds(out, read_legseg(sidecar))


@pytest.mark.parametrize("changed", ["labels", "confidence", "table"])
def test_a_station_that_changed_means_not_done(out: Path, changed: str) -> None:
    sidecar = write(out).sidecar
    path = getattr(output_paths(out, NAMES[1]), changed)
    path.write_text("other")
    assert not done(out)
    assert not holds(out, read_legseg(sidecar))
    path.unlink()
    assert not holds(out, read_legseg(sidecar))


@pytest.mark.parametrize("content", [{}, {"StationSHA256": None}, {"StationSHA256": {"x": 1}}])
def test_a_spoilt_sidecar_holds_nothing(out: Path, content: dict) -> None:
    assert not holds(out, content)


@pytest.mark.parametrize("step", ["write_labels", "write_text", "write_json"])
def test_a_run_that_stops_half_way_is_not_done(out, monkeypatch, step: str) -> None:
    write(out)

    def fail(*_: object) -> None:
        raise OutputError("full")

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(OutputError):
        write(out)
    assert not done(out)


def test_equal_stations_give_equal_files(out: Path) -> None:
    first = {p: p.read_bytes() for p in vars(write(out)).values() if p.exists()}
    assert {p: p.read_bytes() for p in vars(write(out)).values() if p.exists()} == first
    assert len(first) == 10


def test_a_merged_image_can_be_removed(out: Path) -> None:
    paths = write(out)
    remove_merged(paths)
    remove_merged(paths)
    assert not any(path.exists() for path in vars(paths).values())


def test_the_sidecar_names_the_stations_as_sources(out: Path) -> None:
    content = json.loads(write(out).sidecar.read_text())
    assert content["Sources"] == [
        f"bids::sub-1/anat/sub-1_acq-opp_chunk-{n}_seg-muscles_dseg.nii.gz" for n in (1, 2)
    ]
    assert "truncated" in content
