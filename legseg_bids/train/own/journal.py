"""What a person reads of a training: tables, curves, pictures, TensorBoard."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.labels import BACKGROUND
from legseg_bids.bids.write import replacing, write_text
from legseg_bids.train.augment.sheet import label_colours
from legseg_bids.train.own.structures import class_name
from legseg_bids.train.own.validating import Figures, Look

LOG, CURVES, PICTURES = "log.csv", "curves.png", "pictures"
#: Of the first columns; one for the Dice of each class follows.
COLUMNS = (
    "epoch", "step", "minutes", "learning_rate", "loss", "dice", "spoilt_steps", "waited",
)  # fmt: skip


class Journal:
    """One training's folder.

    Parameters
    ----------
    folder : Path
    channels : sequence of int
        Code of each channel of the network.
    """

    def __init__(self, folder: Path, channels: Sequence[int]) -> None:
        self.folder, self.channels = folder, tuple(channels)
        self._board = _tensorboard(folder)

    def add(self, values: Mapping[str, float], figures: Figures, epochs: int) -> None:
        """One epoch: a row, the curves, a picture.

        Parameters
        ----------
        values : mapping of str to float
            One for each of :data:`COLUMNS`.
        figures : Figures
            Of the validation.
        epochs : int
            Rows that belong to this training; later ones, of a training that was killed after
            writing them and before its checkpoint, are dropped.
        """
        classes = {
            class_name(c): d
            for c, d in zip(self.channels, figures.dice, strict=True)
            if c > BACKGROUND
        }
        rows = self.rows()[: epochs - 1]
        rows.append({k: _text(v) for k, v in {**values, **classes}.items()})
        _write_rows(self.folder / LOG, rows)
        draw_curves(rows, self.folder / CURVES)
        name = f"epoch-{int(values['epoch']):04d}.png"
        draw_looks(figures.looks, self.channels, self.folder / PICTURES / name)
        if self._board is not None:
            for key, value in (*values.items(), *((f"dice/{k}", v) for k, v in classes.items())):
                self._board.add_scalar(key, value, int(values["step"]))
            self._board.flush()

    def rows(self) -> list[dict[str, str]]:
        """Rows of the log."""
        return read_log(self.folder)


def read_log(folder: Path) -> list[dict[str, str]]:
    """Rows of a training's log, one for each epoch; none if there is no log."""
    path = folder / LOG
    if not path.exists():
        return []
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def number(text: str) -> float:
    """A value of the log; NaN where there is none."""
    return math.nan if text == "n/a" else float(text)


def write_figures(path: Path, figures: Figures) -> None:
    """The Dice coefficient of each class as a table."""
    rows = [
        {"class": class_name(c), "dice": _text(d)}
        for c, d in zip(figures.channels, figures.dice, strict=True)
        if c > BACKGROUND
    ]
    _write_rows(path, [*rows, {"class": "mean", "dice": _text(figures.mean)}])


def _write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[-1]), restval="n/a", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _text(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.6g}" if math.isfinite(value) else "n/a"


def draw_curves(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Loss, Dice and learning rate by epoch, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3))
    figure.subplots_adjust(left=0.05, right=0.98, bottom=0.17, top=0.88, wspace=0.28)
    titles = {"loss": "loss (training)", "dice": "Dice (validation)", "learning_rate": "rate"}
    epochs = [float(row["epoch"]) for row in rows]
    for axes, (key, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        values = [number(row[key]) for row in rows]
        axes.plot(epochs, values, marker="." if len(rows) < 40 else None)
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
    _save_figure(figure, path)


def draw_looks(looks: Sequence[Look], channels: Sequence[int], path: Path) -> None:
    """Slices of the validation: image, what was drawn, what the network says."""
    from matplotlib.figure import Figure

    if not looks:
        return
    colours = _colours(channels)
    figure = Figure(figsize=(7.5, 2.6 * len(looks)))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.95, wspace=0.03, hspace=0.12)
    grid = figure.subplots(len(looks), 3, squeeze=False)
    for row, look in zip(grid, looks, strict=True):
        name = look.source.rpartition("/")[2]
        grey = np.clip(look.image.numpy() / 1.2, 0, 1)
        for axes, labels, title in zip(
            row, (None, look.truth, look.found), (name, "drawn", "network"), strict=True
        ):
            axes.imshow(grey, cmap="gray", vmin=0, vmax=1, origin="lower")
            if labels is not None:
                axes.imshow(colours[labels.numpy()], origin="lower", interpolation="nearest")
            axes.set_title(title, fontsize=6)
            axes.axis("off")
    _save_figure(figure, path)


def _colours(channels: Sequence[int]) -> NDArray[np.float64]:
    """Colour and opacity of each channel; the last row is that of voxels nobody looked at."""
    known = label_colours([c for c in channels if c > BACKGROUND])
    out = np.zeros((len(channels) + 1, 4))
    for channel, code in enumerate(channels):
        if code != BACKGROUND:
            rgb = known.get(code, (160, 160, 160))
            out[channel] = (*(v / 255 for v in rgb), 0.55)
    out[-1] = (0, 0, 0, 0.5)
    return out


def _save_figure(figure: Any, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=90)


def _tensorboard(folder: Path) -> Any:
    """A writer for TensorBoard; None if it is not installed."""
    with suppress(ImportError):
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder / "tensorboard"))
    return None
