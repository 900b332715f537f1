"""Figures of an experiment: Dice of every arm, and slices with what each arm answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import label_by_index
from legseg_bids.bids.write import replacing
from legseg_bids.evaluate.reproductions.bank import FAT, REGIONS, Bank
from legseg_bids.evaluate.reproductions.comparing import by_person
from legseg_bids.evaluate.reproductions.judging import ALL, Result, person_means
from legseg_bids.evaluate.reproductions.running import ALL_TESTS, Run, picture_rows, source_of
from legseg_bids.evaluate.reproductions.structures import Structure, parts, structure_set

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"known": "#2b6cb0", "new": "#c05621", "trials": "#2f855a"}
DPI = 110


def write_figures(run: Run, results: Sequence[Result]) -> list[Path]:
    """Draw ``dice.png`` and ``slices.png``."""
    paths = [_save(dice_figure(run, results), run.folder / "dice.png")]
    shown = kept_pictures(run)
    if shown:
        paths.append(_save(slices_figure(run, shown), run.folder / "slices.png"))
    return paths


def kept_pictures(run: Run) -> dict[str, NDArray[np.uint8]]:
    """Answers of each arm to the slices that are shown, as far as they were kept."""
    rows = len(picture_rows(run.experiment, run.bank))
    out = {}
    for arm in run.experiment.arms:
        try:
            found = np.load(run.folder / "trainings" / f"{arm.name}.npy")
        except (OSError, ValueError):
            continue
        if len(found) == rows:
            out[arm.name] = found
    return out


def dice_figure(run: Run, results: Sequence[Result]) -> Figure:
    """Every test person's mean Dice in each arm, for each group of structures."""
    from matplotlib.figure import Figure

    e = run.experiment
    groups = parts(structure_set(e.structures))
    arms = [a for a in e.arms if any(r.arm == a.name for r in results)]
    figure = Figure(figsize=(3.4 * len(groups) + 2.6, 0.55 * len(arms) + 1.5), dpi=DPI)
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axis, part in zip(axes, groups, strict=True):
        for offset, test in enumerate(ALL_TESTS):
            means = person_means(results, test, part, ALL)
            for row, arm in enumerate(arms):
                if arm.name in means:
                    values = np.array(list(by_person(means[arm.name]).values()))
                    _strip(axis, values, row + 0.36 * (min(offset, 1) - 0.5), COLOURS[test])
        axis.set_title(part)
        axis.set_xlabel("Dice, mean over structures")
        axis.set_xlim(0, 1)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(arms)), [a.title.replace("`", "") for a in arms])
    axes[0].invert_yaxis()
    _legend(figure, {score.test for result in results for score in result.scores})
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    return figure


def _strip(axis: Axes, values: NDArray[Any], height: float, colour: str) -> None:
    generator = np.random.default_rng(0)
    jitter = generator.uniform(-0.1, 0.1, len(values))
    axis.scatter(values, height + jitter, s=9, alpha=0.5, color=colour, linewidths=0)
    axis.plot([values.mean()] * 2, [height - 0.16, height + 0.16], color=colour, lw=2.2)


def _legend(figure: Figure, shown: set[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", ls="", color=COLOURS[test], label=title)
        for test, title in ALL_TESTS.items()
        if test in shown
    ]
    figure.legend(handles=handles, loc="upper right", ncols=3, frameon=False, fontsize=8)


def palette(structures: Sequence[Structure]) -> NDArray[np.float64]:
    """Colour of each class, those of the label table; row 0 is background. Shape (classes, 3)."""
    colours = [label_by_index(s.labels[0]).color for s in structures]
    return np.array(
        [[0, 0, 0], *([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours)]
    )


def overlaid(
    image: NDArray[Any], classes: NDArray[Any], colours: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Grey image (…, y, x) with classes painted over, (…, y, x, 3)."""
    grey = np.clip(np.asarray(image, float) / 1.2, 0, 1)[..., None].repeat(3, -1)
    share = np.where(classes > 0, 0.7, 0.0)[..., None]
    return np.asarray((1 - share) * grey + share * colours[classes])


def mosaic(lines: Sequence[NDArray[np.float64]], gap: int = 2) -> NDArray[np.float64]:
    """Pictures side by side and lines of them below each other, white between.

    Parameters
    ----------
    lines : sequence of ndarray, shape (pictures, y, x, 3)
        The first line comes on top; y of each picture points up.
    gap : int
        Pixels between pictures.

    Examples
    --------
    >>> mosaic([np.zeros((2, 4, 3, 3)), np.zeros((2, 4, 3, 3))], gap=1).shape
    (10, 8, 3)
    """
    edge = ((0, 0), (0, gap), (0, gap), (0, 0))
    framed = [np.pad(line[:, ::-1], edge, constant_values=1.0) for line in lines]
    return np.concatenate([np.concatenate(list(line), axis=1) for line in framed])


def slices_figure(run: Run, shown: Mapping[str, NDArray[np.uint8]]) -> Figure:
    """Columns are slices, rows: the image, the truth, each arm's answer (first training)."""
    from matplotlib.figure import Figure

    bank, e = run.bank, run.experiment
    rows = np.array(picture_rows(e, bank))
    batch = source_of(e, bank, rows).read(rows)
    image, truth = batch.image[:, 0].numpy(), batch.labels.numpy()
    colours = palette(structure_set(e.structures))
    lines = {"image": np.zeros_like(truth), "truth": truth}
    lines |= {e.arm(name).title.replace("`", ""): found for name, found in shown.items()}
    figure = Figure(figsize=(1.2 * len(rows) + 1.5, 1.2 * len(lines) + 0.5), dpi=DPI)
    axis = figure.add_axes((1.45 / figure.get_figwidth(), 0.0, 1.0, 1.0))
    whole = mosaic([overlaid(image, classes, colours) for classes in lines.values()])
    axis.imshow(whole, interpolation="nearest")
    axis.set_frame_on(False)
    _name_lines(axis, list(lines), image.shape[1] + 2)
    _name_columns(axis, [_who(bank, int(row)) for row in rows], image.shape[2] + 2)
    width, height = figure.get_size_inches()
    axis.set_position((1.45 / width, 0.0, 1 - 1.5 / width, 1 - 0.45 / height))
    axis.set_anchor("N")
    return figure


def _name_lines(axis: Axes, names: Sequence[str], pitch: int) -> None:
    places = [(n + 0.5) * pitch for n in range(len(names))]
    axis.set_yticks(places, [_wrapped(name) for name in names], fontsize=7)
    axis.tick_params(length=0)


def _name_columns(axis: Axes, names: Sequence[str], pitch: int) -> None:
    axis.xaxis.tick_top()
    axis.set_xticks([(n + 0.5) * pitch for n in range(len(names))], names, fontsize=7)


def _who(bank: Bank, row: int) -> str:
    split = list(bank.plan.people)[bank.split[row]]
    return f"{split}, {REGIONS[bank.region[row]]}\nfat: {list(FAT)[bank.fat[row]]}"


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 18))


def _save(figure: Figure, path: Path) -> Path:
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return path
