from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from legseg_bids.bids.queries import load_queries
from legseg_bids.bids.sidecars import (
    KIND_TEXT,
    dseg_sidecar,
    load_columns,
    mask_sidecar,
    probseg_sidecar,
    table_text,
)
from legseg_bids.bids.stations import Station

ROOT = Path("/raw")
STATION = Station(
    dataset=ROOT,
    subject="1",
    session=None,
    query="water_fat",
    kind="water_fat",
    files={"water": ROOT / "sub-1/anat/w.nii.gz", "fat": ROOT / "sub-1/anat/f.nii.gz"},
    source=ROOT / "sub-1/anat/w.nii.gz",
    entities={"sub": "1"},
    metadata={"BodyPart": "LEG"},
)
URIS = ["bids:raw:sub-1/anat/w.nii.gz", "bids:raw:sub-1/anat/f.nii.gz"]


@dataclass
class Measure:
    index: int = 61
    name: str = "Rectus femoris left"
    volume: float = 231.256789
    mean_fat_fraction: float | None = None
    touches_edge: bool = True


def test_the_table_has_every_column_in_order() -> None:
    lines = table_text([Measure()]).splitlines()
    assert lines[0].split("\t") == list(load_columns())
    row = dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=True))
    assert row["volume"] == "231.257"
    assert row["mean_fat_fraction"] == "n/a"
    assert row["touches_edge"] == "true"


def test_an_image_without_labels_has_a_table_of_headers() -> None:
    assert table_text([]) == "\t".join(load_columns()) + "\n"


def test_a_measure_without_description_is_refused() -> None:
    with pytest.raises(ValueError, match="column girth is not described"):
        table_text([{"index": 1, "girth": 3}])


@pytest.mark.parametrize("row", [3, Measure])
def test_a_row_is_a_mapping_or_a_dataclass(row: object) -> None:
    with pytest.raises(TypeError, match="expected a mapping or a dataclass"):
        table_text([row])


def test_the_columns_begin_as_bids_requires_and_are_all_described() -> None:
    columns = load_columns()
    assert list(columns)[:2] == ["index", "name"]
    assert all(column["Description"] for column in columns.values())


def test_the_sidecar_of_the_labels() -> None:
    content = dseg_sidecar(STATION, {"Version": "1"})
    assert content["Sources"] == URIS
    assert content["SpatialReference"] == URIS[0]
    assert content["BodyPart"] == "LEG"
    assert content["Legseg"] == {"Version": "1"}
    assert content["volume"]["Units"] == "mL"
    assert "index" not in content
    assert "|W - F|" in content["Description"]


def test_the_other_sidecars_name_their_sources() -> None:
    assert mask_sidecar(STATION)["Type"] == "ROI"
    assert mask_sidecar(STATION)["Sources"] == URIS
    assert probseg_sidecar(STATION, ["RF_L"])["LabelMap"] == ["RF_L"]


def test_every_kind_of_station_has_words() -> None:
    assert set(KIND_TEXT) == {query.kind for query in load_queries().queries}
