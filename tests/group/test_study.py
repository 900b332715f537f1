from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legseg_bids.group.study import (
    Study,
    StudyBuilder,
    asymmetry,
    choose_row,
    is_whole,
    mean_of_sides,
    number,
)

WHOLE = {"truncated": "none", "cut_in_plane": "false", "volume": "9"}


def row(abbreviation: str, volume: object, **changes: Any) -> dict[str, str]:
    return {
        "session_id": "n/a", "image": "sub-1/anat/a_dseg.nii.gz", "kind": "muscle",
        "side": "left", "abbreviation": abbreviation, "truncated": "none",
        "volume": str(volume), **changes,
    }  # fmt: skip


def study(**people: list[dict[str, str]]) -> Study:
    builder = StudyBuilder()
    for name, rows in people.items():
        builder.add(name, rows)
    return builder.build()


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([{**WHOLE, "truncated": "distal", "volume": "30"}], "not truncated beats larger"),
        ([{**WHOLE, "cut_in_plane": "true", "volume": "30"}], "not cut in plane beats larger"),
        ([{**WHOLE, "volume": "3"}, {**WHOLE, "volume": "n/a"}], "larger wins"),
        ([{"complete": "false", "volume": "30"}], "a complete compartment beats a larger one"),
        ([], "alone"),
    ],
)
def test_which_measurement_counts(others: list[dict[str, str]], why: str) -> None:
    assert choose_row([*others, WHOLE]) is WHOLE, why


def test_columns_are_in_order_whatever_comes_first() -> None:
    found = study(
        a=[row("limb_L", 9, kind="tissue"), row("RF_R", 2, side="right")],
        b=[row("quadriceps_L", 5, kind="compartment"), row("RF_L", 1)],
    )
    assert [s.key for s in found.structures] == ["RF_L", "RF_R", "quadriceps_L", "limb_L"]
    np.testing.assert_array_equal(
        found.values["volume"], [[np.nan, 2, np.nan, 9], [1, np.nan, 5, np.nan]]
    )
    assert list(found.bases) == ["muscle RF", "compartment quadriceps", "tissue limb"]
    assert found.bases["muscle RF"] == (0, 1)


def test_measures_without_a_value_are_left_out() -> None:
    found = study(a=[row("RF_L", 1, length="n/a", max_csa="30", mean_fat_fraction="nan")])
    assert list(found.values) == ["volume", "max_csa"]


def test_sessions_are_records_of_their_own() -> None:
    rows = [row("RF_L", n, session_id=f"ses-{n}") for n in (10, 2)]
    found = study(a=rows)
    assert [record.session for record in found.records] == ["ses-2", "ses-10"]
    assert found.sessions == ("ses-2", "ses-10")


def test_a_measurement_knows_its_image() -> None:
    found = study(
        a=[
            row("RF_L", 1, image="x/one_dseg.nii.gz"),
            row("RF_R", 2, image="x/two_dseg.nii.gz", side="right"),
        ]
    )
    assert found.records[0].images == ("one", "two")
    assert found.image.tolist() == [[0, 1]]


def test_what_is_no_structure_of_ours_is_left_out() -> None:
    strange = ["<script>", "XX_L", "", "a" * 60]
    found = study(
        a=[row("RF_L", 1), *(row(s, 1) for s in strange)],
        b=[row(s, 1, kind="compartment") for s in ("<b>_L", "x y_L", "_L")],
        c=[row("quadriceps", 1, kind="compartment", side="both")],
    )
    assert [s.key for s in found.structures] == ["RF_L"]
    assert len(found.records) == 3


def test_statistics_use_what_is_whole_and_not_poor() -> None:
    found = study(
        a=[row("RF_L", 1, mean_fat_fraction="0.1", quality="good")],
        b=[row("RF_L", 2, mean_fat_fraction="0.2", truncated="distal")],
        c=[row("RF_L", 3, mean_fat_fraction="0.3", quality="poor")],
    )
    np.testing.assert_array_equal(found.usable("volume")[:, 0], [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.usable("mean_fat_fraction")[:, 0], [0.1, 0.2, np.nan])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"truncated": "none", "max_csa_slice": "9"}, True),
        ({"max_csa_slice": "0"}, False),
        ({"max_csa_slice": "n/a"}, False),
        ({"truncated": "gap"}, False),
        ({"cut_in_plane": "true"}, False),
    ],
)
def test_a_cross_section_counts_if_its_peak_is_in_view(changes: dict, expected: bool) -> None:
    told = {"truncated": "both", "first_slice": "0", "last_slice": "9", "max_csa_slice": "4"}
    found = study(a=[row("RF_L", 1, max_csa="30", **(told | changes))])
    assert bool(np.isfinite(found.usable("max_csa")[0, 0])) == expected


def test_asymmetry_needs_two_whole_sides() -> None:
    found = study(
        a=[row("RF_L", 11), row("RF_R", 9, side="right")],
        b=[row("RF_L", 11), row("RF_R", 9, side="right", truncated="both")],
        c=[row("RF_L", 11)],
        d=[row("RF_L", 0), row("RF_R", 0, side="right")],
    )
    np.testing.assert_array_equal(asymmetry(found)["muscle RF"], [20, np.nan, np.nan, np.nan])
    assert asymmetry(study(a=[row("RF_L", 11)])) == {}
    assert asymmetry(study(a=[row("RF_L", "n/a")])) == {}


def test_the_mean_of_the_sides_that_are_there() -> None:
    found = study(a=[row("RF_L", 1), row("RF_R", 3, side="right")], b=[row("RF_L", 5)], c=[])
    values = np.vstack([found.values["volume"], [np.nan, np.nan]])
    np.testing.assert_array_equal(mean_of_sides(found, values)["muscle RF"], [2, 5, np.nan])


def test_reasons_are_counted() -> None:
    found = study(
        a=[row("RF_L", 1, quality_reasons="low confidence; fragmented"),
           row("RF_R", 1, quality_reasons="low confidence"),
           row("VL_L", 1, quality_reasons="n/a")],
    )  # fmt: skip
    assert found.reasons == {"low confidence": 2, "fragmented": 1}


@pytest.mark.parametrize("text", ["", None, "n/a", "nan", "inf", "-inf", "1e999", "x"])
def test_what_is_no_number_is_none(text: str | None) -> None:
    assert np.isnan(number(text))


def test_a_tissue_is_never_known_to_be_whole() -> None:
    assert not is_whole({"volume": "3"})
