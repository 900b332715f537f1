"""Values of a recipe that have the right type and are impossible all the same."""

from __future__ import annotations

from typing import Any

from legseg_bids.errors import UsageError
from legseg_bids.train.own.recipe import CONTRASTS, Recipe, Tune

OPTIMISERS = ("adam", "adamw", "sgd")
SCHEDULES = ("one_cycle", "cosine", "plateau", "constant")


def one_of(where: str, key: str, value: Any, allowed: Any) -> None:
    """Make sure that a value is one of those there are.

    Raises
    ------
    UsageError
        If it is not.
    """
    if value not in tuple(allowed):
        raise UsageError(f"{where} has {key} = {value!r}; expected one of {', '.join(allowed)}")


def check(recipe: Recipe) -> None:
    """Make sure that a recipe's values are possible.

    Raises
    ------
    UsageError
        If one is not.
    """
    one_of("[optimiser]", "name", recipe.optimiser.name, OPTIMISERS)
    one_of("[schedule]", "kind", recipe.schedule.kind, SCHEDULES)
    for contrast in recipe.contrasts:
        one_of("the recipe", "contrasts", contrast, CONTRASTS)
    if not recipe.network and not recipe.start.bundle:
        raise UsageError(
            "the recipe has neither [network] nor [start]; expected the name of a network, or a "
            "bundle to begin with"
        )
    if recipe.network and not isinstance(recipe.network.get("name"), str):
        raise UsageError("[network] lacks the key 'name'; expected the name of an architecture")
    schedule, optimiser = recipe.schedule, recipe.optimiser
    lowest = {
        "batch": (recipe.batch, 1),
        "epochs": (schedule.epochs, 1),
        "steps": (schedule.steps, 1),
        "patience": (schedule.patience, 1),
        "folds": (recipe.split.folds, 2),
        "workers": (recipe.workers, 0),
        "seed": (recipe.seed, 0),
        "minutes": (schedule.minutes, 0),
        "stop_after": (schedule.stop_after, 0),
        "weight_decay": (optimiser.weight_decay, 0),
        "clip": (optimiser.clip, 0),
        "learning_rate": (optimiser.learning_rate, 1e-12),
        "patch": (min(recipe.grid.patch), 1),
        "spacing": (min(recipe.grid.spacing), 1e-3),
    }
    lowest |= {key: (getattr(recipe.tune, key), 1) for key in ("trials", "min_epochs")}
    lowest["reduction"] = (recipe.tune.reduction, 2)
    for key, (value, least) in lowest.items():
        if not value >= least:
            raise UsageError(f"the recipe has {key} = {value}; expected {least} or more")
    _check_ranges(recipe.tune)
    shares = {"input_dropout": recipe.input_dropout, "factor": schedule.factor}
    for key, value in shares.items():
        if not 0 <= value < 1:
            raise UsageError(f"the recipe has {key} = {value}; expected 0 or more, less than 1")


def _check_ranges(tune: Tune) -> None:
    """Ranges that could be searched."""
    limits = {
        "learning_rate": (1e-12, 10.0),
        "weight_decay": (1e-12, 10.0),
        "input_dropout": (0.0, 0.99),
    }
    for key, (lowest, highest) in limits.items():
        low, high = getattr(tune, key)
        if not lowest <= low <= high <= highest:
            raise UsageError(
                f"[tune] has {key} = [{low:g}, {high:g}]; expected the lowest value, then the "
                f"highest, within {lowest:g} to {highest:g}"
            )
