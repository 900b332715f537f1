"""Better values for learning rate, L2 and dropout: Hyperband, on one machine or many.

Optuna (Akiba et al., KDD 2019) proposes points by a tree-structured Parzen estimator, and
Hyperband (Li et al., JMLR 18:185, 2018) ends trainings that fall behind others of their bracket.
The study is a file of the run's folder, which workers append to: no server, and nothing is lost
when one of them, or all, are killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from legseg_bids.errors import LegsegError, UsageError
from legseg_bids.train.own.checkpoints import BEST, LAST, make_folder
from legseg_bids.train.own.fitting import Fit, Fitted, TrainingFailed, fit
from legseg_bids.train.own.journal import number, read_log
from legseg_bids.train.own.pools import Pool
from legseg_bids.train.own.recipe import Recipe, Tune
from legseg_bids.train.own.training import Ready, fit_task

STUDY, LOCK = "study.log", ".lock"
#: What is searched, and whether on a logarithmic scale.
PARAMETERS = {"learning_rate": True, "weight_decay": True, "input_dropout": False}
Say = Callable[[str], Any]


@dataclass(frozen=True)
class Search:
    """What a worker needs to do one training of a search.

    Attributes
    ----------
    ready : Ready
        The recipe with prepared limbs.
    fold : int
    folder : Path
        Of the search.
    device : str
    threads : int
        Of PyTorch; 0 leaves it to that.
    draw : int
        Seed of the points; workers beside each other would otherwise draw the same one.
    """

    ready: Ready
    fold: int
    folder: Path
    device: str = "cpu"
    threads: int = 0
    draw: int = 0


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes
    ----------
    number : int
    state : {"complete", "pruned", "failed", "running", "waiting"}
        ``pruned``: ended early, since others were better, or since its loss was not a number.
    epochs : int
        Validations.
    dice : float
        Highest validation Dice; NaN if there was none.
    parameters : mapping of str to float
    """

    number: int
    state: str
    epochs: int
    dice: float
    parameters: Mapping[str, float]

    @property
    def folder(self) -> str:
        """Name of its folder: the same point always has the same."""
        return point_folder(self.parameters)


def point_folder(parameters: Mapping[str, float]) -> str:
    """Name of the folder of a point.

    Examples
    --------
    >>> point_folder({"learning_rate": 0.001}) == point_folder({"learning_rate": 1e-3})
    True
    """
    text = json.dumps({k: float(v) for k, v in parameters.items()}, sort_keys=True)
    return f"point-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def at_point(recipe: Recipe, parameters: Mapping[str, float]) -> Recipe:
    """A recipe with the values of a point."""
    optimiser = replace(
        recipe.optimiser,
        learning_rate=parameters["learning_rate"],
        weight_decay=parameters["weight_decay"],
    )
    return replace(recipe, optimiser=optimiser, input_dropout=parameters["input_dropout"])


def tune(search: Search, trials: int, pool: Pool, say: Say) -> list[Trial]:
    """Search until there are so many trainings, those of an earlier call counted in.

    Parameters
    ----------
    search : Search
    trials : int
    pool : Pool
        See :mod:`legseg_bids.train.own.pools`.
    say : callable
        Takes a line for people.

    Returns
    -------
    list of Trial
        In the order of their numbers.

    Raises
    ------
    UsageError
        If another search is at work in the folder, or it was begun with other ranges or another
        recipe.
    """
    import optuna

    make_folder(search.folder)
    with _alone(search.folder):
        study = open_study(search)
        _require_same(study, search)
        _take_up(study, say)
        over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        left = max(0, trials - len(study.get_trials(states=over)))
        first = search.ready.recipe.seed + len(study.get_trials(deepcopy=False))
        draws = [replace(search, draw=first + n) for n in range(left)]
        for trial in pool.each(one_trial, draws):
            say(told(trial, trials_of(study)))
        found = trials_of(study)
        _tidy(search, found)
    return found


def open_study(search: Search) -> Any:
    """Optuna's study, made if it is not there; for the driver and for each worker."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    plan, epochs = search.ready.recipe.tune, search.ready.recipe.schedule.epochs
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(search.folder / STUDY))),
        study_name="legseg",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=search.draw),
        pruner=optuna.pruners.HyperbandPruner(
            min_resource=min(plan.min_epochs, epochs),
            max_resource=epochs,
            reduction_factor=plan.reduction,
        ),
    )


def one_trial(search: Search) -> Trial:
    """Train one point; a worker's whole work."""
    import optuna
    import torch

    if search.threads:
        torch.set_num_threads(search.threads)
    done: list[Any] = []

    def objective(trial: Any) -> float:
        point = _draw(trial, search.ready.recipe.tune)
        try:
            return _fitted(search, point, trial).dice
        except TrainingFailed as error:
            raise optuna.TrialPruned(str(error)) from error

    open_study(search).optimize(objective, 1, callbacks=[lambda _, one: done.append(one)])
    return _trial(done[0])


def _draw(trial: Any, plan: Tune) -> dict[str, float]:
    """A point, from the ranges of the recipe."""
    out = {}
    for name, logarithmic in PARAMETERS.items():
        low, high = getattr(plan, name)
        out[name] = float(trial.suggest_float(name, low, high, log=logarithmic))
    return out


def task_at(search: Search, point: Mapping[str, float]) -> Fit:
    """The training of a point."""
    ready = replace(search.ready, recipe=at_point(search.ready.recipe, point))
    task = fit_task(ready, search.fold, search.device, lambda _: None)
    # Nobody who was kept for the end may have a say in the choice.
    groups = replace(task.groups, test=())
    return replace(task, groups=groups, folder=search.folder / point_folder(point))


def best_fit(search: Search, trial: Trial) -> tuple[Fit, Fitted]:
    """The training of a finished trial with its best weights, from its checkpoint."""
    task = task_at(search, trial.parameters)
    return task, fit(task)


def _fitted(search: Search, point: Mapping[str, float], trial: Any) -> Fitted:
    import optuna

    task, last = task_at(search, point), search.ready.recipe.schedule.epochs

    def report(epoch: int, dice: float) -> None:
        trial.report(dice, epoch)
        # After the last epoch there is nothing left to save.
        if epoch < last and trial.should_prune():
            raise optuna.TrialPruned

    try:
        if (task.folder / LAST).exists():
            # Of a worker that was killed: what it had seen counts, then it goes on.
            for epoch, row in enumerate(read_log(task.folder), 1):
                report(epoch, number(row["dice"]))
        return fit(replace(task, watch=report))
    except optuna.TrialPruned:
        _forget(task.folder)
        raise


def _forget(folder: Path) -> None:
    """Remove weights that nobody will use; the log and the pictures stay."""
    for name in (LAST, BEST):
        (folder / name).unlink(missing_ok=True)


def trials_of(study: Any) -> list[Trial]:
    """All trainings of a study so far."""
    found = study.get_trials(deepcopy=False)
    return [_trial(one) for one in sorted(found, key=lambda t: t.number)]


def _trial(one: Any) -> Trial:
    seen = [v for v in one.intermediate_values.values() if math.isfinite(v)]
    return Trial(
        one.number,
        "failed" if one.state.name == "FAIL" else one.state.name.lower(),
        len(one.intermediate_values),
        max(seen, default=math.nan),
        dict(one.params),
    )


def best_of(trials: Sequence[Trial]) -> Trial:
    """The complete training with the highest Dice.

    Raises
    ------
    LegsegError
        If none is complete.
    """
    complete = [t for t in trials if t.state == "complete" and math.isfinite(t.dice)]
    if not complete:
        raise LegsegError(
            f"none of {len(trials)} trainings came to its end; expected one; widen the ranges of "
            "[tune], or lower the learning rates"
        )
    return max(complete, key=lambda t: t.dice)


def told(trial: Trial, all_of_them: Sequence[Trial]) -> str:
    """One training in a line.

    Examples
    --------
    >>> one = Trial(3, "pruned", 4, 0.5, {"learning_rate": 0.02, "weight_decay": 1e-5,
    ...                                   "input_dropout": 0.125})
    >>> told(one, [one])
    'trial 3: pruned after 4 epochs, Dice 0.500 (rate 0.02, L2 1e-05, dropout 0.125)'
    """
    p = trial.parameters
    line = (
        f"trial {trial.number}: {trial.state} after {trial.epochs} epochs, Dice {trial.dice:.3f} "
        f"(rate {p['learning_rate']:.3g}, L2 {p['weight_decay']:.3g}, dropout "
        f"{p['input_dropout']:.3g})"
    )
    complete = [t for t in all_of_them if t.state == "complete"]
    return f"{line}; best so far {max(t.dice for t in complete):.3f}" if complete else line


def _take_up(study: Any, say: Say) -> None:
    """Points of workers that were killed are tried again, from their checkpoints."""
    import optuna

    for one in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(one.number, state=optuna.trial.TrialState.FAIL)
        if len(one.params) == len(PARAMETERS):
            study.enqueue_trial(one.params)
            say(f"trial {one.number} was interrupted; its point is taken up again")


def _require_same(study: Any, search: Search) -> None:
    """A search goes on with the recipe that it was begun with."""
    plain = search.ready.recipe.plain()
    plain.pop("name")
    plain["tune"].pop("trials")
    plain["fold"] = search.fold
    now = json.loads(json.dumps(plain))
    before = study.user_attrs.get("recipe")
    if before is None:
        study.set_user_attr("recipe", now)
    elif before != now:
        other = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
        raise UsageError(
            f"the search in {search.folder} was begun with another {', '.join(other)}; expected "
            "the same; choose another --run, or remove the folder to begin anew"
        )


def _tidy(search: Search, trials: Sequence[Trial]) -> None:
    """Keep the weights of the best only."""
    with suppress(LegsegError):
        best = best_of(trials).folder
        for folder in search.folder.glob("point-*"):
            if folder.name != best:
                _forget(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One driver at a time: two would take up each other's trainings."""
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another `legseg-train tune` works in {folder}; expected none; wait for it, or "
                "choose another --run"
            ) from error
        except OSError:
            pass  # a file system without locks
        yield
