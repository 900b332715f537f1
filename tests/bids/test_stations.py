from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from legseg_bids.bids.stations import LONGEST_IDENTIFIER, Station

ROOT = Path("/d")


def station(name: str, **fields: object) -> Station:
    source = ROOT / "sub-1" / "anat" / name
    plain = Station(ROOT, "1", None, "opposed", "opposed", {"opposed": source}, source, {})
    return replace(plain, **fields)


def test_a_station_made_by_hand_is_named_after_its_source() -> None:
    made = station("sub-1_acq-out_chunk-2_T1w.nii.gz")
    assert made.output_name == made.source_name == "sub-1/anat/sub-1_acq-out_chunk-2_T1w.nii.gz"
    assert made.family == station("sub-1_acq-out_chunk-1_T1w.nii.gz").family


def test_every_field_survives_the_way_through_plain_values() -> None:
    made = station(
        "sub-1_MEGRE.nii.gz", volumes={"opposed": 2}, output_name="sub-1/anat/a.nii.gz", family="f"
    )
    assert Station.from_dict(made.as_dict()) == made


def test_values_of_an_older_version_are_understood() -> None:
    made = station("sub-1_T1w.nii.gz")
    old = {
        k: v for k, v in made.as_dict().items() if k not in {"volumes", "output_name", "family"}
    }
    assert Station.from_dict(old) == made


@pytest.mark.parametrize("length", [1, 60, 120, 180])
def test_identifiers_name_nodes_and_folders(length: int) -> None:
    names = [f"sub-1/anat/sub-1_acq-{'a' * length}{end}_T1w.nii.gz" for end in ("b", "_b", "c")]
    found = {station("x.nii.gz", output_name=name).identifier for name in names}
    assert len(found) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9_]+", name) for name in found)
    assert all(len(name) <= LONGEST_IDENTIFIER for name in found)


def test_a_stem_is_one_line_without_extension() -> None:
    assert station("sub-1_acq-v1.2\nout_T1w.nii.gz").stem == "sub-1_acq-v1.2\\nout_T1w"
