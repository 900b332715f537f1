"""Searching for better values: points, pruning, taking up again, and every kind of pool."""

from __future__ import annotations

import ast
import csv
import math
import re
import shlex
import textwrap
import tomllib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
optuna = pytest.importorskip("optuna")

from labelled import recipe_text, write_labelled

from legseg_bids.cli import train
from legseg_bids.cli import tune as tune_cli
from legseg_bids.errors import LegsegError, UsageError
from legseg_bids.interfaces.prepare import prepare
from legseg_bids.segment.models import load_model
from legseg_bids.train.own import fitting, journal, pools, tuning
from legseg_bids.train.own.fitting import Fitted, TrainingFailed
from legseg_bids.train.own.pools import Here, open_pool
from legseg_bids.train.own.recipe import Tune
from legseg_bids.train.own.recipe_file import load_recipe, read_recipe
from legseg_bids.train.own.training import Ready, make_ready
from legseg_bids.train.own.tuned import table_text, tuned_recipe
from legseg_bids.train.own.tuning import (
    Search,
    Trial,
    at_point,
    best_of,
    open_study,
    trials_of,
    tune,
)

POINT = {"learning_rate": 0.0123456, "weight_decay": 1e-4, "input_dropout": 0.25}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "draw_curves", lambda *_: None)
    monkeypatch.setattr(journal, "draw_looks", lambda *_: None)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("tune") / "a", 3)


@pytest.fixture(scope="module")
def ready(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    text = recipe_text(
        "a",
        schedule="epochs = 9\nsteps = 1",
        split="folds = 2\ntest = ['03']",
        tune="trials = 4\nmin_epochs = 1",
    )
    recipe = read_recipe(tomllib.loads(text), "mine", study.parent)
    return make_ready(recipe, tmp_path_factory.mktemp("run"), prepare, lambda _: None)


def search_in(ready: Ready, folder: Path) -> Search:
    return Search(ready, 0, folder, threads=1)


def dice_of(point: dict[str, float]) -> float:
    """What a stand-in for a training reaches: best at a learning rate of 0.001."""
    return 0.9 - 0.1 * abs(math.log10(point["learning_rate"]) + 3)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings that take no time, each with the checkpoint and log that a real one leaves."""

    def fit(task: fitting.Fit) -> Fitted:
        task.folder.mkdir(exist_ok=True)
        (task.folder / "last.pt").touch()
        optimiser, epochs = task.recipe.optimiser, task.recipe.schedule.epochs
        dice = dice_of({"learning_rate": optimiser.learning_rate})
        for epoch in range(1, epochs + 1):
            task.watch(epoch, dice * epoch / epochs)
        return Fitted(dice, epochs, epochs, epochs, 0.1, "the schedule is over")

    monkeypatch.setattr(tuning, "fit", fit)


def test_a_point_changes_three_values_and_nothing_else(ready: Ready) -> None:
    recipe = at_point(ready.recipe, POINT)
    assert (recipe.optimiser.learning_rate, recipe.optimiser.weight_decay) == (0.0123456, 1e-4)
    assert recipe.input_dropout == 0.25
    back = replace(recipe, optimiser=ready.recipe.optimiser, input_dropout=0.0)
    assert back == ready.recipe


@pytest.mark.usefixtures("_quick")
def test_hyperband_ends_poor_trainings_early_and_finds_a_good_rate(
    ready: Ready, tmp_path: Path
) -> None:
    trials = tune(search_in(ready, tmp_path), 30, Here(), lambda _: None)
    assert [t.number for t in trials] == list(range(30))
    assert {t.state for t in trials} == {"complete", "pruned"}
    pruned = [t for t in trials if t.state == "pruned"]
    assert all(1 <= t.epochs < 9 for t in pruned)
    assert sum(t.epochs for t in trials) < 0.75 * 30 * 9
    assert 10**-3.3 < best_of(trials).parameters["learning_rate"] < 10**-2.7
    kept = [p.parent.name for p in tmp_path.glob("point-*/last.pt")]
    assert kept == [best_of(trials).folder]


@pytest.mark.usefixtures("_quick")
def test_the_same_seed_tries_the_same_points(ready: Ready, tmp_path: Path) -> None:
    both = [tune(search_in(ready, tmp_path / n), 4, Here(), lambda _: None) for n in "ab"]
    assert both[0] == both[1]
    assert len({t.folder for t in both[0]}) == 4


@pytest.mark.usefixtures("_quick")
def test_a_search_goes_on_with_the_trainings_that_are_missing(
    ready: Ready, tmp_path: Path
) -> None:
    search = search_in(ready, tmp_path)
    first = tune(search, 3, Here(), lambda _: None)
    assert tune(search, 3, Here(), lambda _: None) == first
    assert tune(search, 5, Here(), lambda _: None)[:3] == first


def test_a_point_whose_worker_was_killed_is_taken_up_where_it_stopped(
    ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, whole = search_in(ready, tmp_path), tuning.fit

    def killed(task: fitting.Fit) -> Fitted:
        def watch(epoch: int, dice: float) -> None:
            task.watch(epoch, dice)
            if epoch == 2:
                raise KeyboardInterrupt

        return whole(replace(task, watch=watch))

    monkeypatch.setattr(tuning, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(search, 1, Here(), lambda _: None)
    monkeypatch.undo()
    # What Optuna itself marks as failed, `kill -9` leaves as running.
    point = trials_of(open_study(search))[0].parameters
    running = open_study(search)
    if trials_of(open_study(search))[0].state == "failed":
        running.enqueue_trial(point)
        trial = running.ask()
        for name, logarithmic in tuning.PARAMETERS.items():
            low, high = getattr(ready.recipe.tune, name)
            trial.suggest_float(name, low, high, log=logarithmic)
    said: list[str] = []
    trials = tune(search, 1, Here(), said.append)
    assert any("is taken up again" in line for line in said)
    done = [t for t in trials if t.state == "complete"]
    assert [(t.epochs, t.parameters) for t in done] == [(9, point)]
    log = (tmp_path / done[0].folder / "log.csv").read_text().splitlines()
    assert [row["epoch"] for row in csv.DictReader(log)] == [str(n) for n in range(1, 10)]


def test_nobody_kept_for_the_end_has_a_say(ready: Ready, tmp_path: Path) -> None:
    task = tuning.task_at(search_in(ready, tmp_path), POINT)
    assert ready.groups(0).test == ("03",)
    assert task.groups.test == ()
    assert "03" not in {*task.groups.train, *task.groups.validation}


@pytest.mark.usefixtures("_quick")
def test_a_training_without_a_number_counts_as_bad_and_ends_nothing(
    ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tuning.fit

    def fit(task: fitting.Fit) -> Fitted:
        if task.recipe.optimiser.learning_rate > 1e-3:
            raise TrainingFailed("the loss is NaN")
        return good(task)

    monkeypatch.setattr(tuning, "fit", fit)
    trials = tune(search_in(ready, tmp_path), 8, Here(), lambda _: None)
    spoilt = [t for t in trials if t.parameters["learning_rate"] > 1e-3]
    assert spoilt
    assert all(t.state == "pruned" and math.isnan(t.dice) for t in spoilt)
    assert best_of(trials).parameters["learning_rate"] <= 1e-3


@pytest.mark.usefixtures("_quick")
def test_a_search_with_other_ranges_is_another_search(ready: Ready, tmp_path: Path) -> None:
    tune(search_in(ready, tmp_path), 1, Here(), lambda _: None)
    other = replace(ready.recipe, tune=replace(ready.recipe.tune, reduction=4), batch=3)
    with pytest.raises(UsageError, match="begun with another batch, tune"):
        tune(search_in(replace(ready, recipe=other), tmp_path), 2, Here(), lambda _: None)


def test_two_searches_in_one_folder(ready: Ready, tmp_path: Path) -> None:
    with tuning._alone(tmp_path), pytest.raises(UsageError, match="works in"):
        tune(search_in(ready, tmp_path), 1, Here(), lambda _: None)


def test_no_training_came_to_its_end() -> None:
    with pytest.raises(LegsegError, match="none of 1 trainings"):
        best_of([Trial(0, "pruned", 2, 0.4, POINT)])


def test_the_best_recipe_keeps_comments_and_finds_its_data(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "mine.toml"
    path.write_text("# thighs\n" + recipe_text("a", optimiser="clip = 0.5  # short"))
    text = tuned_recipe(path, Trial(3, "complete", 9, 0.8, POINT))
    assert text.startswith("# thighs\n")
    assert "clip = 0.5  # short" in text
    moved = tmp_path / "elsewhere" / "best.toml"
    moved.parent.mkdir()
    moved.write_text(text)
    recipe = load_recipe(moved)
    assert Path(recipe.data[0].raw) == tmp_path / "a"
    assert recipe.optimiser.learning_rate == pytest.approx(0.01235)
    assert recipe.optimiser.clip == 0.5
    assert recipe.input_dropout == 0.25


def test_the_table_has_a_row_for_each_training() -> None:
    trials = [Trial(0, "complete", 9, 0.5, POINT), Trial(1, "pruned", 0, math.nan, POINT)]
    rows = list(csv.DictReader(table_text(trials).splitlines()))
    assert [(r["state"], r["dice"]) for r in rows] == [("complete", "0.5"), ("pruned", "n/a")]
    assert rows[0]["folder"] == rows[1]["folder"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate = [1e-2, 1e-4]", r"learning_rate = \[0.01, 0.0001\]; expected the lowest"),
        ("weight_decay = [0.0, 1e-4]", "within 1e-12 to 10"),
        ("input_dropout = [0.0, 1.0]", "within 0 to 0.99"),
        ("trials = 0", "trials = 0; expected 1"),
        ("reduction = 1", "reduction = 1; expected 2"),
        ("momentum = 1", "has no key 'momentum'"),
    ],
)
def test_impossible_ranges(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_recipe(tomllib.loads(recipe_text("a", tune=text)), "mine")


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the package where the tests do."""
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", root)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(("cluster", "at_once"), [("", 1), ("", 2), ("dask", 2), ("ray", 2)])
def test_every_pool_calls_and_tells_what_went_wrong(cluster: str, at_once: int) -> None:
    package = {"dask": "distributed", "ray": "ray"}.get(cluster, "json")
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    with open_pool(cluster, at_once) as pool:
        assert sorted(pool.each(textwrap.dedent, ["  c", " a", "  b"])) == ["a", "b", "c"]
        with pytest.raises(ValueError, match="malformed"):
            list(pool.each(ast.literal_eval, ["1", "open"]))


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("slurm", "expected ray or dask"),
        ("dask:tcp://127.0.0.1:9", "no cluster answers at dask:tcp://127.0.0.1:9"),
        ("dask:nowhere.json", "no cluster answers"),
    ],
)
def test_clusters_that_are_not_there(
    cluster: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(pools, "ANSWER_SECONDS", 1)
    with pytest.raises(UsageError, match=message), open_pool(cluster, 1):
        pass


def test_a_cluster_whose_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"legseg-bids\[ray\]"), open_pool("ray", 1):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
def test_the_command_on_a_dask_cluster(study: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("distributed")
    recipe = study.parent / "cluster.toml"
    recipe.write_text(recipe_text("a", schedule="epochs = 2\nsteps = 1"))
    words = ["tune", str(recipe), "--run", str(tmp_path / "run"), "--trials", "2"]
    more = ["--threads", "1", "--cluster", "dask", "--at-once", "2"]
    assert train.main([*words, *more, "--into", str(tmp_path / "models")]) == 0
    out = capsys.readouterr().out
    assert "trial 0: " in out
    assert "trial 1: " in out
    folder = tmp_path / "run/tuning"
    assert {p.name for p in folder.iterdir()} >= {"trials.csv", "trials.png", "best.toml"}
    assert load_model(tmp_path / "models", "thigh").segmentation.channels
    assert load_recipe(folder / "best.toml").optimiser.learning_rate > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", "0"], "--trials is 0"),
        (["--at-once", "0"], "--at-once is 0"),
        (["--fold", "7"], "--fold is 7; expected 0 to 2"),
        (["--cluster", "grid"], "--cluster is 'grid'"),
    ],
)
def test_options_that_cannot_be(
    study: Path, tmp_path: Path, capsys, words: list[str], message: str
) -> None:
    recipe = study.parent / "options.toml"
    recipe.write_text(recipe_text("a"))
    assert train.main(["tune", str(recipe), "--run", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err


def test_commands_and_keys_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs/tuning.md").read_text()
    commands = re.findall(r"^legseg-train tune (.*)$", page, re.M)
    assert len(commands) == 4
    for command in commands:
        assert tune_cli.parser().parse_args(shlex.split(command)).run == Path("tuned")
    table = tomllib.loads(re.search(r"```toml\n(.*?)```", page, re.S)[1])["tune"]
    assert Tune(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}) == Tune()
