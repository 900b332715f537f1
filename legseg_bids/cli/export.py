"""``legseg-export``: write a trained network as a bundle that the application uses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-export",
        description="Write a training run as a MONAI Bundle (ONNX, weights, metadata, card).",
    )
    out.add_argument("recipe", help="locator, thigh, lower_leg, hip, or a TOML file")
    out.add_argument("--run", type=Path, required=True, help="folder with checkpoint.pt")
    out.add_argument("--models", type=Path, required=True, help="folder of the bundles")
    out.add_argument("--note", default="", help="what else the model card says of the training")
    out.add_argument("--change", default="", help="what this version brings, for the changelog")
    out.add_argument(
        "--mix",
        type=Path,
        metavar="RUN",
        help="mix in the weights of another run, or of a model (its folder)",
    )
    out.add_argument("--share", type=float, default=0.5, help="share of that run (default: 0.5)")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-export``."""
    options = parser().parse_args(arguments)
    checkpoint = options.run / "checkpoint.pt"
    if not checkpoint.exists():
        print(
            f"legseg-export: {checkpoint} not found; expected a training run; "
            "train one with legseg-train",
            file=sys.stderr,
        )
        return 1
    from legseg_bids.errors import ModelError
    from legseg_bids.train.export import export
    from legseg_bids.train.recipe import load_recipe

    try:
        mix = None if options.mix is None else (options.mix, options.share)
        recipe = load_recipe(options.recipe)
        bundle = export(recipe, options.run, options.models, options.note, mix, options.change)
    except (ValueError, ModelError) as error:
        print(f"legseg-export: {error}", file=sys.stderr)
        return 1
    print(f"wrote {bundle}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
