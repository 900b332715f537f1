"""What a person reads of a search: a table, a picture, and a recipe with the best values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from legseg_bids.bids.write import replacing, write_text
from legseg_bids.train.own.tuning import PARAMETERS, Trial, best_of

TABLE, PICTURE, RECIPE = "trials.csv", "trials.png", "best.toml"
TITLES = {"learning_rate": "learning rate", "weight_decay": "L2", "input_dropout": "dropout"}
#: Colour-blind safe (Wong, Nature Methods 8:441, 2011).
COLOURS = {"complete": "#0072b2", "pruned": "#999999"}


def write_tuned(folder: Path, recipe: Path, trials: Sequence[Trial]) -> list[Path]:
    """Write all of it.

    Parameters
    ----------
    folder : Path
        Of the search.
    recipe : Path
        The TOML file that was tuned.
    trials : sequence of Trial

    Returns
    -------
    list of Path

    Raises
    ------
    LegsegError
        If no training came to its end; the table and the picture are written.
    """
    paths = [folder / TABLE, folder / PICTURE, folder / RECIPE]
    write_text(paths[0], table_text(trials))
    draw_trials(trials, paths[1])
    write_text(paths[2], tuned_recipe(recipe, best_of(trials)))
    return paths


def table_text(trials: Sequence[Trial]) -> str:
    """One row for each training.

    Examples
    --------
    >>> print(table_text([Trial(0, "waiting", 0, math.nan, {})]), end="")
    number,state,epochs,dice,learning_rate,weight_decay,input_dropout,folder
    0,waiting,0,n/a,n/a,n/a,n/a,n/a
    """
    text = io.StringIO()
    names = ["number", "state", "epochs", "dice", *PARAMETERS, "folder"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(trial) for trial in trials)
    return text.getvalue()


def _row(trial: Trial) -> dict[str, str]:
    values = asdict(trial)
    point: Mapping[str, float] = values.pop("parameters")
    values |= {name: point.get(name, math.nan) for name in PARAMETERS}
    row = {k: v if isinstance(v, str) else f"{v:.6g}" for k, v in values.items()}
    row["folder"] = trial.folder if point else "n/a"
    return {k: "n/a" if v == "nan" else v for k, v in row.items()}


def draw_trials(trials: Sequence[Trial], path: Path) -> None:
    """Dice against each value, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.17, top=0.9, wspace=0.22)
    panels = figure.subplots(1, len(PARAMETERS), sharey=True)
    for axes, (name, logarithmic) in zip(panels, PARAMETERS.items(), strict=True):
        for state, colour in COLOURS.items():
            shown = [t for t in trials if t.state == state]
            title = "to the end" if state == "complete" else "ended early"
            points = [t.parameters[name] for t in shown], [t.dice for t in shown]
            axes.scatter(*points, c=colour, s=18, label=title)
        axes.set(xlabel=TITLES[name])
        axes.set_xscale("log" if logarithmic else "linear")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("validation Dice")
    panels[0].legend(fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=90)


def tuned_recipe(path: Path, best: Trial) -> str:
    """The text of a recipe with the values of a training; all else, comments too, stays.

    Folders and files become absolute, since the new recipe lies elsewhere.
    """
    import tomlkit

    recipe: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    for data in recipe["data"]:
        for key in ("raw", "labels"):
            data[key] = str((path.parent / data[key]).absolute())
    start = recipe.get("start", {})
    for key in ("bundle", "imagenet"):
        if key in start and (path.parent / start[key]).exists():
            start[key] = str((path.parent / start[key]).absolute())
    recipe["input_dropout"] = _short(best.parameters["input_dropout"])
    if "optimiser" not in recipe:
        recipe["optimiser"] = tomlkit.table()
    for key in ("learning_rate", "weight_decay"):
        recipe["optimiser"][key] = _short(best.parameters[key])
    return tomlkit.dumps(recipe)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
