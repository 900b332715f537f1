"""From the command line of ``legseg`` and ``run.py`` to checked settings.

Nothing heavy is imported here: ``--help`` must answer at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from legseg_bids.cli import options, resources
from legseg_bids.cli.config_file import as_arguments, read_config
from legseg_bids.cli.exit_codes import help_text
from legseg_bids.errors import NoFilterMatch, UnknownLevel, UsageError
from legseg_bids.settings import GIB, Settings

GROUP = "group"
LEVELS = ("participant", GROUP)
POSITIONALS = ("bids_dir", "output_dir", "analysis_level")

_USAGE = """\
%(prog)s BIDS_DIR OUTPUT_DIR {participant,group} [options]
       %(prog)s --config-file FILE [options]"""

_EPILOG = f"""\
Options may be written with underscores, too; a switch that an earlier run's configuration
turned on is turned off with --no-...

exit codes:
{help_text()}

examples:
  legseg BIDS_DIR OUTPUT_DIR participant --participant-label 01 02
  legseg BIDS_DIR OUTPUT_DIR group
"""


def build_parser(prog: str = "legseg", *, positionals: bool = True) -> argparse.ArgumentParser:
    """Return the argument parser of the application.

    Parameters
    ----------
    prog : str
        Name of the program, for messages.
    positionals : bool
        Whether folders and analysis level are required.
    """
    parser = options.Parser(
        prog=prog,
        usage=_USAGE,
        description="Label the muscles of the legs in opposed-phase (Dixon) MRI. A BIDS App.",
        epilog=_EPILOG,
        formatter_class=options.Formatter,
        allow_abbrev=False,
    )
    options.add_positionals(parser, required=positionals)
    options.add_selection(parser.add_argument_group("which images"))
    options.add_resources(parser.add_argument_group("processors, memory and networks"))
    options.add_output(parser.add_argument_group("what is written"))
    options.add_other(parser.add_argument_group("other"))
    return parser


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line, over the defaults that a configuration file gives.

    Parameters
    ----------
    words : sequence of str or None
        Arguments; ``None`` takes those of the process.

    Raises
    ------
    UsageError
        If the configuration file cannot be used, or is of another dataset or output.
    UnknownLevel
        If the analysis level is neither ``participant`` nor ``group``.
    """
    config = _config_file(words)
    if config is None:
        args = build_parser().parse_args(words)
    else:
        parser = build_parser(positionals=False)
        saved: dict[str, Any] = {"analysis_level": LEVELS[0]}
        saved |= as_arguments(read_config(config))
        parser.set_defaults(**saved)
        args = parser.parse_intermixed_args(words)
        _must_agree(args, saved)
        missing = [name for name in POSITIONALS if getattr(args, name) is None]
        if missing:
            parser.error(f"the following arguments are required: {', '.join(missing)}")
    if args.analysis_level not in LEVELS:
        msg = f"analysis level {args.analysis_level!r} is unknown; expected participant or group"
        raise UnknownLevel(msg)
    if args.reports_only and args.analysis_level == GROUP:
        raise UsageError(
            "--reports-only belongs to the participant level; expected participant; the group "
            "level makes its own page"
        )
    if args.reports_only and not args.reports and config is None:
        msg = "--no-reports and --reports-only exclude each other; expected one; leave one out"
        raise UsageError(msg)
    return args


def settings_from(args: argparse.Namespace) -> Settings:
    """Checked settings of a run.

    Parameters
    ----------
    args : argparse.Namespace
        From :func:`parse`.

    Raises
    ------
    UsageError
        If the memory has no unit, or the plug-in file cannot be used.
    NoFilterMatch
        If the labels leave no participant.
    """
    share = resources_from(args)
    return Settings(
        bids_dir=args.bids_dir.absolute(),
        output_dir=args.output_dir.absolute(),
        work_dir=_absolute(args.work_dir),
        participants=_participants(args),
        sessions=_labels(args.session_label, "ses-"),
        models_dir=_absolute(args.models),
        engine=args.engine,
        device=args.device,
        nprocs=share.workers,
        omp_nthreads=share.threads,
        memory=share.memory,
        overwrite=args.overwrite,
        write_probabilities=args.write_probabilities,
        skip_bids_validation=args.skip_bids_validation,
        stop_on_first_crash=args.stop_on_first_crash,
        merge_stations=args.merge_stations,
        write_reports=args.reports,
        filter_file=_absolute(args.bids_filter_file),
        clean_workdir=args.clean_workdir,
        plugin_file=_absolute(args.use_plugin),
        write_graph=args.write_graph,
        resource_monitor=args.resource_monitor,
        random_seed=args.random_seed,
    )


def resources_from(args: argparse.Namespace) -> resources.Resources:
    """Processors and memory: as asked, else as the plug-in file says, else what is allowed.

    Raises
    ------
    UsageError
        If the memory has no unit, or the plug-in file cannot be used.
    """
    plugin = _plugin_args(args.use_plugin)
    asked = args.mem
    asked = f"{args.mem_gb}GB" if args.mem_gb else asked
    asked = f"{args.mem_mb}MB" if args.mem_mb else asked
    total = resources.parse_memory(asked) if asked else None
    if total is None and "memory_gb" in plugin:
        total = int(plugin["memory_gb"] * GIB)
    return resources.share(
        args.nprocs or plugin.get("n_procs") or int(resources.allowed_cpus().amount),
        int(resources.allowed_memory().amount),
        threads=args.omp_nthreads,
        total=total,
    )


def without_effect(args: argparse.Namespace) -> tuple[str, ...]:
    """Options that were given and choose nothing, as tables and pages hold all there is."""
    names: tuple[str, ...] = ()
    if args.reports_only:
        names = ("session_label", "bids_filter_file")
    if args.analysis_level == GROUP:
        names = ("exclude_participant_label", "session_label", "bids_filter_file")
    return tuple(f"--{name.replace('_', '-')}" for name in names if getattr(args, name))


def _plugin_args(path: Path | None) -> dict[str, Any]:
    """What a plug-in file says of processors (``n_procs``) and memory (``memory_gb``)."""
    if path is None:
        return {}
    from legseg_bids.workflows.plugin_file import IN_SETTINGS, read_plugin

    args = read_plugin(path).args
    found: dict[str, Any] = {name: args[name] for name in IN_SETTINGS if name in args}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
            msg = f"plug-in file {path}: {name} is {value!r}; expected a number of at least 1"
            raise UsageError(msg)
    return found


def _config_file(words: Sequence[str] | None) -> Path | None:
    """The configuration, which must be known before the rest can be parsed."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(*options.spellings("--config-file"), type=Path)
    try:
        found: Path | None = parser.parse_known_args(words)[0].config_file
    except argparse.ArgumentError:
        return None
    return found


def _must_agree(args: argparse.Namespace, saved: dict[str, Any]) -> None:
    """A configuration belongs to its folders; with others it would be another run."""
    for name in ("bids_dir", "output_dir"):
        given, before = getattr(args, name), saved.get(name)
        if given is not None and before is not None and given.absolute() != before:
            raise UsageError(
                f"{name} is {given}, but {args.config_file} is of {before}; expected the same; "
                "leave the folders out, or the configuration"
            )


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


def _participants(args: argparse.Namespace) -> tuple[str, ...]:
    """Labels to keep; empty where nothing was selected or excluded."""
    chosen = _labels(args.participant_label, "sub-")
    excluded = set(_labels(args.exclude_participant_label, "sub-"))
    if not excluded or args.analysis_level == GROUP:
        return chosen
    folder = args.output_dir if args.reports_only else args.bids_dir
    present = sorted(path.name[4:] for path in folder.glob("sub-*") if path.is_dir())
    kept = tuple(label for label in chosen or present if label not in excluded)
    if not kept and (chosen or present):
        msg = "every participant is excluded; expected at least one; exclude fewer labels"
        raise NoFilterMatch(msg)
    return kept


def _labels(words: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Labels without their prefix, each once; a single word may name a text file."""
    text = options.label_file(words)
    words = words if text is None else text.split()
    return tuple(dict.fromkeys(word.removeprefix(prefix) for word in words))
