"""Which stations may continue each other, and what their merged image is called."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from legseg_bids.bids.names import parse_name
from legseg_bids.bids.sets import StationSet, find_sets, first_of_each_name, merged_paths
from legseg_bids.bids.stations import Station

ROOT = Path("/data")


def station(name: str, family: str = "") -> Station:
    entities = dict(parse_name(Path(name).name).entities)
    path = ROOT / name
    return Station(
        ROOT, entities["sub"], entities.get("ses"), "q", "opposed", {"opposed": path}, path,
        entities, family=family,
    )  # fmt: skip


def names(sets: tuple[StationSet, ...]) -> list[list[str]]:
    return [[Path(s.output_name).name for s in members.stations] for members in sets]


THIGH = "sub-1/anat/sub-1_acq-thigh_T1w.nii.gz"
CALF = "sub-1/anat/sub-1_acq-calf_T1w.nii.gz"
CHUNKS = [f"sub-1/anat/sub-1_acq-opp_chunk-{n}_T1w.nii.gz" for n in (1, 2, 3)]


def test_chunks_are_a_set_and_single_acquisitions_are_pooled() -> None:
    found = find_sets([station(name) for name in (THIGH, *CHUNKS, CALF)])
    assert names(found) == [
        ["sub-1_acq-calf_T1w.nii.gz", "sub-1_acq-thigh_T1w.nii.gz"],
        [Path(name).name for name in CHUNKS],
    ]


def test_the_order_of_the_stations_does_not_matter() -> None:
    given = [station(name) for name in (THIGH, CALF, *CHUNKS[:2])]
    found = {str(names(find_sets(order))) for order in permutations(given)}
    assert len(found) == 1


def test_sessions_and_participants_are_kept_apart() -> None:
    paths = [
        "sub-1/ses-a/anat/sub-1_ses-a_acq-thigh_T1w.nii.gz",
        "sub-1/ses-b/anat/sub-1_ses-b_acq-calf_T1w.nii.gz",
        "sub-2/anat/sub-2_acq-thigh_T1w.nii.gz",
    ]
    assert [len(members.stations) for members in find_sets(map(station, paths))] == [1, 1, 1]


def test_runs_of_chunks_are_sets_of_their_own() -> None:
    paths = [f"sub-1/anat/sub-1_run-{r}_chunk-{c}_T1w.nii.gz" for r in (1, 2) for c in (1, 2)]
    found = find_sets(map(station, paths))
    assert [Path(m.merged_name).name for m in found] == [
        "sub-1_run-1_T1w.nii.gz",
        "sub-1_run-2_T1w.nii.gz",
    ]


@pytest.mark.parametrize(
    ("members", "merged"),
    [
        (CHUNKS, "sub-1/anat/sub-1_acq-opp_seg-muscles_desc-merged_dseg.nii.gz"),
        ((THIGH, CALF), "sub-1/anat/sub-1_seg-muscles_desc-merged_dseg.nii.gz"),
        (
            [f"sub-1/ses-a/anat/sub-1_ses-a_run-{n}_T1w.nii.gz" for n in (1, 2)],
            "sub-1/ses-a/anat/sub-1_ses-a_seg-muscles_desc-merged_dseg.nii.gz",
        ),
        (
            [f"sub-1/anat/sub-1_acq-d_echo-1_part-mag_chunk-{n}_MEGRE.nii" for n in (1, 2)],
            "sub-1/anat/sub-1_acq-d_echo-1_part-mag_seg-muscles_desc-merged_dseg.nii.gz",
        ),
    ],
)
def test_the_merged_image_is_named_after_what_is_common(members, merged: str) -> None:
    (found,) = find_sets(map(station, members))
    paths = merged_paths(Path("out"), found.merged_name)
    assert paths.labels.as_posix() == f"out/{merged}"
    assert paths.sidecar.name == Path(merged).name.replace(".nii.gz", ".json")
    assert paths.figure.parent == Path("out/sub-1/figures")


def test_of_two_sets_with_one_name_the_first_has_it() -> None:
    """Nothing is overwritten, whatever names a dataset comes up with."""
    sets = find_sets(
        station(f"sub-1/anat/sub-1_acq-{a}_chunk-{n}_T1w.nii.gz", family=family)
        for family, pairs in (("x", ("a1", "b2")), ("y", ("c3", "d4")))
        for a, n in pairs
    )
    assert len(sets) == 2
    assert first_of_each_name(sets) == {sets[0].merged_name: sets[0]}


def test_a_station_that_is_alone_takes_no_name() -> None:
    """It is not merged, so that others may have the name that its merged image would have."""
    alone = station("sub-1/anat/sub-1_T1w.nii.gz", family="x")
    pair = [station(f"sub-1/anat/sub-1_acq-{a}_T1w.nii.gz", family="y") for a in ("calf", "thigh")]
    sets = find_sets([alone, *pair])
    assert sorted(len(members.stations) for members in sets) == [1, 2]
    assert len({members.merged_name for members in sets}) == 1
    (kept,) = first_of_each_name(sets).values()
    assert kept.is_several


def test_place_names_participant_and_session() -> None:
    (one,) = find_sets([station("sub-1/ses-a/anat/sub-1_ses-a_T1w.nii.gz")])
    assert one.place == "sub-1 ses-a"
