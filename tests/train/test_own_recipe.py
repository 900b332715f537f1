from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from labelled import recipe_text

from legseg_bids.errors import UsageError
from legseg_bids.train.own.recipe_file import load_recipe
from legseg_bids.train.own.schedules import SCHEDULE_SHAPES, Progress, rate


def read(tmp_path: Path, text: str):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_recipe(path)


def test_folders_are_relative_to_the_recipe(tmp_path: Path) -> None:
    recipe = read(tmp_path, recipe_text("a", "b"))
    assert recipe.name == "mine"
    assert [data.raw for data in recipe.data] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert recipe.grid.patch == (4, 24, 24)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            recipe_text("a", top="colour = 1"),
            r"no key 'colour'; it has: name, region, data, .*loss",
        ),
        (
            recipe_text("a", schedule="speed = 1"),
            r"\[schedule\] has no key 'speed'.* kind, epochs",
        ),
        (recipe_text("a", optimiser='name = "lion"'), "expected one of adam, adamw, sgd"),
        (recipe_text("a", schedule='kind = "linear"'), "one_cycle, cosine, plateau, constant"),
        (recipe_text("a", schedule='epochs = "many"'), "epochs = 'many'; expected something like"),
        (recipe_text("a", schedule="epochs = 0"), "epochs = 0; expected 1 or more"),
        (recipe_text("a", grid="patch = [4, 24]"), "patch = .*something like"),
        (recipe_text("a", top="input_dropout = 1.0"), "input_dropout = 1.0"),
        (recipe_text("a", top='contrasts = ["t2"]'), "contrasts = 't2'; expected one of opposed"),
        (recipe_text("a", network=""), r"neither \[network\] nor \[start\]"),
        (recipe_text("a", network="features = [4]"), "lacks the key 'name'"),
        (recipe_text(), r"has no \[\[data\]\]"),
        ('region = "upper"\n[[data]]\nraw = "a"', "lacks the key 'labels'"),
        ("data = [1]", "expected a table with the keys raw, labels"),
        ("region = ", "cannot read the recipe"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, text)


@pytest.mark.parametrize("kind", SCHEDULE_SHAPES)
def test_rates_stay_within_the_peak(tmp_path: Path, kind: str) -> None:
    plan = read(tmp_path, recipe_text("a", schedule=f'kind = "{kind}"')).schedule
    rates = [rate(plan, share / 50, Progress()) for share in range(51)]
    assert max(rates) <= 1.0
    assert rates[-1] <= 0.011
    assert max(rates) > 0.99


def test_plateau_reduces_again_and_again(tmp_path: Path) -> None:
    table = 'kind = "plateau"\npatience = 2\nfactor = 0.1\nstop_after = 5'
    plan = read(tmp_path, recipe_text("a", schedule=table)).schedule
    progress, seen = Progress(), []
    for epoch, dice in enumerate([0.5, 0.4, 0.4, 0.4, 0.4, float("nan")]):
        assert not progress.is_over(plan)
        progress = progress.after(dice, epoch, plan)
        seen.append(round(rate(plan, 0.5, progress), 6))
    assert seen == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    assert progress.is_over(plan)
    assert progress.after(0.6, 6, plan).since_better == 0
