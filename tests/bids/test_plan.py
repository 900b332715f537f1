from __future__ import annotations

from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.plan import plan_lines

IMAGES = {
    "sub-1/anat/sub-1_acq-out_chunk-1_T1w": {},
    "sub-1/anat/sub-1_acq-out_chunk-2_T1w": {},
    "sub-2/ses-a/dix/sub-2_ses-a_stk-UP_megre_dix_wat": {},
    "sub-2/ses-a/dix/sub-2_ses-a_stk-UP_megre_dix_fat": {},
    "sub-10/anat/sub-10_acq-in\nphase_T1w": {},
}


def test_the_table(build, nearest_odd) -> None:
    root = build(IMAGES)
    (root / "sub-3").mkdir()
    states = {"sub-1/anat/sub-1_acq-out_chunk-2_T1w.nii.gz": "done"}
    lines = plan_lines(discover(index(root), nearest_odd), states)
    output = "sub-1/anat/sub-1_acq-out_chunk-{}_seg-muscles_dseg.nii.gz"
    first = "sub-1_acq-out_chunk-{}_T1w.nii.gz"
    cells = [tuple(cell for cell in line.split("  ") if cell.strip()) for line in lines]
    cells = [tuple(cell.strip() for cell in row) for row in cells]
    assert cells[0] == ("participant", "session", "file", "taken as", "output", "state")
    assert cells[1] == (
        "sub-1",
        "-",
        first.format(1),
        "opposed (opposed)",
        output.format(1),
        "to do",
    )
    assert cells[2][-2:] == (output.format(2), "done")
    assert cells[3][:2] == ("sub-10", "-")
    assert cells[3][-1].startswith("skipped: sub-10_acq-in\\nphase_T1w.nii.gz")
    assert cells[4][1] == "ses-a"
    assert cells[4][4] == "sub-2/ses-a/anat/sub-2_ses-a_acq-UP_seg-muscles_dseg.nii.gz"
    assert cells[5] == ("sub-2_ses-a_stk-UP_megre_dix_fat.nii.gz", "fat (water_fat)")
    assert cells[6][:4] == ("sub-3", "-", "-", "-")
    assert len(cells) == 7


def test_columns_are_aligned(build, nearest_odd) -> None:
    lines = plan_lines(discover(index(build(IMAGES)), nearest_odd), {})
    start = lines[0].index("taken as")
    assert {line[start - 2 : start] for line in lines} == {"  "}
    assert all(line[start] != " " for line in lines)
