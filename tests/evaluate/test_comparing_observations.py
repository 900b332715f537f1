"""Reading the tidy tables: what one participant contributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluations import (
    COLUMNS,
    LOST,
    Simulated,
    confused,
    evaluated,
    sliced,
    table,
    write_evaluation,
)

from legseg_bids.errors import NoInput
from legseg_bids.evaluate.confusion import BACKGROUND, OTHER_SIDE, read_confusion
from legseg_bids.evaluate.figures_special import confused as largest
from legseg_bids.evaluate.observations import load_metrics
from legseg_bids.evaluate.profiles import BINS, read_profiles
from legseg_bids.evaluate.tidy import read_observations

DICE = load_metrics()["dice"]


def read(folder: Path, rows: list[dict[str, object]]):
    return read_observations(write_evaluation(folder, rows=rows) / "evaluation.tsv")


def test_metrics_are_columns_of_the_table() -> None:
    metrics = load_metrics()
    assert list(metrics) == ["dice", "jaccard", "hd", "hd95", "msd", "abs_relative_volume_error"]
    assert {metric.column for metric in metrics.values()} <= set(COLUMNS)
    assert {metric.better for metric in metrics.values()} == {"high", "low"}


def test_sides_images_and_sessions_are_averaged_first(tmp_path: Path) -> None:
    rows = [
        evaluated("A", "sub-1", "RF", 0.6),
        evaluated("A", "sub-1", "RF", 0.8, side="right"),
        evaluated("A", "sub-1", "RF", 1.0, session_id="ses-2", image="other"),
        evaluated("A", "sub-1", "VL", 0.5),
        evaluated("A", "sub-2", "RF", 0.9),
    ]
    seen = read(tmp_path, rows)
    assert (seen.participants, seen.structures) == (("sub-1", "sub-2"), ("VL", "RF"))
    means = seen.single(DICE)[0]
    assert means[0].tolist() == pytest.approx([0.5, 0.8, 0.65])
    assert means[1].tolist() == pytest.approx([np.nan, 0.9, 0.9], nan_ok=True)
    assert seen.images == 3


def test_models_are_compared_on_what_both_have(tmp_path: Path) -> None:
    """B has no distance where it found nothing: A's distance must not count there either."""
    rows = [
        evaluated("A", "sub-1", "RF", 0.9, hd95=2.0),
        evaluated("A", "sub-1", "RF", 0.5, hd95=90.0, side="right"),
        evaluated("B", "sub-1", "RF", 0.9, hd95=3.0),
        {**evaluated("B", "sub-1", "RF", 0.5, side="right"), **LOST},
    ]
    seen = read(tmp_path, rows)
    hd95 = load_metrics()["hd95"]
    assert seen.paired(hd95, (0, 1))[:, 0, 0].tolist() == [2.0, 3.0]
    assert seen.single(hd95)[:, 0, 0].tolist() == [46.0, 3.0]
    assert seen.paired(DICE, (0, 1))[:, 0, 0].tolist() == pytest.approx([0.7, 0.45])


def test_a_model_without_sides_meets_the_mean_of_the_sides(tmp_path: Path) -> None:
    rows = [
        evaluated("A", "sub-1", "RF", 0.9),
        evaluated("A", "sub-1", "RF", 0.7, side="right"),
        evaluated("A", "sub-1", "VL", 0.6),
        evaluated("A", "sub-2", "RF", 0.5),
        {**evaluated("A", "sub-2", "RF", 0.5, side="right"), "dice": "n/a"},
        evaluated("B", "sub-1", "RF", 0.75, side="n/a"),
        evaluated("B", "sub-1", "VL", 0.4),
        evaluated("B", "sub-2", "RF", 0.75, side="n/a"),
    ]
    seen = read(tmp_path, rows)
    vl, rf = (seen.structures.index(name) for name in ("VL", "RF"))
    found = seen.paired(DICE, (0, 1))
    assert found[:, 0, rf].tolist() == pytest.approx([0.8, 0.75])
    assert found[:, 0, vl].tolist() == pytest.approx([0.6, 0.4])
    # One side of A has no value: its other side is not the same as both of B.
    assert np.isnan(found[:, 1, rf]).all()


def test_the_sign_of_a_volume_error_goes_before_the_mean(tmp_path: Path) -> None:
    rows = [
        evaluated("A", "sub-1", "RF", 0.9, relative_volume_error=0.2),
        evaluated("A", "sub-1", "RF", 0.9, relative_volume_error=-0.2, side="right"),
    ]
    error = load_metrics()["abs_relative_volume_error"]
    assert read(tmp_path, rows).single(error)[0, 0, 0] == pytest.approx(0.2)


def test_rows_of_slices_and_missing_cells_are_left_out(tmp_path: Path) -> None:
    rows = [
        evaluated("A", "sub-1", "RF", 0.9, hd="n/a", msd="inf"),
        evaluated("A", "sub-1", "RF", 0.1, slice=3),
    ]
    seen = read(tmp_path, rows)
    assert seen.numbers["dice"].tolist() == [[0.9]]
    assert np.isnan(seen.numbers["hd"]).all()
    assert np.isnan(seen.numbers["msd"]).all()


def test_of_the_same_row_twice_the_last_counts(tmp_path: Path) -> None:
    seen = read(tmp_path, [evaluated("A", "sub-1", "RF", d) for d in (0.1, 0.9)])
    assert seen.numbers["dice"].tolist() == [[0.9]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("", "no column model"),
        ("model\tdice\nA\t1\n", "no column participant_id"),
        ("\t".join(COLUMNS) + "\nA\tsub-1\n", "line 2: 2 cells"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_bad_tables_are_explained(tmp_path: Path, text: str | bytes | None, said: str) -> None:
    path = tmp_path / "evaluation.tsv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NoInput, match=said) as told:
        read_observations(path)
    assert "evaluation.tsv" in str(told.value)


def test_profiles_are_those_of_the_slices(tmp_path: Path) -> None:
    path = tmp_path / "evaluation_slices.tsv"
    wanted = Simulated(participants=8, structures=("RF", "SOL"), noise=0, person=0)
    path.write_text(table(COLUMNS, sliced(wanted)))
    found = read_profiles(path)
    assert found is not None
    assert (found.models, found.structures, found.n) == (("A", "B"), ("SOL", "RF"), 8)
    assert found.quartiles.shape == (2, 3, 3, BINS)
    first, median, third = found.quartiles[0, 2]
    assert (first <= median).all()
    assert (median <= third).all()
    # Worse at both ends.
    assert median[0] < median[BINS // 2] - 0.2
    assert median[-1] < median[BINS // 2] - 0.2


def test_profiles_take_quartiles_of_participants(tmp_path: Path) -> None:
    path = tmp_path / "evaluation_slices.tsv"
    rows = [
        evaluated("A", f"sub-{n}", "RF", dice, slice=0, slice_position=50, side=side)
        for n in range(1, 6)
        for side, dice in (("left", 0.1 * n), ("right", 0.1 * n + 0.1))
    ]
    outside = evaluated("A", "sub-1", "RF", 0.0, slice=9, slice_position=-20)
    path.write_text(table(COLUMNS, [*rows, outside]))
    found = read_profiles(path)
    assert found is not None
    people = 0.1 * np.arange(1, 6) + 0.05
    assert found.quartiles[0, 0, :, BINS // 2] == pytest.approx(
        np.quantile(people, (0.25, 0.5, 0.75))
    )
    assert np.isfinite(found.quartiles[0, 0, 1]).sum() == 1


def test_thick_slices_do_not_make_the_mean_jump(tmp_path: Path) -> None:
    """Structures with few slices at other places: the mean over them stays where it is."""
    path = tmp_path / "evaluation_slices.tsv"
    rows = [
        evaluated("A", f"sub-{n}", name, dice, slice=at, slice_position=position)
        for n in range(3)
        for name, dice, slices in (("RF", 0.9, 5), ("SOL", 0.5, 8))
        for at, position in enumerate(np.linspace(0, 100, slices))
    ]
    path.write_text(table(COLUMNS, rows))
    found = read_profiles(path)
    assert found is not None
    assert found.quartiles[0, -1] == pytest.approx(np.full((3, BINS), 0.7))


def test_no_slices_no_profiles(tmp_path: Path) -> None:
    path = tmp_path / "evaluation_slices.tsv"
    path.write_text(table(COLUMNS, []))
    assert read_profiles(path) is None


def confusion_of(tmp_path: Path, counts: dict[tuple[str, str, str], int]):
    rows = [
        {"model": "A", "participant_id": person, "image": person, "reference": true,
         "predicted": called, "voxels": voxels}
        for (person, true, called), voxels in counts.items()
    ]  # fmt: skip
    path = tmp_path / "confusion.tsv"
    columns = ("model", "participant_id", "image", "reference", "predicted", "voxels")
    path.write_text(table(columns, rows))
    return read_confusion(path)


def test_confusion_is_a_mean_of_participants(tmp_path: Path) -> None:
    """A large image must not outweigh a small one."""
    found = confusion_of(tmp_path, {
        ("sub-1", "RF left", "RF left"): 9000, ("sub-1", "RF left", "VI left"): 1000,
        ("sub-2", "RF left", "RF left"): 5, ("sub-2", "RF left", "VI left"): 5,
        ("sub-2", "background", "VI left"): 15,
    })  # fmt: skip
    assert found is not None
    rf, vi = found.names.index("RF"), found.names.index("VI")
    assert found.shares[0, rf, vi] == pytest.approx((0.1 + 0.5) / 2)
    assert found.shares[0, rf, rf] == pytest.approx((0.9 + 0.5) / 2)
    assert found.stray[0, vi] == pytest.approx((0 + 15 / 20) / 2)


def test_exchanged_sides_are_no_hit(tmp_path: Path) -> None:
    found = confusion_of(tmp_path, {("sub-1", "RF left", "RF right"): 10})
    assert found is not None
    assert found.names == ("RF", OTHER_SIDE)
    assert found.shares[0, 0].tolist() == [0.0, 1.0]


def test_the_largest_confusions_are_chosen(tmp_path: Path) -> None:
    wanted = Simulated(models={"A": 0.9}, structures=("RF", "VL", "SOL", "TA"))
    path = tmp_path / "confusion.tsv"
    columns = ("model", "participant_id", "image", "reference", "predicted", "voxels")
    path.write_text(table(columns, confused(wanted)))
    found = read_confusion(path)
    assert found is not None
    rows, columns_of = largest(found, 0)
    assert {found.names[k] for k in rows} == {"RF", "VL", "SOL", "TA"}
    assert BACKGROUND in {found.names[k] for k in columns_of}


def test_nothing_confused_nothing_drawn(tmp_path: Path) -> None:
    found = confusion_of(tmp_path, {("sub-1", "RF left", "RF left"): 10})
    assert found is not None
    assert largest(found, 0) == ([], [])
