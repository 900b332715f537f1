"""Which stations of a set are merged, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legseg_bids.bids.sets import find_sets
from legseg_bids.bids.stations import Station
from legseg_bids.errors import ImageError
from legseg_bids.imaging.stacks import Grid, moved
from legseg_bids.settings import Settings
from legseg_bids.workflows.merging import init_merging_wf, plan_merge

STACK = Grid((20, 20, 10), np.diag([3.0, 3.0, 6.0, 1.0]))
ROOT = Path("/data")


def stations(count: int) -> list[Station]:
    paths = [ROOT / f"sub-1/anat/sub-1_chunk-{n}_T1w.nii.gz" for n in range(1, count + 1)]
    return [
        Station(ROOT, "1", None, "q", "opposed", {"opposed": path}, path, {}) for path in paths
    ]


def plan(*heights: float, finished: int | None = None):  # type: ignore[no-untyped-def]
    """Plan for stations at these heights, of which the first so many are finished."""
    found = stations(len(heights))
    (members,) = find_sets(found)
    grids = {s.output_name: moved(STACK, z=z) for s, z in zip(found, heights, strict=True)}
    return plan_merge(members, found[:finished], ROOT, lambda _, s: grids[s.output_name])


def numbers(made) -> list[int]:  # type: ignore[no-untyped-def]
    return [int(s.output_name.split("chunk-")[1][0]) for s in made.stations]


def test_stations_that_continue_each_other_are_merged() -> None:
    made = plan(54.0, 0.0, 108.0)
    assert numbers(made) == [1, 2, 3]
    assert made.warnings == ()
    assert made.title == "sub-1: 3 stations merged"


@pytest.mark.parametrize("heights", [(0.0,), (0.0, 6.0), (0.0, 0.0, 0.0), (0.0, 5000.0)])
def test_there_may_be_nothing_to_merge(heights: tuple[float, ...]) -> None:
    assert plan(*heights) is None


def test_one_finished_station_is_too_few() -> None:
    assert plan(0.0, 54.0, finished=1) is None


def test_repeats_are_left_out_by_name_and_the_others_merged() -> None:
    made = plan(0.0, 54.0, 108.0, 111.0)
    assert numbers(made) == [1, 2]
    (warning,) = made.warnings
    assert "chunk-3_T1w.nii.gz and sub-1/anat/sub-1_chunk-4" in warning
    assert "neither is merged" in warning


def test_what_failed_and_what_is_missing_between_is_told() -> None:
    made = plan(0.0, 108.0, 54.0, finished=2)
    lost, gap = made.warnings
    assert "chunk-3_T1w.nii.gz has no result" in lost
    assert gap.startswith("48 mm of the leg between sub-1/anat/sub-1_chunk-1")


def test_memory_grows_with_the_grid() -> None:
    assert plan(0.0, 54.0).mem_gb < plan(0.0, 900.0).mem_gb


def test_stations_that_span_no_leg_are_an_error() -> None:
    found = stations(2)
    (members,) = find_sets(found)
    wide = [Grid((400, 400, 10), STACK.affine), moved(Grid((400, 400, 10), STACK.affine), x=4e5)]
    grids = dict(zip((s.output_name for s in found), wide, strict=True))
    with pytest.raises(ImageError, match="voxels together"):
        plan_merge(members, found, ROOT, lambda _, s: grids[s.output_name])


def test_the_graph_has_one_step_for_each_leg(settings: Settings, tmp_path: Path) -> None:
    workflow = init_merging_wf([plan(0.0, 54.0)], settings, "abc", tmp_path, "run-1")
    (node,) = workflow._create_flat_graph()
    assert node.name == "join"
    assert node.inputs.members == [s.output_name for s in stations(2)]
    crashes = node.config["execution"]["crashdump_dir"]
    assert crashes == str(settings.output_dir / "logs" / "sub-1")
