"""One recipe from its datasets to its figures: find, prepare, split, fit."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legseg_bids.bids.dataset import index
from legseg_bids.bids.discover import discover
from legseg_bids.bids.write import write_text
from legseg_bids.errors import UsageError
from legseg_bids.imaging.dixon import choose_in_phase_echoes, choose_opposed_echo
from legseg_bids.train.losses import LossSum
from legseg_bids.train.own.building import channels_of, design
from legseg_bids.train.own.checkpoints import make_folder
from legseg_bids.train.own.fitting import Fit, Fitted, fit
from legseg_bids.train.own.limbs import Limb, Reader, prepare_limbs
from legseg_bids.train.own.loading import augmentation_of
from legseg_bids.train.own.matching import Labelled, match
from legseg_bids.train.own.recipe import Data, Recipe
from legseg_bids.train.own.splits import Groups, groups
from legseg_bids.train.own.structures import choose_classes, in_region

Say = Callable[[str], Any]
LIMBS, FOLDS, SPLIT = "limbs", "folds.csv", "split.tsv"


@dataclass(frozen=True)
class Ready:
    """A recipe whose images are prepared.

    Attributes
    ----------
    recipe : Recipe
    limbs : tuple of Limb
    channels : tuple of int
        Code of each channel of the network.
    run : Path
        Folder of the training.
    """

    recipe: Recipe
    limbs: tuple[Limb, ...]
    channels: tuple[int, ...]
    run: Path

    def groups(self, fold: int) -> Groups:
        """Who is in which part."""
        return groups((limb.participant for limb in self.limbs), self.recipe.split, fold)


def make_ready(
    recipe: Recipe, run: Path, read: Reader, say: Say, leave_out_bad: bool = False
) -> Ready:
    """Find the images of a recipe, and prepare their limbs.

    Parameters
    ----------
    recipe : Recipe
    run : Path
        Folder of the training; the limbs go into ``limbs`` there.
    read : callable
        Reads and prepares a station; :func:`legseg_bids.interfaces.prepare.prepare`.
    say : callable
        Takes a line for people.
    leave_out_bad : bool
        See :func:`~legseg_bids.train.own.limbs.prepare_limbs`.
    """
    # Both say what is wrong with them now, and not when an hour of reading is over.
    LossSum(recipe.loss)
    augmentation_of(recipe)
    pairs = {number: _labelled(data) for number, data in enumerate(recipe.data)}
    folder = make_folder(run / LIMBS)
    limbs = prepare_limbs(recipe, pairs, read, folder, say, leave_out_bad)
    drawn = {int(code) for limb in limbs for code in limb.voxels}
    classes = choose_classes(recipe.classes, drawn, recipe.region)
    if not any(in_region(code, recipe.region) for code in classes):
        raise UsageError(
            f"no class of the recipe belongs to the {recipe.region} leg; expected some; check "
            "`classes` and `region`"
        )
    return Ready(recipe, tuple(limbs), channels_of(classes, recipe.other), run)


def _labelled(data: Data) -> Sequence[Labelled]:
    """Images of a dataset with labels; those without are nobody's concern here."""
    dataset = index(Path(data.raw))
    found = discover(dataset, choose_opposed_echo, None, choose_in_phase_echoes)
    return match(found.stations, Path(data.labels), data.files)


def fold_folder(ready: Ready, fold: int) -> Path:
    """Where the training of a fold goes."""
    return ready.run if ready.recipe.split.validation else ready.run / f"fold-{fold}"


def fit_task(ready: Ready, fold: int, device: str, say: Say) -> Fit:
    """The training of one fold."""
    return Fit(
        recipe=ready.recipe,
        design=design(ready.recipe, ready.channels),
        limbs=ready.limbs,
        groups=ready.groups(fold),
        limbs_dir=ready.run / LIMBS,
        folder=fold_folder(ready, fold),
        device=device,
        say=say,
    )


def fit_fold(ready: Ready, fold: int, device: str, say: Say) -> tuple[Fit, Fitted]:
    """Train one fold, or go on with it."""
    task = fit_task(ready, fold, device, say)
    parts = vars(task.groups)
    for part, people in parts.items():
        say(f"{part}: {', '.join(people) or 'nobody'}")
    rows = [f"sub-{person}\t{part}" for part, people in parts.items() for person in people]
    fitted = fit(task)
    write_text(task.folder / SPLIT, "\n".join(["participant_id\tpart", *sorted(rows)]) + "\n")
    say(f"{fitted.why}; best Dice {fitted.dice:.3f} in epoch {fitted.epoch}")
    return task, fitted


def write_folds(ready: Ready, fitted: Sequence[Fitted]) -> Path:
    """The figures of a cross-validation as a table; the last row is mean and standard deviation.

    Returns
    -------
    Path
        ``folds.csv``.
    """
    rows = [
        f"{n},{' '.join(ready.groups(n).validation)},{f.epoch},{f.dice:.4f}"
        for n, f in enumerate(fitted)
    ]
    values = [f.dice for f in fitted]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    rows.append(f"mean (SD),,,{statistics.fmean(values):.4f} ({spread:.4f})")
    path = ready.run / FOLDS
    write_text(path, "\n".join(["fold,validation,epoch,dice", *rows]) + "\n")
    return path
