"""``legseg-evaluate``: how good label images are, against references."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from legseg_bids.evaluate.pairs import Pairs
    from legseg_bids.evaluate.plan import Folder, Plan
    from legseg_bids.evaluate.results import Evaluated

NOTHING = "-"
OPERATORS = "operators"


class Terminated(KeyboardInterrupt):
    """The process was told to end by SIGTERM."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-evaluate",
        description="Compare label images with references: overlap, surface distances and "
        "volumes of every structure of every image, statistics over models and groups, one "
        "page. Run again to go on where it stopped.",
        epilog="An option of the predictions that takes several values takes one for all of "
        "them, or one for each in their order (- for none).",
    )
    out.add_argument("reference", type=Path, help="folder of reference label images, or one")
    out.add_argument(
        "predictions",
        type=Path,
        nargs="+",
        metavar="prediction",
        help="a model's label images: a BIDS derivative, what another tool wrote, or one image",
    )
    out.add_argument("--out", type=Path, required=True, help="folder that receives the results")
    _add_naming(out)
    _add_measuring(out)
    _add_comparing(out)
    out.add_argument("--workers", type=int, metavar="N", help="processes (default: all allowed)")
    out.add_argument("--dry-run", action="store_true", help="show what belongs to what, and end")
    return out


def _add_naming(out: argparse.ArgumentParser) -> None:
    group = out.add_argument_group("which files, and what their numbers mean")
    group.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the models (default: folders)"
    )
    group.add_argument("--reference-files", metavar="GLOB", help="names of reference images")
    group.add_argument("--files", nargs="+", metavar="GLOB", help="names of predicted images")
    group.add_argument("--reference-table", type=Path, metavar="FILE", help="label table")
    group.add_argument("--table", nargs="+", metavar="FILE", help="label tables of predictions")
    group.add_argument(
        "--reference-scheme", metavar="SCHEME", help="whose numbers these are; see the manual"
    )
    group.add_argument("--scheme", nargs="+", metavar="SCHEME", help="the same of predictions")


def _add_measuring(out: argparse.ArgumentParser) -> None:
    group = out.add_argument_group("what is measured")
    group.add_argument("--slices", action="store_true", help="also slice by slice")
    group.add_argument(
        "--coverage",
        choices=("reference", "all"),
        default="reference",
        help="compare the slices that the reference covers (default), or all",
    )
    group.add_argument(
        "--definition",
        choices=("area", "voxel"),
        default="area",
        help="surface distances over areas of surface (default), or over border voxels",
    )
    group.add_argument(
        "--resample",
        action="store_true",
        help="resample a prediction on another grid (nearest neighbour) instead of refusing it",
    )


def _add_comparing(out: argparse.ArgumentParser) -> None:
    group = out.add_argument_group("statistics and page")
    group.add_argument("--participants", type=Path, metavar="FILE", help="participants.tsv")
    group.add_argument("--group-by", metavar="COLUMN", help="of participants.tsv")
    group.add_argument(
        "--operators",
        type=Path,
        metavar="FOLDER",
        help="label images of a second rater: how far people differ",
    )
    group.add_argument("--no-page", action="store_true", help="tables only")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-evaluate``."""
    options = parser().parse_args(arguments)
    from legseg_bids.errors import ExitCode, LegsegError

    try:
        with _sigterm_as_exception():
            return _run(options)
    except LegsegError as error:
        print(f"legseg-evaluate: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt as stop:
        print(
            "legseg-evaluate: stopped; finished cases are kept, the same command goes on",
            file=sys.stderr,
        )
        ended = isinstance(stop, Terminated)
        return int(ExitCode.TERMINATED if ended else ExitCode.INTERRUPTED)


def _run(options: argparse.Namespace) -> int:
    from legseg_bids.errors import ExitCode
    from legseg_bids.evaluate.plan import find_pairs, lines_about
    from legseg_bids.evaluate.run import evaluate

    plan = _plan(options)
    plans = [plan, *([_of_operators(plan, options.operators)] if options.operators else [])]
    pairs = [find_pairs(one) for one in plans]
    _check_groups(options, pairs[0])
    if options.dry_run:
        for line in (line for one in pairs for line in lines_about(one)):
            print(line)
        return int(ExitCode.OK)
    done = [evaluate(one, _say, known) for one, known in zip(plans, pairs, strict=True)]
    written = [] if options.no_page else _compare(plan, options, done)
    _conclude(done[0], plan.out, written)
    return int(ExitCode.FAILED if any(one.errors for one in done) else ExitCode.OK)


def _check_groups(options: argparse.Namespace, pairs: Mapping[str, Pairs]) -> None:
    """What would fail at the end, fails now.

    Raises
    ------
    LegsegError
        If there are no such groups.
    """
    if options.no_page:
        return
    from legseg_bids.evaluate.groups import read_groupings

    cases = (case for one in pairs.values() for case in one.cases)
    people = sorted({case.reference.participant_id for case in cases})
    read_groupings(options.participants, options.group_by, people)


def _compare(plan: Plan, options: argparse.Namespace, done: Sequence[Evaluated]) -> list[Path]:
    """Statistics and page, if there is anything to show."""
    models, *raters = done
    if not models.cases:
        return []
    from legseg_bids.evaluate.comparing import write_comparison

    return write_comparison(
        plan.out,
        participants=options.participants,
        group_by=options.group_by,
        operators=plan.out / OPERATORS if any(one.cases for one in raters) else None,
    )


def _conclude(done: Evaluated, out: Path, written: Sequence[Path]) -> None:
    for model, dice in done.dice.items():
        print(f"{model}: mean Dice {dice:.3f}")
    print(
        f"{done.cases} case(s) evaluated, {done.computed} of them now; {done.errors} error(s), "
        f"{done.warnings} warning(s): see {out / 'troubles.tsv'}"
    )
    if done.not_compared:
        print(
            f"{done.not_compared} structure(s) of the reference were not compared: see "
            f"{out / 'left_out.tsv'}"
        )
    pages = [path for path in written if path.suffix == ".html"]
    print(f"wrote {pages[0] if pages else out / 'evaluation.tsv'}")


def _plan(options: argparse.Namespace) -> Plan:
    from legseg_bids.cli.resources import allowed_cpus
    from legseg_bids.evaluate.cases import Naming, Options
    from legseg_bids.evaluate.plan import Folder, Plan

    naming = Naming(options.reference_table, options.reference_scheme)
    workers = options.workers
    return Plan(
        out=options.out,
        reference=Folder(options.reference, "reference", options.reference_files, naming),
        predictions=tuple(_predictions(options)),
        options=Options(options.coverage, options.definition, options.slices, options.resample),
        workers=int(allowed_cpus().amount) if workers is None else workers,
    )


def _predictions(options: argparse.Namespace) -> Iterator[Folder]:
    from legseg_bids.evaluate.cases import Naming
    from legseg_bids.evaluate.plan import Folder

    paths: list[Path] = options.predictions
    files, tables, schemes = (
        _one_each(name, getattr(options, name), len(paths))
        for name in ("files", "table", "scheme")
    )
    names = _names(paths, options.names)
    for path, name, glob, table, scheme in zip(paths, names, files, tables, schemes, strict=True):
        yield Folder(path, name, glob, Naming(Path(table) if table else None, scheme))


def _one_each(name: str, values: Sequence[str] | None, count: int) -> list[str | None]:
    """A value for each prediction.

    Raises
    ------
    UsageError
        If there is neither one for all nor one for each.
    """
    from legseg_bids.errors import UsageError

    given = list(values or [NOTHING])
    if len(given) == 1:
        given *= count
    if len(given) != count:
        raise UsageError(
            f"--{name} has {len(given)} values; expected one for all, or one for each of the "
            f"{count} predictions ({NOTHING} for none)"
        )
    return [None if value == NOTHING else value for value in given]


def _names(paths: Sequence[Path], given: Sequence[str] | None) -> list[str]:
    """Different names for all predictions: those given, or as much of the paths as it takes.

    Raises
    ------
    UsageError
        If they are too few, too many, or not different.
    """
    from legseg_bids.errors import UsageError

    resolved = [path.resolve() for path in paths]
    for depth in (1, 2, 3):
        names = list(given or ("/".join(path.parts[-depth:]) for path in resolved))
        if len(names) == len(set(names)) == len(paths):
            return names
    raise UsageError(
        f"the {len(paths)} predictions are named {', '.join(names)}; expected a different name "
        "for each; give them with --names"
    )


def _of_operators(plan: Plan, folder: Path) -> Plan:
    """The same for a second rater, who names things as the first does, and may read fewer."""
    from dataclasses import replace

    from legseg_bids.evaluate.plan import Folder

    rater = Folder(folder, OPERATORS, plan.reference.files, plan.reference.naming)
    options = replace(plan.options, slices=False)
    out = plan.out / OPERATORS
    return replace(plan, out=out, predictions=(rater,), options=options, partial=True)


def _say(line: str) -> None:
    from legseg_bids.cli.voice import write

    write(line, sys.stderr)


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Let SIGTERM end the workers and clean up, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


if __name__ == "__main__":
    sys.exit(main())
