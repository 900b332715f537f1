from __future__ import annotations

import pytest

from legseg_bids.anatomy import label_by_index, load_labels
from legseg_bids.anatomy.labels import read_table
from legseg_bids.anatomy.plausible import leg_volume, plausible_volume


def test_the_table_names_muscles_and_adds_up_to_less_than_a_leg() -> None:
    rows = read_table("volume_shares.tsv")
    muscles = {e.abbreviation.rpartition("_")[0] for e in load_labels() if e.tissue == "muscle"}
    names = [row["muscle"] for row in rows]
    assert set(names) <= muscles
    assert len(names) == len(set(names))
    assert 90 < sum(float(row["percent"]) for row in rows) < 100


@pytest.mark.parametrize("label", [e for e in load_labels() if e.tissue != "muscle"][:3])
def test_nothing_is_known_of_bones(label) -> None:  # type: ignore[no-untyped-def]
    assert plausible_volume(label.index) is None


@pytest.mark.parametrize(
    ("abbreviation", "volume"),
    [("SOL_L", 438.0), ("VL_R", 831.0), ("GRA_L", 104.0), ("FDL_R", 30.0), ("TA_L", 135.0)],
)
def test_healthy_adults_lie_well_within(abbreviation: str, volume: float) -> None:
    """Means of 24 healthy adults."""
    index = next(e.index for e in load_labels() if e.abbreviation == abbreviation)
    bounds = plausible_volume(index)
    assert bounds is not None
    assert bounds[0] < 0.4 * volume
    assert bounds[1] > 1.5 * volume


def test_both_sides_have_the_same_bounds() -> None:
    for label in load_labels():
        if label.side == "left":
            assert plausible_volume(label.index) == plausible_volume(label.index + 1)
    assert label_by_index(61).abbreviation == "RF_L"
    assert leg_volume(1.8, 80.0) > leg_volume(1.6, 50.0)
