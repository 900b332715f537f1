from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import Simulated, evaluated, write_evaluation, write_participants

from legseg_bids.evaluate import drawing, figures, sheets
from legseg_bids.evaluate.comparing import Compared, compare
from legseg_bids.evaluate.figures import write_figures
from legseg_bids.evaluate.observations import load_metrics
from legseg_bids.group import figures as of_groups

SMALL = Simulated(participants=8, structures=("RF", "VL", "SOL"))


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a figure shows does not depend on how fine it is."""
    coarse = {name: {**how, "dpi": 30} for name, how in of_groups.FORMATS.items()}
    monkeypatch.setattr(of_groups, "FORMATS", coarse)


def drawn(folder: Path, compared: Compared) -> set[str]:
    names = {path.name for path in write_figures(folder, compared)}
    assert names == {path.name for path in (folder / "figures").glob("evaluation_*")}
    stems = {name.rpartition(".")[0] for name in names}
    assert names == {f"{stem}.{ending}" for stem in stems for ending in of_groups.FORMATS}
    return {stem.removeprefix("evaluation_") for stem in stems}


@pytest.fixture
def png_only(coarse: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_groups, "FORMATS", {"png": of_groups.FORMATS["png"]})


@pytest.fixture
def only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One figure stands for all."""
    every = figures._figures

    def first(*told: Any) -> Iterator[Any]:
        yield next(every(*told))

    monkeypatch.setattr(figures, "_figures", first)


def test_all_figures_of_an_evaluation_with_everything(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "out", SMALL, more=True)
    raters = write_evaluation(
        tmp_path / "raters", Simulated(models={"second": 0.9}, participants=8)
    )
    people = write_participants(tmp_path, 8)
    compared = compare(folder, participants=people, group_by="group", operators=raters)
    metrics = ("dice", "hd95", "abs_relative_volume_error")
    assert drawn(folder, compared) == {
        *(f"{kind}_{metric}" for kind in ("box", "mean") for metric in metrics),
        "radar_dice", "groups_group", "operators_dice", "blandaltman_all",
        "blandaltman_model-1", "blandaltman_model-2", "slices_all", "slices_structures",
        "confusion_model-1", "confusion_model-2",
    }  # fmt: skip


def test_tables_that_are_not_there_are_not_drawn(tmp_path: Path, png_only: None) -> None:
    folder = write_evaluation(tmp_path, SMALL)
    found = drawn(folder, compare(folder))
    assert not [name for name in found if name.startswith(("slices", "confusion", "groups"))]


def test_those_of_an_earlier_run_go_away_and_others_stay(tmp_path: Path, only_one: None) -> None:
    folder = write_evaluation(tmp_path, SMALL)
    (folder / "figures").mkdir()
    (folder / "figures" / "evaluation_groups_sex.png").touch()
    (folder / "figures" / "mine.png").touch()
    write_figures(folder, compare(folder))
    assert not (folder / "figures" / "evaluation_groups_sex.png").exists()
    assert (folder / "figures" / "mine.png").exists()


def test_the_same_tables_give_the_same_bytes(tmp_path: Path, only_one: None) -> None:
    folders = [write_evaluation(tmp_path / name, SMALL) for name in "ab"]
    one, two = (write_figures(folder, compare(folder)) for folder in folders)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


ODD: Mapping[str, list[dict[str, object]]] = {
    "one value": [evaluated("A", "sub-1", "RF", 0.9)],
    "nothing found": [
        evaluated("A", "sub-1", "RF", 0.0, status="prediction_empty", hd95="n/a", hd="n/a")
    ],
    "no value": [{**evaluated("A", "sub-1", "RF", 0.0), **dict.fromkeys(
        ("dice", "hd95", "relative_volume_error", "predicted_cm3"), "n/a")}],
    "formulas as names": [
        evaluated(f"$\\frac{{{n % 2}", f"sub-{n}", f"$x^{k}", 0.5 + n / 40)
        for n in range(12) for k in range(3)
    ],
    "line breaks in names": [
        evaluated("a/../b\\n<b>", f"sub-{n}", "x" * 200, 0.5) for n in range(7)
    ],
    "more models than colours": [
        evaluated(f"m{n}", f"sub-{k}", s, 0.5 + n / 40)
        for n in range(12) for k in range(6) for s in ("RF", "VL", "SOL")
    ],
    "all alike": [
        evaluated(m, f"sub-{k}", "RF", 1.0, hd95=0.0) for m in "AB" for k in range(8)
    ],
}  # fmt: skip


@pytest.mark.parametrize("rows", ODD.values(), ids=ODD)
def test_odd_results_are_drawn(
    tmp_path: Path, png_only: None, rows: list[dict[str, object]]
) -> None:
    folder = write_evaluation(tmp_path, rows=rows)
    assert "box_dice" in drawn(folder, compare(folder))


def test_hostile_columns_make_harmless_files(tmp_path: Path, png_only: None) -> None:
    folder = write_evaluation(tmp_path / "out", SMALL)
    text = write_participants(tmp_path, 8).read_text().replace("group", "../../$x^{$ <b>")
    people = tmp_path / "participants.tsv"
    people.write_text(text)
    assert "groups_xb" in drawn(folder, compare(folder, participants=people))
    assert not list(tmp_path.parent.glob("*xb*"))


def test_many_structures_stand_in_two_columns() -> None:
    names = [f"s{k}" for k in range(41)]
    _, panels = drawing.rows_figure(names, 0.4)
    assert [len(chosen) for _, chosen in panels] == [21, 20]
    assert [k for _, chosen in panels for k in chosen] == list(range(41))
    _, alone = drawing.rows_figure(names[:10], 0.4)
    assert len(alone) == 1


def test_no_model_shares_colour_and_marker() -> None:
    looks = set(zip(drawing.COLORS, drawing.MARKERS, strict=True))
    assert len(looks) == drawing.MAX_MODELS
    assert len(set(drawing.COLORS)) == drawing.MAX_MODELS


@pytest.mark.parametrize("better", ["high", "low"])
def test_an_axis_shows_most_values_and_keeps_far_ones_out(better: str) -> None:
    values = np.array([*np.linspace(0.8, 0.95, 400), 0.1, 900.0])
    low, high = drawing.reach(values[:-1] if better == "high" else values, better)
    inside = (values >= low) & (values <= high)
    assert inside.sum() >= 0.97 * len(values)
    assert high < 10


def test_metrics_that_are_drawn_exist() -> None:
    assert set(figures.DRAWN) <= set(load_metrics())
    assert set(sheets.SHOWN) <= set(load_metrics())


def test_an_axis_shows_medians_unless_they_are_very_far() -> None:
    values = np.full(200, 2.0)
    assert drawing.reach(values, "low", np.array([2.0, 5.0]))[1] == pytest.approx(1.05 * 5)
    assert drawing.reach(values, "low", np.array([2.0, 90.0]))[1] == pytest.approx(6)
    assert drawing.reach(np.array([np.nan]), "low") == (0.0, 1.0)
