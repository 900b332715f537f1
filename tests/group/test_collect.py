from __future__ import annotations

from pathlib import Path

from legseg_bids.group.collect import Participant, note_on_configs, participants


def collect(out: Path, *expected: str) -> dict[str, Participant]:
    return {found.label: found for found in participants(out, expected)}


def test_rows_know_participant_session_and_image(finish, make_row, out: Path) -> None:
    finish("sub-2_ses-b_acq-out_chunk-1_T1w", [make_row("RF_L", 2.5)])
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0), make_row("RF_R", 3.0)])
    found = list(participants(out))
    rows = [row for participant in found for row in participant.rows]
    assert [(r["participant_id"], r["session_id"], r["volume"]) for r in rows] == [
        ("sub-1", "n/a", "1"),
        ("sub-1", "n/a", "3"),
        ("sub-2", "ses-b", "2.5"),
    ]
    assert rows[0]["image"] == "sub-1/anat/sub-1_acq-out_seg-muscles_dseg.nii.gz"
    assert {row["kind"] for row in rows} == {"muscle"}
    assert [(p.label, p.images, p.notes) for p in found] == [("sub-1", 1, ()), ("sub-2", 1, ())]


def test_unfinished_images_are_left_out_and_named(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 1.0)]).unlink()
    found = collect(out)
    assert (found["sub-2"].images, found["sub-2"].rows) == (0, ())
    name = "sub-2_acq-out_seg-muscles_dseg.tsv has no finished sidecar"
    assert name in found["sub-2"].notes[0]


def test_participants_that_only_left_logs_or_were_expected(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    (out / "logs" / "sub-3").mkdir(parents=True)
    found = collect(out, "1", "sub-4")
    assert [(p.label, p.images) for p in found.values()] == [
        ("sub-1", 1), ("sub-3", 0), ("sub-4", 0),
    ]  # fmt: skip


def test_compartments_and_limbs_are_rows_too(finish, make_row, out: Path) -> None:
    sidecar = finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    stem = str(sidecar).removesuffix("_dseg.json")
    Path(f"{stem}_desc-compartments_dseg.tsv").write_text(
        "compartment\tside\tcomplete\tvolume\nquadriceps\tleft\ttrue\t900\n"
    )
    Path(f"{stem}_desc-limbs_dseg.tsv").write_text(
        "side\tlimb_volume\tsubcutaneous_fat_max_area\nright\t9000\t55\n"
    )
    rows = collect(out)["sub-1"].rows
    assert [(r["kind"], r["abbreviation"], r.get("volume")) for r in rows] == [
        ("muscle", "RF_L", "1"),
        ("compartment", "quadriceps_L", "900"),
        ("tissue", "limb_R", "9000"),
        ("tissue", "subcutaneous_fat_R", None),
    ]
    assert rows[3]["max_csa"] == "55"
    assert {row["image"] for row in rows} == {rows[0]["image"]}


def test_a_spoilt_table_beside_the_labels_costs_its_image(finish, make_row, out: Path) -> None:
    sidecar = finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 1.0)])
    stem = str(sidecar).removesuffix("_dseg.json")
    Path(f"{stem}_desc-compartments_dseg.tsv").write_text("muscle\tside\nx\tleft\n")
    found = collect(out)
    assert found["sub-1"].rows == ()
    assert "--overwrite" in found["sub-1"].notes[0]
    assert len(found["sub-2"].rows) == 1


def test_mixed_configurations_are_told(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)], "old")
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 1.0)], "new")
    configs = frozenset().union(*(p.configs for p in participants(out)))
    assert "2 different versions" in note_on_configs(configs)[0]
    assert note_on_configs(frozenset({"old"})) == ()


def test_images_without_labels_still_count(finish, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [])
    assert collect(out)["sub-1"].images == 1


def test_an_empty_folder(tmp_path: Path) -> None:
    assert list(participants(tmp_path)) == []
