"""``legseg-train own``: train a network on one's own images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-train own",
        description="Train a network on BIDS datasets with label images, and write it as a "
        "bundle that `legseg --models` uses. Run again to go on where it stopped.",
    )
    out.add_argument("recipe", type=Path, help="a TOML file; see docs/own-training.md")
    out.add_argument("--run", type=Path, required=True, help="folder for checkpoints and journal")
    out.add_argument(
        "--into", type=Path, metavar="MODELS", help="folder of models that receives the bundle"
    )
    out.add_argument(
        "--fold", default="0", help="which part validates, from 0; `all` trains one network each"
    )
    out.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    out.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    out.add_argument("--minutes", type=float, help="longest training, instead of the recipe's")
    out.add_argument(
        "--leave-out-bad",
        action="store_true",
        help="train without the images that cannot be used, instead of stopping",
    )
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-train own``."""
    options = parser().parse_args(arguments)
    from legseg_bids.errors import ExitCode, LegsegError

    try:
        _train(options)
    except LegsegError as error:
        print(f"legseg-train own: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("legseg-train own: interrupted; the same command goes on", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    return 0


def _train(options: argparse.Namespace) -> None:
    from dataclasses import replace

    import torch

    from legseg_bids.interfaces.prepare import prepare
    from legseg_bids.train.own.bundle import write_bundle
    from legseg_bids.train.own.recipe import load_recipe
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
