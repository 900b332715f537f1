"""The networks of the package on simulated people, as an arm of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from legseg_bids.evaluate.answers import answer
from legseg_bids.evaluate.reproductions.bank import FAT, fat_of
from legseg_bids.evaluate.reproductions.judging import Score, judge
from legseg_bids.evaluate.reproductions.structures import Structure, class_table
from legseg_bids.evaluate.trials import FIRST_SEED, Setting, simulate_trial
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import find_models_dir, load_model
from legseg_bids.synth.atlas import Anatomy

#: Model and region of the trials for each group of structures.
NETWORKS = {"thigh": ("thigh", "upper"), "leg": ("lower_leg", "lower")}
#: How the trials are scanned.
SETTING = Setting(pixel=1.25, slice_distance=7.0, noise=0.02)
#: What these people are called: they are others than the bank's, scanned otherwise.
TEST = "trials"
#: At most so many people: two of each anatomy and degree of fat.
MOST_PEOPLE = 12
#: An answer with less of its voxels than this in structures of the truth is of another limb.
LEAST_SHARE = 0.1
#: Seeds of these trials begin here.
SEED = FIRST_SEED + 40_000


def shipped_scores(
    structures: tuple[Structure, ...],
    people: int,
    anatomies: Callable[[str], Anatomy],
    names: tuple[str, ...],
    models: Path | None = None,
    setting: Setting = SETTING,
) -> list[Score]:
    """Scores of the package's thigh and lower-leg networks.

    Parameters
    ----------
    structures : tuple of Structure
        Groups ``thigh`` and ``leg`` are judged.
    people : int
        At most :data:`MOST_PEOPLE`; half of them of each anatomy, fat as in the bank.
    anatomies : callable
        Gives a prepared map by its name.
    names : tuple of str
        Names of the maps, in turn.
    models : Path, optional
        Folder of the model bundles; where the application looks by default.
    """
    table = class_table(structures)
    maps = [anatomies(name) for name in names]
    scores = []
    for part, (bundle, region) in NETWORKS.items():
        model = load_model(find_models_dir(models), bundle)
        engine = load_engine(model, threads=1)
        own = {s.name for s in structures if s.part == part}
        for person in range(min(people, MOST_PEOPLE)):
            fat, anatomy = fat_of(person), maps[person // len(FAT) % len(maps)]
            side = ("left", "right")[person % 2]
            trial = simulate_trial(anatomy, side, region, setting, SEED + person, FAT[fat])
            _, labels = answer(trial, model, engine)
            if is_of_another_limb(labels.labels, trial.labels):
                continue
            pairs = judge(table[labels.labels], table[trial.labels], structures)
            scores += [
                Score(TEST, person, fat, part, s.name, value)
                for s, value in pairs
                if s.name in own
            ]
    return scores


def is_of_another_limb(found: NDArray[Any], truth: NDArray[Any]) -> bool:
    """Whether something was found, and next to none of it where the limb in question is.

    A trial is answered in the largest limb in view. Where a limb is very thin, that may be what is
    seen of the other one, of which there is no truth.

    Examples
    --------
    >>> import numpy as np
    >>> is_of_another_limb(np.array([0, 3]), np.array([5, 0]))
    True
    >>> is_of_another_limb(np.array([0, 0]), np.array([5, 0]))
    False
    """
    there = found > 0
    return bool(there.any()) and float((truth[there] > 0).mean()) < LEAST_SHARE
