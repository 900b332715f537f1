"""The interfaces one after another, as the graph calls them, against the pure functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tiny_models import BRIGHT, MEDIUM

from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.stations import Station
from legseg_bids.imaging.volume import Volume
from legseg_bids.interfaces.classify import ClassifySlices
from legseg_bids.interfaces.draw import DrawOverlay
from legseg_bids.interfaces.exchange import (
    Prepared,
    load,
    load_location,
    load_prepared,
    save_candidates,
    save_prepared,
)
from legseg_bids.interfaces.locate import LocateLimbs
from legseg_bids.interfaces.measure import MeasureMuscles
from legseg_bids.interfaces.merge import MergeLabels
from legseg_bids.interfaces.segment import SegmentRegions
from legseg_bids.interfaces.tolerant import TryToPrepare
from legseg_bids.interfaces.write import WriteDerivatives
from legseg_bids.segment.pipeline import segment_station
from legseg_bids.settings import GIB, Settings

Files = dict[str, str]


@pytest.fixture
def run(tmp_path: Path, tiny_models: Path) -> Any:
    """Run an interface in its own folder, and return its outputs."""
    engine = {"models_dir": str(tiny_models), "config_hash": "abc"}
    write_dataset_files(tmp_path / "out", None)

    def call(interface: type, **inputs: Any) -> Any:
        folder = tmp_path / "work" / interface.__name__
        folder.mkdir(parents=True, exist_ok=True)
        known = interface.input_spec().copyable_trait_names()
        inputs |= {key: value for key, value in engine.items() if key in known}
        return interface(**inputs).run(cwd=str(folder)).outputs

    return call


def steps(run: Any, station: Station, keep_probabilities: bool = False) -> Files:
    """All steps up to the table; the files that they handed over."""
    plain = station.as_dict()
    made: Files = {"prepared": run(TryToPrepare, station=plain).prepared}
    view = run(ClassifySlices, station=plain, **made).view
    located = run(LocateLimbs, station=plain, views=[view])
    made["location"] = located.location
    segment = run(SegmentRegions, **made, keep_probabilities=keep_probabilities, memory=GIB)
    made |= {"candidates": segment.candidates, "networks": segment.networks}
    if keep_probabilities:
        made["probabilities"] = segment.probabilities
    pair = {key: made[key] for key in ("prepared", "candidates")}
    made["labels"] = run(MergeLabels, **pair).labels
    pair = {key: made[key] for key in ("prepared", "labels")}
    made["measures"] = run(MeasureMuscles, **pair).measures
    made["neighbours"] = located.neighbours
    return made


@pytest.mark.parametrize("kind", ["opposed_station", "water_fat_station"])
def test_the_graph_gives_the_labels_of_the_pure_function(
    run: Any, kind: str, tiny_models: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    station = request.getfixturevalue(kind)
    made = steps(run, station)
    prepared = load_prepared(Path(made["prepared"]))
    settings = Settings(
        tmp_path, tmp_path, models_dir=tiny_models, engine="openvino", device="cpu"
    )
    in_phase = None
    if prepared.in_phase is not None:
        in_phase = Volume(prepared.in_phase, prepared.volume.affine)
    assert (in_phase is None) == (kind == "opposed_station")
    expected = segment_station(prepared.volume, settings, in_phase=in_phase)
    labels = load(Path(made["labels"]))[1]["labels"]
    np.testing.assert_array_equal(labels, expected.labels)
    assert set(np.unique(labels)) == {0, 31, 32, 33, 34}
    assert load_location(Path(made["location"])).sides == expected.location.sides


def test_labels_lie_on_the_right_side_and_inside_the_body(
    run: Any, opposed_station: Station
) -> None:
    made = steps(run, opposed_station)
    labels = load(Path(made["labels"]))[1]["labels"]
    mask = load_prepared(Path(made["prepared"])).mask
    where = {index: np.argwhere(labels == index)[:, 0].mean() for index in (31, 32)}
    assert where[31] < where[32]
    assert not labels[~mask].any()


def test_derivatives_come_back_on_the_grid_of_the_source(
    run: Any, water_fat_station: Station, tmp_path: Path
) -> None:
    made = steps(run, water_fat_station, keep_probabilities=True)
    written = run(
        WriteDerivatives,
        station=water_fat_station.as_dict(),
        output_dir=str(tmp_path / "out"),
        run="run-1",
        **made,
    )
    sidecar = Path(written.sidecar)
    source = nib.load(water_fat_station.source)
    image = nib.load(sidecar.with_suffix("").with_suffix(".nii.gz"))
    assert image.shape == source.shape
    np.testing.assert_array_equal(image.affine, source.affine)
    water, fat = (nib.load(water_fat_station.files[r]).get_fdata() for r in ("water", "fat"))
    muscle = (water > 400) & (fat < 200)
    assert np.isin(np.asarray(image.dataobj)[muscle], (31, 32)).mean() > 0.95
    content = json.loads(sidecar.read_text())["Legseg"]
    assert content["RunUUID"] == "run-1"
    assert [(r["Name"], r["Side"]) for r in content["Regions"]] == [
        ("upper", "left"),
        ("upper", "right"),
    ]
    assert all(0.5 < region["Score"] <= 1 for region in content["Regions"])
    assert content["Models"][0]["Engine"] == "openvino"


def test_probabilities_agree_with_the_labels(
    run: Any, opposed_station: Station, tmp_path: Path
) -> None:
    made = steps(run, opposed_station, keep_probabilities=True)
    written = run(
        WriteDerivatives,
        station=opposed_station.as_dict(),
        output_dir=str(tmp_path / "out"),
        **made,
    )
    labels = np.asarray(nib.load(Path(written.sidecar).with_suffix(".nii.gz")).dataobj)
    stem = written.sidecar.removesuffix("_dseg.json") + "_probseg"
    image = nib.load(stem + ".nii.gz")
    names = json.loads(Path(stem + ".json").read_text())["LabelMap"]
    assert names == ["BFLH_L", "BFLH_R", "BFSH_L", "BFSH_R"]
    maps = image.get_fdata()
    assert maps.shape == (*labels.shape, 4)
    assert maps.min() >= 0
    assert maps.max() <= 1.0001
    for number, index in enumerate((MEDIUM["thigh"], 32, BRIGHT["thigh"], 34)):
        sure = (maps[..., number] > 0.9) & (labels > 0)
        assert sure.any()
        # All but the marrow, which the clean-up gives to the muscle around it.
        assert (labels[sure] == index).mean() > 0.95


def test_fat_fraction_reaches_the_table(run: Any, water_fat_station: Station) -> None:
    rows = json.loads(Path(steps(run, water_fat_station)["measures"]).read_text())["muscles"]
    muscle = next(row for row in rows if row["index"] == 31)
    assert muscle["median_fat_fraction"] == pytest.approx(60 / 660, abs=0.03)


def test_overlay_is_drawn(run: Any, opposed_station: Station, tmp_path: Path) -> None:
    made = steps(run, opposed_station)
    figure = run(
        DrawOverlay,
        station=opposed_station.as_dict(),
        output_dir=str(tmp_path / "out"),
        prepared=made["prepared"],
        labels=made["labels"],
    ).figure
    assert Path(figure).read_bytes().startswith(b"\x89PNG")
    assert Path(figure).parent == tmp_path / "out" / "sub-01" / "figures"


def test_an_image_without_any_label_gives_an_empty_table(
    run: Any, prepared: Prepared, tmp_path: Path
) -> None:
    path = str(save_prepared(tmp_path / "prepared.npz", prepared))
    candidates = str(save_candidates(tmp_path / "candidates.npz", []))
    labels = run(MergeLabels, prepared=path, candidates=candidates).labels
    assert not load(Path(labels))[1]["labels"].any()
    measures = run(MeasureMuscles, prepared=path, labels=labels).measures
    assert not any(json.loads(Path(measures).read_text()).values())
