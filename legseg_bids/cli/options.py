"""The options of ``legseg``, group by group; spellings follow the BIDS Apps and the NiPreps."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from legseg_bids import __version__
from legseg_bids.cli.resources import THREADS_PER_IMAGE
from legseg_bids.errors import UsageError

ENGINES = ("auto", "openvino", "torch")
_OFF = ("--no-", "--no_")


class Parser(argparse.ArgumentParser):
    """Name an option by its first spelling where something is wrong with it, not by all."""

    def error(self, message: str) -> NoReturn:
        """End with usage and message."""
        super().error(re.sub(r"(--?[\w-]+)(/--?[\w-]+)+", r"\1", message))


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Show one spelling of each option: with hyphens, and not what is the default anyway."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        shown = [name for name in action.option_strings if "_" not in name]
        if isinstance(action, argparse.BooleanOptionalAction):
            shown = [name for name in shown if name.startswith("--no-") == action.default]
        short = argparse.Action(shown, action.dest, action.nargs, metavar=action.metavar,
                                choices=action.choices)  # fmt: skip
        return super()._format_action_invocation(short if action.option_strings else action)


class _Switch(argparse.BooleanOptionalAction):
    """On or off, ``--no-…``; with hyphens or underscores throughout."""

    def __init__(self, option_strings: Sequence[str], dest: str, **words: Any) -> None:
        super().__init__(option_strings, dest, **words)
        off = [name for name in self.option_strings if name.startswith(_OFF)]
        self.option_strings = list(dict.fromkeys([*self.option_strings, *spellings(*off)]))

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        _values: object,
        option_string: str | None = None,
    ) -> None:
        """Switch on or off."""
        setattr(namespace, self.dest, not str(option_string).startswith(_OFF))


class _ExecSpec(argparse.Action):
    """Print the descriptor and end, as ``--version`` does: nothing else need be given."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from legseg_bids.cli.boutiques import text

        print(text(), end="")
        parser.exit()


def add_positionals(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """What the command line begins with; not required with ``--config-file``."""
    words: dict[str, Any] = {} if required else {"nargs": "?", "default": None}
    parser.add_argument("bids_dir", type=Path, help="folder of the BIDS dataset", **words)
    parser.add_argument(
        "output_dir", type=Path, help="folder of the derivative that is written", **words
    )
    parser.add_argument(
        "analysis_level",
        metavar="{participant,group}",
        help="participant: segment images; "
        "group: tables and a page of the study, made from OUTPUT_DIR",
        **words,
    )


def add_selection(group: argparse._ArgumentGroup) -> None:
    """Which participants, sessions and files."""
    labels: dict[str, Any] = {"nargs": "+", "metavar": "LABEL", "default": []}
    text = "labels with or without {}, or one text file with a label on each line"
    group.add_argument(*spellings("--participant-label"), **labels, help=text.format("sub-"))
    group.add_argument(
        *spellings("--exclude-participant-label"), **labels, help="all but these participants"
    )
    group.add_argument(
        *spellings("--session-label", "--session-id"),
        **labels,
        help=text.format("ses-") + "; images without a session stay in",
    )
    group.add_argument(
        *spellings("--bids-filter-file"),
        type=Path,
        metavar="FILE",
        help="JSON: which files a query may take, {query: {entity: value}}",
    )
    _switch(
        group,
        "--skip-bids-validation",
        "--skip-bids-validator",
        help="do not ask the BIDS validator about the input",
    )


def add_resources(group: argparse._ArgumentGroup) -> None:
    """Processors, memory, device and networks."""
    group.add_argument(
        *spellings("--nprocs", "--nthreads", "--n-cpus"),
        type=count,
        metavar="N",
        help="processors for the whole run (default: all that this process is allowed)",
    )
    group.add_argument(
        *spellings("--omp-nthreads"),
        type=count,
        metavar="N",
        help="threads for each image (default: all processors, at most "
        f"{THREADS_PER_IMAGE}); nprocs / omp-nthreads images run at the same time",
    )
    memory = group.add_mutually_exclusive_group()
    memory.add_argument(
        "--mem",
        metavar="SIZE",
        help="ceiling of memory for the whole run, with unit: 8GB, 8000MB, 8GiB "
        "(default: 2 GiB for each image at a time)",
    )
    memory.add_argument(*spellings("--mem-gb"), metavar="N", help="the same in GB")
    memory.add_argument(*spellings("--mem-mb"), metavar="N", help="the same in MB")
    group.add_argument(
        "--device", type=_device, default="auto", help="auto, cpu, cuda or cuda:N (default: auto)"
    )
    group.add_argument(
        "--engine", choices=ENGINES, default="auto", help="what runs the networks (default: auto)"
    )
    group.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of the networks (default: as shipped)"
    )
    group.add_argument(
        *spellings("--use-plugin", "--nipype-plugin-file"),
        type=Path,
        metavar="FILE",
        help="YAML or JSON with nipype's plugin and plugin_args",
    )


def add_output(group: argparse._ArgumentGroup) -> None:
    """What is written, and where."""
    _switch(group, "--overwrite", help="segment again what is done already")
    _switch(
        group,
        "--merge-stations",
        default=True,
        help="do not join the stations of a session into one image and table",
    )
    _switch(group, "--reports", default=True, help="do not write a page for each participant")
    _switch(
        group,
        "--write-probabilities",
        help="also write one probability map for each label (4-D probseg)",
    )
    group.add_argument(
        "-w",
        *spellings("--work-dir"),
        type=Path,
        metavar="DIR",
        help="keep intermediate files here, and continue from them "
        "(default: a private folder in $TMPDIR, removed at the end)",
    )
    _switch(
        group,
        "--clean-workdir",
        help="remove the intermediate files of what this run segmented from the work folder",
    )
    _switch(group, "--write-graph", help="draw the graph of the steps into the logs")
    _switch(
        group,
        "--resource-monitor",
        help="write time, memory and processor of each step into the logs",
    )


def add_other(group: argparse._ArgumentGroup) -> None:
    """Everything else."""
    modes = group.add_mutually_exclusive_group()
    _switch(modes, "--dry-run", help="list what would be done, then stop")
    _switch(
        modes,
        "--reports-only",
        help="write the pages of participants anew from what is in OUTPUT_DIR; segment nothing",
    )
    group.add_argument(
        *spellings("--config-file"),
        type=Path,
        metavar="FILE",
        help="take the settings of an earlier run from its log (OUTPUT_DIR/logs/sub-*/*.toml); "
        "options given here go first",
    )
    _switch(
        group,
        "--stop-on-first-crash",
        help="stop at the first image that fails (default: go on with the others)",
    )
    group.add_argument(
        *spellings("--random-seed"),
        type=int,
        metavar="N",
        help="accepted and recorded: no label depends on a random number",
    )
    group.add_argument(
        "--notrack", action="store_true", help="accepted and ignored: nothing is ever sent"
    )
    group.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more (-vv, -vvv: still more)"
    )
    group.add_argument("--version", action="version", version=f"legseg-bids {__version__}")
    group.add_argument(
        *spellings("--bids-exec-spec"),
        action=_ExecSpec,
        nargs=0,
        help="print this command line as a Boutiques descriptor (JSON), then stop",
    )


def spellings(*names: str) -> list[str]:
    """Give each option with hyphens first and with underscores second.

    Examples
    --------
    >>> spellings("--n-cpus", "--mem")
    ['--n-cpus', '--n_cpus', '--mem']
    """
    both = ((name, "--" + name[2:].replace("-", "_")) for name in names)
    return list(dict.fromkeys(name for pair in both for name in pair))


def label_file(words: Sequence[str]) -> str | None:
    """Text of the file that a single word names; None where the words are labels themselves.

    Raises
    ------
    UsageError
        If the file is no text.
    """
    if len(words) != 1 or not os.path.isfile(words[0]):  # noqa: PTH113 - a label may be any text
        return None
    try:
        return Path(words[0]).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"labels {words[0]} cannot be read ({error}); expected a text file with a label on "
            "each line; save it as UTF-8 text"
        ) from error


def count(text: str) -> int:
    """A whole number of at least 1.

    Raises
    ------
    ArgumentTypeError
        If the text is none.
    """
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r}: expected a whole number of at least 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _switch(
    group: argparse._ArgumentGroup,
    *names: str,
    help: str,  # noqa: A002 - as argparse calls it
    default: bool = False,
) -> None:
    """An option without value; ``--no-…`` turns off what a configuration file turned on."""
    action = group.add_argument(*spellings(*names), action=_Switch, default=default)
    # Set here, as Python 3.11 and 3.12 would add the default to it.
    action.help = help


def _device(text: str) -> str:
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", text) is None:
        msg = f"{text!r}: expected auto, cpu, cuda or cuda:N"
        raise argparse.ArgumentTypeError(msg)
    return text
