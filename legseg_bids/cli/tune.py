"""``legseg-train tune``: look for a better learning rate, dropout and L2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from legseg_bids.cli.own_options import add_training_options, carried_out


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-train tune",
        description="Try learning rates, dropout and L2 by Hyperband, and write the recipe with "
        "the best of them. Run again to go on where it stopped.",
    )
    out.add_argument(
        "--trials", type=int, help="trainings in all, instead of the recipe's; more can be added"
    )
    out.add_argument("--fold", type=int, default=0, help="which part validates, from 0")
    out.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="trainings beside each other"
    )
    out.add_argument(
        "--cluster",
        default="",
        metavar="ray[:ADDRESS]|dask[:ADDRESS]",
        help="train on the workers of a cluster; without an address, one is started here",
    )
    add_training_options(out)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-train tune``."""
    return carried_out("legseg-train tune", _tune, parser().parse_args(arguments))


def _tune(options: argparse.Namespace) -> None:
    from legseg_bids.errors import UsageError

    _require_optuna()
    for name in ("at_once", "trials"):
        value = getattr(options, name)
        if value is not None and value < 1:
            word = name.replace("_", "-")
            raise UsageError(f"--{word} is {value}; expected 1 or more")
    from legseg_bids.interfaces.prepare import prepare
    from legseg_bids.train.own.bundle import write_bundle
    from legseg_bids.train.own.fitting import require_device
    from legseg_bids.train.own.pools import open_pool
    from legseg_bids.train.own.recipe_file import load_recipe
    from legseg_bids.train.own.training import make_ready
    from legseg_bids.train.own.tuned import write_tuned
    from legseg_bids.train.own.tuning import Search, best_fit, best_of, told, tune

    recipe = load_recipe(options.recipe)
    if not options.cluster:
        require_device(options.device)
    if not 0 <= options.fold < (1 if recipe.split.validation else recipe.split.folds):
        raise UsageError(f"--fold is {options.fold}; expected 0 to {recipe.split.folds - 1}")
    run = options.run.absolute()  # a worker may stand elsewhere
    ready = make_ready(recipe, run, prepare, print, options.leave_out_bad)
    search = Search(ready, options.fold, run / "tuning", options.device, options.threads)
    with open_pool(options.cluster, options.at_once, options.device) as pool:
        trials = tune(search, options.trials or recipe.tune.trials, pool, _say)
    for path in write_tuned(search.folder, options.recipe, trials):
        print(f"wrote {path}")
    print(f"best: {told(best_of(trials), [])}")
    if options.into:
        print(f"wrote {write_bundle(*best_fit(search, best_of(trials)), options.into)}")


def _say(line: str) -> None:
    """At once, also into a file: a search takes a night."""
    print(line, flush=True)


def _require_optuna() -> None:
    from importlib.util import find_spec

    from legseg_bids.errors import UsageError

    for package in ("optuna", "tomlkit"):
        if find_spec(package) is None:
            raise UsageError(
                f"tuning needs the package {package}, which is not installed; expected it; "
                "pip install 'legseg-bids[tune]'"
            )


if __name__ == "__main__":
    sys.exit(main())
