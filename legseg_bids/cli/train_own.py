"""``legseg-train own``: train a network on one's own images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from legseg_bids.cli.own_options import add_training_options, carried_out


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-train own",
        description="Train a network on BIDS datasets with label images, and write it as a "
        "bundle that `legseg --models` uses. Run again to go on where it stopped.",
    )
    out.add_argument(
        "--fold", default="0", help="which part validates, from 0; `all` trains one network each"
    )
    out.add_argument("--minutes", type=float, help="longest training, instead of the recipe's")
    add_training_options(out)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-train own``."""
    return carried_out("legseg-train own", _train, parser().parse_args(arguments))


def _train(options: argparse.Namespace) -> None:
    from dataclasses import replace

    import torch

    from legseg_bids.interfaces.prepare import prepare
    from legseg_bids.train.own.bundle import write_bundle
    from legseg_bids.train.own.recipe_file import load_recipe
    from legseg_bids.train.own.training import fit_fold, make_ready, write_folds

    recipe = load_recipe(options.recipe)
    if options.minutes is not None:
        recipe = replace(recipe, schedule=replace(recipe.schedule, minutes=options.minutes))
    folds = _folds(options.fold, recipe.split.folds, bool(recipe.split.validation))
    if options.threads:
        torch.set_num_threads(options.threads)
    ready = make_ready(recipe, options.run, prepare, print, options.leave_out_bad)
    done = [fit_fold(ready, fold, options.device, print) for fold in folds]
    if len(folds) > 1:
        print(f"wrote {write_folds(ready, [fitted for _, fitted in done])}")
    if options.into:
        task, fitted = max(done, key=lambda pair: pair[1].dice)
        print(f"wrote {write_bundle(task, fitted, options.into)}")


def _folds(text: str, folds: int, chosen: bool) -> list[int]:
    from legseg_bids.errors import UsageError

    if text == "all" and not chosen:
        return list(range(folds))
    if text.isdigit() and int(text) < (1 if chosen else folds):
        return [int(text)]
    raise UsageError(
        f"--fold is {text!r}; expected "
        + ("none, since [split] names who validates" if chosen else f"0 to {folds - 1}, or all")
    )


if __name__ == "__main__":
    sys.exit(main())
