"""The command line of ``legseg`` and ``run.py``: options, their checks, and the settings.

Spellings follow the BIDS Apps and the NiPreps, so that copied commands work. Nothing heavy
is imported here: ``--help`` must answer at once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from legseg_bids import __version__
from legseg_bids.cli import resources
from legseg_bids.errors import NoFilterMatch
from legseg_bids.settings import Settings

LEVELS = ("participant", "group")
ENGINES = ("auto", "openvino", "torch")

_EPILOG = """\
exit codes:
  0   every selected image is segmented (now or by an earlier run)
  1   at least one image failed, or a model cannot be used; the last lines say which
  2   the command line asks for something impossible
  16  the input is not a valid BIDS dataset
  18  participant or session labels select nothing
  66  there is no image that can be segmented
  73  the output cannot be written

examples:
  legseg BIDS_DIR OUTPUT_DIR participant --participant-label 01 02
  legseg BIDS_DIR OUTPUT_DIR group
"""


def build_parser(prog: str = "legseg") -> argparse.ArgumentParser:
    """Return the argument parser of the application."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Label the muscles of the legs in opposed-phase (Dixon) MRI. A BIDS App.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_positionals(parser)
    _add_selection(parser.add_argument_group("which images"))
    _add_resources(parser.add_argument_group("processors, memory and networks"))
    _add_output(parser.add_argument_group("what is written"))
    _add_other(parser.add_argument_group("other"))
    return parser


def settings_from(args: argparse.Namespace) -> Settings:
    """Checked settings of a run.

    Parameters
    ----------
    args : argparse.Namespace
        What :func:`build_parser` parsed.

    Raises
    ------
    UsageError
        If the memory has no unit.
    NoFilterMatch
        If the labels leave no participant.
    """
    share = _resources(args)
    return Settings(
        bids_dir=args.bids_dir.absolute(),
        output_dir=args.output_dir.absolute(),
        work_dir=args.work_dir.absolute() if args.work_dir else None,
        participants=_participants(args),
        sessions=_labels(args.session_label, "ses-"),
        models_dir=args.models.absolute() if args.models else None,
        engine=args.engine,
        device=args.device,
        nprocs=share.workers,
        omp_nthreads=share.threads,
        memory=share.memory,
        overwrite=args.overwrite,
        write_probabilities=args.write_probabilities,
        skip_bids_validation=args.skip_bids_validation,
        stop_on_first_crash=args.stop_on_first_crash,
    )


# ---------------------------------------------------------------------------- options


def _spellings(*names: str) -> list[str]:
    """Give each option with hyphens first and with underscores second.

    Examples
    --------
    >>> _spellings("--n-cpus", "--mem")
    ['--n-cpus', '--n_cpus', '--mem']
    """
    both = ((name, "--" + name[2:].replace("-", "_")) for name in names)
    return list(dict.fromkeys(name for pair in both for name in pair))


def _add_positionals(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bids_dir", type=Path, help="folder of the BIDS dataset")
    parser.add_argument("output_dir", type=Path, help="folder of the derivative that is written")
    parser.add_argument(
        "analysis_level",
        choices=LEVELS,
        help="participant: segment images; "
        "group: one table over all participants, made from OUTPUT_DIR alone",
    )


def _add_selection(group: argparse._ArgumentGroup) -> None:
    labels: dict[str, Any] = {"nargs": "+", "metavar": "LABEL", "default": []}
    text = "labels with or without {}, or one text file with a label on each line"
    group.add_argument(*_spellings("--participant-label"), **labels, help=text.format("sub-"))
    group.add_argument(
        *_spellings("--exclude-participant-label"), **labels, help="all but these participants"
    )
    group.add_argument(
        *_spellings("--session-label", "--session-id"),
        **labels,
        help=text.format("ses-") + "; images without a session stay in",
    )
    group.add_argument(
        *_spellings("--skip-bids-validation", "--skip-bids-validator"),
        action="store_true",
        help="do not ask the BIDS validator about the input",
    )


def _add_resources(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        *_spellings("--nprocs", "--nthreads", "--n-cpus"),
        type=_count,
        metavar="N",
        help="processors for the whole run (default: all that this process is allowed)",
    )
    group.add_argument(
        *_spellings("--omp-nthreads"),
        type=_count,
        metavar="N",
        help="threads for each image (default: all processors, at most "
        f"{resources.THREADS_PER_IMAGE}); nprocs / omp-nthreads images run at the same time",
    )
    memory = group.add_mutually_exclusive_group()
    memory.add_argument(
        "--mem",
        metavar="SIZE",
        help="ceiling of memory for the whole run, with unit: 8GB, 8000MB, 8GiB "
        "(default: 2 GiB for each image at a time)",
    )
    memory.add_argument(*_spellings("--mem-gb"), metavar="N", help="the same in GB")
    memory.add_argument(*_spellings("--mem-mb"), metavar="N", help="the same in MB")
    group.add_argument(
        "--device", type=_device, default="auto", help="auto, cpu, cuda or cuda:N (default: auto)"
    )
    group.add_argument(
        "--engine", choices=ENGINES, default="auto", help="what runs the networks (default: auto)"
    )
    group.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of the networks (default: as shipped)"
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--overwrite",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="segment again what is done already",
    )
    group.add_argument(
        *_spellings("--write-probabilities"),
        action="store_true",
        help="also write one probability map for each label (4-D probseg)",
    )
    group.add_argument(
        "-w",
        *_spellings("--work-dir"),
        type=Path,
        metavar="DIR",
        help="keep intermediate files here, and continue from them "
        "(default: a private folder in $TMPDIR, removed at the end)",
    )


def _add_other(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        *_spellings("--dry-run"), action="store_true", help="list what would be done, then stop"
    )
    group.add_argument(
        *_spellings("--stop-on-first-crash"),
        action="store_true",
        help="stop at the first image that fails (default: go on with the others)",
    )
    group.add_argument(
        "--notrack", action="store_true", help="accepted and ignored: nothing is ever sent"
    )
    group.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more (-vv, -vvv: still more)"
    )
    group.add_argument("--version", action="version", version=f"legseg-bids {__version__}")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r}: expected a whole number of at least 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _device(text: str) -> str:
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", text) is None:
        msg = f"{text!r}: expected auto, cpu, cuda or cuda:N"
        raise argparse.ArgumentTypeError(msg)
    return text


# --------------------------------------------------------------------------- settings


def _resources(args: argparse.Namespace) -> resources.Resources:
    asked = args.mem
    asked = f"{args.mem_gb}GB" if args.mem_gb else asked
    asked = f"{args.mem_mb}MB" if args.mem_mb else asked
    return resources.share(
        args.nprocs or resources.allowed_cpus(),
        resources.allowed_memory(),
        threads=args.omp_nthreads,
        total=resources.parse_memory(asked) if asked else None,
    )


def _participants(args: argparse.Namespace) -> tuple[str, ...]:
    """Labels to keep; empty where nothing was selected or excluded."""
    chosen = _labels(args.participant_label, "sub-")
    excluded = set(_labels(args.exclude_participant_label, "sub-"))
    if not excluded:
        return chosen
    present = sorted(path.name[4:] for path in args.bids_dir.glob("sub-*") if path.is_dir())
    kept = tuple(label for label in chosen or present if label not in excluded)
    if not kept:
        msg = "every participant is excluded; expected at least one; exclude fewer labels"
        raise NoFilterMatch(msg)
    return kept


def _labels(words: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Labels without their prefix, each once; a single word may name a text file."""
    if len(words) == 1 and Path(words[0]).is_file():
        words = Path(words[0]).read_text(encoding="utf-8").split()
    return tuple(dict.fromkeys(word.removeprefix(prefix) for word in words))
