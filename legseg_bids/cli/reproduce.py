"""``legseg-reproduce``: repeat a published experiment on simulated people."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

LIST = "list"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-reproduce",
        description="Repeat a published experiment on simulated people: simulate, train every "
        "arm several times with the same budget, judge, and write tables and figures. A run that "
        "was interrupted goes on where it stopped.",
    )
    out.add_argument("name", help="name of the experiment; list: show them all")
    out.add_argument("--atlas", type=Path, help="folder with the label maps")
    out.add_argument("--cache", type=Path, help="folder for prepared maps and simulated slices")
    out.add_argument("--out", type=Path, help="folder for the results")
    length = out.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=_positive,
        help="time for all trainings together, from which their number of steps follows",
    )
    length.add_argument("--steps", type=_whole, help="steps of a training (default: its own)")
    out.add_argument("--seeds", type=_whole, help="trainings of each arm (default: its own)")
    out.add_argument("--threads", type=_whole, default=1, help="CPU threads (default: 1)")
    out.add_argument("--models", type=Path, help="folder of the package's networks")
    out.add_argument("--page", type=Path, help="page whose tables are replaced by the new ones")
    out.add_argument(
        "--quick", action="store_true", help="only to see that it works: seconds, wrong numbers"
    )
    return out


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if not 0 < value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to 1000000")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-reproduce``."""
    options = parser().parse_args(arguments)
    from legseg_bids.errors import ExitCode, LegsegError

    if options.name == LIST:
        return _list()
    try:
        _run(options)
    except LegsegError as error:
        print(f"legseg-reproduce: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("legseg-reproduce: stopped; the same command goes on", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    return 0


def _run(options: argparse.Namespace) -> None:
    from legseg_bids.errors import UsageError
    from legseg_bids.evaluate.reproductions.experiments import load_experiment

    load_experiment(options.name)
    missing = [f"--{name}" for name in ("atlas", "cache", "out") if getattr(options, name) is None]
    if missing:
        raise UsageError(f"{', '.join(missing)} not given; expected three folders; give them")
    import torch

    from legseg_bids.evaluate.reproductions.reproduce import reproduce
    from legseg_bids.evaluate.reproductions.running import Order

    torch.set_num_threads(options.threads)
    order = Order(
        atlas=options.atlas,
        cache=options.cache,
        out=options.out,
        minutes=options.minutes,
        steps=options.steps,
        seeds=options.seeds,
        quick=options.quick,
        models=options.models,
        page=options.page,
    )
    for path in reproduce(options.name, order, lambda line: print(line, flush=True)):
        print(f"wrote {path}")


def _list() -> int:
    from legseg_bids.evaluate.reproductions.experiments import experiment_names, load_experiment

    for name in experiment_names():
        experiment = load_experiment(name)
        print(f"{name}\t{experiment.title} ({experiment.source})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
