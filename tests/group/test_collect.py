from __future__ import annotations

from pathlib import Path

from legseg_bids.group.collect import collect


def test_rows_know_participant_session_and_image(finish, make_row, out: Path) -> None:
    finish("sub-2_ses-b_acq-out_chunk-1_T1w", [make_row("RF_L", 2.5)])
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0), make_row("RF_R", 3.0)])
    found = collect(out)
    assert [(r["participant_id"], r["session_id"], r["volume"]) for r in found.rows] == [
        ("sub-1", "n/a", "1"),
        ("sub-1", "n/a", "3"),
        ("sub-2", "ses-b", "2.5"),
    ]
    assert found.rows[0]["image"] == "sub-1/anat/sub-1_acq-out_seg-muscles_dseg.nii.gz"
    assert found.images == {"sub-1": 1, "sub-2": 1}
    assert found.missing == ()
    assert found.notes == ()


def test_unfinished_images_are_left_out_and_named(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 1.0)]).unlink()
    found = collect(out)
    assert {row["participant_id"] for row in found.rows} == {"sub-1"}
    assert found.missing == ("sub-2",)
    assert "sub-2_acq-out_seg-muscles_dseg.tsv has no finished sidecar" in found.notes[0]


def test_participants_that_only_left_logs_or_were_expected_are_missing(
    finish, make_row, out: Path
) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    (out / "logs" / "sub-3").mkdir(parents=True)
    assert collect(out, ["1", "sub-4"]).missing == ("sub-3", "sub-4")


def test_mixed_configurations_are_told(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)], "old")
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 1.0)], "new")
    assert "2 different versions" in collect(out).notes[0]


def test_images_without_labels_still_count(finish, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [])
    assert collect(out).images == {"sub-1": 1}


def test_an_empty_folder(tmp_path: Path) -> None:
    found = collect(tmp_path)
    assert (found.rows, found.images) == ((), {})
