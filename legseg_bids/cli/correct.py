"""``legseg-correct``: take labels that somebody edited into an output folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legseg_bids.workflows.correcting import Correction


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-correct",
        description="Take labels that were edited in a viewer into the output of legseg: measured "
        "anew, shown in the report, used by the group level. The automatic ones are kept.",
    )
    out.add_argument("output_dir", type=Path, help="output folder of the participant level")
    out.add_argument("edited", type=Path, nargs="?", help="edited label image (.nii, .nii.gz)")
    out.add_argument(
        "--of",
        metavar="NAME",
        help="label image that was edited (default: known by the name of the edited file, or by "
        "its grid)",
    )
    out.add_argument("--author", default="", help="who corrected it; written down if given")
    out.add_argument("--note", default="", help="what was corrected; written down if given")
    out.add_argument(
        "--relabelled",
        action="store_true",
        help="most structures have another number on purpose (left and right exchanged, say)",
    )
    out.add_argument("--undo", metavar="NAME", help="remove the correction of this label image")
    out.add_argument(
        "--refresh",
        action="store_true",
        help="finish what was interrupted, and bring merged images and pages up to date",
    )
    out.add_argument(
        "--bids-dir", type=Path, help="the dataset, for pictures (default: as linked)"
    )
    out.add_argument("--no-report", action="store_true", help="neither page nor pictures")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-correct``."""
    options = parser().parse_args(arguments)
    from legseg_bids.errors import LegsegError

    try:
        for line in _act(options):
            print(line)
    except LegsegError as error:
        print(f"legseg-correct: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


def _act(options: argparse.Namespace) -> list[str]:
    """Do what was asked for, and tell it.

    Raises
    ------
    LegsegError
        If it cannot be done.
    """
    from legseg_bids.errors import UsageError
    from legseg_bids.workflows import correcting

    asked = [bool(options.edited), bool(options.undo), options.refresh]
    if sum(asked) != 1:
        raise UsageError(
            f"{sum(asked)} of an edited label image, --undo and --refresh are given; expected "
            "one; see --help"
        )
    show = {"reports": not options.no_report, "bids_dir": options.bids_dir}
    if options.undo:
        return _told(correcting.undo(options.output_dir, options.undo, **show), "undone: now")
    if options.refresh:
        refreshed = correcting.refresh(options.output_dir, **show)
        _warn(refreshed.warnings)
        return [f"merged anew: {path}" for path in refreshed.labels] or ["up to date"]
    done = correcting.correct(
        options.output_dir,
        options.edited,
        of=options.of,
        author=options.author,
        note=options.note,
        relabelled=options.relabelled,
        **show,
    )
    return _told(done, "wrote")


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"legseg-correct: warning: {warning}", file=sys.stderr)


def _told(done: Correction, what: str) -> list[str]:
    """What was done, line by line; warnings go to the standard error."""
    _warn(done.warnings)
    lines = [f"{what} {done.labels}"]
    if done.changed:
        lines.append(f"{done.changed_voxels} voxels differ from the automatic labels:")
    lines += [
        f"  {name}: {before:.1f} mL automatic, {after:.1f} mL corrected"
        for name, (before, after) in done.changed.items()
    ]
    return lines + ([f"report: {done.report}"] if done.report else [])


if __name__ == "__main__":
    sys.exit(main())
