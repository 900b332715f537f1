from __future__ import annotations

from pathlib import Path

import pytest

from legseg_bids.bids.links import refuse_links
from legseg_bids.errors import OutputError


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out/sub-01/anat").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("name", ["sub-02", "sub-01/figures", "logs", "sub-01/anat/deep"])
def test_a_folder_that_leads_elsewhere(output: Path, name: str) -> None:
    (output / name).symlink_to(output.parent / "elsewhere")
    with pytest.raises(OutputError, match=rf"{name} is a link to .*elsewhere"):
        refuse_links(output)


def test_what_is_harmless(output: Path) -> None:
    """A link to the output itself, within it, to a file, or to nothing (an absent annex)."""
    (output.parent / "link").symlink_to(output)
    (output / "sub-02").symlink_to("sub-01")
    (output.parent / "elsewhere/a.nii.gz").touch()
    (output / "sub-01/anat/a.nii.gz").symlink_to(output.parent / "elsewhere/a.nii.gz")
    (output / "sub-01/anat/b.nii.gz").symlink_to(".git/annex/objects/gone")
    refuse_links(output.parent / "link")


def test_no_output_yet(tmp_path: Path) -> None:
    refuse_links(tmp_path / "out")
