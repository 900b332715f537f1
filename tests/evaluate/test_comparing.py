"""Comparisons of simulated results, whose effects are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluations import Simulated, evaluated, simulate, write_evaluation, write_participants

from legseg_bids.errors import NoInput, UsageError
from legseg_bids.evaluate import comparison_tables, figures, wording
from legseg_bids.evaluate.comparing import Compared, compare, write_comparison
from legseg_bids.evaluate.observations import ALL, load_metrics
from legseg_bids.evaluate.outcomes import (
    GROUPS,
    MANN_WHITNEY,
    MODELS,
    OPERATORS,
    PAIR,
    WILCOXON,
    Outcome,
    adjusted,
)
from legseg_bids.evaluate.summaries import volumes
from legseg_bids.group.statistics import holm

THREE = Simulated(models={"good": 0.9, "same": 0.9, "bad": 0.8}, participants=15, noise=0.02)


def compared(tmp_path: Path, wanted: Simulated, **more: Path) -> Compared:
    return compare(write_evaluation(tmp_path / "out", wanted), **more)


def chosen(
    found: Compared, kind: str, metric: str = "dice", structure: str = ALL
) -> list[Outcome]:
    return [
        t for t in found.tests
        if (t.kind, t.metric, t.structure) == (kind, metric, structure)
    ]  # fmt: skip


def test_a_worse_model_is_found_and_an_equal_one_is_not(tmp_path: Path) -> None:
    found = compared(tmp_path, THREE)
    (of_all,) = chosen(found, MODELS)
    assert of_all.significant
    pairs = {(t.first, t.second): t for t in chosen(found, PAIR)}
    assert len(pairs) == 3
    worse, equal = pairs["good", "bad"], pairs["good", "same"]
    assert worse.significant
    assert worse.difference is not None
    assert worse.difference.low <= 0.1 <= worse.difference.high
    assert worse.effect == 1.0
    assert not equal.significant
    assert worse.n == (15, 15)
    assert worse.family == 3


def test_families_of_structures_are_corrected_by_holm(tmp_path: Path) -> None:
    found = compared(tmp_path, THREE)
    family = [
        t for t in found.tests if t.kind == PAIR and t.metric == "hd95" and t.structure != ALL
    ]
    assert len(family) == 3 * 3
    assert [t.p_holm for t in family] == pytest.approx(holm([t.p or 0 for t in family]).tolist())
    assert {t.family for t in family} == {9}


def test_two_models_need_no_friedman(tmp_path: Path) -> None:
    found = compared(tmp_path, Simulated())
    assert not any(t.kind == MODELS for t in found.tests)
    assert chosen(found, PAIR)


def test_one_model_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    found = compared(tmp_path, Simulated(models={"A": 0.9}))
    assert found.tests == ()
    assert found.summaries
    assert wording.about_models(found)[0][1] == [
        "One model was evaluated: there is nothing to compare it with."
    ]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_participants_are_not_tested(tmp_path: Path, n: int) -> None:
    found = compared(tmp_path, replace(THREE, models={"A": 0.9, "B": 0.5}, participants=n))
    assert all(t.p is None and t.p_holm is None for t in found.tests)
    assert any(
        "no test can give" in said for _, list_ in wording.about_models(found) for said in list_
    )


def test_a_missing_participant_is_left_out_of_pairs_only(tmp_path: Path) -> None:
    rows = [
        row for row in simulate(THREE)
        if (row["model"], row["participant_id"]) != ("bad", "sub-001")
    ]  # fmt: skip
    found = compare(write_evaluation(tmp_path, rows=rows))
    pairs = {(t.first, t.second): t.n for t in chosen(found, PAIR)}
    assert pairs == {
        ("good", "same"): (15, 15),
        ("good", "bad"): (14, 14),
        ("same", "bad"): (14, 14),
    }
    assert chosen(found, MODELS)[0].n == (14, 14)
    assert any("not evaluated on the same" in note for note in wording.about_data(found))


def test_identical_models_do_not_differ(tmp_path: Path) -> None:
    rows = list(simulate(Simulated(models={"A": 0.9}, participants=8)))
    rows += [{**row, "model": "B"} for row in rows]
    found = compare(write_evaluation(tmp_path, rows=rows))
    assert all((t.p, t.p_holm, t.effect) == (1, 1, 0) for t in found.tests)


def test_summaries_count_what_was_not_found(tmp_path: Path) -> None:
    rows = simulate(Simulated(models={"A": 0.9}, participants=4))
    rows[0].update(status="prediction_empty", dice=0.0, hd95="n/a")
    rows[1].update(status="reference_empty", dice=0.0, hd95="n/a", relative_volume_error="n/a")
    rows[2].update(status="both_empty", dice="n/a", hd95="n/a")
    found = compare(write_evaluation(tmp_path, rows=rows))
    told = {(s.metric, s.structure): s for s in found.summaries}
    assert (told["dice", ALL].missed, told["dice", ALL].spurious) == (1, 1)
    assert told["dice", ALL].values == 4 * 3 * 2 - 1
    assert told["hd95", ALL].values == 4 * 3 * 2 - 3
    assert told["dice", ALL].n == 4


def test_volumes_of_all_structures_are_added_up(tmp_path: Path) -> None:
    rows = [
        evaluated("A", "sub-1", "RF", 0.9, volume=100.0, bias=0.1),
        evaluated("A", "sub-1", "RF", 0.9, volume=200.0, bias=0.1, side="right"),
        evaluated("A", "sub-1", "VL", 0.9, volume=400.0),
        {**evaluated("A", "sub-1", "SOL", 0.9), "status": "both_empty", "predicted_cm3": 0.0,
         "reference_cm3": 0.0},
    ]  # fmt: skip
    seen = compare(write_evaluation(tmp_path, rows=rows)).seen
    measured, reference = volumes(seen, 0)
    place = [seen.structures.index(name) for name in ("RF", "VL")]
    assert measured[0, [*place, -1]].tolist() == pytest.approx([165, 400, 565])
    assert reference[0, [*place, -1]].tolist() == pytest.approx([150, 400, 550])
    assert np.isnan(measured[0, seen.structures.index("SOL")])


def test_a_bias_is_found(tmp_path: Path) -> None:
    wanted = Simulated(models={"A": 0.9, "B": 0.9}, participants=30, bias={"B": 0.2})
    found = compared(tmp_path, wanted)
    agreed = {a.model: a for a in found.agreed if a.structure == ALL}
    relative = {m: a.limits.bias.value / a.limits.mean for m, a in agreed.items()}
    assert relative["A"] == pytest.approx(0, abs=0.02)
    assert relative["B"] == pytest.approx(0.2, abs=0.02)
    assert agreed["B"].coefficients is not None
    assert agreed["B"].coefficients.agreement.value < agreed["B"].coefficients.consistency.value
    assert agreed["B"].limits.p_slope < 0.01
    assert any("grows with the size" in said for said in wording.about_agreement(found))


# ----------------------------------------------------------------------------- raters


def test_a_model_within_and_one_beyond_the_raters(tmp_path: Path) -> None:
    raters = write_evaluation(
        tmp_path / "raters", Simulated(models={"second": 0.88}, participants=12)
    )
    wanted = Simulated(models={"good": 0.93, "bad": 0.7}, participants=12)
    found = compared(tmp_path, wanted, operators=raters)
    dice = {t.model: t for t in chosen(found, OPERATORS)}
    assert dice["good"].within
    assert dice["good"].test == WILCOXON
    assert not dice["bad"].within
    assert dice["bad"].significant
    errors = [t.metric for t in found.tests if t.kind == OPERATORS and t.structure == ALL]
    assert set(errors) == {"dice", "abs_relative_volume_error", "hd95"}


def test_raters_of_other_people_are_compared_as_groups(tmp_path: Path) -> None:
    rows = [
        {**row, "participant_id": f"{row['participant_id']}x"}
        for row in simulate(Simulated(models={"second": 0.95}, participants=9))
    ]
    raters = write_evaluation(tmp_path / "raters", rows=rows)
    found = compared(tmp_path, Simulated(participants=12), operators=raters)
    assert {t.test for t in found.tests if t.kind == OPERATORS} == {MANN_WHITNEY}
    assert chosen(found, OPERATORS)[0].n == (12, 9)
    assert any("different people" in said for said in wording.about_operators(found))


def test_a_few_shared_people_are_not_taken_for_others(tmp_path: Path) -> None:
    """Five people that both have: too few for pairs, and no independent groups either."""
    raters = write_evaluation(tmp_path / "raters", Simulated(models={"two": 0.9}, participants=5))
    found = compared(tmp_path, Simulated(participants=5), operators=raters)
    (first, *_) = chosen(found, OPERATORS)
    assert (first.test, first.n, first.p) == (WILCOXON, (5, 5), None)
    assert any("no test can give" in said for said in wording.about_operators(found))


def test_people_of_the_raters_are_left_out_of_the_other_group(tmp_path: Path) -> None:
    raters = write_evaluation(tmp_path / "raters", Simulated(models={"two": 0.9}, participants=5))
    found = compared(tmp_path, Simulated(participants=12), operators=raters)
    (first, *_) = chosen(found, OPERATORS)
    assert (first.test, first.n) == (MANN_WHITNEY, (7, 5))
    assert first.p is not None


def test_raters_are_compared_on_common_structures(tmp_path: Path) -> None:
    raters = write_evaluation(
        tmp_path / "raters", Simulated(models={"second": 0.9}, structures=("VL", "TA"))
    )
    found = compared(tmp_path, Simulated(), operators=raters)
    assert {t.structure for t in found.tests if t.kind == OPERATORS} == {"VL", ALL}


def test_several_raters_are_averaged(tmp_path: Path) -> None:
    raters = write_evaluation(
        tmp_path / "raters", Simulated(models={"two": 0.8, "three": 0.9}, noise=0, person=0)
    )
    found = compared(tmp_path, Simulated(noise=0, person=0), operators=raters)
    assert chosen(found, OPERATORS)[0].medians[1] == pytest.approx(
        chosen(found, OPERATORS)[0].medians[0] - 0.05, abs=1e-6
    )


# ------------------------------------------------------------------ writing all of it


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = write_evaluation(tmp_path_factory.mktemp("written"), THREE, more=True)
    raters = write_evaluation(
        folder / "raters", Simulated(models={"second": 0.88}, participants=9)
    )
    people = write_participants(folder, 15)
    with pytest.MonkeyPatch.context() as patch:
        # Figures have tests of their own.
        patch.setattr(figures, "write_figures", lambda *_: [])
        return folder, write_comparison(
            folder, participants=people, group_by="group", operators=raters
        )


def test_everything_that_is_told_was_written(written: tuple[Path, list[Path]]) -> None:
    folder, paths = written
    assert all(path.is_file() and path.stat().st_size for path in paths)
    names = {path.name for path in paths if path.parent == folder}
    assert names == {
        "summary.tsv", "summary.json", "comparisons.tsv", "comparisons.json", "agreement.tsv",
        "agreement.json", "evaluation.html",
    }  # fmt: skip
    there = {path for path in folder.rglob("*") if path.is_file()}
    assert not [path for path in there if path.name.endswith(".tmp")]


@pytest.mark.parametrize("name", ["summary", "comparisons", "agreement"])
def test_every_column_is_described(written: tuple[Path, list[Path]], name: str) -> None:
    folder, _ = written
    header, *rows = (folder / f"{name}.tsv").read_text().splitlines()
    described = json.loads((folder / f"{name}.json").read_text())
    assert header.split("\t") == [key for key in described if key != "Description"]
    assert all(described[column]["Description"] for column in header.split("\t"))
    assert rows
    assert all(len(row.split("\t")) == len(header.split("\t")) for row in rows)


def test_no_column_of_a_row_is_lost() -> None:
    described = comparison_tables.load_tables()["comparisons"]
    test = Outcome(
        PAIR, "dice", ALL, "A", "A", "B", WILCOXON, (3, 3), (1, 2), (1, 2), None, 0.5, "x", 1.0,
        None, "",
    )  # fmt: skip
    assert set(comparison_tables.outcome_row(test)) <= set(described)


def test_the_words_for_kinds_and_metrics_are_described() -> None:
    tables = comparison_tables.load_tables()
    assert set(tables["summary"]["metric"]["Levels"]) == set(load_metrics())
    assert set(tables["comparisons"]["comparison"]["Levels"]) == {MODELS, PAIR, OPERATORS, GROUPS}


def test_tables_without_rows_go_away(tmp_path: Path) -> None:
    (tmp_path / "comparisons.tsv").write_text("of an earlier run")
    (tmp_path / "comparisons.json").write_text("{}")
    assert comparison_tables.write_tables(tmp_path, [], [], []) == []
    assert list(tmp_path.iterdir()) == []


def test_no_rows_no_page(tmp_path: Path) -> None:
    write_evaluation(tmp_path, rows=[])
    with pytest.raises(NoInput, match="has no rows"):
        write_comparison(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.tsv"}


def test_a_wrong_column_is_told_before_anything_is_written(tmp_path: Path) -> None:
    write_evaluation(tmp_path)
    people = write_participants(tmp_path)
    with pytest.raises(UsageError, match="no column severity; expected one of group, age"):
        write_comparison(tmp_path, participants=people, group_by="severity")
    assert not (tmp_path / "summary.tsv").exists()


def test_correction_leaves_out_what_was_not_tested() -> None:
    base = Outcome(
        PAIR, "dice", "RF", "A", "A", "B", WILCOXON, (9, 9), (1, 2), (1, 2), None, 0.5, "x", 1.0,
        0.01, "exact",
    )  # fmt: skip
    found = adjusted([base, replace(base, p=None), replace(base, p=0.04, structure="VL")])
    assert [t.p_holm for t in found] == [0.02, None, 0.04]
    assert [t.family for t in found] == [2, 0, 2]


def test_muscles_are_told_by_themselves_where_there_are_bones(tmp_path: Path) -> None:
    rows = [
        evaluated("A", f"sub-{n}", name, dice, side=side)
        for n in range(4)
        for name, dice in (("RF", 0.8), ("VL", 0.9), ("FEM", 0.98), ("SAT", 0.96))
        for side in ("left", "right")
    ]
    told = {
        s.structure: s
        for s in compare(write_evaluation(tmp_path, rows=rows)).summaries
        if s.metric == "dice"
    }
    assert told["muscles"].average == pytest.approx(0.85)
    assert told["muscles"].values == 4 * 2 * 2
    assert told[ALL].average == pytest.approx(0.91)


def test_muscles_alone_are_told_once(tmp_path: Path) -> None:
    assert "muscles" not in {s.structure for s in compared(tmp_path, Simulated()).summaries}
