"""``legseg-synth``: simulate people's legs as a BIDS dataset, or show what is simulated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-synth",
        description="Simulate thigh and calf stations from label maps of real anatomy, "
        "written as a BIDS dataset with the true labels under derivatives/truth.",
        epilog="'legseg-synth factors' draws what the simulation varies instead; "
        "see 'legseg-synth factors --help'.",
    )
    out.add_argument("output", type=Path, help="folder of the dataset")
    out.add_argument("--atlas", type=Path, required=True, help="folder with the label maps")
    out.add_argument("--cache", type=Path, required=True, help="folder for the prepared maps")
    out.add_argument("--anatomies", nargs="+", default=["vhm", "vhf"], help="maps, used in turn")
    out.add_argument("--participants", type=int, default=2)
    out.add_argument("--slices", type=int, default=14)
    out.add_argument("--pixels", type=int, nargs=2, default=(192, 96), metavar=("X", "Y"))
    out.add_argument("--pixel", type=float, default=2.0, help="pixel size, mm")
    out.add_argument("--slice-distance", type=float, default=12.0, help="mm")
    out.add_argument("--seed", type=int, default=0)
    out.add_argument(
        "--varied",
        action="store_true",
        help="the whole range of disease and build, not healthy people only",
    )
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-synth``."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["factors"]:
        from legseg_bids.cli import synth_factors

        return synth_factors.main(words[1:])
    options = parser().parse_args(words)
    from legseg_bids.errors import LegsegError
    from legseg_bids.synth.atlas import load_anatomy
    from legseg_bids.synth.dataset import Plan, write_dataset
    from legseg_bids.synth.person import healthy
    from legseg_bids.synth.ranges import Ranges
    from legseg_bids.synth.shape import Grid

    x, y = options.pixels
    grid = Grid((options.slices, y, x), (options.slice_distance, options.pixel, options.pixel))
    plan = Plan(grid, options.participants, seed=options.seed)
    ranges = Ranges() if options.varied else healthy(Ranges())
    try:
        maps = [load_anatomy(options.atlas, name, options.cache) for name in options.anatomies]
        written = write_dataset(options.output, plan, maps, [ranges])
    except (LegsegError, ValueError, OSError) as error:
        print(f"legseg-synth: {error}", file=sys.stderr)
        return 1
    print(f"wrote {len(written)} images to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
