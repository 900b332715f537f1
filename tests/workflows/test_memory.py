from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from skeleton import opposed, write_image

from legseg_bids.workflows.memory import load_needs, mem_gb, voxels_of


def test_the_table_is_that_of_steps_with_sensible_needs() -> None:
    for step, need in load_needs().items():
        assert step.isidentifier()
        assert 50 < need.base_mib < 1000
        assert 0.0 <= need.bytes_per_voxel < 200


def test_the_networks_need_most() -> None:
    for voxels in (0, 1_000_000, 10_000_000):
        rest = [mem_gb(step, voxels) for step in load_needs() if step != "segment"]
        assert mem_gb("segment", voxels) > max(rest)


def test_a_step_that_was_not_measured_gets_the_most_of_the_others() -> None:
    rest = [mem_gb(step, 5_000_000) for step in load_needs() if step != "segment"]
    assert mem_gb("something_new", 5_000_000) == max(rest)


def test_voxels_are_those_of_one_volume_of_the_largest_image(tmp_path: Path) -> None:
    image = opposed()
    small = write_image(tmp_path / "a", image)
    assert voxels_of([small, tmp_path / "none.nii.gz"]) == image.data.size


@pytest.mark.parametrize(
    "content", [b"", b"text", gzip.compress(b"x" * 400, mtime=0)], ids=["empty", "text", "gzip"]
)
def test_a_damaged_image_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert voxels_of([tmp_path / "a.nii.gz"]) == 0
