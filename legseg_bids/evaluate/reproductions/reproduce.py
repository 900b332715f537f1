"""Reproduce one experiment: simulate, train, judge, write tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from legseg_bids.bids.write import write_text
from legseg_bids.errors import UsageError
from legseg_bids.evaluate.reproductions.experiments import load_experiment
from legseg_bids.evaluate.reproductions.figures import write_figures
from legseg_bids.evaluate.reproductions.running import Order, begin, perform
from legseg_bids.evaluate.reproductions.tables import inserted, write_tables


def reproduce(name: str, order: Order, say: Callable[[str], object] = print) -> list[Path]:
    """Run an experiment by its name, or go on with it.

    Parameters
    ----------
    name : str
        One of :func:`.experiments.experiment_names`.
    order : Order
    say : callable
        Is told the progress, a line at a time.

    Returns
    -------
    list of Path
        Tables and figures, under ``order.out / name``.

    Raises
    ------
    LegsegError
        If there is no such experiment, a label map is missing, or nothing can be written.
    """
    experiment = load_experiment(name)
    run = begin(experiment, order, say)
    results = perform(run)
    written = [*write_tables(run, results), *write_figures(run, results)]
    if order.page is not None:
        update_page(order.page, (run.folder / "results.md").read_text(encoding="utf-8"))
        written.append(order.page)
    return written


def update_page(path: Path, tables: str) -> None:
    """Put tables into a page of the documentation.

    Raises
    ------
    UsageError
        If there is no page, or no place for them in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}); expected a page") from error
    write_text(path, inserted(text, tables))
