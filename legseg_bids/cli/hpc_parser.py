"""The options of ``legseg-hpc``."""

from __future__ import annotations

import argparse
from pathlib import Path

from legseg_bids import __version__
from legseg_bids.cli.options import count, spellings

_EPILOG = """\
The same command again submits what failed or was killed, the latter with twice the memory and
time. What follows -- is handed to legseg; with --image, files named there must lie in the
dataset (/data) or the output (/out).

examples:
  legseg-hpc DATA OUT --image legseg.sif | less
  legseg-hpc DATA OUT --image legseg.sif --submit -- --skip-bids-validation
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-hpc",
        usage="%(prog)s BIDS_DIR OUTPUT_DIR [options] [-- options of legseg]",
        description="Show (or submit) the Slurm jobs that segment a dataset: arrays with a task "
        "for each participant, then one job that makes the group table.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    out.add_argument("bids_dir", type=Path, help="folder of the BIDS dataset")
    out.add_argument("output_dir", type=Path, help="folder of the derivative, seen by all nodes")
    out.add_argument("--submit", action="store_true", help="submit; default: show a script")
    out.add_argument("--version", action="version", version=f"legseg-bids {__version__}")
    _add_choice(out.add_argument_group("which participants"))
    _add_program(out.add_argument_group("what runs"))
    _add_jobs(out.add_argument_group("jobs"))
    return out


def _add_choice(group: argparse._ArgumentGroup) -> None:
    text = "labels with or without sub-, or one file: a label on each line, or participants.tsv"
    group.add_argument(*spellings("--participant-label"), nargs="+", default=[], help=text)
    group.add_argument(
        *spellings("--exclude-participant-label"), nargs="+", default=[], help="all but these"
    )
    group.add_argument("--all", action="store_true", help="also those that are done")
    group.add_argument(
        "--check",
        action="store_true",
        help="ask legseg itself (--dry-run) who is done, whatever was noted: after a change of "
        "data, version or weights; reads every image",
    )


def _add_program(group: argparse._ArgumentGroup) -> None:
    which = group.add_mutually_exclusive_group()
    which.add_argument("--image", type=Path, help="Apptainer image (SIF)")
    which.add_argument("--program", type=Path, help="installed legseg (default: that of PATH)")
    group.add_argument("--gpu", action="store_true", help="one GPU for each task")


def _add_jobs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--participants-per-task", type=count, default=1, metavar="N")
    group.add_argument("--throttle", type=count, default=50, metavar="N", help="tasks at a time")
    group.add_argument(
        "--max-array",
        type=count,
        default=1000,
        metavar="N",
        help="tasks in an array (Slurm's MaxArraySize - 1; default: 1000); more become several "
        "arrays, one after the other",
    )
    group.add_argument("--cpus", type=count, default=2, metavar="N", help="of each task")
    group.add_argument("--mem", metavar="SIZE", help="of each task, as 4GB (default: measured)")
    group.add_argument("--max-mem", metavar="SIZE", default="64GiB", help="never ask for more")
    group.add_argument("--minutes", type=count, metavar="N", help="default: from the images")
    group.add_argument(
        "--group",
        choices=("afterany", "afterok", "none"),
        default="afterany",
        help="when to make the table: after all tasks (default), only if all are well, or not",
    )
    group.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="WORD",
        help="option for sbatch, as --sbatch=--account=legs; may be given several times",
    )
    group.add_argument("--force", action="store_true", help="although jobs are in the queue")
