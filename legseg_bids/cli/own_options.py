"""What the commands that train on one's own images have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, where results go, and on what to compute."""
    parser.add_argument("recipe", type=Path, help="a TOML file; see docs/own-training.md")
    parser.add_argument("--run", type=Path, required=True, help="folder for all that is made")
    parser.add_argument(
        "--into", type=Path, metavar="MODELS", help="folder of models that receives the bundle"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--threads", type=int, default=0, help="CPU threads of a training; 0 leaves it to torch"
    )
    parser.add_argument(
        "--leave-out-bad",
        action="store_true",
        help="train without the images that cannot be used, instead of stopping",
    )


def carried_out(
    name: str, work: Callable[[argparse.Namespace], None], options: argparse.Namespace
) -> int:
    """Do the work of a command that goes on when it is called again; its exit code."""
    from legseg_bids.errors import ExitCode, LegsegError

    try:
        work(options)
    except LegsegError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command goes on", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    return 0
