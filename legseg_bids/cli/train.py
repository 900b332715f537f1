"""``legseg-train``: train a network on simulated legs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-train",
        description="Train a network on legs simulated from label maps of real anatomy; "
        "`legseg-train own --help`: on images of your own; `legseg-train tune --help`: with the "
        "best learning rate.",
    )
    out.add_argument("recipe", help="locator, thigh, lower_leg, hip, or a TOML file")
    out.add_argument("--atlas", type=Path, required=True, help="folder with the label maps")
    out.add_argument("--cache", type=Path, required=True, help="folder for the prepared maps")
    out.add_argument("--run", type=Path, required=True, help="folder for checkpoint and log")
    out.add_argument("--minutes", type=float, default=60.0, help="length of the schedule")
    out.add_argument(
        "--from",
        dest="begin",
        type=Path,
        metavar="WEIGHTS",
        help="refine the weights of another run or a model (its folder) in a schedule of its own",
    )
    out.add_argument("--learning-rate", type=float, help="highest one; the recipe's by default")
    out.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    out.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that make batches ahead, on the CPU; 0: each when needed, on the device",
    )
    out.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-train``."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["own"]:
        from legseg_bids.cli.train_own import main as own

        return own(words[1:])
    if words[:1] == ["tune"]:
        from legseg_bids.cli.tune import main as tune

        return tune(words[1:])
    options = parser().parse_args(words)
    import torch

    from legseg_bids.errors import LegsegError
    from legseg_bids.train.loop import train
    from legseg_bids.train.recipe import load_recipe
    from legseg_bids.train.subjects import anatomies_of, composites_of

    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        recipe = load_recipe(options.recipe)
        if options.learning_rate:
            recipe = replace(recipe, learning_rate=options.learning_rate)
        maps = anatomies_of(recipe, options.atlas, options.cache)
        train(
            recipe,
            maps,
            options.run,
            options.minutes,
            options.device,
            begin=options.begin,
            composites=composites_of(recipe, maps, options.atlas, options.cache),
            workers=options.workers,
        )
    except (LegsegError, ValueError) as error:
        print(f"legseg-train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
