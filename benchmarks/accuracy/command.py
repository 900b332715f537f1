"""The command ``python benchmarks/accuracy``, with a word for what is to be measured.

    python benchmarks/accuracy bands --network thigh --atlas ATLAS --cache CACHE --out TABLES
    python benchmarks/accuracy curves --network thigh --atlas ATLAS --cache CACHE --out TABLES
    python benchmarks/accuracy contrasts --atlas ATLAS --cache CACHE --out TABLES
    python benchmarks/accuracy trust --atlas ATLAS --cache CACHE --people 100 --out TABLES
    python benchmarks/accuracy predict TABLES --out predicted_dice.tsv
    python benchmarks/accuracy real OUTPUT REFERENCE --scheme thigh_partial --out TABLES
    python benchmarks/accuracy plot TABLES --figures docs/figures

``bands``     every muscle in five bands of difficulty
``curves``    every muscle while one factor at a time gets worse
``contrasts`` which image to feed, by fat fraction
``trust``     Dice against the mean probability
``predict``   the table that predicts one from the other, of the trust tables of all networks
``calibration`` of voxels with a probability, the share that is right
``real``      a derivative of ``legseg`` against reference labels
``plot``      figures of the tables, without computing anything again

Simulated people are those that a network's recipe holds out of the training; where it holds
nobody out, they are new shapes between and beyond the anatomies that it was trained on. Rows go
to TABLES as they come; an interrupted command goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from legseg_bids.errors import LegsegError
from legseg_bids.train.recipe import load_recipe, shipped_recipes

PEOPLE = {"bands": 8, "curves": 5, "contrasts": 30, "trust": 100, "calibration": 40}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="python benchmarks/accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = out.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, people in PEOPLE.items():
        _add_study(commands.add_parser(name), people)
    real = commands.add_parser("real")
    real.add_argument("output", type=Path, help="what legseg wrote")
    real.add_argument("reference", type=Path, help="derivative with *_dseg.nii.gz of these names")
    real.add_argument("--scheme", help="column of the label table that the reference uses")
    real.add_argument("--name", default="real", help="of the table and its figure")
    real.add_argument("--out", type=Path, default=Path(), help="folder for the table")
    predict = commands.add_parser("predict")
    predict.add_argument("tables", type=Path, help="folder with the tables")
    predict.add_argument("--out", type=Path, required=True, help="file to write")
    plot = commands.add_parser("plot")
    plot.add_argument("tables", type=Path, help="folder with the tables")
    plot.add_argument("--figures", type=Path, default=Path("docs/figures"))
    return out


def _add_study(one: argparse.ArgumentParser, people: int) -> None:
    networks = [name for name in shipped_recipes() if load_recipe(name).kind == "segmentation"]
    one.add_argument("--network", choices=networks, default="thigh")
    one.add_argument("--atlas", type=Path, required=True, help="folder with the label maps")
    one.add_argument("--cache", type=Path, required=True, help="folder for the prepared maps")
    one.add_argument("--models", type=Path, help="folder of the model bundles")
    one.add_argument("--people", type=int, default=people, help=f"how many, default {people}")
    one.add_argument("--both", action="store_true", help="feed the in-phase image as well")
    one.add_argument("--workers", type=int, default=1, help="processes, of one thread each")
    one.add_argument("--out", type=Path, default=Path(), help="folder for the table")
    one.add_argument(
        "--replace",
        action="store_true",
        help="move a table of other weights, code or cases aside",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 1 if something was wrong, which is told."""
    options = parser().parse_args(arguments)
    try:
        {"real": _real, "plot": _plot, "predict": _predict}.get(options.command, _study)(options)
    except LegsegError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 1
    return 0


def _study(options: argparse.Namespace) -> None:
    """Compute what the table lacks, and tell what is in it."""
    from benchmarks.accuracy.bench import Source, code_digest
    from benchmarks.accuracy.studies import STUDIES
    from benchmarks.accuracy.tables import CASES, Table
    from benchmarks.accuracy.telling import TELL
    from benchmarks.accuracy.working import fill

    study = STUDIES[options.command]
    source = Source(options.network, options.atlas, options.cache, options.models)
    facts = {
        "Study": study.name,
        "Network": options.network,
        "Weights": dict(source.model().sha256),
        "Code": code_digest(),
        "Fed": ["opposed", "in_phase"] if options.both else ["opposed"],
        CASES: study.digests(),
    }
    path = options.out / f"{study.name}-{options.network}.tsv"
    table = Table(path, study.columns, facts, options.replace)
    also = "in_phase" if options.both else None
    fill(table, study.name, study.tasks(options.people), also, source, options.workers)
    TELL[study.name](table.rows)


def _real(options: argparse.Namespace) -> None:
    from benchmarks.accuracy.real import SCHEMES, compare_all, tell_real
    from benchmarks.accuracy.tables import write_rows
    from legseg_bids.errors import UsageError

    if options.scheme not in (None, *SCHEMES):
        raise UsageError(f"--scheme is {options.scheme!r}; expected one of {', '.join(SCHEMES)}")
    rows = compare_all(options.output, options.reference, options.scheme)
    write_rows(options.out / f"real-{options.name}.tsv", rows)
    tell_real(rows)


def _predict(options: argparse.Namespace) -> None:
    from benchmarks.accuracy.prediction import trusted, write_prediction

    write_prediction(trusted(options.tables), options.out)
    print(options.out.read_text(encoding="utf-8"), end="")


def _plot(options: argparse.Namespace) -> None:
    from benchmarks.accuracy.figures import draw

    for path in draw(options.tables, options.figures):
        print(path)
