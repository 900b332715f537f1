"""``legseg-synth factors``: picture everything that the simulation varies, and write its page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-synth factors",
        description="Draw a strip of every factor of the simulation, from little to much, and "
        "write the page of the documentation that names them.",
    )
    out.add_argument("--atlas", type=Path, help="folder with the label maps")
    out.add_argument("--cache", type=Path, help="folder for the prepared maps")
    out.add_argument("--out", type=Path, metavar="FOLDER", help="receives the pictures")
    out.add_argument("--only", nargs="+", default=[], metavar="NAME", help="of these factors")
    out.add_argument("--page", type=Path, metavar="FILE", help="the Markdown page to write")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-synth factors``."""
    options = parser().parse_args(arguments)
    from legseg_bids.errors import LegsegError, UsageError

    try:
        if options.out is None and options.page is None:
            raise UsageError("nothing to write; expected --out FOLDER, --page FILE, or both")
        if options.out is not None:
            _draw(options)
        if options.page is not None:
            _write_page(options.page)
    except LegsegError as error:
        print(f"legseg-synth factors: {error}", file=sys.stderr)
        return int(error.exit_code)
    except OSError as error:
        print(f"legseg-synth factors: {error}", file=sys.stderr)
        return 1
    return 0


def _draw(options: argparse.Namespace) -> None:
    from legseg_bids.errors import UsageError
    from legseg_bids.synth.factor_pictures import write_pictures
    from legseg_bids.synth.factors import factor_by_name

    if options.atlas is None or options.cache is None:
        raise UsageError("--out needs the anatomy; expected --atlas FOLDER and --cache FOLDER")
    names = [factor_by_name(name).name for name in options.only]
    write_pictures(options.out, options.atlas, options.cache, names)


def _write_page(path: Path) -> None:
    from legseg_bids.synth.factor_page import page

    path.write_text(page(), encoding="utf-8")
    print(f"wrote {path}")
